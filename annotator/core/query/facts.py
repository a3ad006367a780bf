"""What is known about many images and objects, as columns; queries and statistics read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from annotator.core import raster
from annotator.core.annotation import ImageState, Source, Status
from annotator.core.codec import mask_from_json
from annotator.core.mask import Mask

STATES = tuple(ImageState)
STATUSES = tuple(Status)
SOURCES = tuple(Source)
PROPOSED, CROWD, HIDDEN, LOCKED, EDITED, BOX = (1 << place for place in range(6))
FLAGS: Mapping[str, int] = {
    "proposed": PROPOSED,
    "crowd": CROWD,
    "hidden": HIDDEN,
    "locked": LOCKED,
    "edited": EDITED,
    "box": BOX,
}
"""Bits of `ObjectFacts.flags` by the words of a query."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageFacts:
    """A row for every image, in the order of the project.

    Attributes:
        keys: of the images.
        ids: int64 (n,).
        widths: int32 (n,) pixels, 0 while unknown.
        heights: int32 (n,).
        counts: int32 (n,) accepted objects.
        proposals: int32 (n,).
        states: int8 (n,) places in `STATES`.
        comments: by row.
        dates: float64 (n,) seconds since 1970 of the last change, NaN without; None if not read.
    """

    keys: Sequence[str]
    ids: NDArray[np.int64]
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]
    counts: NDArray[np.int32]
    proposals: NDArray[np.int32]
    states: NDArray[np.int8]
    comments: Mapping[int, str]
    dates: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ObjectFacts:
    """A row for every object, in any order.

    Attributes:
        images: int64 (m,) id of the image.
        ids: int64 (m,).
        categories: int64 (m,), -1 without a name.
        areas: float32 (m,) pixels.
        boxes: float32 (m, 4): x, y, width, height in pixels.
        scores: float32 (m,), NaN without.
        flags: uint8 (m,), bits of `FLAGS`.
        sources: uint8 (m,) places in `SOURCES`.
        statuses: uint8 (m,) places in `STATUSES`.
        models: int16 (m,) places in `model_names`.
        model_names: "" among them.
        attributes: by row, where there are any.
        comments: by row.
    """

    images: NDArray[np.int64]
    ids: NDArray[np.int64]
    categories: NDArray[np.int64]
    areas: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    flags: NDArray[np.uint8]
    sources: NDArray[np.uint8]
    statuses: NDArray[np.uint8]
    models: NDArray[np.int16]
    model_names: Sequence[str]
    attributes: Mapping[int, Mapping[str, Any]]
    comments: Mapping[int, str]

    def accepted(self) -> NDArray[np.bool_]:
        """Which rows are no proposals, (m,)."""
        return np.asarray((self.flags & PROPOSED) == 0)


_SOURCE_OF = {source.value: place for place, source in enumerate(SOURCES)}
_STATUS_OF = {status.value: place for place, status in enumerate(STATUSES)}
_FLAG_OF = {"proposed": PROPOSED, "crowd": CROWD, "hidden": HIDDEN, "locked": LOCKED, "box": BOX}
_COLUMNS = {
    "images": np.int64, "ids": np.int64, "categories": np.int64, "scores": np.float32,
    "flags": np.uint8, "sources": np.uint8, "statuses": np.uint8, "models": np.int16,
}  # fmt: skip


@dataclass(slots=True)
class ObjectReader:
    """Turns journal entries into columns, some hundred at a time."""

    _parts: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    _models: dict[str, int] = field(default_factory=lambda: {"": 0})
    _attributes: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    _comments: dict[int, str] = field(default_factory=dict)
    _count: int = 0

    def start_from(self, known: ObjectFacts, keep: NDArray[np.bool_]) -> None:
        """Begin with some rows that are known already, (m,)."""
        self._models = {name: place for place, name in enumerate(known.model_names)}
        places = np.cumsum(keep) - 1
        self._attributes = {int(places[i]): v for i, v in known.attributes.items() if keep[i]}
        self._comments = {int(places[i]): v for i, v in known.comments.items() if keep[i]}
        for name in (*_COLUMNS, "areas", "boxes"):
            self._add(name, getattr(known, name)[keep])
        self._count = int(keep.sum())

    def add(self, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Take image ids and annotations as the journal has them."""
        columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        masks: list[Mask] = []
        boxes: dict[int, list[float]] = {}
        for place, (image, value) in enumerate(rows):
            self._take(columns, image, value)
            if "box" in value:
                boxes[place] = value["box"]
            masks.append(_mask(value))
        if not masks:
            return
        for name, kind in _COLUMNS.items():
            self._add(name, np.asarray(columns[name], kind))
        areas = raster.areas(masks).astype(np.float32)
        rles = [{"size": [mask.height, mask.width], "counts": mask.counts} for mask in masks]
        places = np.asarray(coco_mask.toBbox(rles), np.float32).reshape(-1, 4)
        for place, (x0, y0, x1, y1) in boxes.items():
            places[place] = x0, y0, x1 - x0, y1 - y0
            areas[place] = (x1 - x0) * (y1 - y0)
        self._add("areas", areas)
        self._add("boxes", places)

    def _take(self, columns: dict[str, list[Any]], image: int, value: Mapping[str, Any]) -> None:
        origin = value["origin"]
        score, category = origin.get("score"), value["category"]
        flags = EDITED if origin.get("edited") else 0
        for name, bit in _FLAG_OF.items():
            if name in value:
                flags |= bit
        columns["images"].append(image)
        columns["ids"].append(value["id"])
        columns["categories"].append(-1 if category is None else category)
        columns["scores"].append(np.nan if score is None else score)
        columns["flags"].append(flags)
        columns["sources"].append(_SOURCE_OF.get(origin.get("source", "person"), 0))
        columns["statuses"].append(_STATUS_OF.get(value.get("status", "todo"), 0))
        model = str(origin.get("model", ""))
        columns["models"].append(self._models.setdefault(model, len(self._models)))
        if "attributes" in value:
            self._attributes[self._count] = value["attributes"]
        if value.get("comment"):
            self._comments[self._count] = str(value["comment"])
        self._count += 1

    def _add(self, name: str, values: NDArray[Any]) -> None:
        self._parts.setdefault(name, []).append(values)

    def facts(self) -> ObjectFacts:
        """All that was read."""
        made: dict[str, Any] = {}
        for name, kind in (*_COLUMNS.items(), ("areas", np.float32), ("boxes", np.float32)):
            empty = np.zeros((0, 4) if name == "boxes" else 0, kind)
            made[name] = np.concatenate(self._parts.get(name, [empty]))
            # One column at a time is there twice.
            self._parts[name] = [made[name]]
        return ObjectFacts(
            **made, model_names=tuple(self._models), attributes=dict(self._attributes),
            comments=dict(self._comments),
        )  # fmt: skip


_NO_MASK = raster.empty(1, 1)


def _mask(value: Mapping[str, Any]) -> Mask:
    if "mask" in value:
        return mask_from_json(value["mask"])
    if "box" in value:
        return _NO_MASK
    # Polygons of a file that nobody has looked at yet.
    height, width = value["size"]
    return raster.from_polygons(value["polygons"], int(width), int(height))
