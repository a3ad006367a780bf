"""What strokes, lassos and lines cover: exact pixels of shapes with fractional coordinates.

A pixel belongs to a shape when its centre does. Every function gives a `Crop` of the part of the
image that is touched, or None where that is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from annotator.core.raster import Crop

Spot = tuple[float, float]
"""x and y in image pixels."""

THIN = 0.75
"""Strokes with a smaller radius are one pixel wide: their disks would miss pixel centres."""


def room(x0: float, y0: float, x1: float, y1: float, width: int, height: int) -> Crop | None:
    """Room for everything between two corners, inside an image of this size."""
    left, top = max(math.floor(x0), 0), max(math.floor(y0), 0)
    right, bottom = min(math.ceil(x1), width), min(math.ceil(y1), height)
    if left >= right or top >= bottom:
        return None
    return Crop(left, top, np.zeros((bottom - top, right - left), bool))


def stroke(
    start: Spot, end: Spot, radii: tuple[float, float], width: int, height: int
) -> Crop | None:
    """What a disk covers on its straight way from one place to another.

    Args:
        start: centre of the disk at first.
        end: and at last.
        radii: of the disk at both ends, pixels; it grows evenly in between.
        width: of the image.
        height: of the image.
    """
    if max(radii) < THIN:
        return line((start, end), width, height)
    (xa, ya), (xb, yb), (ra, rb) = start, end, radii
    crop = room(
        min(xa - ra, xb - rb), min(ya - ra, yb - rb),
        max(xa + ra, xb + rb), max(ya + ra, yb + rb), width, height,
    )  # fmt: skip
    if crop is None:
        return None
    h, w = crop.pixels.shape
    # The shape is convex, so every row has one interval.
    rows = np.arange(crop.y, crop.y + h) + 0.5
    left, right = np.full(h, np.inf), np.full(h, -np.inf)
    for x, y, radius in ((xa, ya, ra), (xb, yb, rb)):
        square = radius**2 - (rows - y) ** 2
        half = np.sqrt(np.maximum(square, 0))
        left = np.where(square >= 0, np.minimum(left, x - half), left)
        right = np.where(square >= 0, np.maximum(right, x + half), right)
    for one, other in _sides(start, end, radii):
        (x0, y0), (x1, y1) = (one, other) if one[1] <= other[1] else (other, one)
        crossed = (rows >= y0) & (rows <= y1)
        at = x0 + (rows - y0) * ((x1 - x0) / max(y1 - y0, 1e-9))
        left = np.where(crossed, np.minimum(left, at), left)
        right = np.where(crossed, np.maximum(right, at), right)
    columns = np.arange(crop.x, crop.x + w) + 0.5
    pixels = (columns >= left[:, None]) & (columns <= right[:, None])
    return Crop(crop.x, crop.y, pixels)


def _sides(start: Spot, end: Spot, radii: tuple[float, float]) -> list[tuple[Spot, Spot]]:
    """The two tangents that two disks have in common; none when one lies in the other."""
    (xa, ya), (xb, yb), (ra, rb) = start, end, radii
    distance = math.hypot(xb - xa, yb - ya)
    if distance <= abs(ra - rb):
        return []
    ux, uy = (xb - xa) / distance, (yb - ya) / distance
    along = (ra - rb) / distance
    across = math.sqrt(1 - along**2)
    sides = []
    for sign in (1, -1):
        nx, ny = ux * along - sign * uy * across, uy * along + sign * ux * across
        sides.append(((xa + ra * nx, ya + ra * ny), (xb + rb * nx, yb + rb * ny)))
    return sides


def line(path: Sequence[Spot], width: int, height: int) -> Crop | None:
    """The pixels a path passes through, each beside the next: no region gets past it diagonally."""
    columns, rows = _stepping_stones(path)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = columns[inside], rows[inside]
    if not columns.size:
        return None
    crop = room(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, width, height)
    if crop is not None:
        crop.pixels[rows - crop.y, columns - crop.x] = True
    return crop


def _stepping_stones(path: Sequence[Spot]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and rows of a chain of pixels that touch by their sides."""
    spots = np.array(path, float).reshape(-1, 2)
    pieces = [spots[:1]]
    for one, other in pairwise(spots):
        steps = max(math.ceil(float(np.abs(other - one).max()) * 4), 1)
        pieces.append(one + (other - one) * (np.arange(1, steps + 1) / steps)[:, None])
    cells = np.floor(np.concatenate(pieces)).astype(np.int64)
    # A step to a diagonal neighbour goes by the pixel beside it.
    corners = np.stack((cells[1:, 0], cells[:-1, 1]), axis=1)
    every = np.concatenate((cells, corners))
    return every[:, 0], every[:, 1]


def polygon(path: Sequence[Spot], width: int, height: int, *, parity: bool = False) -> Crop | None:
    """What a closed outline encloses.

    Args:
        path: its corners; the last is joined to the first.
        width: of the image.
        height: of the image.
        parity: what is enclosed twice is outside; otherwise it is inside, as in a lasso whose ends
            overlap.
    """
    spots = np.array(path, float).reshape(-1, 2)
    if len(spots) < 3:
        return None
    (x0, y0), (x1, y1) = spots.min(axis=0), spots.max(axis=0)
    crop = room(x0, y0, x1, y1, width, height)
    if crop is None:
        return None
    around = turns(spots, crop)
    return Crop(crop.x, crop.y, around % 2 == 1 if parity else around != 0)


def turns(spots: NDArray[np.float64], crop: Crop) -> NDArray[np.int16]:
    """How often the outline goes around every pixel centre of a crop."""
    h, w = crop.pixels.shape
    ends = np.roll(spots, -1, axis=0)
    down = spots[:, 1] <= ends[:, 1]
    upper, lower = np.where(down[:, None], spots, ends), np.where(down[:, None], ends, spots)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), crop.y, crop.y + h).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), crop.y, crop.y + h).astype(np.int64)
    counts = last - first
    edge = np.repeat(np.arange(len(spots)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    rise = np.maximum(lower[edge, 1] - upper[edge, 1], 1e-12)
    x = upper[edge, 0] + (rows + 0.5 - upper[edge, 1]) * ((lower[edge, 0] - upper[edge, 0]) / rise)
    columns = np.clip(np.ceil(x - 0.5) - crop.x, 0, w).astype(np.int64)
    marks = np.zeros((h, w + 1), np.int16)
    np.add.at(marks, (rows - crop.y, columns), np.where(down[edge], 1, -1).astype(np.int16))
    return np.cumsum(marks[:, :w], axis=1, dtype=np.int16)
