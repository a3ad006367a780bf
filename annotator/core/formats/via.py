"""VGG Image Annotator (VIA 1 and 2): one JSON with the regions of each image; only read.

VIA has attributes instead of classes. The one that is called like a class, or the only one, names
the object; the others are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.formats import foreign
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import finite, load_json
from annotator.core.formats.reading import NO_IMAGE, Reading, any_file, content_of
from annotator.core.formats.resolver import image_folder
from annotator.core.mask import Mask
from models.api import Box

_CLASS = ("class", "label", "name", "category", "type", "object", "object_name")
_NO_REGIONS = "entries without a file name or a list of regions"


def read(origin: Origin) -> Content:
    """The JSON of annotations, or of a whole project.

    Raises:
        UserError: it cannot be read or is not VIA's.
    """
    value = load_json(origin.path)
    metadata = value.get("_via_img_metadata", value) if isinstance(value, dict) else None
    entries = list(metadata.values()) if isinstance(metadata, dict) else []
    if not any(isinstance(entry, dict) and "regions" in entry for entry in entries):
        raise UserError(f"“{origin.path}” has no regions of VIA.", "Export the annotations again.")
    names = [e["filename"] for e in entries[:5] if isinstance(e, dict) and "filename" in e]
    folder = image_folder(origin.path, origin.images, [n for n in names if isinstance(n, str)])
    return content_of(Reading(folder), partial(_images, entries), origin.path.stem)


def _images(entries: list[Any], reading: Reading) -> Iterator[LabelledImage]:
    for number, entry in enumerate(entries, 1):
        entry = entry if isinstance(entry, dict) else {}
        name, regions = entry.get("filename"), entry.get("regions")
        # VIA 1 numbers them in an object.
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        if not isinstance(name, str) or not isinstance(regions, list):
            reading.lose(_NO_REGIONS, f"entry {number}")
            continue
        key = reading.resolver.key(name)
        if reading.resolver.file(key) is None:
            reading.lose(NO_IMAGE, name)
        record = reading.record(key)
        if record is not None:
            about = entry.get("file_attributes")
            foreign.lose_rest(about if isinstance(about, dict) else {}, (), name, reading)
            yield reading.labelled(record, _objects(regions, record, reading))


def _objects(regions: list[Any], record: ImageRecord, reading: Reading) -> list[Annotation]:
    made = []
    for number, region in enumerate(regions, 1):
        where = f"{record.key}, region {number}"
        region = region if isinstance(region, dict) else {}
        shape = _area(region.get("shape_attributes"), record, where, reading)
        if shape is None:
            continue
        label, attributes = _label(region.get("region_attributes"), where, reading)
        annotation = reading.annotation(shape, reading.category(label))
        made.append(replace(annotation, attributes=attributes))
    return made


def _label(value: Any, where: str, reading: Reading) -> tuple[str, dict[str, str | float | bool]]:
    if isinstance(value, dict):
        # Check boxes: the options that are ticked.
        value = {k: ", ".join(map(str, v)) if isinstance(v, dict) else v for k, v in value.items()}
    attributes = foreign.attributes_of(value, where, reading)
    names = [key for key in attributes if key.lower() in _CLASS]
    names = names or ([*attributes] if len(attributes) == 1 else [])
    label = attributes.pop(names[0]) if names else ""
    return str(label), attributes


def _area(value: Any, record: ImageRecord, where: str, reading: Reading) -> Mask | Box | None:
    value = value if isinstance(value, dict) else {}
    kind = value.get("name")
    if kind in ("point", "polyline"):
        reading.lose(foreign.NO_AREA, where)
        return None
    number = {k: finite(v) for k, v in value.items()}
    at = {k: math.nan if v is None or abs(v) >= 1e6 else v for k, v in number.items()}
    shape: Mask | Box | None = None
    if kind == "rect":
        x, y, w, h = (at.get(k, math.nan) for k in ("x", "y", "width", "height"))
        return _told(foreign.box_of(x, y, x + w, y + h), where, reading)
    if not record.width:
        reading.lose(foreign.SIZELESS, where)
        return None
    points = None
    if kind == "polygon":
        xs, ys = value.get("all_points_x"), value.get("all_points_y")
        if isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys):
            points = foreign.points_of(list(zip(xs, ys, strict=True)))
    elif kind in ("circle", "ellipse"):
        rx, ry = at.get("rx", at.get("r", math.nan)), at.get("ry", at.get("r", math.nan))
        theta = at.get("theta", 0.0)
        # VIA 2 says radians.
        points = foreign.ellipse(
            at.get("cx", math.nan), at.get("cy", math.nan), rx, ry, math.degrees(theta)
        )
    if points is not None and np.isfinite(points).all():
        shape = foreign.filled([points], record)
    return _told(shape, where, reading)


def _told(shape: Mask | Box | None, where: str, reading: Reading) -> Mask | Box | None:
    if shape is None or (isinstance(shape, Mask) and not raster.area(shape)):
        reading.lose(foreign.BAD_SHAPE, where)
        return None
    return shape


def recognises(path: Path) -> bool:
    """JSON with regions of VIA."""
    marks = (b'"shape_attributes"', b'"_via_img_metadata"')
    return not path.is_dir() and any_file(
        path, "*.json", lambda start: any(mark in start for mark in marks), 1 << 20
    )


SPEC = FormatSpec(
    "via", "VGG Image Annotator", "VIA's JSON of regions; only read.",
    read=read, recognises=recognises,
)  # fmt: skip
