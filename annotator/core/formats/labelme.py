"""labelme: a JSON file beside each image. Masks are kept exactly, as PNGs inside of the JSON.

X-AnyLabeling's files look the same and have masks as polygons. Shapes with the same label and
`group_id` are one object, as in labelme's own export.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.files import from_json, to_json
from annotator.core.formats import png
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import finite, whole
from annotator.core.formats.foreign import (
    BAD_SHAPE,
    NO_AREA,
    NO_PIXELS,
    SIZELESS,
    Pieces,
    Points,
    attributes_of,
    ellipse,
    filled,
    lose_rest,
    placed,
    points_of,
)
from annotator.core.formats.reading import (
    Reading,
    any_file,
    content_of,
    label_files,
    read_bytes,
)
from annotator.core.formats.resolver import image_folder
from annotator.core.formats.target import Target
from annotator.core.mask import Mask
from models.api import Box

MARKS = (b'"shapes"', b'"imagePath"')
VERSION = "6.3.1"
"""labelme's, whose files these are."""
CROWD = "iscrowd"

_KNOWN_FILE = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")
_EMBEDDED = "images that are in their JSON only"
_DAMAGED = "files that are not labelme JSON"
_KNOWN = (
    "label", "points", "mask", "shape_type", "group_id", "flags", "attributes", "score",
    "description",
)  # fmt: skip


# --- Out ---


def write(content: Content, target: Target) -> None:
    """A JSON file beside each image."""
    names = content.names()
    for image in content.images():
        key = FORMAT.image_name(image)
        name = str(PurePosixPath(key).with_suffix(".json"))
        if not target.is_taken(name, key):
            target.write(name, [to_json(_file(image, names, target))])


def _file(image: LabelledImage, names: dict[int | None, str], target: Target) -> dict[str, Any]:
    record = image.record
    shapes = []
    for annotation in image.annotations:
        points = _points(annotation)
        if points is None:
            target.lose(NO_PIXELS, f"{record.key}, object {annotation.id}")
            continue
        shapes.append(_shape(annotation, names[annotation.category_id]) | points)
    target.annotations += len(shapes)
    return {
        "version": VERSION, "flags": {}, "shapes": shapes,
        "imagePath": PurePosixPath(record.key).name, "imageData": None,
        "imageHeight": record.height, "imageWidth": record.width,
    }  # fmt: skip


def _shape(annotation: Annotation, name: str) -> dict[str, Any]:
    attributes = annotation.attributes
    flags = {k: v for k, v in attributes.items() if isinstance(v, bool)}
    rest = {k: v for k, v in attributes.items() if k not in flags}
    value: dict[str, Any] = {
        "label": name,
        "group_id": None,
        "description": "",
        "flags": flags | ({CROWD: True} if annotation.is_crowd else {}),
    }
    return value | ({"attributes": rest} if rest else {})


def _points(annotation: Annotation) -> dict[str, Any] | None:
    shape = annotation.shape
    if isinstance(shape, Box):
        corners = [[shape.x0, shape.y0], [shape.x1, shape.y1]]
        return {"shape_type": "rectangle", "points": corners, "mask": None}
    piece = raster.crop(shape)
    if not piece.pixels.size:
        return None
    height, width = piece.pixels.shape
    # labelme names the last row and column that belong to the mask.
    corners = [[piece.x, piece.y], [piece.x + width - 1, piece.y + height - 1]]
    text = base64.b64encode(png.encode(piece.pixels.astype(np.uint8) * 255)).decode("ascii")
    return {"shape_type": "mask", "points": corners, "mask": text}


# --- In ---


def read(origin: Origin) -> Content:
    """A folder of JSON files, with sub-folders, or one of them.

    Raises:
        UserError: there are none.
    """
    files = label_files(origin.path, "*.json")
    base = origin.path if origin.path.is_dir() else origin.path.parent
    folder = image_folder(origin.path, origin.images, _names(files[:5], base))
    return content_of(Reading(folder), partial(_images, base, files), origin.path.stem)


def _names(files: list[Path], base: Path) -> Iterator[str]:
    for file in files:
        try:
            value = from_json(read_bytes(file))
        except (UserError, ValueError):
            continue
        if isinstance(value, dict) and isinstance(value.get("imagePath"), str):
            image = PurePosixPath(value["imagePath"].replace("\\", "/")).name
            yield str(PurePosixPath(file.relative_to(base).as_posix()).with_name(image or "?"))


def _images(base: Path, files: list[Path], reading: Reading) -> Iterator[LabelledImage]:
    for file in files:
        name = file.relative_to(base).as_posix()
        try:
            value = from_json(read_bytes(file))
        except (ValueError, RecursionError, UserError):
            value = None
        if not isinstance(value, dict) or not isinstance(value.get("shapes"), list):
            reading.lose(_DAMAGED, name)
            continue
        record = _record(value, name, reading)
        if record is not None:
            flags = value.get("flags")
            lose_rest(flags if isinstance(flags, dict) else {}, (), name, reading)
            lose_rest(value, _KNOWN_FILE, name, reading)
            if value.get("imageData") and reading.resolver.file(record.key) is None:
                reading.lose(_EMBEDDED, name)
            objects = _objects(value["shapes"], record, name, reading)
            yield reading.labelled(record, objects)


def _record(value: dict[str, Any], name: str, reading: Reading) -> ImageRecord | None:
    image = value.get("imagePath")
    base = PurePosixPath(str(image).replace("\\", "/")).name if isinstance(image, str) else ""
    width, height = whole(value.get("imageWidth")) or 0, whole(value.get("imageHeight")) or 0
    # `imagePath` starts at the JSON file, often on another computer: its last part counts.
    guess = str(PurePosixPath(name).with_name(base)) if base else ""
    for key in filter(None, (guess, reading.resolver.key(base) if base else "")):
        if reading.resolver.file(key) is not None:
            return reading.record(key, width, height)
    found = reading.resolver.beside(name)
    if len(found) == 1:
        return reading.record(found[0], width, height)
    return reading.record(guess or name, width, height)


def _objects(
    shapes: list[Any], record: ImageRecord, name: str, reading: Reading
) -> list[Annotation]:
    pieces = Pieces(reading)
    for number, value in enumerate(shapes, 1):
        where = f"{name}, shape {number}"
        if not isinstance(value, dict):
            reading.lose(BAD_SHAPE, where)
            continue
        shape = _area(value, record, where, reading)
        if shape is None:
            continue
        label = value.get("label")
        category = reading.category(label if isinstance(label, str) else "")
        count = len(pieces.objects)
        place = pieces.add(shape, category, whole(value.get("group_id")))
        pieces.tell(place, _with_rest(pieces.objects[place], value, where, reading), count, where)
    return pieces.objects


def _with_rest(
    annotation: Annotation, value: dict[str, Any], where: str, reading: Reading
) -> Annotation:
    attributes: dict[str, str | float | bool] = {}
    for group in (value.get("flags"), value.get("attributes")):
        attributes |= attributes_of(group, where, reading)
    # X-AnyLabeling's mark of objects that are hard to see.
    if value.get("difficult") is True:
        attributes["difficult"] = True
    lose_rest(value, (*_KNOWN, "difficult"), where, reading)
    score = finite(value.get("score"))
    origin = annotation.origin
    if score is not None and 0 <= score <= 1:
        origin = replace(origin, score=score)
    description = value.get("description")
    if isinstance(description, str) and description:
        attributes.setdefault("description", description)
    crowd = attributes.pop(CROWD, False) is True
    return replace(annotation, attributes=attributes, origin=origin, is_crowd=crowd)


def _area(
    value: dict[str, Any], record: ImageRecord, where: str, reading: Reading
) -> Mask | Box | None:
    kind = value.get("shape_type") or "polygon"
    points = points_of(value.get("points"))
    if points is None:
        reading.lose(BAD_SHAPE, where)
        return None
    if kind in ("point", "points", "line", "linestrip", "cuboid") or len(points) < 2:
        reading.lose(NO_AREA, where)
        return None
    if kind == "rectangle":
        # X-AnyLabeling names all four corners.
        (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        if x1 > x0 and y1 > y0:
            return Box(x0, y0, x1, y1)
        reading.lose(BAD_SHAPE, where)
        return None
    if not record.width:
        reading.lose(SIZELESS, where)
        return None
    if kind == "mask":
        mask = _mask(value.get("mask"), points, record)
    else:
        mask = filled([_circle(points) if kind == "circle" else points], record)
    if mask is None or not raster.area(mask):
        reading.lose(BAD_SHAPE, where)
        return None
    return mask


def _circle(points: Points) -> Points:
    """Middle and a point on the circle to a ring of corners."""
    (x, y), (px, py) = points[0], points[1]
    radius = math.hypot(px - x, py - y)
    return ellipse(x, y, radius, radius)


def _mask(text: Any, points: Any, record: ImageRecord) -> Mask | None:
    if not isinstance(text, str):
        return None
    try:
        pixels = png.decode(base64.b64decode(text, validate=True), record.width * record.height)
    except ValueError:
        return None
    inside = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
    x, y = (int(v) for v in points[0])
    return placed(inside, x, y, record)


def recognises(path: Path) -> bool:
    """JSON with shapes."""
    return any_file(path, "*.json", lambda start: MARKS[0] in start or MARKS[1] in start)


FORMAT = FormatSpec(
    "labelme", "labelme JSON",
    "A JSON file beside each image, masks exact; for labelme and X-AnyLabeling.",
    write, read, recognises, images="{split}", attributes=True,
)  # fmt: skip
SPEC = FORMAT
