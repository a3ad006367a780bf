"""The small picture of one object that a describer looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.cv import cv2
from annotator.core.mask import Mask
from models.api import Box, MaskCandidate

VIEW_SIDE = 128
"""Longest side of a view in pixels: describers need no more, and it bounds their cost."""

View = tuple[NDArray[np.uint8], NDArray[np.bool_], Box]
"""(h, w, 3) uint8 RGB crop, (h, w) bool object, and the box of the crop in image pixels."""


def of_mask(pixels: NDArray[np.uint8], mask: Mask) -> View | None:
    """The tight crop around a mask, or None when it has no pixels inside the image."""
    piece = raster.crop(mask)
    height, width = piece.pixels.shape
    if not width or not height or pixels.shape[:2] != (mask.height, mask.width):
        return None
    box = Box(piece.x, piece.y, piece.x + width, piece.y + height)
    return _view(pixels, piece.pixels.astype(np.float32) - 0.5, box)


def of_candidate(pixels: NDArray[np.uint8], candidate: MaskCandidate) -> View | None:
    """The tight crop around a candidate, or None when it has no pixels inside the image."""
    rows = np.flatnonzero((candidate.logits > 0).any(axis=1))
    cols = np.flatnonzero((candidate.logits > 0).any(axis=0))
    if not rows.size:
        return None
    r0, r1, c0, c1 = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    sx = candidate.extent.width / candidate.logits.shape[1]
    sy = candidate.extent.height / candidate.logits.shape[0]
    left, top = candidate.extent.x0, candidate.extent.y0
    box = Box(left + c0 * sx, top + r0 * sy, left + c1 * sx, top + r1 * sy)
    return _view(pixels, candidate.logits[r0:r1, c0:c1], box)


def _view(pixels: NDArray[np.uint8], logits: NDArray[np.float32], box: Box) -> View | None:
    height, width = pixels.shape[:2]
    inside = box.clipped(width, height)
    x0, y0, x1, y1 = (
        int(inside.x0),
        int(inside.y0),
        int(np.ceil(inside.x1)),
        int(np.ceil(inside.y1)),
    )
    if x1 <= x0 or y1 <= y0:
        return None
    crop = pixels[y0:y1, x0:x1]
    scale = min(1.0, VIEW_SIDE / max(crop.shape[:2]))
    size = (max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1))
    # Thin out first: averaging a 12-megapixel crop costs more than the description itself.
    step = max(int(1 / scale / 4), 1)
    small = cv2.resize(crop[::step, ::step], size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR) > 0
    return np.asarray(small, np.uint8), np.asarray(mask, bool), Box(x0, y0, x1, y1)
