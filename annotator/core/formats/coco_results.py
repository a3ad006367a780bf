"""COCO results: a plain list of objects with scores, as models write and COCOeval reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.core.files import to_json
from annotator.core.formats.api import Content, FormatSpec, Origin
from annotator.core.formats.coco.reading import load_coco, load_json
from annotator.core.formats.coco_instances import content_of_lists
from annotator.core.formats.reading import any_file
from annotator.core.formats.target import Target
from models.api import Box

_KEYS = (b'"image_id"', b'"score"')


def write(content: Content, target: Target) -> None:
    """A list for each split; objects without a score get 1."""
    for split in content.parts():
        name = f"results_{split}.json" if split else "results.json"
        target.write(name, _chunks(content, split, target))


def _chunks(content: Content, split: str, target: Target) -> Iterator[bytes]:
    separator = b"[\n"
    for image in content.of(split):
        for annotation in image.annotations:
            if annotation.is_crowd:
                target.lose("crowds, written as one object", f"object {annotation.id}")
            target.annotations += 1
            yield separator + to_json(_entry(annotation, image.record.id, content.unnamed_id))
            separator = b",\n"
    yield b"[]\n" if separator == b"[\n" else b"\n]\n"


def _entry(annotation: Annotation, image: int, unnamed: int) -> dict[str, Any]:
    category, shape, score = annotation.category_id, annotation.shape, annotation.origin.score
    value: dict[str, Any] = {
        "image_id": image,
        "category_id": unnamed if category is None else category,
    }
    box = shape if isinstance(shape, Box) else raster.box(shape)
    value["bbox"] = [box.x0, box.y0, box.width, box.height]
    if not isinstance(shape, Box):
        value["segmentation"] = shape.to_coco()
    return value | {"score": 1.0 if score is None else score}


def read(origin: Origin) -> Content:
    """Results, with a COCO file that says which images and classes their numbers mean.

    Raises:
        UserError: one of them cannot be read, or is not what it should be.
    """
    found = load_json(origin.path)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UserError(f"“{origin.path}” is no list of results.", "Name another file or format.")
    if origin.names is None:
        raise UserError(
            f"“{origin.path}” has numbers for images and classes, but not what they mean.",
            "Name the COCO file they belong to (--names).",
        )
    lists = load_coco(origin.names)
    # Results have no ids of their own; scores become part of where an object comes from.
    lists["annotations"] = [entry | {"id": i} for i, entry in enumerate(found, 1)]
    return content_of_lists(lists, origin, origin.names)


def recognises(path: Path) -> bool:
    """A JSON list whose entries name an image and a score."""
    return not path.is_dir() and any_file(
        path,
        "*.json",
        lambda start: start.lstrip().startswith(b"[") and all(key in start for key in _KEYS),
        1 << 16,
    )


SPEC = FormatSpec(
    "coco-results", "COCO results",
    "A list of objects with scores and exact masks, for COCOeval; needs the COCO file to be read.",
    write, read, recognises, file="results.json",
)  # fmt: skip
