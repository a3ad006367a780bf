"""The small picture of one object that a describer looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.cv import cv2
from annotator.core.mask import Mask
from models.api import Box, CropFrame, MaskCandidate

SEEN = CropFrame()
"""What a view shows unless a describer wants more: the object alone; its side bounds the cost."""

View = tuple[NDArray[np.uint8], NDArray[np.bool_], Box]
"""(h, w, 3) uint8 RGB crop, (h, w) bool object, and the box of the crop in image pixels."""
_Rectangle = tuple[int, int, int, int]


def of_mask(pixels: NDArray[np.uint8], mask: Mask, frame: CropFrame = SEEN) -> View | None:
    """The crop around a mask, or None when it has no pixels inside the image."""
    piece = raster.crop(mask)
    height, width = piece.pixels.shape
    if not width or not height or pixels.shape[:2] != (mask.height, mask.width):
        return None
    box = Box(piece.x, piece.y, piece.x + width, piece.y + height)
    return _view(pixels, piece.pixels.astype(np.float32) - 0.5, box, frame)


def of_candidate(
    pixels: NDArray[np.uint8], candidate: MaskCandidate, frame: CropFrame = SEEN
) -> View | None:
    """The crop around a candidate, or None when it has no pixels inside the image."""
    rows = np.flatnonzero((candidate.logits > 0).any(axis=1))
    cols = np.flatnonzero((candidate.logits > 0).any(axis=0))
    if not rows.size:
        return None
    r0, r1, c0, c1 = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    sx = candidate.extent.width / candidate.logits.shape[1]
    sy = candidate.extent.height / candidate.logits.shape[0]
    left, top = candidate.extent.x0, candidate.extent.y0
    box = Box(left + c0 * sx, top + r0 * sy, left + c1 * sx, top + r1 * sy)
    return _view(pixels, candidate.logits[r0:r1, c0:c1], box, frame)


def _view(
    pixels: NDArray[np.uint8], logits: NDArray[np.float32], box: Box, frame: CropFrame
) -> View | None:
    height, width = pixels.shape[:2]
    room = frame.margin * max(box.width, box.height)
    around = Box(box.x0 - room, box.y0 - room, box.x1 + room, box.y1 + room)
    inner, outer = _outward(box, width, height), _outward(around, width, height)
    if inner is None or outer is None:
        return None
    crop = pixels[outer[1] : outer[3], outer[0] : outer[2]]
    scale = min(1.0, frame.side / max(crop.shape[:2]))
    size = (max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1))
    # Thin out first: averaging a 12-megapixel crop costs more than the description itself.
    step = max(int(1 / scale / 4), 1)
    small = cv2.resize(crop[::step, ::step], size, interpolation=cv2.INTER_AREA)
    mask = _placed(logits, inner, outer, size)
    return np.asarray(small, np.uint8), mask, Box(*map(float, outer))


def _placed(
    logits: NDArray[np.float32], inner: _Rectangle, outer: _Rectangle, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """What `logits` say of `inner`, in a picture of `size` that shows `outer`."""
    across, down = size[0] / (outer[2] - outer[0]), size[1] / (outer[3] - outer[1])
    left, top = int((inner[0] - outer[0]) * across), int((inner[1] - outer[1]) * down)
    right = max(round((inner[2] - outer[0]) * across), left + 1)
    bottom = max(round((inner[3] - outer[1]) * down), top + 1)
    mask = np.zeros((size[1], size[0]), bool)
    part = cv2.resize(logits, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR) > 0
    mask[top:bottom, left:right] = part
    return mask


def _outward(box: Box, width: int, height: int) -> _Rectangle | None:
    """Whole pixels x0, y0, x1, y1 around the part of a box inside the image; None without one."""
    part = box.clipped(width, height)
    x0, y0, x1, y1 = int(part.x0), int(part.y0), int(np.ceil(part.x1)), int(np.ceil(part.y1))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None
