"""ISAT's JSON beside each image: polygons by layer, pieces of an object with the same group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.files import from_json
from annotator.core.formats import foreign
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import finite, whole
from annotator.core.formats.reading import (
    Reading,
    any_file,
    content_of,
    label_files,
    read_bytes,
)
from annotator.core.formats.resolver import image_folder
from annotator.core.mask import Mask

_DAMAGED = "files that are not ISAT JSON"
_BACKGROUND = "__background__"
_KNOWN = ("category", "group", "segmentation", "area", "layer", "bbox", "iscrowd", "note",
          "shape_type")  # fmt: skip
_KNOWN_FILE = ("description", "folder", "name", "width", "height", "depth")
_HOLE = "holes drawn as background, cut out of what lies below"


def read(origin: Origin) -> Content:
    """A folder of JSON files, with sub-folders, or one of them.

    Raises:
        UserError: there are none.
    """
    files = label_files(origin.path, "*.json")
    base = origin.path if origin.path.is_dir() else origin.path.parent
    names = [_name(value, file.relative_to(base)) for file in files[:5] if (value := _value(file))]
    folder = image_folder(origin.path, origin.images, names)
    reading = Reading(folder)
    content = content_of(reading, partial(_images, base, files), origin.path.stem)
    if not content.count:
        raise UserError(f"“{origin.path}” holds no ISAT JSON.", "Name another file or folder.")
    return content


def _value(file: Path) -> dict[str, Any] | None:
    try:
        value = from_json(read_bytes(file))
    except (ValueError, RecursionError, UserError):
        return None
    right = isinstance(value, dict) and isinstance(value.get("objects"), list)
    return value if right and isinstance(value.get("info"), dict) else None


def _name(value: dict[str, Any], file: Path) -> str:
    name = value["info"].get("name")
    base = PurePosixPath(name.replace("\\", "/")).name if isinstance(name, str) else ""
    return str(PurePosixPath(file.as_posix()).with_name(base or file.name))


def _images(base: Path, files: list[Path], reading: Reading) -> Iterator[LabelledImage]:
    for file in files:
        relative = file.relative_to(base)
        value = _value(file)
        if value is None:
            reading.lose(_DAMAGED, relative.as_posix())
            continue
        info = value["info"]
        size = [whole(info.get(side)) or 0 for side in ("width", "height")]
        guess = _name(value, relative)
        key = (
            guess
            if reading.resolver.file(guess)
            else reading.resolver.key(PurePosixPath(guess).name)
        )
        if reading.resolver.file(key) is None:
            found = reading.resolver.beside(relative.as_posix())
            key = found[0] if len(found) == 1 else guess
        record = reading.record(key, *size)
        if record is not None:
            foreign.lose_rest(info, _KNOWN_FILE, relative.as_posix(), reading)
            objects = _objects(value["objects"], record, relative.as_posix(), reading)
            yield reading.labelled(record, objects)


def _objects(
    values: list[Any], record: ImageRecord, name: str, reading: Reading
) -> list[Annotation]:
    pieces = foreign.Pieces(reading)
    numbered = [(i, v) for i, v in enumerate(values, 1) if isinstance(v, dict)]
    if len(numbered) < len(values):
        reading.lose(foreign.BAD_SHAPE, name)
    # Upper layers cover lower ones; background on top of an object is a hole in it.
    numbered.sort(key=lambda pair: finite(pair[1].get("layer")) or 0.0)
    for number, value in numbered:
        where = f"{name}, object {number}"
        mask = _mask(value, record, where, reading)
        if mask is None:
            continue
        category = value.get("category")
        category = category if isinstance(category, str) else ""
        if category == _BACKGROUND:
            reading.lose(_HOLE, where)
            _cut(pieces, mask)
            continue
        count = len(pieces.objects)
        group = whole(value.get("group")) or None
        place = pieces.add(mask, reading.category(category), group)
        note = value.get("note")
        attributes = {"note": note} if isinstance(note, str) and note else {}
        foreign.lose_rest(value, _KNOWN, where, reading)
        crowd = value.get("iscrowd") in (1, True)
        said = replace(pieces.objects[place], attributes=attributes, is_crowd=crowd)
        pieces.tell(place, said, count, where)
    return [made for made in pieces.objects if raster.area(_as_mask(made))]


def _as_mask(annotation: Annotation) -> Mask:
    assert isinstance(annotation.shape, Mask)
    return annotation.shape


def _cut(pieces: foreign.Pieces, hole: Mask) -> None:
    for place, annotation in enumerate(pieces.objects):
        rest = raster.difference(_as_mask(annotation), hole)
        if rest != annotation.shape:
            pieces.objects[place] = replace(annotation, shape=rest)


def _mask(value: dict[str, Any], record: ImageRecord, where: str, reading: Reading) -> Mask | None:
    if value.get("shape_type", "polygon") in ("point", "line"):
        reading.lose(foreign.NO_AREA, where)
        return None
    if not record.width:
        reading.lose(foreign.SIZELESS, where)
        return None
    points = foreign.points_of(value.get("segmentation"))
    mask = None if points is None else foreign.filled([points], record)
    if mask is None or not raster.area(mask):
        reading.lose(foreign.BAD_SHAPE, where)
        return None
    return mask


def recognises(path: Path) -> bool:
    """JSON that says it is ISAT's."""
    return any_file(path, "*.json", lambda start: b'"ISAT"' in start and b'"info"' in start)


SPEC = FormatSpec(
    "isat", "ISAT JSON", "A JSON file beside each image, as ISAT writes it; only read.",
    read=read, recognises=recognises,
)  # fmt: skip
