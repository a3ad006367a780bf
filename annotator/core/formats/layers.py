"""Labels as pictures: which object each pixel belongs to, and objects from such pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.errors import UserError
from annotator.core.formats import png
from annotator.core.formats.api import LabelledImage
from annotator.core.formats.reading import Reading, read_bytes
from annotator.core.formats.target import Target
from annotator.core.image_header import BELIEVABLE_PIXELS
from annotator.core.mask import Mask
from models.api import Box

_DAMAGED = "PNG files that are damaged or no labels"
_OTHER_SIZE = "PNG files of another size than their image"
_NO_OBJECT = "pictures with pixels of a class that belong to no object; those are left out"
_NO_CLASS = "pictures with pixels of an object that have no class; those are left out"
_CLASSES = "objects with pixels of several classes, of which one counts"
_NO_NAME = "class numbers without a name; they got one"


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Objects as one picture, upper ones over lower ones.

    Attributes:
        index: (H, W) int32, 0 for background, i for the i-th object of `objects`.
        objects: those that can be seen, from the bottom.
    """

    index: NDArray[np.int32]
    objects: tuple[Annotation, ...]

    @staticmethod
    def of(
        image: LabelledImage,
        target: Target,
        most: int,
        kind: Callable[[Annotation], Any] = lambda annotation: annotation.id,
        *,
        crowds: bool = False,
    ) -> Layers | None:
        """The picture of an image, with everything it cannot say told to the target.

        Args:
            image: the objects.
            target: counts objects and takes losses.
            most: objects there is room for.
            kind: what a pixel of the format says of an object; covered pixels of the same kind are
                no loss.
            crowds: whether the format can say that an object is a crowd.

        Returns:
            None where the size of the image is unknown.
        """
        record = image.record
        if not record.width:
            target.lose("images of unknown size", record.key)
            return None
        index = np.zeros((record.height, record.width), np.int32)
        kept: list[tuple[Annotation, raster.Crop]] = []
        for annotation in image.annotations:
            where = f"{record.key}, object {annotation.id}"
            piece = _piece(annotation, record, where, target)
            if piece is None:
                continue
            if annotation.is_crowd and not crowds:
                target.lose("crowds, written as one object", where)
            if len(kept) == most:
                target.lose(f"objects beyond {most:,} in one image", where)
                continue
            kept.append((annotation, piece))
            _part(index, piece)[piece.pixels] = len(kept)
        return Layers._without_hidden(index, kept, record.key, target, kind)

    @staticmethod
    def _without_hidden(
        index: NDArray[np.int32],
        kept: list[tuple[Annotation, raster.Crop]],
        key: str,
        target: Target,
        kind: Callable[[Annotation], Any],
    ) -> Layers:
        kinds = np.array([-1, *_numbered([kind(annotation) for annotation, _ in kept])])
        there = np.zeros(len(kept) + 1, np.bool_)
        for number, (annotation, piece) in enumerate(kept, 1):
            where = f"{key}, object {annotation.id}"
            numbers = _part(index, piece)[piece.pixels]
            there[number] = (numbers == number).any()
            seen = kinds[numbers] == kinds[number]
            if there[number]:
                target.fidelity.add(float(seen.mean()), where)
            elif not seen.all():
                target.lose("objects that others hide completely", where)
            target.annotations += bool(there[number])
        objects = [a for number, (a, _) in enumerate(kept, 1) if there[number]]
        if len(objects) < len(kept):
            index = np.cumsum(there, dtype=np.int32)[index]
        return Layers(index, tuple(objects))


def _numbered(values: Sequence[Any]) -> list[int]:
    known: dict[Any, int] = {}
    return [known.setdefault(value, len(known)) for value in values]


def _part(index: NDArray[np.int32], piece: raster.Crop) -> NDArray[np.int32]:
    height, width = piece.pixels.shape
    return index[piece.y : piece.y + height, piece.x : piece.x + width]


def _piece(
    annotation: Annotation, record: ImageRecord, where: str, target: Target
) -> raster.Crop | None:
    shape = annotation.shape
    if isinstance(shape, Box):
        target.lose("boxes, written as filled rectangles", where)
        shape = raster.from_box(
            shape.clipped(record.width, record.height), record.width, record.height
        )
    if (shape.width, shape.height) != (record.width, record.height):
        target.lose("masks of another size than their image", where)
        return None
    if not raster.area(shape):
        target.lose("objects without pixels", where)
        return None
    return raster.crop(shape)


def colours() -> bytes:
    """The palette of VOC: the bits of the number, spread over red, green and blue."""
    palette = np.zeros((256, 3), np.uint8)
    numbers = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((numbers >> channel) & 1) << (7 - bit)).astype(np.uint8)
        numbers >>= 3
    return palette.tobytes()


# --- In ---


def masks_of(index: NDArray[Any]) -> dict[int, Mask]:
    """The mask of every number but 0 in an (H, W) picture, in one pass over its pixels."""
    height, width = index.shape
    columns = index.T.ravel()
    edges = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    spans = np.stack((np.append(0, edges), np.append(edges, columns.size)), axis=1)
    numbers = columns[spans[:, 0]]
    spans, numbers = spans[numbers != 0], numbers[numbers != 0]
    order = np.argsort(numbers, kind="stable")
    found, first = np.unique(numbers[order], return_index=True)
    pieces = np.split(spans[order], first[1:]) if found.size else []
    return {
        int(number): raster.from_runs(
            np.diff(piece.ravel(), prepend=0, append=columns.size), width, height
        )
        for number, piece in zip(found, pieces, strict=True)
    }


def label_picture(file: Path, where: str, record: ImageRecord, reading: Reading) -> Any:
    """The numbers of a PNG, None with a trouble where it is damaged or of another size."""
    known = record.width * record.height
    try:
        pixels = png.decode(read_bytes(file), known or BELIEVABLE_PIXELS)
    except (ValueError, UserError):
        reading.lose(_DAMAGED, where)
        return None
    if known and pixels.shape[:2] != (record.height, record.width):
        reading.lose(_OTHER_SIZE, where)
        return None
    return pixels


def objects_of(
    classes_file: Path,
    objects_file: Path | None,
    record: ImageRecord,
    names: Sequence[str],
    reading: Reading,
    void: int = -1,
) -> list[Annotation]:
    """The objects of a picture of classes; without one that tells them apart, one for each class.

    Args:
        classes_file: PNG with the number of a class in each pixel.
        objects_file: PNG with the number of an object in each pixel, or None.
        record: of the image.
        names: of the classes by their number, the background first.
        reading: gives ids, takes troubles.
        void: the number that means nothing.
    """
    classes = label_picture(classes_file, classes_file.name, record, reading)
    if classes is None or classes.ndim != 2:
        if classes is not None:
            reading.lose(_DAMAGED, classes_file.name)
        return []
    classes = np.where(classes == void, 0, classes)
    index = classes
    if objects_file is not None:
        size = replace(record, width=classes.shape[1], height=classes.shape[0])
        picture = label_picture(objects_file, objects_file.name, size, reading)
        if picture is not None and picture.ndim == 2:
            _tell_gaps(classes, picture, void, objects_file.name, reading)
            index = np.where(classes == 0, 0, picture)
    flat = classes.T.ravel()
    made = []
    for mask in masks_of(index).values():
        number = int(flat[int(raster.runs(mask)[0])])
        name = names[number] if number < len(names) else ""
        if not name:
            name = f"class {number}"
            reading.lose(_NO_NAME, f"{classes_file.name}, {name}")
        made.append(reading.annotation(mask, reading.category(name)))
    return made


def _tell_gaps(
    classes: NDArray[Any], picture: NDArray[Any], void: int, where: str, reading: Reading
) -> None:
    """What the two pictures do not say together."""
    # A border that means nothing is the same number in both.
    there = (picture != 0) & (picture != void)
    if (~there & (classes != 0)).any():
        reading.lose(_NO_OBJECT, where)
    if (there & (classes == 0)).any():
        reading.lose(_NO_CLASS, where)
    both = there & (classes != 0)
    pairs = np.unique(picture[both].astype(np.int64) << 16 | classes[both])
    objects, counts = np.unique(pairs >> 16, return_counts=True)
    for number in objects[counts > 1].tolist():
        reading.lose(_CLASSES, f"{where}, object {number}")
