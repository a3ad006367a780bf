"""COCO panoptic: a PNG with the number of a segment in each pixel, explained by a JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.errors import UserError
from annotator.core.files import to_json
from annotator.core.formats import foreign, png
from annotator.core.formats.api import UNNAMED, Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.dataset import Dataset, new_header
from annotator.core.formats.coco.reading import dataset_of, load_coco, whole
from annotator.core.formats.coco.writing import file_chunks, image_entry
from annotator.core.formats.layers import Layers, label_picture, masks_of
from annotator.core.formats.reading import Reading, any_file, content_of
from annotator.core.formats.resolver import image_folder
from annotator.core.formats.target import Target, is_inside

MOST = 2**24 - 1
"""Numbers an RGB pixel can say."""
_SEGMENT = ("id", "category_id", "area", "bbox", "iscrowd")
_NO_PNG = "images whose PNG is not there"
_NO_SEGMENT = "segments that no pixel belongs to"
_UNLISTED = "pixels of segments that are not listed"
_NO_CLASS = "segments of a class that is not listed"


def write(content: Content, target: Target) -> None:
    """`panoptic.json` and the PNGs in `panoptic/`; with splits `panoptic_train` and so on."""
    for split in content.parts():
        name = f"panoptic_{split}" if split else "panoptic"
        writer = _Writer(content, target, name)
        target.write(f"{name}.json", writer.chunks(split))


class _Writer:
    """Writes one file and its PNGs."""

    def __init__(self, content: Content, target: Target, name: str) -> None:
        self._content = content
        self._target = target
        self._name = name
        self._next = max((c.id for c in content.categories), default=0)
        self._is_unnamed = False

    def chunks(self, split: str) -> Iterator[bytes]:
        content = self._content
        sections: dict[str, Iterable[bytes]] = {
            "images": (image_entry(image.record) for image in content.of(split)),
            "annotations": self._annotations(split),
            "categories": self._categories(),
        }
        return file_chunks(content.header or new_header(content.name, "2000-01-01"), sections)

    def _categories(self) -> Iterator[bytes]:
        categories = self._content.categories
        if self._is_unnamed:
            categories = (*categories, Category(self._content.unnamed_id, UNNAMED, "#808080"))
        for c in categories:
            value = {"id": c.id, "name": c.name, "supercategory": c.supercategory, "isthing": 1}
            red, green, blue = bytes.fromhex(c.color.removeprefix("#"))
            yield to_json(value | dict(c.extra) | {"color": [red, green, blue]})

    def _annotations(self, split: str) -> Iterator[bytes]:
        for image in self._content.of(split):
            stem = str(PurePosixPath(image.record.key).with_suffix(".png"))
            if self._target.is_taken(f"{self._name}/{stem}", image.record.key):
                continue
            layers = Layers.of(image, self._target, MOST, crowds=True)
            if layers is None:
                continue
            numbers = _numbers(layers)
            picture = np.array([0, *numbers], np.uint32)[layers.index]
            pixels = np.stack([picture & 255, picture >> 8 & 255, picture >> 16], axis=2)
            self._target.write(f"{self._name}/{stem}", [png.encode(pixels.astype(np.uint8))])
            yield to_json(self._entry(image.record.id, stem, layers, numbers))

    def _entry(self, image: int, name: str, layers: Layers, numbers: list[int]) -> dict[str, Any]:
        segments = []
        masks = masks_of(layers.index)
        for number, annotation in enumerate(layers.objects, 1):
            box, category = raster.box(masks[number]), annotation.category_id
            self._is_unnamed = self._is_unnamed or category is None
            segments.append({
                "id": numbers[number - 1],
                "category_id": self._content.unnamed_id if category is None else category,
                "area": raster.area(masks[number]),
                "bbox": [int(v) for v in (box.x0, box.y0, box.width, box.height)],
                "iscrowd": int(annotation.is_crowd),
            })  # fmt: skip
        return {"image_id": image, "file_name": name, "segments_info": segments}


def _numbers(layers: Layers) -> list[int]:
    """Ids of the objects, where an RGB pixel can say them; otherwise their places."""
    ids = [annotation.id for annotation in layers.objects]
    fits = all(0 < number <= MOST for number in ids)
    return ids if fits else list(range(1, len(ids) + 1))


def read(origin: Origin) -> Content:
    """The JSON; its PNGs are in the folder of the same name beside it.

    Raises:
        UserError: it cannot be read, or there is no folder of PNGs.
    """
    lists = load_coco(origin.path)
    folder = origin.path.with_suffix("")
    if not folder.is_dir():
        raise UserError(
            f"The PNGs of “{origin.path.name}” are not there.", f"They belong into “{folder}”."
        )
    names = [v.get("file_name") for v in lists["images"][:50] if isinstance(v, dict)]
    images = image_folder(origin.path, origin.images, [n for n in names if isinstance(n, str)])
    if images == folder or not any((images / str(name)).is_file() for name in names):
        # The PNGs are called like their images, and must not be taken for them.
        images = origin.images or folder.parent / "images"
    reading = Reading(images)
    dataset = dataset_of(lists | {"annotations": []}, origin.path.name, reading.resolver.key)
    entries = {
        whole(entry.get("image_id")): entry
        for entry in lists["annotations"]
        if isinstance(entry, dict)
    }
    content = content_of(reading, partial(_images, dataset, entries, folder), origin.path.stem)
    return replace(
        content, categories=dataset.categories, header=dataset.header, notes=dataset.problems
    )


def _images(
    dataset: Dataset, entries: dict[int | None, dict[str, Any]], folder: Path, reading: Reading
) -> Iterator[LabelledImage]:
    classes = {category.id for category in dataset.categories}
    for image in dataset.images:
        record = reading.record(image.key, image.width, image.height)
        if record is None:
            continue
        record = replace(record, id=image.id, extra=image.extra)
        entry = entries.get(image.id, {})
        objects = list(_objects(entry, record, folder, classes, dataset.unnamed_id, reading))
        yield reading.labelled(record, objects)


def _objects(
    entry: dict[str, Any],
    record: ImageRecord,
    folder: Path,
    classes: set[int],
    unnamed: int,
    reading: Reading,
) -> Iterator[Annotation]:
    name, segments = entry.get("file_name"), entry.get("segments_info")
    if not isinstance(name, str) or not is_inside(name) or not (folder / name).is_file():
        reading.lose(_NO_PNG, record.key)
        return
    picture = label_picture(folder / name, name, record, reading)
    if picture is None:
        return
    numbers = picture.astype(np.uint32)
    if numbers.ndim == 3:
        numbers = numbers[..., 0] | numbers[..., 1] << 8 | numbers[..., 2] << 16
    masks = masks_of(numbers)
    for segment in segments if isinstance(segments, list) else []:
        segment = segment if isinstance(segment, dict) else {}
        number, category = whole(segment.get("id")), whole(segment.get("category_id"))
        mask = masks.pop(number, None) if number is not None else None
        if mask is None:
            reading.lose(_NO_SEGMENT, f"{name}, segment {number}")
            continue
        if category not in classes:
            if category != unnamed:
                reading.lose(_NO_CLASS, f"{name}, segment {number}")
            category = None
        foreign.lose_rest(segment, _SEGMENT, f"{name}, segment {number}", reading)
        made = reading.annotation(mask, category)
        yield replace(made, is_crowd=segment.get("iscrowd") in (1, True))
    if masks:
        reading.lose(_UNLISTED, name)


def recognises(path: Path) -> bool:
    """A JSON file with a folder of PNGs of the same name."""
    folder = path.with_suffix("")
    return (
        path.suffix.lower() == ".json"
        and folder.is_dir()
        and any_file(path, "*.json", lambda start: b'"segments_info"' in start, 1 << 20)
    )


SPEC = FormatSpec(
    "coco-panoptic", "COCO panoptic",
    "A PNG of segments for each image and a JSON; where objects overlap, the upper one counts.",
    write, read, recognises,
)  # fmt: skip
