"""COCO instance files: exact, with polygons everywhere, with RLE everywhere; and LVIS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

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
    from annotator.core.formats.coco.reading import load_coco

    return content_of_lists(load_coco(origin.path), origin)


def content_of_lists(lists: dict[str, Any], origin: Origin, beside: Path | None = None) -> Content:
    """The value for the lists of a COCO file.

    Args:
        lists: what the file says.
        origin: where images are looked for.
        beside: the file the names of images come from, if it is another one.
    """
    from annotator.core.formats.coco.reading import dataset_of

    troubles = Troubles()
    names = (image.get("file_name") for image in lists["images"][:50] if isinstance(image, dict))
    some = [name for name in names if isinstance(name, str)]
    resolver = Resolver(image_folder(beside or origin.path, origin.images, some))
    dataset = dataset_of(lists, origin.path.name, _safe(resolver, troubles), resolver.size)
    return content_of_dataset(dataset, resolver, origin.path.stem, troubles)


def _safe(resolver: Resolver, troubles: Troubles) -> Resolve:
    def resolve(file_name: str) -> str:
        key = resolver.key(file_name)
        if is_inside(key):
            return key
        troubles.add([Trouble(OUTSIDE, file_name)])
        name = PurePosixPath(key.replace("\\", "/").replace("\0", "")).name
        return name if is_inside(name) else "unnamed"

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

    def holds(start: bytes) -> bool:
        if not start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return False
        others = (
            b'"shapes"',
            b'"neg_category_ids"',
            b'"segments_info"',
            b'"videos"',
            b'"dm_format_version"',
            b'"label_id"',
            b'"ISAT"',
            b'"shape_attributes"',
        )
        ours = (b'"images"', b'"info"', b'"annotations"', b'"categories"')
        return any(mark in start for mark in ours) and not any(mark in start for mark in others)

    return not path.is_dir() and any_file(path, "*.json", holds, 1 << 20)


SPECS = (
    FormatSpec(
        "coco", "COCO instances",
        "Exact: outlines where they are exactly the mask, RLE elsewhere; for nearly every trainer.",
        write, read, recognises, file=FILE, is_lossless=True,
    ),
    FormatSpec(
        "coco-polygons", "COCO, polygons everywhere",
        "For readers without RLE; the report says how close the polygons come to the masks.",
        partial(write, polygons=True), file=FILE, is_lossless=True,
    ),
    FormatSpec(
        "coco-rle", "COCO, RLE everywhere", "Exact: every mask as compressed RLE.",
        partial(write, rle=True), file=FILE, is_lossless=True,
    ),
)  # fmt: skip
