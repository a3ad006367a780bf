"""Datumaro's JSON: a file for each part of the data in `annotations/`; masks exact, as RLE.

Objects of several frames that are the same have the same `object_id` (`annotator.core.formats.
sequences`). Pieces of an object share a `group`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.files import to_json
from annotator.core.formats import foreign
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import Unusable, finite, load_json, mask_of_rle, whole
from annotator.core.formats.reading import Reading, any_file, content_of, label_files
from annotator.core.formats.resolver import image_folder
from annotator.core.formats.sequences import Tracks, track_of
from annotator.core.formats.target import Target
from annotator.core.mask import Mask
from models.api import Box

FOLDER, DEFAULT = "annotations", "default"
CROWD = "is_crowd"
"""Datumaro's own name for it."""
_NO_ITEM = "entries that are no items with an id"
_FILE = ("dm_format_version", "media_type", "infos", "categories", "items")
_ITEM = ("id", "annotations", "image", "attr", "media")
_OBJECT = ("id", "type", "attributes", "group", "label_id", "z_order", "points", "bbox", "rle",
           "object_id")  # fmt: skip


# --- Out ---


def write(content: Content, target: Target) -> None:
    """`annotations/default.json`, or one for each split; image files are in `images/`."""
    for part in content.parts():
        target.write(f"{FOLDER}/{part or DEFAULT}.json", _subset(content, part, target))


def _subset(content: Content, part: str, target: Target) -> Iterator[bytes]:
    places: dict[int | None, int] = {c.id: i for i, c in enumerate(content.categories)}
    labels = [{"name": c.name, "parent": c.supercategory, "attributes": []}
              for c in content.categories]  # fmt: skip
    label = {"labels": labels, "label_groups": [], "attributes": [CROWD]}
    head = {
        "dm_format_version": "1.0",
        "media_type": 2,
        "infos": {},
        "categories": {"label": label},
    }
    yield to_json(head)[:-1] + b',"items":['
    taken: set[str] = set()
    for number, image in enumerate(content.of(part)):
        stem = str(PurePosixPath(image.record.key).with_suffix(""))
        name = image.record.key if stem in taken else stem
        taken.add(name)
        yield (b",\n" if number else b"\n") + to_json(_item(image, name, places, target))
    yield b"\n]}\n"


def _item(
    image: LabelledImage, name: str, places: dict[int | None, int], target: Target
) -> dict[str, Any]:
    record = image.record
    objects = []
    for layer, annotation in enumerate(image.annotations):
        value = _shape(annotation)
        if value is None:
            target.lose(foreign.NO_PIXELS, f"{record.key}, object {annotation.id}")
            continue
        attributes = dict(annotation.attributes) | ({CROWD: True} if annotation.is_crowd else {})
        track = track_of(annotation)
        objects.append({
            "id": annotation.id, "attributes": attributes, "group": 0,
            "label_id": places.get(annotation.category_id), "z_order": layer,
        } | value | ({"object_id": track} if isinstance(track, int) else {}))  # fmt: skip
    target.annotations += len(objects)
    size = {"size": [record.height, record.width]} if record.width else {}
    return {"id": name, "annotations": objects, "image": {"path": record.key} | size}


def _shape(annotation: Annotation) -> dict[str, Any] | None:
    shape = annotation.shape
    if isinstance(shape, Box):
        return {"type": "bbox", "bbox": [shape.x0, shape.y0, shape.width, shape.height]}
    if not raster.area(shape):
        return None
    return {"type": "mask", "rle": shape.to_coco()}


# --- In ---


def read(origin: Origin) -> Content:
    """A folder with `annotations`, or one of the files there.

    Raises:
        UserError: it cannot be read or is no Datumaro JSON.
    """
    path = origin.path
    base = path / FOLDER if (path / FOLDER).is_dir() else path
    files = label_files(base, "*.json")
    root = path if base != path else path.parent.parent if path.is_file() else path.parent
    names = [name for item in _content(files[0])["items"][:5] if (name := _image_name(item))]
    # With several parts, their folders are part of the keys.
    parts = ("", files[0].stem) if len(files) == 1 else ("",)
    candidates = [root / "images" / part for part in parts]
    folder = origin.images or next(
        (found for base in (*candidates, root) if (found := _holds(base, names))), None
    )
    folders = [root / "images" / file.stem for file in files]
    if folder is None and len(files) > 1 and any(map(Path.is_dir, folders)):
        folder = root / "images"
    folder = folder or image_folder(root, None, names)
    return content_of(Reading(folder), partial(_images, files), root.name)


def _holds(base: Path, names: Sequence[str]) -> Path | None:
    found = base.is_dir() and image_folder(base / "?", base, names)
    return base if found and any((base / name).is_file() for name in names) else None


def _content(path: Path) -> dict[str, Any]:
    value = load_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("items"), list):
        raise UserError(f"“{path}” is no Datumaro JSON: it has no list “items”.", "Export again.")
    return value


def _labels(value: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and parents of the labels, in the order of their numbers."""
    categories = value.get("categories")
    label = categories.get("label") if isinstance(categories, dict) else None
    labels = label.get("labels") if isinstance(label, dict) else None
    listed = labels if isinstance(labels, list) else []
    entries = [entry if isinstance(entry, dict) else {} for entry in listed]
    return [(str(e.get("name") or ""), str(e.get("parent") or "")) for e in entries]


def _image_name(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    image = item.get("image")
    name = image.get("path") if isinstance(image, dict) else None
    return name if isinstance(name, str) and name else str(item.get("id") or "")


def _images(files: list[Path], reading: Reading) -> Iterator[LabelledImage]:
    tracks = Tracks(reading)
    for file in files:
        value = _content(file)
        split = file.stem if len(files) > 1 or file.stem != DEFAULT else ""
        ids = [reading.category(name, supercategory=parent) for name, parent in _labels(value)]
        foreign.lose_rest(value, _FILE, file.name, reading)
        for name, known in (("infos", ()), ("categories", ("label",))):
            rest = value.get(name)
            foreign.lose_rest(rest if isinstance(rest, dict) else {}, known, file.name, reading)
        for number, item in enumerate(value["items"], 1):
            where = f"{file.name}, item {number}"
            name = _image_name(item)
            if not name:
                reading.lose(_NO_ITEM, where)
                continue
            record = reading.record(_key(name, file.stem, reading), *_size(item))
            if record is None:
                continue
            foreign.lose_rest(item, _ITEM, where, reading)
            about = item.get("attr")
            foreign.lose_rest(about if isinstance(about, dict) else {}, ("id",), where, reading)
            found = item.get("annotations")
            objects = _objects(found if isinstance(found, list) else [], record, ids, tracks)
            yield reading.labelled(record, objects, split)


def _key(name: str, part: str, reading: Reading) -> str:
    near = f"{part}/{name}"
    key = near if reading.resolver.file(near) else reading.resolver.key(name)
    if reading.resolver.file(key) is None:
        beside = reading.resolver.beside(f"{name}.json")
        return beside[0] if len(beside) == 1 else key
    return key


def _size(item: dict[str, Any]) -> tuple[int, int]:
    image = item.get("image")
    size = image.get("size") if isinstance(image, dict) else None
    sides = [whole(v) or 0 for v in size] if isinstance(size, list) else []
    return (sides[1], sides[0]) if len(sides) == 2 and min(sides) > 0 else (0, 0)


def _objects(
    values: list[Any], record: ImageRecord, ids: list[int | None], tracks: Tracks
) -> list[Annotation]:
    reading = tracks.reading
    pieces = foreign.Pieces(reading)
    layers: list[int] = []
    for number, value in enumerate(values, 1):
        where = f"{record.key}, annotation {number}"
        if not isinstance(value, dict):
            reading.lose(foreign.BAD_SHAPE, where)
            continue
        shape = _area(value, record, where, reading)
        if shape is None:
            continue
        label = whole(value.get("label_id"))
        category = ids[label] if label is not None and 0 <= label < len(ids) else None
        if label is not None and not 0 <= label < len(ids):
            reading.lose("numbers of labels that are not listed; they have no name", where)
        place = pieces.add(shape, category, whole(value.get("group")) or None)
        count = len(layers)
        if place == count:
            layers.append(whole(value.get("z_order")) or 0)
        annotation = pieces.objects[place]
        attributes = foreign.attributes_of(value.get("attributes"), where, reading)
        crowd = attributes.pop(CROWD, False) is True
        foreign.lose_rest(value, _OBJECT, where, reading)
        annotation = replace(annotation, attributes=attributes, is_crowd=crowd)
        if place == count:
            annotation = tracks.joined(annotation, _track(value.get("object_id")))
        pieces.tell(place, annotation, count, where)
    order = sorted(range(len(layers)), key=lambda i: layers[i])
    return [pieces.objects[i] for i in order]


def _track(value: Any) -> int | None:
    number = whole(value)
    return number if number is not None and number >= 0 else None


def _area(
    value: dict[str, Any], record: ImageRecord, where: str, reading: Reading
) -> Mask | Box | None:
    kind = value.get("type")
    shape: Mask | Box | None = None
    if kind == "bbox":
        box = value.get("bbox")
        numbers = [finite(v) for v in box] if isinstance(box, list) and len(box) == 4 else []
        known = [v for v in numbers if v is not None]
        if len(known) == 4:
            x, y, width, height = known
            shape = foreign.box_of(x, y, x + width, y + height)
    elif kind not in ("mask", "polygon", "ellipse"):
        what = "labels of whole images" if kind == "label" else foreign.NO_AREA
        reading.lose(what, where)
        return None
    elif not record.width:
        reading.lose(foreign.SIZELESS, where)
        return None
    elif kind == "mask":
        shape = _mask(value.get("rle"), record)
    else:
        points = foreign.flat_points(value.get("points"))
        if points is not None and kind == "ellipse" and len(points) == 2:
            (x, y), (rx, ry) = points.mean(axis=0), abs(points[1] - points[0]) / 2
            points = foreign.ellipse(x, y, rx, ry)
        shape = None if points is None else foreign.filled([points], record)
    if shape is None or (isinstance(shape, Mask) and not raster.area(shape)):
        reading.lose(foreign.BAD_SHAPE, where)
        return None
    return shape


def _mask(value: Any, record: ImageRecord) -> Mask | None:
    try:
        mask = mask_of_rle(value) if isinstance(value, dict) else None
    except Unusable:
        return None
    fits = mask is not None and (mask.width, mask.height) == (record.width, record.height)
    return mask if fits else None


def recognises(path: Path) -> bool:
    """JSON with a version of the format, or a folder with such files in `annotations`."""
    folder = path / FOLDER if path.is_dir() else path
    if path.is_dir() and not folder.is_dir():
        return False
    return any_file(
        folder, "*.json",
        lambda start: b'"dm_format_version"' in start
        or (b'"items"' in start and b'"label_id"' in start), 1 << 20,
    )  # fmt: skip


SPEC = FormatSpec(
    "datumaro", "Datumaro JSON", "A JSON for each part of the data, masks exact.", write, read,
    recognises, attributes=True,
)  # fmt: skip
