"""Masks between two known ones: the outline changes evenly while the object moves evenly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.cv import cv2
from annotator.core.mask import Mask
from models.api import Box

_EDGE = 2
"""Pixels of the outside around a mask, so that its distances have an outside."""


def between(first: Mask | Box, last: Mask | Box, count: int) -> Iterator[Mask | Box]:
    """What lies between two shapes of an object.

    Signed distances to the outline are mixed in the box of the object, which moves and grows
    evenly from one to the other. Boxes are mixed as they are.

    Args:
        first: the shape before.
        last: the shape after; both masks of one image size and not empty, or both boxes.
        count: how many are wanted.
    """
    shares = [step / (count + 1) for step in range(1, count + 1)]
    if isinstance(first, Box) or isinstance(last, Box):
        one, other = (s if isinstance(s, Box) else raster.box(s) for s in (first, last))
        for share in shares:
            yield _mixed_box(one, other, share)
        return
    one, other = raster.box(first), raster.box(last)
    size = _size((one, other))
    before, after = (_distances(mask, box, size) for mask, box in ((first, one), (last, other)))
    for share in shares:
        field = (1 - share) * before + share * after
        yield _rendered(field, _mixed_box(one, other, share), first.width, first.height)


def _mixed_box(one: Box, other: Box, share: float) -> Box:
    ends = zip((one.x0, one.y0, one.x1, one.y1), (other.x0, other.y0, other.x1, other.y1),
               strict=True)  # fmt: skip
    return Box(*((1 - share) * a + share * b for a, b in ends))


def _size(boxes: Sequence[Box]) -> tuple[int, int]:
    """Width and height of the grid both are looked at in: the larger one's pixels."""
    return (
        max(round(max(box.width for box in boxes)), 1),
        max(round(max(box.height for box in boxes)), 1),
    )


def _distances(mask: Mask, box: Box, size: tuple[int, int]) -> NDArray[np.float32]:
    """Signed distances (h + 2 edges, w + 2 edges), positive inside, of the box on a grid."""
    crop = raster.to_array(mask)[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    grid = cv2.resize(crop.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    inside = np.pad(grid, _EDGE)
    to_outside = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    to_inside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    return np.asarray(to_outside - to_inside, np.float32)


def _rendered(field: NDArray[np.float32], box: Box, width: int, height: int) -> Mask:
    """The mask of a field whose inner part fills a box."""
    rows, columns = field.shape[0] - 2 * _EDGE, field.shape[1] - 2 * _EDGE
    x0, y0 = int(np.floor(box.x0)), int(np.floor(box.y0))
    x1, y1 = int(np.ceil(box.x1)), int(np.ceil(box.y1))
    xs = (np.arange(x0, x1) + 0.5 - box.x0) / box.width * columns - 0.5 + _EDGE
    ys = (np.arange(y0, y1) + 0.5 - box.y0) / box.height * rows - 0.5 + _EDGE
    across, down = np.meshgrid(xs.astype(np.float32), ys.astype(np.float32))
    found = cv2.remap(field, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) > 0
    whole = np.zeros((height, width), np.bool_)
    left, top = max(x0, 0), max(y0, 0)
    right, bottom = min(x1, width), min(y1, height)
    if left < right and top < bottom:
        whole[top:bottom, left:right] = found[top - y0 : bottom - y0, left - x0 : right - x0]
    return raster.from_array(whole)
