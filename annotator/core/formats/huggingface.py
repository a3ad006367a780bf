"""A folder for Hugging Face `datasets`: images, and a `metadata.jsonl` in each part.

`datasets.load_dataset("imagefolder", data_dir=…)` gives the columns of `metadata.jsonl` beside each
image: `objects` is one list for each property, as in the detection data sets there: `bbox` is
x, y, width, height, `category` the name, `category_id` its place in `categories.json`, `rle` the
exact mask as COCO run lengths ("" for a box).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.files import explain, from_json, to_json
from annotator.core.formats import foreign
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import Unusable, finite, load_json, mask_of_rle
from annotator.core.formats.reading import NO_IMAGE, Reading, any_file, content_of
from annotator.core.formats.target import Target, is_inside
from annotator.core.mask import Mask
from models.api import Box

FILE, CATEGORIES = "metadata.jsonl", "categories.json"
_NO_IMAGES = (
    "metadata.jsonl without images beside it, which Hugging Face's reader needs: copy or link them"
)
_BAD_LINE = "lines that name no image or are no JSON"
_NO_OBJECTS = "columns other than the image and its objects"
_COLUMNS = ("file_name", "objects", "image_id", "width", "height")
_OBJECTS = ("id", "area", "bbox", "category", "category_id", "rle", "iscrowd", "attributes")
_LONGEST = 256 << 20
"""Characters of a line; more is damage."""


# --- Out ---


def write(content: Content, target: Target) -> None:
    """`metadata.jsonl` in each part, beside the images, and `categories.json`."""
    places: dict[int | None, int] = {c.id: i for i, c in enumerate(content.categories)}
    names = content.names()
    if not target.with_images:
        target.lose(_NO_IMAGES, FILE)
    for part in content.parts():
        name = f"{part}/{FILE}" if part else FILE
        target.write(name, (_line(image, names, places, target) for image in content.of(part)))
    listed = [category.name for category in content.categories]
    listed += [names[None]] * (None in places)
    target.write(CATEGORIES, [to_json(listed)])


def _line(
    image: LabelledImage,
    names: dict[int | None, str],
    places: dict[int | None, int],
    target: Target,
) -> bytes:
    record = image.record
    columns: dict[str, list[Any]] = {name: [] for name in _OBJECTS}
    for annotation in image.annotations:
        shape = annotation.shape
        box = raster.box(shape) if isinstance(shape, Mask) else shape
        if not box.width or not box.height:
            target.lose(foreign.NO_PIXELS, f"{record.key}, object {annotation.id}")
            continue
        place = places.setdefault(annotation.category_id, len(places))
        area = float(raster.area(shape)) if isinstance(shape, Mask) else box.width * box.height
        rle = shape.counts.decode("ascii") if isinstance(shape, Mask) else ""
        values = (
            annotation.id, area, [float(v) for v in (box.x0, box.y0, box.width, box.height)],
            names[annotation.category_id], place, rle,
            annotation.is_crowd, to_json(dict(annotation.attributes)).decode(),
        )  # fmt: skip
        for name, value in zip(_OBJECTS, values, strict=True):
            columns[name].append(value)
    target.annotations += len(columns["id"])
    line = {"file_name": record.key, "image_id": record.id, "width": record.width,
            "height": record.height, "objects": columns}  # fmt: skip
    return to_json(line) + b"\n"


# --- In ---


def read(origin: Origin) -> Content:
    """A folder with `metadata.jsonl` in it or in its sub-folders, or one of these files.

    Raises:
        UserError: there is none, or none of its lines names an image.
    """
    path = origin.path
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob(FILE)) if path.is_dir() else [path]
    if not files:
        raise UserError(
            f"There is no {FILE} in “{path}”.",
            "Parquet and CSV are not read; save the data set as an image folder with JSON lines.",
        )
    listed = load_json(root / CATEGORIES) if (root / CATEGORIES).is_file() else []
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    folder = origin.images or root
    reading = Reading(folder, names)
    return content_of(reading, partial(_images, root, files, names, folder == root), root.name)


def _images(
    root: Path, files: list[Path], names: list[str], inside: bool, reading: Reading
) -> Iterator[LabelledImage]:
    for file in files:
        part = file.parent.relative_to(root).as_posix()
        used = 0
        for number, value in _lines(file):
            where = f"{part}/{file.name}, line {number}".removeprefix("./")
            name = value.get("file_name") if isinstance(value, dict) else None
            if not isinstance(name, str) or not is_inside(name):
                reading.lose(_BAD_LINE, where)
                continue
            used += 1
            # The name starts at the file it stands in.
            near = str(PurePosixPath(part, name)) if inside else name
            key = near if reading.resolver.file(near) else reading.resolver.key(name)
            if reading.resolver.file(key) is None:
                reading.lose(NO_IMAGE, f"{where}: {name}")
            record = reading.record(
                key, *(int(finite(value.get(s)) or 0) for s in ("width", "height"))
            )
            if record is not None:
                foreign.lose_rest(dict.fromkeys(value.keys() - set(_COLUMNS), _NO_OBJECTS), (),
                                  where, reading)  # fmt: skip
                objects = _objects(value.get("objects"), names, record, reading)
                yield reading.labelled(record, objects, "" if part == "." else part)
        if not used:
            raise UserError(f"“{file}” names no images.", "Export it again.")


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each line; None for a damaged one."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST):
                number += 1
                try:
                    yield number, from_json(line) if line.strip() else {}
                except (ValueError, RecursionError):
                    yield number, None
    except OSError as error:
        raise explain(error, path, "read") from error


def _objects(
    value: Any, names: list[str], record: ImageRecord, reading: Reading
) -> list[Annotation]:
    if isinstance(value, list):
        rows = [row if isinstance(row, dict) else {} for row in value]
    else:
        columns = value if isinstance(value, dict) else {}
        lists = {k: v for k, v in columns.items() if isinstance(v, list)}
        count = max(map(len, lists.values()), default=0)
        rows = [{k: v[i] for k, v in lists.items() if i < len(v)} for i in range(count)]
    made = []
    for number, row in enumerate(rows, 1):
        where = f"{record.key}, object {number}"
        shape = _shape(row, record)
        if shape is None:
            reading.lose(foreign.BAD_SHAPE, where)
            continue
        category = reading.category(_name(row, names))
        annotation = reading.annotation(shape, category)
        foreign.lose_rest(row, _OBJECTS, where, reading)
        attributes = foreign.attributes_of(_parsed(row.get("attributes")), where, reading)
        crowd = row.get("iscrowd") in (1, True)
        made.append(replace(annotation, attributes=attributes, is_crowd=crowd))
    return made


def _name(row: dict[str, Any], names: list[str]) -> str:
    for key in ("category", "category_id", "label", "categories"):
        value = row.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return names[value] if 0 <= value < len(names) else f"class {value}"
    return ""


def _parsed(value: Any) -> Any:
    try:
        return from_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


def _shape(row: dict[str, Any], record: ImageRecord) -> Mask | Box | None:
    rle = row.get("rle")
    if isinstance(rle, str) and rle:
        try:
            mask = mask_of_rle({"size": [record.height, record.width], "counts": rle})
        except Unusable:
            return None
        return mask if raster.area(mask) else None
    box = row.get("bbox")
    numbers = [finite(v) for v in box] if isinstance(box, list) and len(box) == 4 else []
    known = [v for v in numbers if v is not None]
    if len(known) < 4:
        return None
    x, y, width, height = known
    return foreign.box_of(x, y, x + width, y + height)


def recognises(path: Path) -> bool:
    """JSON lines with names of images, or a folder with such a file."""
    if path.is_dir():
        path = next(path.rglob(FILE), path / FILE)
    return path.is_file() and any_file(path, "*.jsonl", lambda start: b'"file_name"' in start)


SPEC = FormatSpec(
    "huggingface", "Hugging Face image folder",
    "metadata.jsonl beside the images, for load_dataset(\"imagefolder\"); masks exact, as RLE.",
    write, read, recognises, images="{split}", attributes=True,
)  # fmt: skip
