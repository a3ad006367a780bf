"""Shapes and values as the files of other programs say them: checked before they are used."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.formats.coco.dataset import MAX_PIXELS
from annotator.core.formats.coco.reading import finite
from annotator.core.formats.reading import Reading
from annotator.core.mask import Mask
from models.api import Box

NO_AREA = "points, lines and other shapes without an area"
BAD_SHAPE = "shapes with a damaged outline or mask"
NO_SIZE = "images of unknown size"
NO_PIXELS = "objects without pixels"
SIZELESS = "objects of images whose size nobody knows"
_MOST_POINTS = 1_000_000
_MOST_PIXELS = 250_000_000
"""A small file may claim more than any memory holds."""
_CORNERS = 72

Points = NDArray[np.float64]


def points_of(value: Any) -> Points | None:
    """A list of [x, y] as (n, 2), None where it is anything else."""
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= _MOST_POINTS:
        return None
    rows = [row for row in value if isinstance(row, (list, tuple)) and len(row) == 2]
    numbers = [finite(v) for row in rows for v in row]
    known = [v for v in numbers if v is not None and abs(v) < 1e6]
    if len(rows) != len(value) or len(known) != len(numbers):
        return None
    return np.reshape(np.array(known), (-1, 2))


def flat_points(value: Any) -> Points | None:
    """A list x0, y0, x1, y1 … as (n, 2), None where it is anything else."""
    if not isinstance(value, (list, tuple)) or len(value) % 2:
        return None
    return points_of(list(zip(value[0::2], value[1::2], strict=True)))


def filled(rings: Sequence[Points], record: ImageRecord) -> Mask | None:
    """The pixels in any of the rings, None for rings that are no area or far outside."""
    rings = [ring for ring in rings if len(ring) >= 3]
    limit = 2.0 * max(record.width, record.height) + 1000
    if not rings or not record.width or any(np.abs(ring).max() > limit for ring in rings):
        return None
    return raster.from_polygons([r.ravel().tolist() for r in rings], record.width, record.height)


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0.0) -> Points:
    """A ring of corners around (x, y) with these radii, turned clockwise on the screen."""
    angles = np.linspace(0, 2 * math.pi, _CORNERS, endpoint=False)
    points = np.stack((rx * np.cos(angles), ry * np.sin(angles)), axis=1)
    return np.asarray(turned(points, degrees) + np.array([x, y]))


def turned(points: Points, degrees: float) -> Points:
    """Points turned around the origin, clockwise on the screen."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


def box_of(x0: Any, y0: Any, x1: Any, y1: Any) -> Box | None:
    """The box with these edges in any order, None where it has no area or is no numbers."""
    numbers = [finite(v) for v in (x0, y0, x1, y1)]
    a, b, c, d = (math.nan if v is None or abs(v) >= 1e6 else v for v in numbers)
    box = Box(min(a, c), min(b, d), max(a, c), max(b, d))
    return box if box.width > 0 and box.height > 0 else None


def box_mask(box: Box, record: ImageRecord) -> Mask:
    """The pixels of a box, for formats that know masks only."""
    inside = box.clipped(record.width, record.height)
    return raster.from_box(inside, record.width, record.height)


# --- Run lengths that go along rows ---


def row_runs(pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Run lengths of the row-major sequence of (h, w) pixels, background first."""
    flat = np.ascontiguousarray(pixels).ravel()
    flips = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if flat.size and flat[0] else []
    edges = np.concatenate((first, [0], flips, [flat.size])).astype(np.int64)
    return np.diff(edges)


def from_row_runs(runs: NDArray[np.int64], width: int, height: int) -> NDArray[np.bool_] | None:
    """(height, width) pixels of such runs, None where they do not fill it or it is far too large.

    Runs of no length are allowed, so that a first one can say that the foreground comes first.
    """
    if not 0 < width * height <= _MOST_PIXELS or min(width, height) <= 0:
        return None
    if runs.size == 0 or runs.min() < 0 or runs.max() > MAX_PIXELS:
        return None
    if int(runs.sum()) != width * height:
        return None
    values = np.zeros(runs.size, np.bool_)
    values[1::2] = True
    return np.repeat(values, runs).reshape(height, width)


def placed(pixels: NDArray[np.bool_], x: int, y: int, record: ImageRecord) -> Mask | None:
    """The mask with these pixels at column x and row y, None where they stick out."""
    height, width = pixels.shape
    if x < 0 or y < 0 or x + width > record.width or y + height > record.height:
        return None
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not rows.size:
        return None
    tight = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    piece = raster.Crop(x + int(columns[0]), y + int(rows[0]), tight)
    return raster.from_crop(piece, record.width, record.height)


# --- Values ---


class Pieces:
    """Objects of one image that a file says in several pieces, held together by a number.

    Args:
        reading: gives ids.
    """

    def __init__(self, reading: Reading) -> None:
        self.objects: list[Annotation] = []
        self._reading = reading
        self._places: dict[tuple[int | None, Any], int] = {}

    def add(self, shape: Mask | Box, category: int | None, group: Any = None) -> int:
        """Place of the object among `objects`: a new one, or the one whose next piece this is."""
        known = None if group is None else self._places.get((category, group))
        if known is not None and isinstance(shape, Mask):
            first = self.objects[known].shape
            if isinstance(first, Mask):
                union = raster.union([first, shape])
                self.objects[known] = replace(self.objects[known], shape=union)
                return known
        self.objects.append(self._reading.annotation(shape, category))
        if group is not None:
            self._places[category, group] = len(self.objects) - 1
        return len(self.objects) - 1

    def tell(self, place: int, described: Annotation, count: int, where: str) -> None:
        """What a file says of the object: the first piece counts, others are told.

        Args:
            place: of the object.
            described: the object with what this piece says of it.
            count: of the objects before this piece was added.
            where: the piece is.
        """
        if place == count:
            self.objects[place] = described
        elif (described.attributes or described.is_crowd) and described != self.objects[place]:
            self._reading.lose("values of further pieces of an object; the first counts", where)


def attributes_of(value: Any, where: str, reading: Reading) -> dict[str, str | float | bool]:
    """Texts, numbers and truth values of an object; the rest is listed as lost."""
    if not isinstance(value, Mapping):
        return {}
    kept = {str(k): v for k, v in value.items() if isinstance(v, (str, int, float, bool))}
    lose_rest({k: v for k, v in value.items() if k not in kept}, (), where, reading)
    return kept


def lose_rest(value: Mapping[Any, Any], known: Sequence[str], where: str, reading: Reading) -> None:
    """List what an entry says besides the known keys, where it says anything."""
    for key, rest in value.items():
        if key not in known and rest not in (None, "", 0, False, [], {}):
            reading.lose(f"values of “{key}”", where)


def quoted(text: str) -> str:
    """Text as the value of an XML attribute; line ends come back as they are."""
    text = html.escape(text, quote=False).replace('"', "&quot;")
    for character in "\n\r\t":
        text = text.replace(character, f"&#{ord(character)};")
    return f'"{text}"'


def xml_text(text: str) -> str:
    """Text without the characters XML cannot say."""
    return "".join(
        c
        if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff" and not _is_surrogate(c))
        else " "
        for c in text
    )


def _is_surrogate(character: str) -> bool:
    return unicodedata.category(character) == "Cs"
