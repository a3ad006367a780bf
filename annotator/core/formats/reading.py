"""What readers have in common: names become categories, files find their images, ids are given.

A reader is a generator over images that is run twice or more: first to check everything and to
count what cannot be kept, then whenever somebody wants the images. Only categories and names of
images stay in memory in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

from annotator.core.annotation import Annotation, Category, ImageRecord, Origin, Source
from annotator.core.errors import UserError
from annotator.core.files import explain
from annotator.core.formats.api import UNNAMED, Content, LabelledImage
from annotator.core.formats.coco.dataset import MAX_PIXELS
from annotator.core.formats.resolver import Resolver
from annotator.core.formats.target import is_inside
from annotator.core.mask import Mask
from annotator.core.palette import color_for
from annotator.core.troubles import Trouble, Troubles
from models.api import Box

IMPORTED = Origin(Source.IMPORT)
NO_IMAGE = "files or entries for images that are not there"
AMBIGUOUS = "files or entries that fit several images"
TWICE = "further files or entries for an image that already had one"
OUTSIDE = "names of images that lead out of the folder"
LARGEST_FILE = 256 << 20
"""Bytes of the labels of one image; more is damage, not data."""


class Later(Sequence[Annotation]):
    """Objects that are made when somebody first looks at them.

    Args:
        count: how many there will be.
        make: makes them.
    """

    def __init__(self, count: int, make: Callable[[], Sequence[Annotation]]) -> None:
        self._count = count
        self._make = make
        self._made: Sequence[Annotation] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Annotation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Annotation]: ...
    def __getitem__(self, index: int | slice) -> Annotation | Sequence[Annotation]:
        if self._made is None:
            self._made = self._make()
        return self._made[index]


class Reading:
    """One pass over a file or folder.

    Args:
        images: the folder of the images.
        names: of the classes the format lists, in their order.
    """

    def __init__(self, images: Path, names: Sequence[str] = ()) -> None:
        self.resolver = Resolver(images)
        self.troubles = Troubles()
        self._categories: dict[str, Category] = {}
        self._seen: set[str] = set()
        self._last = 0
        for name in names:
            self.category(name)

    def again(self) -> Reading:
        """For another pass: the same categories and images, nothing said twice."""
        other = Reading(self.resolver.folder)
        other.resolver = self.resolver
        other._categories = dict(self._categories)
        return other

    def categories(self) -> tuple[Category, ...]:
        """All so far."""
        return tuple(self._categories.values())

    def category(self, name: str, color: str = "", supercategory: str = "") -> int | None:
        """Id of the class with this name, made if it is new; None for no name."""
        name = name.strip()
        if name in ("", UNNAMED):
            return None
        if name not in self._categories:
            number = len(self._categories) + 1
            color = color or color_for(number - 1)
            self._categories[name] = Category(number, name, color, supercategory)
        return self._categories[name].id

    def record(self, key: str, width: int = 0, height: int = 0) -> ImageRecord | None:
        """The image with this key; None with a trouble if there was one already.

        Its size is that of the file where it can be read, otherwise the one given; (0, 0) where
        neither is known.
        """
        if not is_inside(key):
            self.lose(OUTSIDE, key)
            return None
        if key in self._seen:
            self.lose(TWICE, key)
            return None
        self._seen.add(key)
        known = self.resolver.size(key)
        if not known[0] and 0 < width * height <= MAX_PIXELS and min(width, height) > 0:
            known = (width, height)
        return ImageRecord(key, len(self._seen), *known)

    def only(self, candidates: Sequence[str], where: str) -> str | None:
        """The one key that is meant, or None with a trouble."""
        if len(candidates) == 1:
            return candidates[0]
        self.lose(AMBIGUOUS if candidates else NO_IMAGE, where)
        return None

    def annotation(self, shape: Mask | Box, category: int | None) -> Annotation:
        """An object with the next id; `dataclasses.replace` adds what else is known."""
        self._last += 1
        return Annotation(self._last, shape, category, IMPORTED)

    def lose(self, what: str, where: str) -> None:
        """Something cannot be kept."""
        self.troubles.add([Trouble(what, where)])

    def labelled(
        self, record: ImageRecord, annotations: Sequence[Annotation], split: str = ""
    ) -> LabelledImage:
        """The value for one image."""
        record = replace(record, count=len(annotations))
        return LabelledImage(record, annotations, self.resolver.file(record.key), split)


def content_of(
    reading: Reading, images: Callable[[Reading], Iterator[LabelledImage]], name: str
) -> Content:
    """Check everything once, and be ready for more passes.

    Args:
        reading: of the first pass.
        images: the generator over all images; called with a `Reading` for every pass.
        name: of the data set.

    Raises:
        UserError: from the generator: the data is not in this format at all.
    """
    count, splits = 0, dict[str, None]()
    for image in images(reading):
        count += 1
        splits.setdefault(image.split)
    return Content(
        reading.categories(),
        lambda: images(reading.again()),
        count,
        splits=tuple(splits) if any(splits) else (),
        name=name,
        troubles=reading.troubles,
    )


def label_files(path: Path, pattern: str) -> list[Path]:
    """The files with labels in a folder and its sub-folders, or the one file; hidden ones not.

    Raises:
        UserError: there are none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(
        file
        for file in path.rglob(pattern)
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not files:
        raise UserError(f"There are no {pattern[1:]} files in “{path}”.", "Name another folder.")
    return files


def read_bytes(path: Path) -> bytes:
    """A file with the labels of one image.

    Raises:
        UserError: it cannot be read, or is far too large.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"“{path}” is too large for the labels of one image.", "Remove it.")
        return path.read_bytes()
    except OSError as error:
        raise explain(error, path, "read") from error


def any_file(path: Path, pattern: str, holds: Callable[[bytes], bool], size: int = 4096) -> bool:
    """Whether the beginning of the file, or of the first such file in a folder, says so."""
    try:
        file = next(path.rglob(pattern), None) if path.is_dir() else path
        if file is None or file.suffix.lower() != pattern[1:]:
            return False
        with file.open("rb") as opened:
            return holds(opened.read(size))
    except OSError:
        return False
