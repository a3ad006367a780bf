"""Detection results as COCO's evaluation takes them, and boxes of whole COCO files.

Results are a list of `image_id`, `category_id`, `bbox` (x, y, width, height) and `score`. Numbers
mean what the file's own lists say, else those of `Known`; entries may also name image and class
themselves (`file_name`, `category`), as the results written by this program do. Of entries with a
mask and no box the box around the mask is taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from annotator.core import raster
from annotator.core.errors import UserError
from annotator.core.files import explain, from_json
from annotator.core.formats.coco.reading import Unusable, finite, mask_of_rle, whole
from annotator.core.formats.detections.values import (
    NO_BOX,
    UNLISTED,
    Collector,
    Detections,
    ImageNames,
    Known,
    LabelledBox,
)
from models.api import Box

_REMEDY = "Name a list of detections as COCO's evaluation takes it, or a COCO file."


def read(path: Path, images: ImageNames, known: Known) -> Detections:
    """Read a results file or a COCO file.

    Args:
        path: the file.
        images: of the folder.
        known: what numbers mean that the file does not explain.

    Raises:
        UserError: it cannot be read or is neither.
    """
    reading, entries, digest = opened(path, images, known)
    for number, entry in enumerate(entries):
        reading.take(entry, number)
    return replace(reading.collector.done(digest), known=reading.known)


def opened(path: Path, images: ImageNames, known: Known) -> tuple[Entries, list[Any], str]:
    """What its numbers mean, the entries as they are, and the digest of the file; see `read`.

    Raises:
        UserError: it cannot be read, or is neither.
    """
    data = _bytes(path)
    content = _parsed(path, data)
    model = ""
    if isinstance(content, dict):
        info = content.get("info")
        named = info.get("model") if isinstance(info, dict) else None
        model = named if isinstance(named, str) else ""
        entries = content.get("annotations")
        own = lists(content)
        known = Known(own.images or known.images, own.categories or known.categories)
        sizes = _sizes(content)
    else:
        entries, sizes = content, {}
    if not isinstance(entries, list):
        raise UserError(f"“{path}” holds no list of detections.", _REMEDY)
    reading = Entries(Collector(images), known, sizes, model)
    reading.collector.labels.update(dict.fromkeys(known.categories.values()))
    return reading, entries, sha256(data).hexdigest()


def read_lists(path: Path) -> Known:
    """The images and categories of a COCO file.

    Raises:
        UserError: it cannot be read or has no categories.
    """
    found = lists(_parsed(path, _bytes(path)))
    if not found.categories:
        raise UserError(f"“{path}” lists no categories.", "Name a COCO file with categories.")
    return found


def lists(content: Any) -> Known:
    """What the lists of a COCO file say, as far as they can be used."""
    images = {_id(value, "id"): value.get("file_name") for value in _dicts(content, "images")}
    names = {_id(value, "id"): value.get("name") for value in _dicts(content, "categories")}
    return Known(*(
        {i: name for i, name in found.items() if i is not None and isinstance(name, str) and name}
        for found in (images, names)
    ))  # fmt: skip


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise explain(error, path, "read") from error


def _parsed(path: Path, data: bytes) -> Any:
    try:
        return from_json(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"“{path}” is not readable JSON ({error}).", _REMEDY) from error


def _dicts(content: Any, name: str) -> list[dict[str, Any]]:
    values = content.get(name) if isinstance(content, dict) else None
    return [value for value in values or () if isinstance(value, dict)]


def _sizes(content: Any) -> dict[int | str, tuple[int, int]]:
    found = {}
    for value in _dicts(content, "images"):
        number, size = _id(value, "id"), (whole(value.get("width")), whole(value.get("height")))
        if number is not None and size[0] and size[1]:
            found[number] = (size[0], size[1])
    return found


def _id(value: Mapping[str, Any], name: str) -> int | str | None:
    raw = value.get(name)
    number = whole(raw)
    if number is not None:
        return number
    return raw if isinstance(raw, str) and raw else None


@dataclass(slots=True)
class Entries:
    """What the entries of a file mean: their image, their class, their box.

    Attributes:
        collector: gathers.
        known: what numbers mean.
        sizes: width and height of images by number.
        model: who made all of them, "" if the file does not say it.
    """

    collector: Collector
    known: Known
    sizes: Mapping[int | str, tuple[int, int]]
    model: str = ""

    def take(self, entry: Any, number: int) -> None:
        """One detection."""
        where = f"entry {number + 1}"
        if not isinstance(entry, dict):
            self.collector.trouble(NO_BOX, where)
            return
        key = self.key(entry, where)
        if key is None:
            return
        box = _box(entry.get("bbox"))
        if box is None and not entry.get("bbox"):
            box = self._around(entry.get("segmentation"), key)
        if box is None:
            self.collector.trouble(NO_BOX, where)
            return
        label = self.label(entry)
        self.collector.add(key, LabelledBox(box, label, score_of(entry.get("score"))), where)

    def _around(self, segmentation: Any, key: str) -> Box | None:
        """The box around a mask, None if there is none or it is damaged."""
        if isinstance(segmentation, list):
            rings = [[finite(v) for v in ring] for ring in segmentation if isinstance(ring, list)]
            every = [v for ring in rings for v in ring[: len(ring) // 2 * 2]]
            values = [v for v in every if v is not None]
            if not values or len(values) != len(every):
                return None
            xs, ys = values[0::2], values[1::2]
            return Box(min(xs), min(ys), max(xs), max(ys))
        if not isinstance(segmentation, dict):
            return None
        try:
            mask = mask_of_rle(segmentation)
        except Unusable:
            return None
        self.collector.sizes.setdefault(key, (mask.width, mask.height))
        box = raster.box(mask)
        return box if box.width and box.height else None

    def key(self, entry: dict[str, Any], where: str) -> str | None:
        """The image that is meant, None (and a trouble) if there is no such one."""
        name, number = entry.get("file_name"), _id(entry, "image_id")
        if not isinstance(name, str) or not name:
            listed = self.known.images.get(number) if number is not None else None
            name = listed if listed is not None else number
        if isinstance(name, str):
            # Some tools write the file's name, without its extension, where its number belongs.
            found = self.collector.images.named(name) or self.collector.images.beside(name)
            key = self.collector.image(found, name)
        else:
            key = self.collector.image([], f"{where}, image {number}")
        if key is not None and number is not None and number in self.sizes:
            self.collector.sizes[key] = self.sizes[number]
        return key

    def label(self, entry: dict[str, Any]) -> str:
        """The name of the class, "" without one."""
        name, number = entry.get("category"), _id(entry, "category_id")
        if isinstance(name, str) and name.strip():
            return name
        if number is None:
            return ""
        known = self.known.categories.get(number)
        if known is not None:
            return known
        label = number if isinstance(number, str) else f"class {number}"
        if label not in self.collector.labels:
            self.collector.trouble(UNLISTED, label)
        return label


def _box(value: Any) -> Box | None:
    numbers = [finite(v) for v in value] if isinstance(value, (list, tuple)) else []
    if len(numbers) != 4 or None in numbers:
        return None
    x, y, width, height = (number or 0.0 for number in numbers)
    return Box(x, y, x + width, y + height) if width >= 0 and height >= 0 else None


def score_of(value: Any) -> float | None:
    """A number, NaN for something else: that is told; None where nothing is said."""
    if value is None:
        return None
    number = finite(value)
    return math.nan if number is None else number
