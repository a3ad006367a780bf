"""Reading COCO files as they are found in the wild, without losing anything.

Known variants: ids as text or floats, `iscrowd` missing or true/false, compressed and uncompressed
RLE, polygons of several rings or one flat list, boxes without a segmentation, CVAT `attributes`,
missing sizes. What cannot be used stays in the header under the program's own key.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotator.core import raster
from annotator.core.annotation import Category, ImageRecord, Source, Status
from annotator.core.codec import (
    origin_from_json,
    origin_to_json,
    review_from_json,
    review_to_json,
)
from annotator.core.errors import UserError
from annotator.core.files import explain, from_json
from annotator.core.formats.coco.dataset import MAX_PIXELS, OURS, UNNAMED_ID, Dataset, Entry
from annotator.core.mask import Mask
from annotator.core.palette import color_for
from annotator.core.tracks import TRACK

Resolve = Callable[[str], str]
"""From the `file_name` of a file to the key of an image."""
Measure = Callable[[str], tuple[int, int]]
"""From a key to width and height of the upright image, (0, 0) if nobody knows."""

_KNOWN_IMAGE = {"id", "file_name", "width", "height", OURS}
_KNOWN_CATEGORY = {"id", "name", "supercategory", OURS}
_KNOWN_ANNOTATION = {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd",
                     "attributes", OURS}  # fmt: skip
_COLOR = re.compile("#[0-9a-fA-F]{6}")
_MAX_NAMED = 5
_REMEDY = "It was left untouched. Repair it, or give it another name."


class Unusable(Exception):
    """Why an entry cannot become an annotation; the text is a reason for people."""


def read_coco(
    path: Path,
    resolve: Resolve = str,
    measure: Measure = lambda _: (0, 0),
) -> Dataset:
    """Read a COCO file.

    Args:
        path: the file.
        resolve: finds the image a `file_name` means.
        measure: sizes of images for which the file names none.

    Raises:
        UserError: the file cannot be read or is not a COCO instance file.
    """
    return dataset_of(load_coco(path), path.name, resolve, measure)


def dataset_of(
    content: dict[str, Any],
    name: str,
    resolve: Resolve = str,
    measure: Measure = lambda _: (0, 0),
) -> Dataset:
    """The same for what a file says, with its three lists in place."""
    return _Reading(name, resolve, measure).dataset(content)


def load_json(path: Path) -> Any:
    """What a JSON file says.

    Raises:
        UserError: it cannot be read or is no JSON.
    """
    try:
        return from_json(path.read_bytes())
    except OSError as error:
        raise explain(error, path, "read") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"“{path}” is not readable JSON ({error}).", _REMEDY) from error


def load_coco(path: Path) -> dict[str, Any]:
    """What a file with the three lists of COCO says.

    Raises:
        UserError: it cannot be read or has no such lists.
    """
    remedy = _REMEDY
    content = load_json(path)
    if isinstance(content, list):
        raise UserError(
            f"“{path}” is a list (COCO results?), not a COCO file with images and categories.",
            remedy,
        )
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UserError(f"“{path}” is not a COCO file: it has no list “images”.", remedy)
    for name in ("annotations", "categories"):
        if not isinstance(content.setdefault(name, []), list):
            raise UserError(f"“{path}” is not a COCO file: “{name}” is not a list.", remedy)
    return content


@dataclass(slots=True)
class _Reading:
    """One pass over one file."""

    name: str
    resolve: Resolve
    measure: Measure
    leftovers: dict[str, list[Any]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    images: dict[int, ImageRecord] = field(default_factory=dict)
    image_of: dict[int | str, int] = field(default_factory=dict)
    categories: dict[int, Category] = field(default_factory=dict)
    category_of: dict[int | str, int | None] = field(default_factory=dict)
    unnamed_id: int = UNNAMED_ID

    def dataset(self, content: dict[str, Any]) -> Dataset:
        """All of it."""
        self._read_categories(content["categories"])
        self._read_images(content["images"])
        entries = self._read_annotations(content["annotations"])
        counts = Counter(entry.image_id for entry in entries)
        images = tuple(replace(image, count=counts[i]) for i, image in self.images.items())
        taken = set(self.categories)
        while self.unnamed_id in taken:
            self.unnamed_id += 1
        return Dataset(
            images,
            tuple(self.categories.values()),
            tuple(entries),
            self._header(content),
            self._problems(),
            self.unnamed_id,
        )

    # --- Categories ---

    def _read_categories(self, values: list[Any]) -> None:
        free = _Ids(values)
        names: set[str] = set()
        for value in values:
            reference = _reference(value)
            name = value.get("name") if isinstance(value, dict) else None
            if reference is None or not isinstance(name, str) or not name.strip():
                self._leave("categories", value, "categories without id or name were left aside")
                continue
            ours = value.get(OURS)
            ours = ours if isinstance(ours, dict) else {}
            if ours.get("unnamed"):
                self.category_of[reference] = None
                self.unnamed_id = reference if isinstance(reference, int) else UNNAMED_ID
                continue
            number = free.take(reference)
            if number != reference:
                self._note("categories got a new id (repeated, negative or no number)", name)
            unique = _unique(name, names, number)
            if unique != name:
                self._note("classes with the same name got a number behind it", unique)
            names.add(unique)
            self.categories[number] = self._category(number, unique, value, ours)
            self.category_of.setdefault(reference, number)

    def _category(
        self, number: int, name: str, value: dict[str, Any], ours: dict[str, Any]
    ) -> Category:
        color = ours.get("color")
        if not isinstance(color, str) or not _COLOR.fullmatch(color):
            color = _rgb(value.get("color")) or color_for(len(self.categories))
        upper, others = value.get("supercategory"), ours.get("synonyms")
        others = others if isinstance(others, list) else ()
        return Category(
            number, name, color, upper if isinstance(upper, str) else "",
            _rest(value, _KNOWN_CATEGORY),
            tuple(synonym for synonym in others if isinstance(synonym, str) and synonym.strip()),
        )  # fmt: skip

    # --- Images ---

    def _read_images(self, values: list[Any]) -> None:
        free = _Ids(values)
        by_key: dict[str, int] = {}
        for value in values:
            reference = _reference(value)
            file_name = value.get("file_name") if isinstance(value, dict) else None
            if reference is None or not isinstance(file_name, str) or not file_name:
                self._leave("images", value, "images without id or file name were left aside")
                continue
            key = self.resolve(file_name)
            if key in by_key:
                self._note("images are listed twice; their objects were put together", key)
                self.image_of.setdefault(reference, by_key[key])
                self.leftovers.setdefault("images", []).append(value)
                continue
            number = free.take(reference)
            if number != reference:
                self._note("images got a new id (repeated, negative or no number)", key)
            by_key[key] = number
            self.images[number] = self._image(number, key, value)
            self.image_of.setdefault(reference, number)

    def _image(self, number: int, key: str, value: dict[str, Any]) -> ImageRecord:
        width, height = whole(value.get("width")) or 0, whole(value.get("height")) or 0
        if width <= 0 or height <= 0 or width * height > MAX_PIXELS:
            if "width" in value and (width, height) != (0, 0):
                self._note("images have an impossible size", key)
            width, height = self.measure(key)
        ours = value.get(OURS)
        ours = ours if isinstance(ours, dict) else {}
        orientation = whole(ours.get("orientation")) or 1
        status, comment = review_from_json(ours)
        return ImageRecord(
            key, number, width, height,
            orientation if orientation in range(1, 9) else 1,
            status=Status.DONE if ours.get("reviewed") is True else status,
            extra=_rest(value, _KNOWN_IMAGE),
            comment=comment,
        )  # fmt: skip

    # --- Annotations ---

    def _read_annotations(self, values: list[Any]) -> list[Entry]:
        free = _Ids(values, first=1)
        entries = []
        for value in values:
            try:
                image, journal = self._annotation(value)
            except Unusable as reason:
                self._leave("annotations", value, f"objects were left aside: {reason}")
                continue
            reference = _reference(value)
            number = free.take(reference)
            if number != reference:
                self._note("objects got a new id (missing, repeated or not positive)", str(number))
            entries.append(Entry(image.id, {"id": number, **journal}))
        return entries

    def _annotation(self, value: Any) -> tuple[ImageRecord, dict[str, Any]]:
        if not isinstance(value, dict):
            raise Unusable("not an object of JSON")
        reference = _reference(value, "image_id")
        number = None if reference is None else self.image_of.get(reference)
        if number is None:
            raise Unusable("their image is not in the file")
        crowd = value.get("iscrowd")
        journal: dict[str, Any] = {
            "category": self._category_id(value),
            "origin": self._origin(value),
            **self._shape(value, number),
        }
        if crowd in (1, True, "1"):
            journal["crowd"] = True
        ours = _ours(value)
        journal |= {name: True for name in ("hidden", "locked") if ours.get(name) is True}
        journal |= review_to_json(*review_from_json(ours))
        extra = _rest(value, _KNOWN_ANNOTATION)
        if ours.get("track") is True and (track := whole(extra.pop(TRACK, None))) is not None:
            journal["track"] = track
        attributes, foreign = _attributes(value.get("attributes"))
        if attributes:
            journal["attributes"] = attributes
        if foreign:
            extra["attributes"] = foreign
        if extra:
            journal["extra"] = extra
        return self.images[number], journal

    def _category_id(self, value: dict[str, Any]) -> int | None:
        reference = _reference(value, "category_id")
        if reference is None:
            if value.get("category_id") is not None:
                raise Unusable("their category is no number")
            return None
        if reference not in self.category_of:
            self._add_category(reference)
        return self.category_of[reference]

    def _add_category(self, reference: int | str) -> None:
        """A class that objects use but the file does not list."""
        usable = isinstance(reference, int) and reference >= 0
        number = reference if usable else max(self.categories, default=0) + 1
        assert isinstance(number, int)
        names = {category.name for category in self.categories.values()}
        name = _unique(f"class {reference}", names, number)
        self._note("classes are used but not listed; they got a name", name)
        self.categories[number] = Category(number, name, color_for(len(self.categories)))
        self.category_of[reference] = number

    @staticmethod
    def _origin(value: dict[str, Any]) -> dict[str, Any]:
        own = _ours(value).get("origin")
        if isinstance(own, dict):
            try:
                return origin_to_json(origin_from_json(own))
            except (ValueError, TypeError, KeyError, AttributeError):
                pass
        score = finite(value.get("score"))
        origin: dict[str, Any] = {"source": Source.IMPORT.value}
        return origin if score is None else origin | {"score": score}

    def _shape(self, value: dict[str, Any], number: int) -> dict[str, Any]:
        segmentation = value.get("segmentation")
        if _ours(value).get("shape") == "box" or not segmentation:
            return {"box": _box(value.get("bbox"))}
        image = self.images[number]
        if isinstance(segmentation, dict):
            mask = mask_of_rle(segmentation)
            if not image.width:
                self.images[number] = replace(image, width=mask.width, height=mask.height)
            elif (image.width, image.height) != (mask.width, mask.height):
                raise Unusable("their mask has another size than the image")
            return {"mask": mask.to_coco(), "polygons": []}
        if not isinstance(segmentation, list):
            raise Unusable("their segmentation is neither polygons nor RLE")
        if not image.width:
            raise Unusable("the size of their image is unknown")
        rings = self._rings(segmentation, image)
        return {"polygons": rings, "size": [image.height, image.width]}

    def _rings(self, segmentation: list[Any], image: ImageRecord) -> list[list[float]]:
        flat = not isinstance(segmentation[0], (list, tuple))
        limit = 2.0 * max(image.width, image.height) + 1000.0
        rings = []
        for ring in [segmentation] if flat else segmentation:
            if not isinstance(ring, (list, tuple)) or len(ring) % 2:
                raise Unusable("a polygon has a coordinate too many or is no list")
            points = _coordinates(ring, limit)
            if len(points) < 6:
                self._note("polygons of fewer than three points were left out", image.key)
                continue
            rings.append(points)
        if not rings:
            raise Unusable("their polygons have fewer than three points")
        return rings

    # --- What to tell ---

    def _leave(self, section: str, value: Any, reason: str) -> None:
        self.leftovers.setdefault(section, []).append(value)
        label = value.get("id", "?") if isinstance(value, dict) else "?"
        self._note(reason, f"id {label}")

    def _note(self, reason: str, example: str) -> None:
        self.reasons[reason] += 1
        named = self.examples.setdefault(reason, [])
        if len(named) < _MAX_NAMED:
            named.append(example)

    def _problems(self) -> tuple[str, ...]:
        return tuple(
            f"{count} {reason} ({', '.join(self.examples[reason])}"
            f"{', …' if count > len(self.examples[reason]) else ''})."
            for reason, count in self.reasons.items()
        )

    def _header(self, content: dict[str, Any]) -> dict[str, Any]:
        lists = {"images", "annotations", "categories"}
        header = {name: value for name, value in content.items() if name not in lists}
        info = header.get("info")
        if isinstance(info, dict):
            header["info"] = {name: value for name, value in info.items() if name != OURS}
        if self.leftovers:
            own = header.get(OURS)
            own = dict(own) if isinstance(own, dict) else {}
            kept = own.get("unreadable")
            kept = dict(kept) if isinstance(kept, dict) else {}
            for section, values in self.leftovers.items():
                kept[section] = [*kept.get(section, []), *values]
            header[OURS] = own | {"unreadable": kept}
        return header


class _Ids:
    """Hands out ids: the one a file uses where possible, otherwise the next free one."""

    def __init__(self, values: Iterable[Any], first: int = 0) -> None:
        self._first = first
        wanted = (_reference(value) for value in values)
        self._next = max((w for w in wanted if isinstance(w, int)), default=0) + 1
        self._next = max(self._next, 1)
        self._taken: set[int] = set()

    def take(self, wanted: int | str | None) -> int:
        """An id nobody else has."""
        if isinstance(wanted, int) and wanted >= self._first and wanted not in self._taken:
            self._taken.add(wanted)
            return wanted
        self._next += 1
        return self._next - 1


def _reference(value: Any, name: str = "id") -> int | str | None:
    """The id of an entry: a whole number where it means one, else text, None for neither."""
    raw = value.get(name) if isinstance(value, dict) else None
    number = whole(raw)
    if number is not None:
        return number
    return raw if isinstance(raw, str) and raw else None


def whole(value: Any) -> int | None:
    """A whole number, also one written as text or as 3.0; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if text.isdecimal() and len(text) < 19 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and abs(value) < 2**63 else None


def finite(value: Any) -> float | None:
    """A number that is neither NaN nor infinite; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _coordinates(ring: Sequence[Any], limit: float) -> list[float]:
    """Millions of numbers pass here: the checks run inside the interpreter's own loops."""
    if {*map(type, ring)} <= {int, float} and ring:
        # A number that is none hides from min and max, but not from the sum.
        inside = -limit <= min(ring) and max(ring) <= limit
        if inside and math.isfinite(math.fsum(ring)):
            return [*map(float, ring)]
    elif not ring:
        return []
    raise Unusable("a polygon has coordinates that are no numbers or far outside")


def _rest(value: dict[str, Any], known: set[str]) -> dict[str, Any]:
    return {name: entry for name, entry in value.items() if name not in known}


def _ours(value: dict[str, Any]) -> Mapping[str, Any]:
    own = value.get(OURS)
    return own if isinstance(own, dict) else {}


def _unique(name: str, taken: set[str], number: int) -> str:
    candidate = name
    while candidate in taken:
        candidate = f"{candidate} ({number})"
    return candidate


def _rgb(value: Any) -> str | None:
    """Panoptic files have [r, g, b], 0 to 255."""
    if not isinstance(value, list) or len(value) != 3:
        return None
    parts = [part for part in map(whole, value) if part is not None and 0 <= part <= 255]
    return "#{:02X}{:02X}{:02X}".format(*parts) if len(parts) == 3 else None


def _attributes(value: Any) -> tuple[dict[str, str | float | bool], Any]:
    """What the attribute editor understands, and the rest."""
    if not isinstance(value, dict):
        return {}, value
    simple = {k: v for k, v in value.items() if isinstance(v, (str, int, float, bool))}
    return simple, {k: v for k, v in value.items() if k not in simple}


def _box(value: Any) -> list[float]:
    """[x, y, w, h] to [x0, y0, x1, y1]."""
    if value is None:
        raise Unusable("they have neither segmentation nor box")
    numbers = [finite(v) for v in value] if isinstance(value, (list, tuple)) else []
    known = [v for v in numbers if v is not None and abs(v) < 1e9]
    if len(known) != 4 or len(numbers) != 4:
        raise Unusable("their box is not four numbers")
    x, y, w, h = known
    if w <= 0 or h <= 0:
        raise Unusable("their box has no area")
    return [x, y, x + w, y + h]


def mask_of_rle(value: dict[str, Any]) -> Mask:
    """A checked mask: pycocotools trusts its input and would write outside of its memory.

    Raises:
        Unusable: it is damaged.
    """
    size, counts = value.get("size"), value.get("counts")
    sides = [whole(v) for v in size] if isinstance(size, (list, tuple)) else []
    if len(sides) != 2 or not all(sides):
        raise Unusable("their mask has no size")
    height, width = (side or 0 for side in sides)
    if min(width, height) <= 0 or width * height > MAX_PIXELS:
        raise Unusable("their mask has an impossible size")
    runs = _runs(counts, width, height)
    if runs.size == 0 or runs.min() < 0 or runs.max() > MAX_PIXELS:
        raise Unusable("their mask is damaged")
    if int(runs.sum()) != width * height:
        raise Unusable("their mask does not fill its size")
    return raster.from_runs(runs, width, height)


def _runs(counts: Any, width: int, height: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    try:
        if isinstance(counts, str):
            return raster.runs(Mask(width, height, counts.encode("ascii")))
        if isinstance(counts, Sequence):
            if any(not isinstance(v, (int, float)) or v != int(v) for v in counts):
                raise Unusable("their mask is damaged")
            return np.array([int(v) for v in counts], np.int64)
    except (ValueError, IndexError, OverflowError, UnicodeEncodeError) as error:
        raise Unusable("their mask is damaged") from error
    raise Unusable("their mask has no counts")
