"""Where in another image something looks like an object that is known: places to ask about.

The object is compared with the image pixel by pixel at a working size, at several scales
(normalised cross-correlation inside its mask), so it finds what looks nearly the same: the same
object in a later image of a series, or its equals, not other members of its class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.api import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

SIDE = 320
"""Longest side of the working size, pixels."""
LEAST = 8
"""Shorter side of the smallest template that says anything, pixels of the working size."""
LARGEST = 0.9
"""A template that takes more of a side of the image has nowhere to go."""
SCALES = (1.0, 0.9, 1.12, 0.8, 1.25)
"""The likeliest first: of places that are as good the first one counts."""
FLAT = 6.0
"""An object whose brightness varies less (standard deviation) has nothing to correlate: its colour
is compared instead."""
COLOURS = 64.0
"""Difference of colours at which two flat objects have nothing in common."""
APART = 0.5
"""Two places closer than this share of the template are one."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """An object as it looks at the working size of its own image.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, its box.
        mask: (h, w) bool, the object inside.
    """

    pixels: Pixels
    mask: Mask


@dataclass(frozen=True, slots=True)
class Place:
    """Where something looks like a template.

    Attributes:
        box: image pixels.
        likeness: correlation inside the mask, -1 to 1; of flat objects, how near the colours are.
    """

    box: Box
    likeness: float

    def within(self, width: int, height: int) -> Place:
        """The same in an image of this size: rounding may have led past its edge."""
        return Place(self.box.clipped(width, height), self.likeness)


def factor(width: int, height: int) -> float:
    """From image pixels to those of the working size; never larger than the image."""
    return min(1.0, SIDE / max(width, height))


def working(image: Pixels) -> Pixels:
    """An image (H, W, 3) at the working size."""
    height, width = image.shape[:2]
    share = factor(width, height)
    size = max(1, round(width * share)), max(1, round(height * share))
    # Averaging every pixel of a large image costs more than the search.
    step = max(int(1 / share / 4), 1)
    return np.asarray(cv2.resize(image[::step, ::step], size, interpolation=cv2.INTER_AREA))


def template(small: Pixels, mask: Mask, box: Box, share: float) -> Template | None:
    """Cut an object out of an image.

    Args:
        small: the image at its working size.
        mask: (h, w) bool at the size of the image, the part inside the box.
        box: of the object, image pixels.
        share: see `factor`.

    Returns:
        None for an object that is too small to be recognised.
    """
    rows, columns = small.shape[:2]
    x0, y0 = min(int(box.x0 * share), columns - 1), min(int(box.y0 * share), rows - 1)
    x1 = min(max(round(box.x1 * share), x0 + 1), columns)
    y1 = min(max(round(box.y1 * share), y0 + 1), rows)
    if min(x1 - x0, y1 - y0) < LEAST:
        return None
    cover = cv2.resize(mask.astype(np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    inside = np.asarray(cover >= 0.5)
    return Template(small[y0:y1, x0:x1].copy(), inside) if inside.any() else None


def places(small: Pixels, known: Template, share: float, count: int) -> list[Place]:
    """The places of an image that look most like a template, best first.

    Args:
        small: the image at its working size.
        known: what is looked for.
        share: see `factor`, of this image.
        count: the most places.
    """
    found: list[Place] = []
    for scale in SCALES:
        found += _at(small, known, scale, share, count)
    found.sort(key=lambda one: -one.likeness)
    return apart(found)[:count]


def apart(found: Sequence[Place]) -> list[Place]:
    """Those that are not the same place as an earlier one."""
    kept: list[Place] = []
    for one in found:
        if all(overlap(one.box, other.box) < APART for other in kept):
            kept.append(one)
    return kept


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    if wide <= 0 or high <= 0:
        return 0.0
    both = one.width * one.height + other.width * other.height - wide * high
    return wide * high / max(both, 1e-9)


def _at(small: Pixels, known: Template, scale: float, share: float, count: int) -> list[Place]:
    rows, columns = known.mask.shape
    high, wide = round(rows * scale), round(columns * scale)
    if min(high, wide) < LEAST:
        return []
    if high > LARGEST * small.shape[0] or wide > LARGEST * small.shape[1]:
        return []
    pixels = cv2.resize(known.pixels, (wide, high), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(known.mask.astype(np.float32), (wide, high), interpolation=cv2.INTER_AREA)
    inside = (mask >= 0.5).astype(np.float32)
    if not inside.any():
        return []
    table = _compared(small, np.asarray(pixels), inside)
    found = []
    reach_x, reach_y = max(1, wide // 4), max(1, high // 4)
    for _ in range(count):
        row, column = np.unravel_index(int(np.argmax(table)), table.shape)
        value = float(table[row, column])
        if value <= 0:
            break
        box = Box(column / share, row / share, (column + wide) / share, (row + high) / share)
        found.append(Place(box, value))
        rows_near = slice(max(0, row - reach_y), row + reach_y + 1)
        columns_near = slice(max(0, column - reach_x), column + reach_x + 1)
        table[rows_near, columns_near] = -1.0
    return found


def _compared(small: Pixels, pixels: Pixels, inside: NDArray[np.float32]) -> NDArray[np.float32]:
    """The likeness at every place a template fits into an image."""
    cover = np.repeat(inside[..., None], 3, axis=2)
    image, known = small.astype(np.float32), pixels.astype(np.float32)
    if float(known[inside > 0].std(axis=0).max()) < FLAT:
        apart = cv2.matchTemplate(image, known, cv2.TM_SQDIFF, mask=cover)
        mean = np.maximum(np.asarray(apart, np.float32), 0) / cover.sum()
        return np.asarray(1 - np.sqrt(mean) / COLOURS, np.float32)
    table = np.asarray(cv2.matchTemplate(image, known, cv2.TM_CCOEFF_NORMED, mask=cover))
    # Where the image is flat there is nothing to correlate.
    return np.where(np.isfinite(table) & (np.abs(table) <= 1.001), table, -1.0).astype(np.float32)
