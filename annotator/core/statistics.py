"""What a project consists of, in numbers: classes, sizes, places, days."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.core.query.facts import STATES, ImageFacts, ObjectFacts

GRID = 32
"""Cells of the map of places, in both directions."""
UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class.

    Attributes:
        name: of the class.
        objects: accepted ones.
        images: with at least one of them.
        median: area in the middle, pixels.
    """

    name: str
    objects: int
    images: int
    median: float


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day.

    Attributes:
        day: "2026-11-01".
        steps: edits.
        images: that were edited.
    """

    day: str
    steps: int
    images: int


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """All of it.

    Attributes:
        states: images by state, in the order of `ImageState`.
        classes: most objects first.
        sides: borders of the groups of sizes: roots of areas in pixels, powers of two; (k + 1,).
        sizes: objects of each group, (k,).
        places: how many objects have their middle there, (GRID, GRID), rows from the top.
        days: oldest first, only those on which something happened.
        objects: accepted ones.
    """

    states: Mapping[str, int]
    classes: Sequence[ClassCount]
    sides: NDArray[np.float64]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]
    days: Sequence[Day]
    objects: int


def statistics(
    images: ImageFacts, objects: ObjectFacts, names: Mapping[int, str], days: Sequence[Day]
) -> Statistics:
    """Count.

    Args:
        images: all of them.
        objects: all of them; proposals do not count.
        names: of the classes, by id.
        days: what happened when.
    """
    rows = objects.accepted()
    sides = np.sqrt(objects.areas[rows].astype(np.float64))
    highest = int(np.ceil(np.log2(max(float(sides.max(initial=1.0)), 2.0))))
    borders = np.concatenate([[0.0], 2.0 ** np.arange(2, max(highest, 3) + 1)])
    return Statistics(
        {s.value: int((images.states == i).sum()) for i, s in enumerate(STATES)},
        _classes(objects, rows, names),
        borders,
        np.histogram(np.minimum(sides, borders[-1]), borders)[0].astype(np.int64),
        _places(images, objects, rows),
        days,
        int(rows.sum()),
    )


def _classes(
    objects: ObjectFacts, rows: NDArray[np.bool_], names: Mapping[int, str]
) -> list[ClassCount]:
    categories, areas, images = (
        column[rows] for column in (objects.categories, objects.areas, objects.images)
    )
    order = np.argsort(categories, kind="stable")
    found, starts = np.unique(categories[order], return_index=True)
    made = [
        ClassCount(
            names.get(number, UNNAMED), len(part), len(np.unique(images[part])),
            float(np.median(areas[part])),
        )
        for number, part in zip(found.tolist(), np.split(order, starts[1:]), strict=False)
    ]  # fmt: skip
    used = set(found.tolist())
    made += [ClassCount(name, 0, 0, 0.0) for i, name in names.items() if i not in used]
    return sorted(made, key=lambda one: (-one.objects, one.name.casefold()))


def _places(images: ImageFacts, objects: ObjectFacts, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    order = np.argsort(images.ids, kind="stable")
    if not len(order):
        return np.zeros((GRID, GRID), np.int64)
    place = np.searchsorted(images.ids[order], objects.images[rows])
    place = order[np.minimum(place, len(order) - 1)]
    boxes = objects.boxes[rows].astype(np.float64)
    sizes = np.stack([images.widths[place], images.heights[place]], 1).astype(np.float64)
    known = (sizes > 0).all(1)
    middle = (boxes[known, :2] + boxes[known, 2:] / 2) / sizes[known]
    counts, _, _ = np.histogram2d(middle[:, 1], middle[:, 0], GRID, ((0, 1), (0, 1)))
    return counts.astype(np.int64)


def write_csv(found: Statistics, folder: Path) -> list[Path]:
    """Tables of all plots; raises OSError.

    Returns:
        The files.
    """
    tables: dict[str, list[Sequence[object]]] = {
        "images": [("state", "images"), *found.states.items()],
        "classes": [("class", "objects", "images", "median area"),
                    *((c.name, c.objects, c.images, f"{c.median:g}") for c in found.classes)],
        "sizes": [("side from", "side to", "objects"),
                  *zip(found.sides[:-1].tolist(), found.sides[1:].tolist(), found.sizes.tolist(),
                       strict=True)],
        "positions": [("row", *(f"column {i}" for i in range(GRID))),
                      *((i, *row) for i, row in enumerate(found.places.tolist()))],
        "progress": [("day", "edits", "images"), *((d.day, d.steps, d.images) for d in found.days)],
    }  # fmt: skip
    written = []
    for name, rows in tables.items():
        path = folder / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        written.append(path)
    return written
