"""COCO files of others: which image a file name means, and how their objects join a project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.core.formats.resolver import Resolver

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation, Category
    from annotator.core.formats.coco.dataset import Dataset
    from annotator.services.document import Document


def describe_problems(path: Path, problems: Iterable[str], kept: Path | None = None) -> UserError:
    """What was unusual in a file, for people."""
    remedy = "Nothing was thrown away: what could not be used stays in the file."
    if kept is not None:
        remedy += f" The original was also kept as “{kept}”."
    return UserError(f"“{path.name}” was read, but: {' '.join(problems)}", remedy)


def import_into(document: Document, path: Path) -> str:
    """See `Document.import_coco`."""
    from annotator.core.formats.coco.reading import read_coco

    resolver = Resolver(document.folder)
    known = set(document.keys())

    def size(key: str) -> tuple[int, int]:
        record = document.record(key) if key in known else None
        return (record.width, record.height) if record and record.width else resolver.size(key)

    dataset = read_coco(path, resolver.key, size)
    fresh = [image.key for image in dataset.images if image.key not in known]
    document.add_images(fresh)
    for image in dataset.images:
        if image.width and not document.record(image.key).width:
            document.set_size(image.key, image.width, image.height, image.orientation)
    count, images, skipped = _add_objects(document, dataset, path.name)
    if dataset.problems:
        document.announce(describe_problems(path, dataset.problems))
    sentence = f"Imported {_many(count, 'object')} in {_many(images, 'image')}."
    return sentence + (f" {_many(skipped, 'object')} were already there." if skipped else "")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _add_objects(document: Document, dataset: Dataset, name: str) -> tuple[int, int, int]:
    classes = {old.id: _class(document, old) for old in dataset.categories}
    keys = {image.id: image.key for image in dataset.images}
    by_key: dict[str, list[Annotation]] = defaultdict(list)
    for entry in dataset.entries:
        by_key[keys[entry.image_id]].append(entry.annotation())
    count = skipped = 0
    for key, found in by_key.items():
        present = document.annotations(key)
        seen = {(a.shape, a.category_id) for a in present if not a.proposed}
        fresh = []
        for annotation in found:
            old = annotation.category_id
            category = None if old is None else classes[old]
            if (annotation.shape, category) in seen:
                skipped += 1
                continue
            fresh.append(replace(annotation, id=document.new_id(), category_id=category))
        document.edit(key, (*present, *fresh), f"Import {name}")
        count += len(fresh)
    return count, len(by_key), skipped


def _class(document: Document, old: Category) -> int:
    existing = {category.name for category in document.categories()}
    new = document.add_category(old.name, old.color)
    if new.name not in existing and (old.supercategory or old.extra or old.synonyms):
        document.change_category(replace(old, id=new.id, name=new.name, color=new.color))
    return new.id
