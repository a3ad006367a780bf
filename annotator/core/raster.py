"""Masks to arrays, boxes, outlines and back.

Costs follow the object, not the image: a mask is decoded into, and encoded from, the crop its box
names, so 2,000 small masks on a 12-megapixel image stay cheap. `pycocotools` is the reference the
tests compare with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from annotator.core.mask import Mask
from annotator.core.outlining import is_hole, rings_of
from models.api import Box
from models.rle import runs_of

_AT_ONCE = 255


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A piece of a mask: `pixels` is (h, w) bool with its top left pixel at column x, row y."""

    x: int
    y: int
    pixels: NDArray[np.bool_]


def runs(mask: Mask) -> NDArray[np.int64]:
    """Run lengths of the column-major pixel sequence, background first."""
    return runs_of(mask.counts)


def from_runs(values: NDArray[np.int64], width: int, height: int) -> Mask:
    """The mask with these column-major run lengths (background first)."""
    if values.size > 1 and values[-1] == 0:
        values = values[:-1]
    encoded = coco_mask.frPyObjects(
        {"size": [height, width], "counts": values.tolist()}, height, width
    )
    return Mask(width, height, bytes(encoded["counts"]))


def _spans(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends (exclusive) of the foreground runs in the column-major sequence."""
    edges = np.cumsum(runs(mask))
    starts, ends = edges[0::2], edges[1::2]
    starts = starts[: ends.size]
    keep = ends > starts
    return starts[keep], ends[keep]


def area(mask: Mask) -> int:
    """Number of pixels inside."""
    return int(coco_mask.area(_rle(mask)))


def areas(masks: Sequence[Mask]) -> NDArray[np.int64]:
    """Numbers of pixels, (n,)."""
    rles = [_rle(mask) for mask in masks]
    # pycocotools cannot do more at once: it counts them with 8 bits.
    parts = [coco_mask.area(rles[at : at + _AT_ONCE]) for at in range(0, len(rles), _AT_ONCE)]
    return np.concatenate([np.zeros(0), *parts]).astype(np.int64)


def box(mask: Mask) -> Box:
    """The tight box along pixel edges; an empty mask gives a box of no area at the origin."""
    x, y, w, h = (float(v) for v in coco_mask.toBbox(_rle(mask)))
    return Box(x, y, x + w, y + h)


def _rle(mask: Mask) -> dict[str, object]:
    return {"size": [mask.height, mask.width], "counts": mask.counts}


def crop(mask: Mask) -> Crop:
    """The pixels inside the tight box."""
    bounds = box(mask)
    x0, y0 = int(bounds.x0), int(bounds.y0)
    width, height = int(bounds.width), int(bounds.height)
    starts, ends = _spans(mask)
    # A run that crosses into the next column fills the box from top to bottom, so positions
    # inside the box follow each other as those in the image do.
    first = (starts // mask.height - x0) * height + starts % mask.height - y0
    last = ((ends - 1) // mask.height - x0) * height + (ends - 1) % mask.height - y0
    marks = np.zeros(width * height + 1, np.int8)
    marks[first] += 1
    marks[last + 1] -= 1
    columns = np.cumsum(marks[:-1], dtype=np.int8).reshape(width, height)
    return Crop(x0, y0, columns.T.astype(bool))


def crop_at(mask: Mask, x0: int, y0: int, x1: int, y1: int) -> Crop:
    """The pixels of columns x0 to x1 and rows y0 to y1 (ends exclusive, inside the image)."""
    width, height = max(x1 - x0, 0), max(y1 - y0, 0)
    low, high = x0 * mask.height, x1 * mask.height

    def place(positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of the first pixel of the piece that lies at or after these positions of the image."""
        columns, rows = np.divmod(np.clip(positions, low, high) - low, mask.height)
        return np.asarray(columns * height + np.clip(rows - y0, 0, height))

    starts, ends = _spans(mask)
    near = slice(int(np.searchsorted(ends, low, "right")), int(np.searchsorted(starts, high)))
    starts, ends = place(starts[near]), place(ends[near])
    keep = starts < ends
    marks = np.zeros(width * height + 1, np.int8)
    marks[starts[keep]] += 1
    marks[ends[keep]] -= 1
    columns = np.cumsum(marks[:-1], dtype=np.int8).reshape(width, height)
    return Crop(x0, y0, columns.T.astype(bool))


def from_crop(piece: Crop, width: int, height: int) -> Mask:
    """The mask of an image of this size whose pixels outside the piece are background."""
    across, down = piece.pixels.shape[1], piece.pixels.shape[0]
    columns = np.zeros((across, down + 2), np.bool_)
    columns[:, 1:-1] = piece.pixels.T
    flat = columns.ravel()
    # Every column begins and ends with background, so starts and ends take turns.
    col, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]) + 1, down + 2)
    places = (col + piece.x) * height + row - 1 + piece.y
    starts, ends = places[0::2], places[1::2]
    # Runs that touch across a column break are one run of the sequence.
    joined = starts[1:] == ends[:-1]
    starts = np.concatenate((starts[:1], starts[1:][~joined]))
    ends = np.concatenate((ends[:-1][~joined], ends[-1:]))
    edges = np.stack((starts, ends), axis=1).ravel()
    return from_runs(np.diff(np.concatenate(([0], edges, [width * height]))), width, height)


def from_array(pixels: NDArray[np.bool_]) -> Mask:
    """The mask of an (H, W) bool array; quickest when its memory is column-major."""
    height, width = pixels.shape
    # Along the memory first: most images are mostly background.
    if pixels.flags.f_contiguous:
        x0, x1 = _span(pixels, 0)
        y0, y1 = _span(pixels[:, x0:x1], 1)
    else:
        y0, y1 = _span(pixels, 1)
        x0, x1 = _span(pixels[y0:y1], 0)
    if x0 == x1:
        return empty(width, height)
    return from_crop(Crop(x0, y0, pixels[y0:y1, x0:x1]), width, height)


def _span(pixels: NDArray[np.bool_], axis: int) -> tuple[int, int]:
    """From the first to behind the last column (axis 0) or row (1) inside; (0, 0) without any."""
    found = np.flatnonzero(pixels.any(axis=axis))
    return (int(found[0]), int(found[-1]) + 1) if found.size else (0, 0)


def to_array(mask: Mask) -> NDArray[np.bool_]:
    """The whole image as an (H, W) bool array."""
    return np.asarray(coco_mask.decode(_rle(mask)), bool)


def empty(width: int, height: int) -> Mask:
    """A mask without pixels."""
    return from_runs(np.array([width * height]), width, height)


def from_polygons(polygons: Sequence[Sequence[float]], width: int, height: int) -> Mask:
    """Rasterised as pycocotools does: rings x0, y0, x1, y1 … on pixel edges, united."""
    parts = coco_mask.frPyObjects([list(ring) for ring in polygons], height, width)
    merged = parts[0] if len(parts) == 1 else coco_mask.merge(parts)
    return Mask(width, height, bytes(merged["counts"]))


def from_box(bounds: Box, width: int, height: int) -> Mask:
    """All pixels whose centre lies inside the box."""
    x0, y0 = round(bounds.x0), round(bounds.y0)
    size = (max(round(bounds.y1) - y0, 0), max(round(bounds.x1) - x0, 0))
    if 0 in size:
        return empty(width, height)
    return from_crop(Crop(x0, y0, np.ones(size, bool)), width, height)


def contains(mask: Mask, x: float, y: float) -> bool:
    """Whether the pixel under an image position belongs to the mask."""
    if not (0 <= x < mask.width and 0 <= y < mask.height):
        return False
    position = int(x) * mask.height + int(y)
    return bool(np.searchsorted(np.cumsum(runs(mask)), position, side="right") % 2)


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union; two empty masks have none."""
    return float(coco_mask.iou([_rle(first)], [_rle(second)], [0])[0][0])


def union(masks: Iterable[Mask]) -> Mask:
    """All pixels of any of the masks (at least one mask, all of one image)."""
    parts = list(masks)
    merged = coco_mask.merge([_rle(part) for part in parts])
    return Mask(parts[0].width, parts[0].height, bytes(merged["counts"]))


def intersection(first: Mask, second: Mask) -> Mask:
    """The pixels of both masks."""
    merged = coco_mask.merge([_rle(first), _rle(second)], intersect=True)
    return Mask(first.width, first.height, bytes(merged["counts"]))


def exclusion(first: Mask, second: Mask) -> Mask:
    """The pixels of exactly one of two masks; costs follow the number of their runs."""
    places, counts = np.unique(np.concatenate((_flips(first), _flips(second))), return_counts=True)
    flips = places[counts == 1]
    total = first.width * first.height
    return from_runs(np.diff(flips, prepend=0, append=total), first.width, first.height)


def difference(first: Mask, second: Mask) -> Mask:
    """The pixels of the first mask that are not in the second."""
    return exclusion(first, intersection(first, second))


def _flips(mask: Mask) -> NDArray[np.int64]:
    """Positions of the column-major sequence whose pixel differs from the one before."""
    edges = np.cumsum(runs(mask))[:-1]
    places, counts = np.unique(edges, return_counts=True)
    # A run without pixels turns back what the edge before it turned.
    return np.asarray(places[counts % 2 == 1])


def patched(mask: Mask, piece: Crop) -> Mask:
    """The mask with the pixels of a piece (inside the image) in place of its own.

    All other pixels stay as they are. Costs follow the piece and the number of runs.
    """
    h, w = piece.pixels.shape
    before = crop_at(mask, piece.x, piece.y, piece.x + w, piece.y + h)
    changed = Crop(piece.x, piece.y, before.pixels != piece.pixels)
    return exclusion(mask, from_crop(changed, mask.width, mask.height))


def move(mask: Mask, dx: int, dy: int) -> Mask:
    """Shifted by whole pixels; what leaves the image is cut off."""
    piece = crop(mask)
    x0, y0 = piece.x + dx, piece.y + dy
    h, w = piece.pixels.shape
    left, top = max(-x0, 0), max(-y0, 0)
    right, bottom = min(w, mask.width - x0), min(h, mask.height - y0)
    if left >= right or top >= bottom:
        return empty(mask.width, mask.height)
    kept = piece.pixels[top:bottom, left:right]
    return from_crop(Crop(x0 + left, y0 + top, kept), mask.width, mask.height)


@lru_cache(maxsize=4096)
def outline(mask: Mask) -> tuple[tuple[float, ...], ...]:
    """Closed rings x0, y0, x1, y1 … along pixel edges, holes included, corners only.

    The inside lies to the right of the direction of travel: outer rings run clockwise on the
    screen, holes the other way round. Pixels that touch only by a corner belong to separate rings.
    """
    return rings_of(*_spans(mask), mask.height)


@lru_cache(maxsize=4096)
def exact_polygons(mask: Mask) -> tuple[tuple[float, ...], ...] | None:
    """Rings that pycocotools rasterises back to exactly this mask, or None if there are none.

    COCO polygon lists are united, so a mask with holes has none.
    """
    rings = outline(mask)
    if not rings or any(map(is_hole, rings)):
        return None
    return rings if from_polygons(rings, mask.width, mask.height) == mask else None
