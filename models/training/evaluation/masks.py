"""Masks compared, and the prompts an evaluation derives from them. All masks are (H, W) bool."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from models.api import Box, Point

Mask = NDArray[np.bool_]
BOUNDARY_RATIO = 0.02
"""Width of the boundary band in image diagonals (Cheng et al., Boundary IoU, CVPR 2021)."""
STABILITY_OFFSET = 1.0
"""How far the threshold of the logits is moved up and down (Segment Anything)."""


def tight_box(mask: Mask) -> Box:
    """The smallest box around a mask that is not empty, image pixels."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))


def depth(mask: Mask) -> NDArray[np.float32]:
    """How far inside the mask every pixel is, pixels; what lies outside the image is outside."""
    padded = np.pad(mask.astype(np.uint8), 1)
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.asarray(inside, np.float32)


def pixel_point(mask: Mask, index: int) -> Point:
    """The centre of a pixel given by its index in memory order; positive inside the mask."""
    row, col = divmod(index, mask.shape[1])
    return Point(col + 0.5, row + 0.5, bool(mask[row, col]))


def centre_point(mask: Mask) -> Point:
    """The first pixel of the mask that is farthest from its boundary."""
    return pixel_point(mask, int(depth(mask).argmax()))


def random_correction(truth: Mask, predicted: Mask, rng: np.random.Generator) -> Point | None:
    """A uniformly drawn pixel of the disagreement, labelled by the truth; None if they agree."""
    wrong = np.flatnonzero(truth != predicted)
    return pixel_point(truth, int(rng.choice(wrong))) if len(wrong) else None


def iou(one: Mask, two: Mask) -> float:
    """Intersection over union, 0 when both are empty."""
    union = int(np.count_nonzero(one | two))
    return np.count_nonzero(one & two) / union if union else 0.0


def boundary(mask: Mask) -> Mask:
    """The pixels of the mask that are no farther from its edge than 0.02 image diagonals.

    As in Cheng et al.'s own code: eroded that many times with 3 × 3 pixels, what lies outside the
    image counts as background.
    """
    band = np.zeros_like(mask)
    if not mask.any():
        return band
    reach = max(1, round(BOUNDARY_RATIO * math.hypot(*mask.shape)))
    box = tight_box(mask)
    rows, cols = slice(int(box.y0), int(box.y1)), slice(int(box.x0), int(box.x1))
    part = np.pad(mask[rows, cols].astype(np.uint8), 1)
    # One large square erodes as far as many small ones.
    core = cv2.erode(part, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))[1:-1, 1:-1]
    band[rows, cols] = mask[rows, cols] & (core == 0)
    return band


def stability(logits: NDArray[np.float32]) -> float:
    """IoU of the masks at a higher and a lower threshold; 0 when the larger one is empty."""
    larger = np.count_nonzero(logits > -STABILITY_OFFSET)
    return np.count_nonzero(logits > STABILITY_OFFSET) / larger if larger else 0.0


def ellipse_in(box: Box, height: int, width: int) -> Mask:
    """The ellipse inscribed in a box."""
    yy, xx = np.mgrid[0:height, 0:width] + 0.5
    u = (xx - (box.x0 + box.x1) / 2) / (box.width / 2)
    v = (yy - (box.y0 + box.y1) / 2) / (box.height / 2)
    return np.asarray(u**2 + v**2 <= 1)


def box_mask(box: Box, height: int, width: int) -> Mask:
    """A box with integer corners as a mask."""
    mask = np.zeros((height, width), np.bool_)
    mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
    return mask
