"""YOLO text: a file for each image, a line for each box, everything as shares of the image.

“class x y width height [score]” with the middle of the box; longer lines are outlines (“class x y
x y …”), of which the box around them is taken. Names stand in a text with one a line, or in the
`data.yaml` a network was trained with.
"""

from __future__ import annotations

import math
from hashlib import sha256
from pathlib import Path

from annotator.core.errors import UserError
from annotator.core.files import explain
from annotator.core.formats.detections.values import (
    NO_BOX,
    UNLISTED,
    Collector,
    Detections,
    ImageNames,
    LabelledBox,
)
from models.api import Box

NAMES = ("classes.txt", "obj.names", "names.txt", "labels.txt", "data.yaml", "dataset.yaml")
"""Where names are looked for, in the folder of the boxes and the two above it."""
YAML = (".yaml", ".yml")


def read(path: Path, images: ImageNames, names: tuple[str, ...] = ()) -> Detections:
    """Read a folder of text files (with sub-folders), or one file.

    Args:
        path: the folder or the file.
        images: of the folder of images.
        names: of the classes, in their order; () to look for them beside the boxes.

    Raises:
        UserError: something cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    files = [file for file in files if file.name not in NAMES]
    if not files:
        raise UserError(f"There are no text files in “{path}”.", "Name the folder of the boxes.")
    names = names or _names(folder)
    collector = Collector(images, labels=dict.fromkeys(name for name in names if name))
    digest = sha256(repr(names).encode())
    for file in files:
        name = file.relative_to(folder).as_posix()
        text = read_text(file)
        digest.update(f"{name}\n{text}\n".encode())
        key = collector.image(images.beside(name), name)
        if key is not None:
            for number, line in enumerate(text.splitlines(), 1):
                _take(collector, key, line, names, f"{name}, line {number}")
    return collector.done(digest.hexdigest())


def read_text(path: Path) -> str:
    """A text file; bytes that are no UTF-8 become question marks.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise explain(error, path, "read") from error


def read_names(path: Path) -> tuple[str, ...]:
    """Names of classes, one a line (an empty line keeps its number), or those of a YAML file.

    Raises:
        UserError: it cannot be read, or is no YAML with names.
    """
    if path.suffix.lower() in YAML:
        from annotator.core.formats.yolo import yaml_names

        return tuple(name.strip() for name in yaml_names(path))
    return tuple(line.strip() for line in read_text(path).rstrip().splitlines())


def _names(folder: Path) -> tuple[str, ...]:
    # “labels/train” beside “images/train” is usual, with data.yaml above both.
    for place in (folder, folder.parent, folder.parent.parent):
        for name in NAMES:
            if (place / name).is_file():
                return read_names(place / name)
    return ()


def _take(collector: Collector, key: str, line: str, names: tuple[str, ...], where: str) -> None:
    parts = line.split()
    if not parts:
        return
    try:
        number, values = int(parts[0]), [float(part) for part in parts[1:]]
    except ValueError:
        collector.trouble(NO_BOX, where)
        return
    score = values.pop() if len(values) % 2 and len(values) > 4 else None
    box = _box(values)
    if box is None or number < 0:
        collector.trouble(NO_BOX, where)
        return
    label = names[number] if number < len(names) else ""
    if not label:
        label = f"class {number}"
        if label not in collector.labels:
            collector.trouble(UNLISTED, label)
    collector.add(key, LabelledBox(box, label, score, relative=True), where)


def _box(values: list[float]) -> Box | None:
    if len(values) < 4 or len(values) % 2 or not all(map(math.isfinite, values)):
        return None
    if len(values) > 4:
        xs, ys = values[0::2], values[1::2]
        return Box(min(xs), min(ys), max(xs), max(ys))
    x, y, width, height = values
    if width < 0 or height < 0:
        return None
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
