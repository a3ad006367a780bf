"""PNGs with the number of a class, or of an object, in each pixel: 8 bits with a palette, or 16.

`masks/` has the classes, `objects/` tells objects of a class apart, `labels.txt` has the names, the
background first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from annotator.core.errors import UserError
from annotator.core.formats import png
from annotator.core.formats.api import Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.layers import Layers, colours, objects_of
from annotator.core.formats.reading import Reading, content_of, label_files
from annotator.core.formats.resolver import image_folder
from annotator.core.formats.target import Target

MASKS, OBJECTS, LABELS = "masks", "objects", "labels.txt"
MOST = 65_535


def write(content: Content, target: Target, *, objects: bool) -> None:
    """A PNG of classes for each image, and one of objects if wanted.

    Args:
        content: what to write.
        target: where to.
        objects: whether objects of a class are told apart, by `objects/` with 16 bits.
    """
    numbers: dict[int | None, int] = {c.id: i for i, c in enumerate(content.categories, 1)}
    numbers[None] = len(numbers) + 1
    if len(numbers) > MOST:
        raise UserError(f"A PNG has room for {MOST:,} classes.", "Choose another format.")
    kind = np.uint8 if len(numbers) < 256 else np.uint16
    palette = colours() if kind is np.uint8 else b""
    for image in content.images():
        name = str(PurePosixPath(image.split, image.record.key).with_suffix(".png"))
        if target.is_taken(f"{MASKS}/{name}", image.record.key):
            continue
        layers = (
            Layers.of(image, target, MOST)
            if objects
            else Layers.of(image, target, MOST, lambda annotation: annotation.category_id)
        )
        if layers is None:
            continue
        used = [0, *(numbers[annotation.category_id] for annotation in layers.objects)]
        target.write(f"{MASKS}/{name}", [png.encode(np.array(used, kind)[layers.index], palette)])
        if objects:
            target.write(f"{OBJECTS}/{name}", [png.encode(layers.index.astype(np.uint16))])
    names = content.names()
    lines = ["background", *(" ".join(names[number].split()) for number in numbers)]
    target.write(LABELS, [f"{line}\n".encode() for line in lines])


def read(origin: Origin) -> Content:
    """A folder with `masks` and perhaps `objects` in it.

    Raises:
        UserError: there are no PNGs.
    """
    path = origin.path.parent if origin.path.name == MASKS else origin.path
    files = label_files(path / MASKS, "*.png")
    listed = origin.names or path / LABELS
    names = listed.read_text("utf-8", "replace").splitlines() if listed.is_file() else []
    folder = origin.images or (path / "images" if (path / "images").is_dir() else path)
    folder = folder if folder != path else image_folder(path, None, ())
    reading = Reading(folder, [name for name in names[1:] if name.strip()])
    return content_of(reading, partial(_images, path, files, names), path.name)


def _images(
    path: Path, files: list[Path], names: list[str], reading: Reading
) -> Iterator[LabelledImage]:
    for file in files:
        name = file.relative_to(path / MASKS).as_posix()
        found = [
            key
            for key in reading.resolver.beside(name)
            if not key.startswith((f"{MASKS}/", f"{OBJECTS}/"))
        ]
        key = reading.only(found, name)
        record = reading.record(key) if key is not None else None
        if record is not None:
            other = path / OBJECTS / name
            told_apart = other if other.is_file() else None
            yield reading.labelled(record, objects_of(file, told_apart, record, names, reading))


SPECS = (
    FormatSpec(
        "semantic-png", "Semantic PNGs",
        "The class of each pixel; objects of a class are not told apart, upper ones count.",
        partial(write, objects=False), read,
        lambda path: path.name == MASKS or (path / MASKS).is_dir(),
    ),
    FormatSpec(
        "instance-png", "Instance PNGs",
        "The class and the object (16 bits) of each pixel; where objects overlap, the upper one.",
        partial(write, objects=True), read,
    ),
)  # fmt: skip
