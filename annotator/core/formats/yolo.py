"""YOLO: a text beside each image, a line for each object, everything as shares of the image.

“class x y width height” for boxes, “class x y x y …” for outlines and for the four corners of
oriented boxes. `data.yaml` names the classes and says where the images are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord
from annotator.core.cv import cv2
from annotator.core.errors import UserError
from annotator.core.files import explain, to_json
from annotator.core.formats import outlines
from annotator.core.formats.api import UNNAMED, Content, FormatSpec, LabelledImage, Origin
from annotator.core.formats.coco.reading import whole
from annotator.core.formats.detections.yolo import NAMES, read_names
from annotator.core.formats.reading import Reading, content_of, label_files, read_bytes
from annotator.core.formats.target import Target
from annotator.core.mask import Mask
from models.api import Box

DATA = "data.yaml"
_IMAGES = "images/{split}"
_BAD_LINE = "lines that are neither a box nor an outline"
_NO_SIZE = "images of unknown size"
_NO_PIXELS = "objects without pixels"
_NO_NAME = "class numbers without a name; they got one"
_KEYPOINTS = "key points"
_BAD_SCORE = "scores that are not between 0 and 1"
_LARGEST_DATA = 16 << 20
"""Bytes of `data.yaml`."""
_NEAR = 1e-3
"""Pixels: how near to a pixel edge a coordinate is meant to be one. Nine digits are written."""


# --- Out ---


def write(content: Content, target: Target, *, kind: str) -> None:
    """Texts in `labels/`, images in `images/`, and `data.yaml`.

    Args:
        content: what to write.
        target: where to.
        kind: "box", "outline" or "corners".
    """
    numbers: dict[int | None, int] = {c.id: i for i, c in enumerate(content.categories)}
    for image in content.images():
        name = PurePosixPath("labels", image.split, image.record.key).with_suffix(".txt")
        if not target.is_taken(str(name), image.record.key):
            lines = [line.encode() for line in _lines(image, numbers, kind, target)]
            target.write(str(name), lines)
    names = [category.name for category in content.categories]
    names += [UNNAMED] * (None in numbers)
    target.write(DATA, [_data(names, content.splits)])


def _data(names: list[str], splits: Sequence[str]) -> bytes:
    # Without “path”, readers begin at the folder of this very file. JSON is YAML.
    folders = {split: f"images/{split}" for split in splits} or {"train": "images"}
    folders.setdefault("val", folders.get("test", folders.get("train", "images")))
    folders.setdefault("train", folders["val"])
    lines = [f"{name}: {folder}" for name, folder in folders.items()]
    lines += ["names:", *(f"  {i}: {to_json(n).decode()}" for i, n in enumerate(names))]
    return ("\n".join(lines) + "\n").encode()


def _lines(
    image: LabelledImage, numbers: dict[int | None, int], kind: str, target: Target
) -> Iterator[str]:
    record = image.record
    for annotation in image.annotations:
        where = f"{record.key}, object {annotation.id}"
        if not record.width:
            target.lose(_NO_SIZE, record.key)
            return
        values = _values(annotation, kind, record, where, target)
        if not values:
            target.lose(_NO_PIXELS, where)
            continue
        if annotation.is_crowd:
            target.lose("crowds, written as one object", where)
        category = annotation.category_id
        number = numbers.setdefault(category, len(numbers))
        target.annotations += 1
        yield " ".join([str(number), *(f"{v:.9g}" for v in values)]) + "\n"


def _values(
    annotation: Annotation, kind: str, record: ImageRecord, where: str, target: Target
) -> list[float]:
    """The numbers of a line: shares of the image, between 0 and 1."""
    shape = annotation.shape
    if isinstance(shape, Mask) and not raster.area(shape):
        return []
    size = np.array([record.width, record.height], float)
    if kind == "box":
        if isinstance(shape, Mask):
            target.lose("masks, of which only the box is kept", where)
        box = shape if isinstance(shape, Box) else raster.box(shape)
        box = box.clipped(record.width, record.height)
        if not box.width or not box.height:
            return []
        middle = [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]
        return [*(middle / size).tolist(), *([box.width, box.height] / size).tolist()]
    if kind == "corners":
        corners, iou = _corners(annotation)
        target.fidelity.add(iou, where)
    else:
        ring, iou = outlines.one_ring(annotation)
        target.fidelity.add(iou, where)
        corners = np.reshape(ring, (-1, 2))
    values: list[float] = np.clip(corners / size, 0, 1).ravel().tolist()
    return values


def _corners(annotation: Annotation) -> tuple[NDArray[np.float64], float]:
    """The smallest rectangle of any direction around an object: (4, 2), and its IoU.

    One that would leave the image stands upright instead: readers refuse it, and cutting its
    corners off would cut the object.
    """
    shape = annotation.shape
    if isinstance(shape, Box):
        return np.reshape(outlines.corners(shape), (4, 2)), 1.0
    points = np.concatenate([np.reshape(ring, (-1, 2)) for ring in raster.outline(shape)])
    corners = cv2.boxPoints(cv2.minAreaRect(points.astype(np.float32))).astype(float)
    if (corners < -_NEAR).any() or (corners > [shape.width + _NEAR, shape.height + _NEAR]).any():
        corners = np.reshape(outlines.corners(raster.box(shape)), (4, 2))
    return corners, outlines.agreement([corners.ravel().tolist()], shape)


# --- In ---


def read(origin: Origin) -> Content:
    """A folder with `data.yaml`, that file, or a folder of texts.

    Raises:
        UserError: there are no texts, or `data.yaml` cannot be read.
    """
    path = origin.path
    root = path if path.is_dir() else path.parent
    data = path if path.suffix in (".yaml", ".yml") else root / DATA
    names: Sequence[str] = ()
    points = 0
    if origin.names is not None:
        names = read_names(origin.names)
    elif data.is_file():
        names, points = _names_and_points(data)
    else:
        names = _listed(root)
    labels = root / "labels" if (root / "labels").is_dir() else root
    files = label_files(labels, "*.txt") if path.is_dir() or path == data else [path]
    files = [file for file in files if file.name not in NAMES]
    images = origin.images or _image_folder(root, labels)
    listed = [name or f"class {i}" for i, name in enumerate(names)]
    reading = Reading(images, listed)
    return content_of(reading, partial(_images, labels, files, listed, points), root.name)


def _listed(root: Path) -> Sequence[str]:
    for folder in (root, root.parent):
        for name in NAMES:
            if (folder / name).is_file():
                return read_names(folder / name)
    return ()


def _image_folder(root: Path, labels: Path) -> Path:
    if (root / "images").is_dir():
        return root / "images"
    # “labels/train” belongs to “images/train”.
    parts = labels.parts
    if "labels" in parts:
        at = len(parts) - 1 - parts[::-1].index("labels")
        other = Path(*parts[:at], "images", *parts[at + 1 :])
        if other.is_dir():
            return other
    return root


def yaml_names(path: Path) -> list[str]:
    """The names of `data.yaml`, in the order of their numbers.

    Raises:
        UserError: it cannot be read, or has no names.
    """
    return _names_and_points(path)[0]


def _names_and_points(path: Path) -> tuple[list[str], int]:
    """The names, and how many numbers for key points follow the box in a line."""
    import yaml

    try:
        if path.stat().st_size > _LARGEST_DATA:
            raise UserError(f"“{path}” is too large for a list of classes.", "Name another file.")
        value = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise explain(error, path, "read") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"“{path}” is no YAML: {error}".replace("\n", " "), "Repair it.") from error
    names: Any = value.get("names") if isinstance(value, dict) else None
    if isinstance(names, dict) and all(isinstance(k, int) and 0 <= k < 100_000 for k in names):
        names = [names.get(i, "") for i in range(max(names, default=-1) + 1)]
    # Lists in lists may stand for more text than any memory holds: aliases repeat each other.
    if not isinstance(names, list) or any(isinstance(name, (list, dict)) for name in names):
        raise UserError(f"“{path}” has no “names” of classes.", "Repair it.")
    points = value.get("kpt_shape")
    counts = [number for v in points if (number := whole(v))] if isinstance(points, list) else []
    return [str(name) for name in names], math.prod(counts) if len(counts) == 2 else 0


def _images(
    base: Path, files: list[Path], names: Sequence[str], points: int, reading: Reading
) -> Iterator[LabelledImage]:
    for file in files:
        name = file.relative_to(base).as_posix()
        key = reading.only(reading.resolver.beside(name), name)
        record = reading.record(key) if key is not None else None
        if record is None:
            continue
        if not record.width:
            reading.lose(_NO_SIZE, record.key)
            continue
        text = read_bytes(file).decode("utf-8-sig", errors="replace")
        objects = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                where = f"{name}, line {number}"
                parts = line.split()
                if points and len(parts) in (5 + points, 6 + points):
                    reading.lose(_KEYPOINTS, where)
                    parts = [*parts[:5], *parts[5 + points :]]
                made = _object(parts, record, names, where, reading)
                objects += [made] if made is not None else []
        yield reading.labelled(record, objects)


def _object(
    parts: list[str], record: ImageRecord, names: Sequence[str], where: str, reading: Reading
) -> Annotation | None:
    try:
        number, values = int(parts[0]), [float(part) for part in parts[1:]]
    except ValueError:
        number, values = -1, []
    # Predictions have a score at the end.
    score = values.pop() if len(values) % 2 and len(values) >= 5 else None
    shape = _shape(values, record)
    if shape is None or not 0 <= number < 1_000_000:
        reading.lose(_BAD_LINE, where)
        return None
    if number >= len(names):
        reading.lose(_NO_NAME, where)
    name = names[number] if number < len(names) else f"class {number}"
    made = reading.annotation(shape, reading.category(name))
    if score is None:
        return made
    if not 0 <= score <= 1:
        reading.lose(_BAD_SCORE, where)
        return made
    return replace(made, origin=replace(made.origin, score=score))


def _shape(values: list[float], record: ImageRecord) -> Mask | Box | None:
    if len(values) < 4 or len(values) % 2 or len(values) > 2_000_000:
        return None
    if not all(math.isfinite(v) and -1 <= v <= 2 for v in values):
        return None
    size = np.array([record.width, record.height], float)
    if len(values) == 4:
        middle, extent = np.array(values[:2]) * size, np.array(values[2:]) * size
        (x0, y0), (x1, y1) = _snapped(middle - extent / 2), _snapped(middle + extent / 2)
        return Box(float(x0), float(y0), float(x1), float(y1)) if x1 > x0 and y1 > y0 else None
    ring = _snapped(np.reshape(values, (-1, 2)) * size)
    mask = raster.from_polygons([ring.ravel().tolist()], record.width, record.height)
    return mask if raster.area(mask) else None


def _snapped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nine digits of a share are meant to be a pixel edge again."""
    whole = np.round(points * 2) / 2
    return np.where(np.abs(points - whole) < _NEAR, whole, points)


def recognises(path: Path) -> bool:
    """A folder with `data.yaml` or with texts in `labels`, or a YAML or text file."""
    if path.is_dir():
        return (path / DATA).is_file() or next((path / "labels").rglob("*.txt"), None) is not None
    return path.suffix.lower() in (".yaml", ".yml", ".txt")


SPECS = (
    FormatSpec(
        "yolo", "YOLO detection", "Boxes, for Ultralytics and Darknet: masks are not kept.",
        partial(write, kind="box"), read, recognises, _IMAGES,
    ),
    FormatSpec(
        "yolo-seg", "YOLO segmentation",
        "One outline for each object, holes and pieces joined by cuts; the report says how close.",
        partial(write, kind="outline"), read, images=_IMAGES,
    ),
    FormatSpec(
        "yolo-obb", "YOLO oriented boxes",
        "The smallest rectangle in any direction around each object; masks are not kept.",
        partial(write, kind="corners"), read, images=_IMAGES,
    ),
)  # fmt: skip
