"""COCO files of others: which image a file name means, and how their objects join a project."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from annotator.core.errors import UserError

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation, Category
    from annotator.core.formats.coco.dataset import Dataset
    from annotator.services.document import Document


class Resolver:
    """Finds the image of the folder that a `file_name` means.

    A relative path that exists is taken as it is; otherwise the only image of that base name in
    the folder and its sub-folders; otherwise the name stays, for an image that is missing.

    Args:
        folder: the images.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_name: dict[str, list[str]] | None = None

    def key(self, file_name: str) -> str:
        """The key of the image."""
        for name in (file_name, file_name.replace("\\", "/")):
            path = PurePosixPath(name)
            if not path.is_absolute() and ".." not in path.parts and self._is_file(str(path)):
                return str(path)
        candidates = self._candidates(path.name)
        return candidates[0] if len(candidates) == 1 else file_name

    def size(self, key: str) -> tuple[int, int]:
        """Width and height of the upright image, (0, 0) if it cannot be read."""
        from annotator.core.images import probe

        if not self._is_file(key):
            return (0, 0)
        try:
            info = probe(self._folder / key)
        except UserError:
            return (0, 0)
        return info.width, info.height

    def _is_file(self, name: str) -> bool:
        try:
            return (self._folder / name).is_file()
        except (OSError, ValueError):
            return False

    def _candidates(self, base: str) -> list[str]:
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for folder, folders, files in os.walk(self._folder):
                folders[:] = [name for name in folders if not name.startswith(".")]
                relative = Path(folder).relative_to(self._folder)
                for name in files:
                    self._by_name[name].append((relative / name).as_posix())
        return self._by_name.get(base, [])


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
