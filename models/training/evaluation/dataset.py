"""Labelled images in COCO form, read where they lie: a folder, a JSON file, or tar archives.

Every mask is checked and turned into RLE when the file is read, so that a long run does not end in
a surprise; pixels are read when they are asked for.
"""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco_mask

from models.api import ModelError
from models.rle import runs_of

Mask = NDArray[np.bool_]
NAMES = ("instances.json", "annotations.json")
"""What a labels file in a folder is called: as in COCO's own folders, or by Annotator."""
_ROTATED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_SLACK = 2.0, 0.02
"""How far polygons may reach out of the image: pixels, and parts of its longest side."""
_NAMED = 5
_HINT = "Correct the labels, or leave such things out with --skip-bad."


@dataclass(frozen=True, slots=True)
class Truth:
    """One labelled object.

    Attributes:
        id: its number in the labels file.
        category_id: its class.
        crowd: it stands for many objects and is no target.
        area: pixels of the mask.
        rle: the mask in COCO's compressed run-length encoding.
    """

    id: int
    category_id: int
    crowd: bool
    area: int
    rle: Mapping[str, Any] = field(repr=False)

    def mask(self) -> Mask:
        """The mask (H, W)."""
        return np.asarray(coco_mask.decode(self.rle), np.bool_)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image with its objects.

    Attributes:
        id: its number in the labels file.
        name: its `file_name` there.
        place: where it lies, for messages.
        width: pixels, upright.
        height: pixels, upright.
        truths: its objects in file order, crowds included.
        read: the bytes of the file.
    """

    id: int
    name: str
    place: str
    width: int
    height: int
    truths: tuple[Truth, ...]
    read: Callable[[], bytes] = field(repr=False, compare=False)

    @property
    def objects(self) -> tuple[Truth, ...]:
        """The objects that are targets: all but crowds."""
        return tuple(truth for truth in self.truths if not truth.crowd)

    def problem(self) -> str | None:
        """Why the image cannot be used, judged by the head of its file; None if it can."""
        try:
            with Image.open(io.BytesIO(self.read())) as image:
                turned = image.getexif().get(0x0112) in _ROTATED
                size = image.size[::-1] if turned else image.size
        except ModelError as error:
            return str(error)
        except (OSError, UnidentifiedImageError):
            return f"“{self.place}” is not an image that can be read."
        if size != (self.width, self.height):
            found = f"{size[0]} × {size[1]}"
            return f"“{self.place}” is {found}, but labelled as {self.width} × {self.height}."
        return None

    def pixels(self) -> NDArray[np.uint8]:
        """The upright image (H, W, 3) uint8 RGB.

        Raises:
            ModelError: it cannot be read, or has another size than its labels.
        """
        data = np.frombuffer(self.read(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if len(data) else None
        if image is None:
            raise ModelError(f"“{self.place}” is not an image that can be read. {_HINT}")
        if image.shape[:2] != (self.height, self.width):
            raise ModelError(f"{self.problem() or f'“{self.place}” has another size.'} {_HINT}")
        return np.asarray(image, np.uint8)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images.

    Attributes:
        name: what people read in tables.
        pictures: all images in file order, also those without objects.
        categories: names of the classes by number.
        skipped: what was left out and why, one sentence each.
        listed_ids: numbers of all images the labels name, also of those beyond a limit.
    """

    name: str
    pictures: tuple[Picture, ...]
    categories: Mapping[int, str]
    skipped: tuple[str, ...] = ()
    listed_ids: tuple[int, ...] = ()

    @property
    def object_count(self) -> int:
        """Objects that are targets."""
        return sum(len(picture.objects) for picture in self.pictures)

    def category(self, category_id: int) -> str:
        """The name of a class; its number if the file does not name it."""
        return self.categories.get(category_id, f"class {category_id}")


def read_dataset(
    path: Path, images: Path | None = None, *, limit: int | None = None, skip_bad: bool = False
) -> Dataset:
    """Read labels and check them and the heads of the image files.

    Args:
        path: a folder with `instances.json` (or `annotations.json`), the JSON file itself, a tar
            archive with `instances.json` in it, or a folder of such archives.
        images: where the images lie; by default in `images` beside the JSON file or beside it.
        limit: keep this many images only.
        skip_bad: leave out what cannot be used instead of refusing; `Dataset.skipped` says what.

    Raises:
        ModelError: nothing usable is there, or something is wrong; names files and objects.
    """
    pictures: list[Picture] = []
    categories: dict[int, str] = {}
    problems: list[str] = []
    listed: list[int] = []
    for part in _parts(path, images):
        names = _categories(part)
        clash = next((i for i in names if categories.get(i, names[i]) != names[i]), None)
        if clash is not None:
            raise ModelError(
                f"Class {clash} is “{names[clash]}” in “{part.source}”, but "
                f"“{categories[clash]}” in another part of “{path}”. Evaluate them one by one."
            )
        categories |= names
        rest = None if limit is None else limit - len(pictures)
        pictures += _pictures(part, problems, rest)
        listed += [int(image["id"]) for image in part.content["images"]]
    pictures, problems = _checked(pictures, problems)
    if problems and not skip_bad:
        more = f" ({len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
        first = " ".join(problems[:_NAMED])
        raise ModelError(f"“{path}” cannot be used as it is: {first}{more} {_HINT}")
    dataset = Dataset(
        _name(path.resolve()), tuple(pictures), categories, tuple(problems), tuple(listed)
    )
    if not dataset.object_count:
        raise ModelError(
            f"“{path}” has no labelled objects (crowds do not count): nothing can be measured. "
            "Give a data set with images and masks."
        )
    return dataset


def _name(path: Path) -> str:
    """What people call the data: the folder, unless the file has a name of its own."""
    if path.is_dir():
        return path.name
    return path.parent.name if path.name in NAMES else path.stem


def _checked(pictures: list[Picture], problems: list[str]) -> tuple[list[Picture], list[str]]:
    good, bad = [], []
    for picture in pictures:
        problem = picture.problem()
        if problem is None:
            good.append(picture)
        else:
            bad.append(problem)
    return good, [*bad, *problems]


# --- Where it comes from ---


@dataclass(frozen=True, slots=True)
class _Part:
    """One labels file: what it says, and how to read a file it names."""

    source: str
    content: Mapping[str, Any]
    place: Callable[[str], str]
    read: Callable[[str], bytes]


def _parts(path: Path, images: Path | None) -> list[_Part]:
    try:
        if path.is_dir():
            labels = next((path / name for name in NAMES if (path / name).is_file()), None)
            if labels is not None:
                return [_folder_part(labels, images)]
            archives = sorted(path.glob("*.tar"))
            if archives:
                return [_tar_part(archive) for archive in archives]
            raise ModelError(
                f"“{path}” has neither {' nor '.join(NAMES)} nor tar archives. Give a folder with "
                "one of them, or the JSON file itself."
            )
        if path.suffix == ".tar":
            return [_tar_part(path)]
        return [_folder_part(path, images)]
    except OSError as error:
        raise ModelError(
            f"“{error.filename or path}” cannot be read ({error.strerror or error}). "
            "Check the path and the permissions."
        ) from error


def _folder_part(labels: Path, images: Path | None) -> _Part:
    folder = images or labels.parent / "images"
    if images is not None and not images.is_dir():
        raise ModelError(f"“{images}” is not a folder. Give the folder of the images.")

    def find(name: str) -> Path:
        beside = labels.parent / name
        return beside if images is None and not (folder / name).exists() else folder / name

    def read(name: str) -> bytes:
        try:
            return find(name).read_bytes()
        except OSError as error:
            raise ModelError(
                f"The image “{find(name)}” cannot be read ({error.strerror or error})."
            ) from error

    return _Part(
        str(labels), _content(labels.read_bytes(), labels), lambda name: str(find(name)), read
    )


def _tar_part(archive: Path) -> _Part:
    """A tar archive, read in place: uncompressed archives hold their files as they are."""
    try:
        with tarfile.open(archive, "r:") as tar:
            members = {m.name.removeprefix("./"): m for m in tar if m.isfile()}
    except tarfile.TarError as error:
        raise ModelError(f"“{archive}” is not an uncompressed tar archive ({error}).") from error

    def read(name: str) -> bytes:
        if name not in members:
            raise ModelError(f"“{archive}” holds no file “{name}”.")
        with archive.open("rb") as file:
            file.seek(members[name].offset_data)
            return file.read(members[name].size)

    content = _content(read(NAMES[0]), archive)
    return _Part(str(archive), content, lambda name: f"{archive}:{name}", read)


def _content(data: bytes, source: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"“{source}” is not readable JSON ({error}). Give a COCO instances file."
        ) from error
    wanted = ("images", "annotations", "categories")
    lists = isinstance(content, dict) and all(isinstance(content.get(k), list) for k in wanted)
    if not lists:
        raise ModelError(
            f"“{source}” is not a COCO instances file: it needs the lists {', '.join(wanted)}."
        )
    return dict(content)


# --- What it says ---


def _categories(part: _Part) -> dict[int, str]:
    try:
        return {int(c["id"]): str(c["name"]) for c in part.content["categories"]}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"A class in “{part.source}” lacks id or name ({error}). Every class needs both."
        ) from error


def _pictures(part: _Part, problems: list[str], limit: int | None) -> list[Picture]:
    entries: dict[int, list[Mapping[str, Any]]] = {}
    try:
        images = part.content["images"]
        known = {int(image["id"]) for image in images}
        for annotation in part.content["annotations"]:
            image_id = int(annotation["image_id"])
            if image_id not in known:
                problems.append(
                    f"Object {annotation.get('id')} in “{part.source}” belongs to image "
                    f"{image_id}, which is not listed."
                )
            entries.setdefault(image_id, []).append(annotation)
        return [
            _picture(part, image, entries.get(int(image["id"]), []), problems)
            for image in images[: None if limit is None else max(0, limit)]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"An image or object in “{part.source}” is incomplete ({type(error).__name__}: "
            f"{error}). Images need id, file_name, width and height; objects id, image_id, "
            "category_id and segmentation."
        ) from error


def _picture(
    part: _Part, image: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], problems: list[str]
) -> Picture:
    name, width, height = str(image["file_name"]), int(image["width"]), int(image["height"])
    truths = []
    for entry in entries:
        try:
            rle = mask_rle(entry["segmentation"], height, width)
        except BadMaskError as error:
            problems.append(f"Object {entry['id']} of “{part.place(name)}” {error}.")
            continue
        truths.append(
            Truth(
                int(entry["id"]),
                int(entry["category_id"]),
                bool(entry.get("iscrowd", 0)),
                int(coco_mask.area(rle)),
                rle,
            )
        )
    return Picture(
        int(image["id"]),
        name,
        part.place(name),
        width,
        height,
        tuple(truths),
        lambda: part.read(name),
    )


class BadMaskError(Exception):
    """What is wrong with a mask: the end of a sentence about its object."""


def mask_rle(segmentation: Any, height: int, width: int) -> Mapping[str, Any]:
    """Polygons, uncompressed or compressed RLE as compressed RLE.

    Raises:
        BadMaskError: it is none of them, empty, or does not fit an image of this size.
    """
    if isinstance(segmentation, list):
        rle = _polygons_to_rle(segmentation, height, width)
    elif isinstance(segmentation, dict) and {"counts", "size"} <= segmentation.keys():
        rle = _checked_rle(segmentation, height, width)
    else:
        raise BadMaskError("has no mask: neither polygons nor RLE")
    if not coco_mask.area(rle):
        raise BadMaskError("has no pixel inside the image")
    return rle


def _polygons_to_rle(polygons: list[Any], height: int, width: int) -> Mapping[str, Any]:
    for ring in polygons:
        numbers = isinstance(ring, list) and all(isinstance(v, (int, float)) for v in ring)
        if not numbers or len(ring) < 6 or len(ring) % 2 or not all(map(math.isfinite, ring)):
            raise BadMaskError("has a polygon that is not a list of at least three x, y")
        slack = _SLACK[0] + _SLACK[1] * max(width, height)
        xs, ys = ring[0::2], ring[1::2]
        if min(*xs, *ys) < -slack or max(xs) > width + slack or max(ys) > height + slack:
            raise BadMaskError(f"reaches out of the image of {width} × {height}")
    if not polygons:
        raise BadMaskError("has no mask: its list of polygons is empty")
    merged: Mapping[str, Any] = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return merged


def _checked_rle(segmentation: Mapping[str, Any], height: int, width: int) -> Mapping[str, Any]:
    counts, size = segmentation["counts"], segmentation["size"]
    if list(size) != [height, width]:
        raise BadMaskError(
            f"has a mask of {size[1]} × {size[0]}, but its image is {width} × {height}"
        )
    compressed = counts.encode("ascii", "replace") if isinstance(counts, str) else None
    runs = counts if compressed is None else runs_of(compressed)
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise BadMaskError(f"has runs that do not add up to {width} × {height} pixels")
    if compressed is not None:
        return {"size": [height, width], "counts": compressed}
    rle: Mapping[str, Any] = coco_mask.frPyObjects(dict(segmentation), height, width)
    return rle
