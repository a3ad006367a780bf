"""COCO instance files: exact, with polygons everywhere, with RLE everywhere; and LVIS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.annotation import Annotation
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.dataset import Dataset, Entry, new_header
from annotator.core.formats.reading import OUTSIDE, Later, any_file
from annotator.core.formats.resolver import Resolver, image_folder
from annotator.core.formats.target import Target, is_inside
from annotator.core.troubles import Trouble, Troubles

if TYPE_CHECKING:
    from annotator.core.formats.coco.reading import Resolve

FILE = "annotations.json"


def write(content: Content, target: Target, *, polygons: bool = False, rle: bool = False) -> None:
    """A file for each split: `annotations.json`, or `train.json` and so on.

    Args:
        content: what to write.
        target: where to.
        polygons: write rings also where they are not exactly the mask; how close they come is told.
        rle: write masks as compressed RLE also where rings would be exact.
    """
    for split in content.parts():
        writer = _Writer(content, target, polygons, rle)
        target.write(f"{split or 'annotations'}.json", writer.chunks(split))


class _Writer:
    """Writes one file."""

    def __init__(self, content: Content, target: Target, polygons: bool, rle: bool) -> None:
        self._content = content
        self._target = target
        self._polygons = polygons
        self._rle = rle
        self._unnamed = False

    def chunks(self, split: str) -> Iterator[bytes]:
        from annotator.core.formats.coco.writing import file_chunks, image_entry

        content = self._content
        header = content.header or new_header(content.name, "2000-01-01")
        sections: dict[str, Iterable[bytes]] = {
            "images": (image_entry(image.record, 1) for image in content.of(split)),
            "annotations": self._annotations(split),
            "categories": self._categories(),
        }
        return file_chunks(header, sections)

    def _categories(self) -> Iterator[bytes]:
        from annotator.core.formats.coco.writing import category_entries

        # Asked for after the objects: only then it is known whether one has no name.
        unnamed = self._content.unnamed_id if self._unnamed else None
        yield from category_entries(self._content.categories, unnamed)

    def _annotations(self, split: str) -> Iterator[bytes]:
        unnamed = b'"category_id":%d,' % self._content.unnamed_id
        for image in self._content.of(split):
            if not len(image.annotations):
                continue
            self._target.annotations += len(image.annotations)
            kept = None
            if image.coco is not None and not self._polygons and not self._rle:
                kept = image.coco()
            if kept:
                self._unnamed = self._unnamed or unnamed in kept
                yield kept
            else:
                yield from self._made(image)

    def _made(self, image: LabelledImage) -> Iterator[bytes]:
        from annotator.core.formats.coco.writing import annotation_entry

        record, unnamed_id = image.record, self._content.unnamed_id
        for annotation in image.annotations:
            self._unnamed = self._unnamed or annotation.category_id is None
            yield annotation_entry(
                self._with_rings(annotation, record.key) if self._polygons else annotation,
                record.id, record.width, record.height, unnamed_id, rle_only=self._rle,
            )  # fmt: skip

    def _with_rings(self, annotation: Annotation, key: str) -> Annotation:
        from annotator.core.formats.outlines import polygons

        where = f"{key}, object {annotation.id}"
        rings, iou = polygons(annotation)
        self._target.fidelity.add(iou, where)
        # `iscrowd` 1 means RLE to every reader, so a crowd keeps it.
        return annotation if annotation.is_crowd else replace(annotation, polygons=rings)


def read(origin: Origin) -> Content:
    """A COCO file, or one of its relatives that have the same lists.

    Raises:
        UserError: it cannot be read, or is not COCO.
    """
    from annotator.core.formats.coco.reading import read_coco

    troubles = Troubles()
    folder = image_folder(origin.path, origin.images, _some_names(origin.path))
    resolver = Resolver(folder)
    dataset = read_coco(origin.path, _safe(resolver, troubles), resolver.size)
    return content_of_dataset(dataset, resolver, origin.path.stem, troubles)


def _some_names(path: Path) -> list[str]:
    """The first names of images near the beginning of a file."""
    import re

    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
    except OSError:
        return []
    found = re.findall(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")', start)[:20]
    return [name for name in map(_text, found) if name]


def _text(quoted: bytes) -> str:
    from annotator.core.files import from_json

    try:
        return str(from_json(quoted))
    except ValueError:
        return ""


def _safe(resolver: Resolver, troubles: Troubles) -> Resolve:
    def resolve(file_name: str) -> str:
        key = resolver.key(file_name)
        if is_inside(key):
            return key
        troubles.add([Trouble(OUTSIDE, file_name)])
        return Path(key.replace("\\", "/")).name or "unnamed"

    return resolve


def content_of_dataset(
    dataset: Dataset, resolver: Resolver, name: str, troubles: Troubles
) -> Content:
    """The value for a COCO file that was read; its polygons are rasterised one image at a time."""
    entries: dict[int, list[Entry]] = defaultdict(list)
    for entry in dataset.entries:
        if not entry.value.get("proposed"):
            entries[entry.image_id].append(entry)

    def images() -> Iterator[LabelledImage]:
        for record in dataset.images:
            found = entries.get(record.id, [])
            objects = Later(len(found), partial(_annotations, found))
            ids = tuple(entry.value["category"] for entry in found)
            yield LabelledImage(record, objects, resolver.file(record.key), category_ids=ids)

    return Content(
        dataset.categories, images, len(dataset.images), dataset.header, dataset.unnamed_id,
        name=name, troubles=troubles, notes=dataset.problems,
    )  # fmt: skip


def _annotations(entries: list[Entry]) -> list[Annotation]:
    return [entry.annotation() for entry in entries]


def recognises(path: Path) -> bool:
    """A JSON object with images; the lists may be in any order and far apart."""
    from annotator.core.formats.labelme import MARKS

    def holds(start: bytes) -> bool:
        text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not text.startswith(b"{") or any(mark in text for mark in MARKS):
            return False
        return any(f'"{name}"'.encode() in text for name in ("images", "info", "annotations"))

    return not path.is_dir() and any_file(path, "*.json", holds)


SPECS = (
    FormatSpec(
        "coco", "COCO instances",
        "Exact: outlines where they are exactly the mask, RLE elsewhere; for nearly every trainer.",
        write, read, recognises, file=FILE,
    ),
    FormatSpec(
        "coco-polygons", "COCO, polygons everywhere",
        "For readers without RLE; the report says how close the polygons come to the masks.",
        partial(write, polygons=True), file=FILE,
    ),
    FormatSpec(
        "coco-rle", "COCO, RLE everywhere", "Exact: every mask as compressed RLE.",
        partial(write, rle=True), file=FILE,
    ),
)  # fmt: skip
