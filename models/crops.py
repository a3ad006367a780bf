"""Parts of large images at full resolution, for models that shrink every image to one size.

A crop is a square of the input size of the model, or 2, 4 … times that, on a grid of a quarter of
its side: small movements of the view find the same crop, and three quarters of its side fit inside
wherever they lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.api import Box, Embedding, MaskCandidate, Point, Prompt, Segmenter

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGE = 2.0
"""Crops are made of images whose longest side is at least this many input sizes."""
GAIN = 1.4
"""A crop has to show at least this many times more detail than the whole image."""
OVERLAP = 4
"""Grid steps in a side."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of an image that is encoded by itself; whole image pixels.

    Attributes:
        x: of the left edge.
        y: of the upper edge.
        width: less than `side` where the image is narrower.
        height: the same for its height.
        side: of the square that the model shrinks to its input size.
        image_width: of the whole image.
        image_height: of the whole image.
    """

    x: int
    y: int
    width: int
    height: int
    side: int
    image_width: int
    image_height: int

    @property
    def box(self) -> Box:
        """Where it lies."""
        return Box(self.x, self.y, self.x + self.width, self.y + self.height)

    @property
    def name(self) -> str:
        """Names this part of an image in caches."""
        return f"{self.x},{self.y},{self.width},{self.height}"

    def holds(self, box: Box) -> bool:
        """Whether a box lies inside."""
        return self.box.contains(box.x0, box.y0) and self.box.contains(box.x1, box.y1)

    def answers(self, prompt: Prompt) -> bool:
        """Whether all of a prompt lies inside."""
        inside = all(self.box.contains(point.x, point.y) for point in prompt.points)
        return inside and (prompt.box is None or self.holds(prompt.box))

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """This part of (H, W, 3) pixels, contiguous."""
        rows, columns = slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)
        return np.ascontiguousarray(image[rows, columns])


@dataclass(frozen=True, slots=True, eq=False)
class CropCandidate(MaskCandidate):
    """A candidate in image pixels that was found in a crop.

    Attributes:
        crop: where.
        inner: the same in pixels of the crop, as the model gave it.
    """

    crop: Crop
    inner: MaskCandidate


def choose(
    visible: Box, width: int, height: int, input_size: int, current: Crop | None = None
) -> Crop | None:
    """The crop of the finest detail that holds what is visible, None where it gains too little.

    Args:
        visible: the part of the image plane in the window.
        width: of the image; likewise height.
        height: of the image.
        input_size: `SegmenterSpec.input_size`.
        current: kept if it serves as well, so that a moving view does not change it needlessly.
    """
    longest = max(width, height)
    seen = visible.clipped(width, height)
    if longest < LARGE * input_size or not seen.width or not seen.height:
        return None
    side = input_size
    while side * GAIN <= longest:
        if current is not None and current.side == side and current.holds(seen):
            return current
        crop = _snapped(seen, side, width, height)
        if crop.holds(seen):
            return crop
        side *= 2
    return None


def decode(
    segmenter: Segmenter,
    embedding: Embedding,
    crop: Crop,
    prompt: Prompt,
    whole: Callable[[], tuple[MaskCandidate, ...]],
) -> tuple[MaskCandidate, ...]:
    """Answers from a crop, in image pixels.

    An object that reaches beyond the crop would be cut off: when that is the best candidate,
    the whole image answers, and when it is another, the larger ones of the whole image take its
    place.

    Args:
        segmenter: the model.
        embedding: of the crop.
        crop: where it lies.
        prompt: inside the crop, in image pixels.
        whole: the answer from the whole image.
    """
    found = segmenter.decode(embedding, _inside(prompt, crop))
    if not found or _is_cut(found[0], crop):
        return whole()
    kept = [_moved(candidate, crop) for candidate in found if not _is_cut(candidate, crop)]
    if len(kept) == len(found):
        return tuple(kept)
    largest = max(_area(candidate) for candidate in kept)
    return (*kept, *(candidate for candidate in whole() if _area(candidate) > largest))


def render(
    segmenter: Segmenter, embedding: Embedding, candidate: CropCandidate
) -> NDArray[np.bool_]:
    """The candidate as an (H, W) bool mask at the size of the image, in column-major memory.

    Args:
        segmenter: the model.
        embedding: of the crop the candidate comes from.
        candidate: what to render.
    """
    crop = candidate.crop
    mask = np.zeros((crop.image_width, crop.image_height), np.bool_).T
    rows, columns = slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width)
    mask[rows, columns] = segmenter.render(embedding, candidate.inner)
    return mask


def resolution(width: int, height: int, input_size: int, crop: Crop | None) -> str:
    """What the model sees, for people: "whole image 1:3.9", "detail 1:1"."""
    side = max(width, height) if crop is None else crop.side
    ratio = max(1.0, side / input_size)
    return f"{'whole image' if crop is None else 'detail'} 1:{ratio:.2g}"


def _snapped(seen: Box, side: int, width: int, height: int) -> Crop:
    x, wide = _along((seen.x0 + seen.x1) / 2, side, width)
    y, high = _along((seen.y0 + seen.y1) / 2, side, height)
    return Crop(x, y, wide, high, side, width, height)


def _along(centre: float, side: int, size: int) -> tuple[int, int]:
    """Start and length along one axis."""
    step = max(side // OVERLAP, 1)
    start = round((centre - side / 2) / step) * step
    return min(max(start, 0), max(size - side, 0)), min(side, size)


def _inside(prompt: Prompt, crop: Crop) -> Prompt:
    points = tuple(Point(p.x - crop.x, p.y - crop.y, p.positive) for p in prompt.points)
    return Prompt(points, None if prompt.box is None else _shifted(prompt.box, -crop.x, -crop.y))


def _shifted(box: Box, x: int, y: int) -> Box:
    return Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y)


def _moved(candidate: MaskCandidate, crop: Crop) -> CropCandidate:
    extent = _shifted(candidate.extent, crop.x, crop.y)
    return CropCandidate(candidate.logits, extent, candidate.score, crop, candidate)


def _area(candidate: MaskCandidate) -> float:
    """In image pixels."""
    extent, count = candidate.extent, np.count_nonzero(candidate.logits > 0)
    return float(count * extent.width * extent.height / max(candidate.logits.size, 1))


def _is_cut(candidate: MaskCandidate, crop: Crop) -> bool:
    """Whether a mask (pixels of the crop) touches an edge beyond which the image goes on."""
    extent, (rows, columns) = candidate.extent, candidate.logits.shape
    left, right = _cells(extent.x0, extent.width / columns, columns, crop.width)
    top, bottom = _cells(extent.y0, extent.height / rows, rows, crop.height)
    if left > right or top > bottom:
        return False
    inside = candidate.logits[top : bottom + 1, left : right + 1] > 0
    edges = (
        (crop.x > 0 and extent.x0 <= 0, inside[:, 0]),
        (crop.y > 0 and extent.y0 <= 0, inside[0]),
        (crop.x + crop.width < crop.image_width and extent.x1 >= crop.width, inside[:, -1]),
        (crop.y + crop.height < crop.image_height and extent.y1 >= crop.height, inside[-1]),
    )
    return any(open_ and bool(cells.any()) for open_, cells in edges)


def _cells(start: float, cell: float, count: int, size: int) -> tuple[int, int]:
    """The first and the last grid cell whose middle lies between 0 and `size`."""
    first = math.ceil(-start / cell - 0.5)
    last = math.floor((size - start) / cell - 0.5)
    return max(first, 0), min(last, count - 1)
