"""Labelled images to learn from: COCO folders and tar files of them, read where they lie."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from models.api import ModelError
from models.training.evaluation.dataset import BadMaskError, mask_rle

Rle = Mapping[str, Any]
Image = NDArray[np.uint8]
Masks = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image with its objects.

    Attributes:
        name: for messages.
        source: the part of the data it comes from; sampling is balanced by it.
        size: height and width in pixels.
        masks: compressed COCO RLE of every object.
        boxes: x0, y0, x1, y1 of the masks, (n, 4).
    """

    name: str
    source: str
    size: tuple[int, int]
    masks: tuple[Rle, ...]
    boxes: NDArray[np.float32]
    load: Callable[[], bytes] = field(repr=False, compare=False)

    def pixels(self) -> Image:
        """(H, W, 3) uint8 RGB.

        Raises:
            ModelError: the file cannot be read.
        """
        try:
            data = self.load()
        except OSError as error:
            raise ModelError(f"“{self.name}” cannot be read: {error.strerror}.") from error
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
        if found is None:
            raise ModelError(f"“{self.name}” is not a readable image. Remove it from the data.")
        if found.shape[:2] != self.size:
            raise ModelError(
                f"“{self.name}” is {found.shape[1]} × {found.shape[0]}, but labelled as "
                f"{self.size[1]} × {self.size[0]}. Correct its labels or remove it."
            )
        return np.asarray(found, np.uint8)

    def mask(self, index: int) -> Masks:
        """(H, W) uint8, 1 inside."""
        return np.asarray(coco_mask.decode(self.masks[index]), np.uint8)


def read_tar(path: Path) -> list[LabelledImage]:
    """The images of one uncompressed tar with an `instances.json`.

    Only the places of the images are kept in memory.

    Raises:
        ModelError: no such archive, or it holds no data set.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = {member.name: member for member in archive.getmembers()}
            listing = next((m for name, m in members.items() if _is_listing(name)), None)
            stream = archive.extractfile(listing) if listing else None
            if stream is None:
                raise ModelError(f"“{path}” has no instances.json in it.")
            coco = json.load(stream)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise ModelError(f"“{path}” is not a readable data set: {error}.") from error

    def loader(name: str) -> Callable[[], bytes] | None:
        member = members.get(name) or members.get(f"images/{name}")
        if member is None:
            return None
        start, size = member.offset_data, member.size
        return partial(_slice, path, start, size)

    return _labelled(coco, str(path), loader)


def read_folder(folder: Path) -> list[LabelledImage]:
    """The images of a folder with `instances.json` and, beside it or in `images`, the files.

    Raises:
        ModelError: there is no readable data set.
    """
    listing = folder / "instances.json"
    try:
        coco = json.loads(listing.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"“{listing}” is not a readable COCO file: {error}.") from error

    def loader(name: str) -> Callable[[], bytes] | None:
        path = next((p for p in (folder / "images" / name, folder / name) if p.is_file()), None)
        return path.read_bytes if path else None

    return _labelled(coco, str(folder), loader)


def read(path: Path) -> list[LabelledImage]:
    """A data set: a tar file, a COCO folder, or a folder of tar files.

    Raises:
        ModelError: it is none of them, or has no object in it.
    """
    if path.is_dir() and not (path / "instances.json").exists():
        found = [image for part in sorted(path.glob("*.tar")) for image in read_tar(part)]
    else:
        found = read_folder(path) if path.is_dir() else read_tar(path)
    if not found:
        raise ModelError(f"“{path}” has no image with an object in it.")
    return found


def _is_listing(name: str) -> bool:
    return name.removeprefix("./") == "instances.json"


def _slice(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)


def _labelled(
    coco: Any, where: str, loader: Callable[[str], Callable[[], bytes] | None]
) -> list[LabelledImage]:
    try:
        objects: dict[int, list[dict[str, Any]]] = {}
        listed = {image["id"] for image in coco["images"]}
        for annotation in coco["annotations"]:
            if annotation["image_id"] not in listed:
                raise ModelError(
                    f"Object {annotation.get('id')} in “{where}” belongs to image "
                    f"{annotation['image_id']}, which is not listed. Correct or remove it."
                )
            if not annotation.get("iscrowd") and annotation.get("segmentation"):
                objects.setdefault(annotation["image_id"], []).append(annotation)
        images = [image for image in coco["images"] if image["id"] in objects]
        return [_image(image, objects[image["id"]], where, loader) for image in images]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"“{where}” is not COCO data: {error!r} is missing or wrong.") from error


def _image(
    image: dict[str, Any],
    objects: Sequence[dict[str, Any]],
    where: str,
    loader: Callable[[str], Callable[[], bytes] | None],
) -> LabelledImage:
    name, size = image["file_name"], (int(image["height"]), int(image["width"]))
    load = loader(name)
    if load is None:
        raise ModelError(f"The image “{name}” of “{where}” is missing.")
    masks = []
    for annotation in objects:
        try:
            masks.append(mask_rle(annotation["segmentation"], *size))
        except BadMaskError as error:
            raise ModelError(
                f"Object {annotation.get('id')} of “{name}” in “{where}” {error}. Correct or "
                "remove it."
            ) from error
    boxes = np.array([coco_mask.toBbox(rle) for rle in masks], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return LabelledImage(name, str(image.get("source", "")), size, tuple(masks), boxes, load)
