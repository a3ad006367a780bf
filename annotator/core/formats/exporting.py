"""An export from beginning to end: splits, labels, image files, and what there is to tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from annotator.core.annotation import Status
from annotator.core.errors import UserError
from annotator.core.formats.api import Content, FormatSpec, LabelledImage
from annotator.core.formats.image_files import MODES, ROTATED, place_images
from annotator.core.formats.splits import Splits, divided
from annotator.core.formats.target import Fidelity, Target, start

Progress = Callable[[int, int], None]
"""Called for every image of every pass with its number and how many there are; may raise."""
SCOPES = ("all", "annotated", "reviewed")
MOST_PIXELS = 100_000_000
"""An image without a file that claims more is not decoded."""
_TOO_LARGE = "images that are not there and claim to be enormous; their objects were left out"
_ATTRIBUTES = "objects with attributes, which the format has no place for"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What people choose.

    Attributes:
        images: one of `annotator.core.formats.image_files.MODES`.
        upright: corrected copies of images whose EXIF orientation turns them.
        splits: how to divide the images, None for not at all.
        overwrite: whether files at the place of the export may be replaced.
        scope: which images: one of `SCOPES`.
        keys: only these images; None for all that are in scope.
        rejected: rejected images, too; rejected objects are for whoever makes the content.
    """

    images: str = MODES[0]
    upright: bool = False
    splits: Splits | None = None
    overwrite: bool = False
    scope: str = SCOPES[0]
    keys: frozenset[str] | None = None
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What an export did.

    Attributes:
        images: in the export.
        annotations: written.
        files: written, linked ones among them.
        by_split: images by split; empty without splits.
        lost: sentences about what could not be kept.
        fidelity: of shapes that may differ from the masks.
        seconds: it took.
    """

    images: int
    annotations: int
    files: int
    by_split: dict[str, int]
    lost: tuple[str, ...]
    fidelity: Fidelity
    seconds: float

    def sentences(self) -> list[str]:
        """For people, the most important first."""
        parts = ", ".join(f"{name} {count:,}" for name, count in self.by_split.items())
        lines = [
            f"{self.annotations:,} objects in {self.images:,} images written as {self.files:,} "
            f"{'file' if self.files == 1 else 'files'}."
        ]
        lines += [f"Images: {parts}."] if parts else []
        lines += [self.fidelity.sentence()] if self.fidelity.count else []
        return [*lines, *self.lost]


def export(
    content: Content,
    spec: FormatSpec,
    out: Path,
    options: ExportOptions | None = None,
    progress: Progress = lambda done, count: None,
) -> Report:
    """Write content in a format; at the end everything is there, or nothing.

    Args:
        content: what to write.
        spec: the format.
        out: the folder; for formats of one file also the file, where nothing else is written.
        options: see `ExportOptions`.
        progress: called as the work goes on, and to stop it by raising.

    Raises:
        UserError: it cannot be written; nothing was changed.
    """
    began = time.monotonic()
    options = options or ExportOptions()
    if spec.write is None:
        raise UserError(f"{spec.title} can only be read.", "Choose another format.")
    file = _single_file(spec, out, options)
    content = _watched(_scoped(content, options), progress)
    if options.splits is not None:
        content = divided(content, options.splits)
    elif content.splits and file:
        content = _united(content)
    target = start(out, overwrite=options.overwrite)
    target.with_images = options.images != "leave"
    counting = _Counting()
    try:
        spec.write(_prepared(content, counting, target, options, spec), target)
        if target.with_images:
            place_images(content, target, spec, options.images, upright=options.upright)
        target.finish(out, file=file, overwrite=options.overwrite)
    finally:
        target.discard()
    return _report(counting, target, content, time.monotonic() - began)


def _single_file(spec: FormatSpec, out: Path, options: ExportOptions) -> str:
    suffix = Path(spec.file).suffix
    if not spec.file or out.suffix.lower() != suffix or out.is_dir():
        return ""
    if options.splits is not None or options.images != "leave":
        raise UserError(
            f"“{out.name}” is one file, but splits and image files need a folder.",
            f"Leave the {suffix} away.",
        )
    return spec.file


class _Counting:
    """Counts images during the first pass of a writer."""

    def __init__(self) -> None:
        self.images: dict[str, int] = {}
        self.is_done = False


def _prepared(
    content: Content, counting: _Counting, target: Target, options: ExportOptions, spec: FormatSpec
) -> Content:
    """What the format sees: counted, and upright where the files will be."""
    exact = spec.is_lossless

    def images() -> Iterator[LabelledImage]:
        counts: dict[str, int] = dict.fromkeys(content.splits, 0)
        for image in content.images():
            counts[image.split] = counts.get(image.split, 0) + 1
            if image.record.orientation != 1:
                if options.upright:
                    image = replace(image, record=replace(image.record, orientation=1))
                elif not counting.is_done and not target.with_images:
                    target.lose(ROTATED, image.record.key)
            yield image if exact else _careful(image, target, spec, told=counting.is_done)
        counting.images = counts
        counting.is_done = True

    return replace(content, images=images)


def _careful(
    image: LabelledImage, target: Target, spec: FormatSpec, *, told: bool
) -> LabelledImage:
    """The image, without objects that nobody could decode; tells what the format has no place for.

    A file of a few bytes may claim an image of gigabytes.
    """
    record = image.record
    if image.file is None and record.width * record.height > MOST_PIXELS:
        if not told and len(image.annotations):
            target.lose(_TOO_LARGE, record.key)
        record = replace(record, width=0, height=0, count=0)
        return replace(image, record=record, annotations=(), coco=None, category_ids=())
    if not told and not spec.attributes:
        for annotation in image.annotations:
            if annotation.attributes:
                target.lose(_ATTRIBUTES, f"{record.key}, object {annotation.id}")
    return image


def _scoped(content: Content, options: ExportOptions) -> Content:
    def is_meant(image: LabelledImage) -> bool:
        record = image.record
        if options.keys is not None and record.key not in options.keys:
            return False
        if record.status is Status.REJECTED and not options.rejected:
            return False
        if options.scope == "all":
            return True
        return record.reviewed if options.scope == "reviewed" else len(image.annotations) > 0

    def images() -> Iterator[LabelledImage]:
        return filter(is_meant, content.images())

    return replace(content, images=images)


def _watched(content: Content, progress: Progress) -> Content:
    def images() -> Iterator[LabelledImage]:
        for number, image in enumerate(content.images(), 1):
            progress(number, content.count)
            yield image

    return replace(content, images=images)


def _united(content: Content) -> Content:
    def images() -> Iterator[LabelledImage]:
        return (replace(image, split="") for image in content.images())

    return replace(content, images=images, splits=())


def _report(counting: _Counting, target: Target, content: Content, seconds: float) -> Report:
    by_split = counting.images if content.splits else {}
    return Report(
        sum(counting.images.values()), target.annotations, target.files, by_split,
        tuple(target.lost.sentences()), target.fidelity, seconds,
    )  # fmt: skip
