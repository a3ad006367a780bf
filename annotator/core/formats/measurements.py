"""A table of measurements: a line for each object, for spreadsheets and pandas.

The columns are those of scikit-image's `regionprops`, with its definitions: coordinates are of
pixel centres, the first pixel's is 0; the perimeter counts border pixels by their neighbours (a
4-connected border); the orientation is the angle between the vertical axis and the long axis of
the ellipse with the same second moments, counter-clockwise, in radians. A box is measured as the
pixels in it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.errors import UserError
from annotator.core.formats import foreign
from annotator.core.formats.api import Content, FormatSpec, LabelledImage
from annotator.core.formats.target import Target
from annotator.core.mask import Mask

FILE = "measurements.csv"
COLUMNS = (
    "image", "split", "object", "class", "area", "perimeter", "centroid_x", "centroid_y",
    "orientation", "axis_major_length", "axis_minor_length", "eccentricity", "bbox_x", "bbox_y",
    "bbox_width", "bbox_height", "mean_red", "mean_green", "mean_blue",
)  # fmt: skip
_STRAIGHT, _DIAGONAL, _MIXED = 1.0, math.sqrt(2), (1 + math.sqrt(2)) / 2
_WEIGHTS = np.zeros(50)
_WEIGHTS[[5, 7, 15, 17, 25, 27]] = _STRAIGHT
_WEIGHTS[[21, 33]] = _DIAGONAL
_WEIGHTS[[13, 23]] = _MIXED
"""Length of the border at a pixel, by 1 for itself, 2 for each neighbour at a side that is of the
border too and 10 for each at a corner. Source: Benkrid and Crookes, "Design and FPGA
implementation of a perimeter estimator" (2000), as in scikit-image."""


def write(content: Content, target: Target) -> None:
    """The one file."""
    target.write(FILE, _lines(content, target))


def _lines(content: Content, target: Target) -> Iterator[bytes]:
    names = content.names()
    yield _line(COLUMNS)
    for image in content.images():
        pixels = None
        for annotation in image.annotations:
            mask = annotation.shape
            if not isinstance(mask, Mask):
                mask = foreign.box_mask(mask, image.record)
            where = f"{image.record.key}, object {annotation.id}"
            if not mask.width or not raster.area(mask):
                target.lose(foreign.NO_PIXELS if image.record.width else foreign.SIZELESS, where)
                continue
            pixels = _pixels(image, target) if pixels is None else pixels
            piece = raster.crop(mask)
            name = names[annotation.category_id]
            target.annotations += 1
            yield _line((
                image.record.key, image.split, annotation.id, name, *measured(piece),
                *mean_colour(piece, pixels),
            ))  # fmt: skip


def _line(values: tuple[Any, ...]) -> bytes:
    buffer = io.StringIO()
    rounded = [f"{v:.6g}" if isinstance(v, float) and abs(v) < 1000 else v for v in values]
    csv.writer(buffer, lineterminator="\n").writerow(
        [f"{v:.3f}" if isinstance(v, float) else v for v in rounded]
    )
    return buffer.getvalue().encode("utf-8", "replace")


def _pixels(image: LabelledImage, target: Target) -> NDArray[np.uint8]:
    """(H, W, 3), without pixels where the image cannot be read."""
    from annotator.core.images import read_image

    if image.file is not None:
        try:
            return read_image(image.file)
        except UserError as error:
            target.lose("images that cannot be read; their colours are empty", str(error))
    else:
        target.lose("images that are not there; their colours are empty", image.record.key)
    return np.zeros((0, 0, 3), np.uint8)


def measured(piece: raster.Crop) -> tuple[float, ...]:
    """The numbers of an object from "area" to "bbox_height"."""
    rows, columns = np.nonzero(piece.pixels)
    height, width = piece.pixels.shape
    y, x = rows.mean(), columns.mean()
    spread_x, spread_y = ((columns - x) ** 2).mean(), ((rows - y) ** 2).mean()
    joint = ((columns - x) * (rows - y)).mean()
    middle, half = (spread_x + spread_y) / 2, math.hypot((spread_x - spread_y) / 2, joint)
    long, short = max(middle + half, 0.0), max(middle - half, 0.0)
    return (
        rows.size, perimeter(piece.pixels), float(x) + piece.x, float(y) + piece.y,
        _orientation(float(spread_x), float(spread_y), float(joint)),
        4 * math.sqrt(long), 4 * math.sqrt(short), math.sqrt(1 - short / long) if long else 0.0,
        piece.x, piece.y, width, height,
    )  # fmt: skip


def _orientation(spread_x: float, spread_y: float, joint: float) -> float:
    """Angle of the long axis to the vertical, -pi/2 to pi/2."""
    if math.isclose(spread_x, spread_y, rel_tol=1e-12, abs_tol=1e-12):
        return -math.pi / 4 if joint < 0 else math.pi / 4
    return 0.5 * math.atan2(2 * joint, spread_y - spread_x)


def perimeter(pixels: NDArray[np.bool_]) -> float:
    """Length of the border of (h, w) pixels; outside of them is background."""
    wide = np.pad(pixels, 2)
    inner = wide[1:-1, 1:-1]
    kept = inner & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    border = np.pad(inner & ~kept, 1).astype(np.int64)
    sides = border[:-2, 1:-1] + border[2:, 1:-1] + border[1:-1, :-2] + border[1:-1, 2:]
    corners = border[:-2, :-2] + border[:-2, 2:] + border[2:, :-2] + border[2:, 2:]
    kinds = border[1:-1, 1:-1] + 2 * sides + 10 * corners
    return float(np.bincount(kinds.ravel(), minlength=50)[:50] @ _WEIGHTS)


def mean_colour(piece: raster.Crop, pixels: NDArray[np.uint8]) -> tuple[float | str, ...]:
    """Mean red, green and blue of the object, empty without an image."""
    height, width = piece.pixels.shape
    part = pixels[piece.y : piece.y + height, piece.x : piece.x + width]
    if part.shape[:2] != piece.pixels.shape:
        return ("", "", "")
    red, green, blue = part[piece.pixels].mean(axis=0).tolist()
    return (red, green, blue)


SPEC = FormatSpec(
    "measurements", "CSV of measurements",
    "Area, perimeter, centroid, orientation and mean colour of each object.",
    write, file=FILE,
)  # fmt: skip
