"""LVIS: COCO instances that also say which classes were looked for and are not in an image.

Where a person said that an image is finished, every class of the list that is not in it is known
to be absent. Where nobody did, nothing is known to be absent, and the classes that are there may
have more objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from annotator.core.files import to_json
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.dataset import new_header
from annotator.core.formats.coco.reading import load_coco
from annotator.core.formats.coco.writing import annotation_entry, file_chunks, image_entry
from annotator.core.formats.coco_instances import content_of_lists
from annotator.core.formats.reading import any_file
from annotator.core.formats.target import Target

ABSENT, INCOMPLETE = "neg_category_ids", "not_exhaustive_category_ids"
_RARE, _COMMON = 10, 100


def write(content: Content, target: Target) -> None:
    """A file for each split: `lvis.json`, or `lvis_train.json` and so on."""
    for split in content.parts():
        name = f"lvis_{split}.json" if split else "lvis.json"
        target.write(name, _Writer(content, target).chunks(split))


class _Writer:
    """Writes one file; counts objects and images of the classes on the way."""

    def __init__(self, content: Content, target: Target) -> None:
        self._content = content
        self._target = target
        self._objects: Counter[int] = Counter()
        self._images: Counter[int] = Counter()

    def chunks(self, split: str) -> Iterator[bytes]:
        content = self._content
        sections: dict[str, Iterable[bytes]] = {
            "images": (self._image(image) for image in content.of(split)),
            "annotations": self._annotations(split),
            "categories": self._categories(),
        }
        return file_chunks(content.header or new_header(content.name, "2000-01-01"), sections)

    def _image(self, image: LabelledImage) -> bytes:
        record = image.record
        present = {number for number in image.used() if number is not None}
        absent = [c.id for c in self._content.categories if c.id not in present]
        known = {
            ABSENT: absent if record.reviewed else [],
            INCOMPLETE: [] if record.reviewed else sorted(present),
        }
        return image_entry(replace(record, extra=known | dict(record.extra)))

    def _annotations(self, split: str) -> Iterator[bytes]:
        for image in self._content.of(split):
            record = image.record
            for annotation in image.annotations:
                where = f"{record.key}, object {annotation.id}"
                if annotation.category_id is None:
                    self._target.lose("objects without a name", where)
                    continue
                if annotation.is_crowd:
                    self._target.lose("crowds, which LVIS does not know", where)
                self._objects[annotation.category_id] += 1
                self._target.annotations += 1
                yield annotation_entry(annotation, record.id, record.width, record.height)
            self._images.update({n for n in image.used() if n is not None})

    def _categories(self) -> Iterator[bytes]:
        for category in self._content.categories:
            images = self._images[category.id]
            value = {
                "id": category.id, "name": category.name, "synset": "", "def": "",
                "synonyms": [category.name, *category.synonyms],
            } | dict(category.extra) | {
                "image_count": images, "instance_count": self._objects[category.id],
                "frequency": "r" if images <= _RARE else "c" if images <= _COMMON else "f",
            }  # fmt: skip
            yield to_json(value)


def read(origin: Origin) -> Content:
    """An LVIS file. What is known to be absent stays with its images.

    Raises:
        UserError: it cannot be read, or is not COCO.
    """
    lists = load_coco(origin.path)
    for image in lists["images"]:
        # The published files name the images of COCO by their address only.
        if isinstance(image, dict) and "file_name" not in image:
            parts = str(image.get("coco_url", "")).split("/")
            if parts[-1]:
                image["file_name"] = "/".join(parts[-2:])
    return content_of_lists(lists, origin)


def recognises(path: Path) -> bool:
    """A JSON file that says what is absent."""
    mark = f'"{ABSENT}"'.encode()
    return not path.is_dir() and any_file(path, "*.json", lambda start: mark in start, 1 << 20)


SPEC = FormatSpec(
    "lvis", "LVIS",
    "COCO instances that say which classes are absent; for federated training.",
    write, read, recognises, file="lvis.json", is_lossless=True,
)  # fmt: skip
