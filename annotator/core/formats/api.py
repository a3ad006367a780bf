"""What every format speaks: images with their annotations in, files out, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.core.annotation import NOTHING, Annotation, Category, ImageRecord
from annotator.core.troubles import Troubles

if TYPE_CHECKING:
    from annotator.core.formats.target import Target

UNNAMED = "unnamed"
"""What objects without a name are called where a format wants one; read back as no name."""
UNNAMED_ID = 999_999
"""Category id of objects without a name, far away from the classes people make."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image and everything that is marked in it.

    Attributes:
        record: key (where the image is, relative to the folder of the images), id, size, EXIF
            orientation; the size is that of the upright image, (0, 0) where nobody knows it.
        annotations: bottom layer first, without proposals; may be made when it is first looked at.
        file: the image file, None where there is none.
        split: the part of the data it belongs to ("train"), "" without splits.
        coco: gives the objects as COCO entries with commas between, or None where the journal has
            not kept them.
        category_ids: of the objects, where they are known without making them.
    """

    record: ImageRecord
    annotations: Sequence[Annotation] = ()
    file: Path | None = None
    split: str = ""
    coco: Callable[[], bytes | None] | None = None
    category_ids: tuple[int | None, ...] | None = None

    def used(self) -> Iterable[int | None]:
        """The category ids of the objects."""
        if self.category_ids is not None:
            return self.category_ids
        return (annotation.category_id for annotation in self.annotations)


@dataclass(frozen=True, slots=True)
class Content:
    """What a project or a file holds; images come one after the other, as often as asked for.

    Attributes:
        categories: in the order of the list; ids are unique, names are too.
        images: starts a new pass over all images, always the same ones in the same order.
        count: number of images.
        header: what a COCO file says at its top level besides its lists.
        unnamed_id: the category id that stands for "no name" in `LabelledImage.coco`.
        splits: names of the splits in their order; () without.
        name: of the data set, for people.
        troubles: what of the original could not be kept.
        notes: sentences about what was changed on reading.
    """

    categories: tuple[Category, ...]
    images: Callable[[], Iterator[LabelledImage]]
    count: int = 0
    header: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    unnamed_id: int = UNNAMED_ID
    splits: tuple[str, ...] = ()
    name: str = ""
    troubles: Troubles = field(default_factory=Troubles)
    notes: tuple[str, ...] = ()

    def parts(self) -> tuple[str, ...]:
        """The splits, or the one part "" that is everything."""
        return self.splits or ("",)

    def names(self) -> dict[int | None, str]:
        """Names by category id; None is the object without one."""
        return {None: UNNAMED, **{category.id: category.name for category in self.categories}}

    def of(self, split: str) -> Iterator[LabelledImage]:
        """A pass over the images of one split."""
        return (image for image in self.images() if image.split == split)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a format is read from.

    Attributes:
        path: the file or folder.
        images: the folder of the images, None to look for it beside the file.
        names: a file that says what numbers mean (COCO lists, names of classes), or None.
    """

    path: Path
    images: Path | None = None
    names: Path | None = None


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """A format, as `annotator.core.formats.registry` finds it.

    Attributes:
        id: what people type.
        title: its name.
        about: one line for people: what reads it, and what it cannot keep.
        write: puts `Content` into a `Target`; None for formats that are only read.
        read: None for formats that are only written.
        recognises: whether a path looks like it; cheap, never raises.
        images: where image files go in the folder of an export; "{split}" is the split or nothing.
        file: name of the one file an export without splits consists of, "" where there are more.
        is_lossless: everything an object says is kept, as it is: no mask has to be decoded.
        attributes: whether attributes of objects are kept.
    """

    id: str
    title: str
    about: str
    write: Callable[[Content, Target], None] | None = None
    read: Callable[[Origin], Content] | None = None
    recognises: Callable[[Path], bool] = lambda _: False
    images: str = "images/{split}"
    file: str = ""
    is_lossless: bool = False
    attributes: bool = False

    def image_name(self, image: LabelledImage) -> str:
        """Where the file of an image goes in the folder of an export, forward slashes."""
        folder = self.images.replace("{split}", image.split).strip("/")
        return f"{folder}/{image.record.key}" if folder else image.record.key
