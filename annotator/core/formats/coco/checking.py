"""What trainers would stumble over in a COCO file, entry by entry.

The rules are those of the readers' own code: pycocotools (`COCO`, `COCOeval`), detectron2
(`load_coco_json`), torchvision (`CocoDetection`, `wrap_dataset_for_transforms_v2`, the detection
models). Each finding names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.core import raster
from annotator.core.formats.coco.reading import Unusable, finite, mask_of_rle, whole
from annotator.core.formats.resolver import Resolver
from models.api import Box

COCOTOOLS, EVAL = "pycocotools", "COCOeval"
DETECTRON, TORCHVISION = "detectron2", "torchvision"
EVERYBODY = f"{COCOTOOLS}, {DETECTRON}, {TORCHVISION}"
_TOLERANCE = 2.0
"""Pixels a box may differ from its mask: polygons are rasterised differently."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        where: the entry: “annotations[12] (id 7)”.
        what: what is wrong with it and what happens then, one line.
        who: which readers are concerned.
        is_error: they fail or drop the entry; otherwise they only mislead.
    """

    where: str
    what: str
    who: str
    is_error: bool = True

    def line(self) -> str:
        """For people."""
        return f"{'error' if self.is_error else 'warning'}: {self.where}: {self.what} [{self.who}]"


def check(content: Any, images: Resolver | None = None) -> Iterator[Finding]:
    """All findings in the order of the file.

    Args:
        content: the JSON.
        images: where the image files should be; None to leave them out of it.
    """
    if not isinstance(content, dict):
        yield Finding("file", "is no object with lists, so nobody reads it as COCO", EVERYBODY)
        return
    for name in ("images", "annotations", "categories"):
        if not isinstance(content.get(name), list):
            yield Finding("file", f"has no list “{name}”", EVERYBODY)
            return
    yield from _Checking(content, images).findings()


class _Checking:
    """One pass over one file."""

    def __init__(self, content: dict[str, Any], images: Resolver | None) -> None:
        self._content = content
        self._resolver = images
        self._sizes: dict[int, tuple[int, int]] = {}
        self._categories: set[int] = set()

    def findings(self) -> Iterator[Finding]:
        """Categories and images first: annotations point to them."""
        yield from self._check_categories()
        yield from self._check_images()
        counts = Counter(_number(a) for a in self._content["annotations"])
        for place, value in enumerate(self._content["annotations"]):
            where = _where("annotations", place, value)
            if not isinstance(value, dict):
                yield Finding(where, "is no object", EVERYBODY)
                continue
            yield from self._check_ids(where, value, counts)
            yield from self._check_numbers(where, value)
            yield from self._check_shape(where, value)

    def _check_categories(self) -> Iterator[Finding]:
        names: set[str] = set()
        for place, value in enumerate(self._content["categories"]):
            where = _where("categories", place, value)
            number = _number(value)
            if number is None:
                yield Finding(where, "has no whole number as “id”", EVERYBODY)
                continue
            if number in self._categories:
                yield Finding(where, f"repeats the id {number}; the last one wins", COCOTOOLS)
            self._categories.add(number)
            name = value.get("name")
            if not isinstance(name, str) or not name:
                yield Finding(where, "has no name", f"{DETECTRON}, {EVAL}")
            elif name in names:
                yield Finding(where, f"repeats the name “{name}”", DETECTRON, is_error=False)
            names.add(str(name))
        used = sorted(self._categories)
        if used and used != list(range(1, len(used) + 1)):
            what = "ids are not 1, 2, 3 …; they are numbered anew in memory"
            yield Finding("categories", what, DETECTRON, is_error=False)

    def _check_images(self) -> Iterator[Finding]:
        for place, value in enumerate(self._content["images"]):
            where = _where("images", place, value)
            number = _number(value)
            if number is None:
                yield Finding(where, "has no whole number as “id”", EVERYBODY)
                continue
            if number in self._sizes:
                yield Finding(where, f"repeats the id {number}; the last one wins", COCOTOOLS)
            width, height = whole(value.get("width")) or 0, whole(value.get("height")) or 0
            self._sizes[number] = (width, height)
            if width <= 0 or height <= 0:
                what = "has no size, so polygons cannot be rasterised (--image-folder finds it)"
                yield Finding(where, what, EVERYBODY)
            name = value.get("file_name")
            if not isinstance(name, str) or not name:
                yield Finding(where, "has no “file_name”", f"{DETECTRON}, {TORCHVISION}")
            elif self._resolver is not None:
                yield from self._check_file(where, name, (width, height))

    def _check_file(self, where: str, name: str, size: tuple[int, int]) -> Iterator[Finding]:
        assert self._resolver is not None
        if self._resolver.file(name) is None:
            yield Finding(where, f"“{name}” is not there", f"{DETECTRON}, {TORCHVISION}")
            return
        real = self._resolver.size(name)
        if real != size and real[0]:
            what = f"says {size[0]} × {size[1]}, but “{name}” has {real[0]} × {real[1]} upright"
            yield Finding(where, what, DETECTRON)

    def _check_ids(
        self, where: str, value: dict[str, Any], counts: Counter[int | None]
    ) -> Iterator[Finding]:
        number = _number(value)
        if number is None:
            yield Finding(where, "has no whole number as “id”", EVERYBODY)
        elif counts[number] > 1:
            what = f"repeats the id {number}; ids must be unique"
            yield Finding(where, what, f"{DETECTRON}, {COCOTOOLS}")
        elif number == 0:
            yield Finding(where, "has the id 0, which means “no match” in evaluation", EVAL)
        if whole(value.get("image_id")) not in self._sizes or _is_text(value.get("image_id")):
            what = f"belongs to image {value.get('image_id')!r}, which is not listed; never seen"
            yield Finding(where, what, EVERYBODY)
        category = value.get("category_id")
        if whole(category) not in self._categories or _is_text(category):
            what = f"has the category {category!r}, which is not listed"
            yield Finding(where, what, f"{DETECTRON}, {EVAL}")

    def _check_numbers(self, where: str, value: dict[str, Any]) -> Iterator[Finding]:
        crowd = value.get("iscrowd")
        if crowd is None:
            yield Finding(where, "has no “iscrowd”", f"{EVAL}, {TORCHVISION}")
        elif isinstance(crowd, bool) or crowd not in (0, 1):
            yield Finding(where, f"“iscrowd” is {crowd!r}, not 0 or 1", EVERYBODY)
        area = finite(value.get("area"))
        if area is None:
            yield Finding(where, "has no number as “area”", EVAL)
        elif area <= 0:
            yield Finding(where, "“area” is not positive", EVAL, is_error=False)
        if value.get("ignore"):
            yield Finding(where, "“ignore” is set, which stops the loader", DETECTRON)
        yield from self._check_box(where, value)

    def _check_box(self, where: str, value: dict[str, Any]) -> Iterator[Finding]:
        box = _box(value.get("bbox"))
        if box is None:
            yield Finding(where, "has no four numbers as “bbox”", f"{DETECTRON}, {TORCHVISION}")
            return
        if box.width <= 0 or box.height <= 0:
            yield Finding(where, "“bbox” has no area, which stops training", TORCHVISION)
        width, height = self._sizes.get(whole(value.get("image_id")) or 0, (0, 0))
        outside = (-box.x0, -box.y0, box.x1 - width, box.y1 - height)
        if width and max(outside) > 1:
            what = f"“bbox” ends {max(outside):.0f} pixels outside of the image"
            yield Finding(where, what, TORCHVISION, is_error=False)

    def _check_shape(self, where: str, value: dict[str, Any]) -> Iterator[Finding]:
        segmentation = value.get("segmentation")
        size = self._sizes.get(whole(value.get("image_id")) or 0, (0, 0))
        if isinstance(segmentation, dict):
            yield from self._check_rle(where, segmentation, size, value)
        elif isinstance(segmentation, list) and segmentation:
            rings = segmentation if isinstance(segmentation[0], list) else [segmentation]
            if rings is not segmentation:
                yield Finding(where, "is one flat list instead of a list of rings", EVERYBODY)
            for number, ring in enumerate(rings):
                yield from _check_ring(f"{where}, ring {number}", ring, size)
        else:
            what = "has no segmentation, so it has no mask" if value.get("bbox") else "has no shape"
            yield Finding(where, what, f"{COCOTOOLS}, {DETECTRON}")

    def _check_rle(
        self, where: str, rle: dict[str, Any], size: tuple[int, int], value: dict[str, Any]
    ) -> Iterator[Finding]:
        try:
            mask = mask_of_rle(rle)
        except Unusable as error:
            what = str(error).replace("their mask", "its mask")
            yield Finding(where, f"{what}, which crashes native code", COCOTOOLS)
            return
        if size[0] and (mask.width, mask.height) != size:
            what = (
                f"its mask has {mask.width} × {mask.height} pixels, the image {size[0]} × {size[1]}"
            )
            yield Finding(where, what, EVERYBODY)
        box, real = _box(value.get("bbox")), raster.box(mask)
        if not raster.area(mask):
            yield Finding(where, "its mask is empty", f"{DETECTRON}, {TORCHVISION}")
        elif box is not None and _differ(box, real):
            yield Finding(where, "“bbox” is not that of the mask", EVERYBODY, is_error=False)


def _check_ring(where: str, ring: Any, size: tuple[int, int]) -> Iterator[Finding]:
    if not isinstance(ring, list) or any(finite(v) is None for v in ring):
        yield Finding(where, "is no list of numbers", EVERYBODY)
    elif len(ring) % 2:
        yield Finding(where, "has a number too many; it is dropped", f"{DETECTRON}, {COCOTOOLS}")
    elif len(ring) < 6:
        what = f"has {len(ring) // 2} points; it is dropped, and two points count as a box"
        yield Finding(where, what, f"{DETECTRON}, {COCOTOOLS}")
    elif size[0]:
        outside = max(max(ring[0::2]) - size[0], max(ring[1::2]) - size[1], -min(ring))
        if outside > 1:
            what = f"ends {outside:.0f} pixels outside of the image"
            yield Finding(where, what, COCOTOOLS, is_error=False)


def _box(value: Any) -> Box | None:
    numbers = [finite(v) for v in value] if isinstance(value, Sequence) else []
    known = [v for v in numbers if v is not None]
    if len(known) != 4 or len(numbers) != 4:
        return None
    x, y, width, height = known
    return Box(x, y, x + width, y + height)


def _differ(first: Box, second: Box) -> bool:
    pairs = ((first.x0, second.x0), (first.y0, second.y0), (first.x1, second.x1),
             (first.y1, second.y1))  # fmt: skip
    return any(abs(a - b) > _TOLERANCE for a, b in pairs)


def _number(value: Any) -> int | None:
    """The id, if it is a whole number and not a text."""
    raw = value.get("id") if isinstance(value, dict) else None
    return None if _is_text(raw) else whole(raw)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _where(section: str, place: int, value: Any) -> str:
    number = value.get("id") if isinstance(value, dict) else None
    return f"{section}[{place}]" + (f" (id {number})" if number is not None else "")
