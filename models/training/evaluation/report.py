"""What was measured: one row per object, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

MEDIUM_AREA = 32**2
"""COCO's border between small and medium, pixels."""
LARGE_AREA = 96**2
"""COCO's border between medium and large, pixels."""
STEPS = ("box", "box +1", "box +2", "point", "point +1", "point +2")
"""The prompts every object is measured with; +1 and +2 are corrective points."""
SIZES: Mapping[str, tuple[float, float]] = {
    "32² and more": (MEDIUM_AREA, float("inf")),
    "small": (0, MEDIUM_AREA),
    "medium": (MEDIUM_AREA, LARGE_AREA),
    "large": (LARGE_AREA, float("inf")),
    "all": (0, float("inf")),
}
"""Groups of objects: areas from (included) and to (excluded), pixels. The first is the headline."""
HEADLINE = next(iter(SIZES))


@dataclass(frozen=True, slots=True)
class Answer:
    """How good the answer to one prompt is; everything 0 to 1.

    Attributes:
        iou: of the candidate shown first.
        oracle: of the best candidate.
        boundary: boundary IoU of the candidate shown first.
        score: what the model believes of it.
        stability: how little it changes with the threshold.
    """

    iou: float
    oracle: float
    boundary: float
    score: float
    stability: float


@dataclass(frozen=True, slots=True)
class Row:
    """One object.

    Attributes:
        image: file name of its image.
        id: its number in the labels file.
        category: its class.
        area: pixels of its mask.
        answers: by the names of `STEPS`.
        box_itself: IoU of the box that is the prompt.
        ellipse: IoU of the ellipse in that box.
        clicks: IoU after 1, 2, … clicks; empty when clicks were not counted.
    """

    image: str
    id: int
    category: str
    area: int
    answers: Mapping[str, Answer]
    box_itself: float
    ellipse: float
    clicks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What one model did on one data set.

    Attributes:
        model: what people read in tables.
        version: of the model.
        dataset: name of the data.
        images: how many were measured.
        seed: of the corrective points.
        rows: the objects in file order, small ones last in each image.
        times: milliseconds of each step, by its name.
        detections: COCO's numbers for detector boxes, empty when none were given.
    """

    model: str
    version: str
    dataset: str
    images: int
    seed: int
    rows: tuple[Row, ...]
    times: Mapping[str, Sequence[float]]
    detections: Mapping[str, float] = field(default_factory=dict)

    def group(self, size: str = HEADLINE) -> tuple[Row, ...]:
        """The objects of one group of `SIZES`."""
        low, high = SIZES[size]
        return tuple(row for row in self.rows if low <= row.area < high)

    def headline(self) -> dict[str, float]:
        """Mean IoU of the first candidate for every step over the headline group; NaN if empty."""
        rows = self.group()
        return {step: mean_answer(rows, step) for step in STEPS}


def mean_answer(
    rows: Sequence[Row], step: str, value: Callable[[Answer], float] = lambda a: a.iou
) -> float:
    """Mean of one value of the answers to one step; NaN without rows."""
    return mean(value(row.answers[step]) for row in rows)


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean; NaN of nothing."""
    found = list(values)
    return fmean(found) if found else float("nan")
