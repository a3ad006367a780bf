"""Numbers that follow from the rows of a report: calibration, clicks, times, errors of means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.training.evaluation import clicks
from models.training.evaluation.report import SIZES, STEPS, Answer, Report, Row, mean, mean_answer

BINS = 10
"""Of equal width, for the scores from 0 to 1."""
VALUES = ("iou", "oracle", "boundary", "score", "stability")
NEVER = float(clicks.MOST)
"""What an object counts that is never good enough."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers with similar scores.

    Attributes:
        count: how many.
        score: their mean score.
        iou: their mean IoU.
    """

    count: int
    score: float
    iou: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the score of an answer says how good it is.

    Attributes:
        error: expected calibration error: mean distance of score and IoU over `bins`.
        pearson: linear correlation of score and IoU; NaN when one of them never changes.
        spearman: correlation of their ranks.
        bins: those with answers in them, by rising score.
    """

    error: float
    pearson: float
    spearman: float
    bins: tuple[Bin, ...]


def calibration(answers: Iterable[Answer]) -> Calibration:
    """Scores against IoU; all NaN without answers."""
    pairs = np.array([(answer.score, answer.iou) for answer in answers], float).reshape(-1, 2)
    score, iou = pairs[:, 0], pairs[:, 1]
    index = np.clip((score * BINS).astype(int), 0, BINS - 1)
    bins = tuple(
        Bin(int(chosen.sum()), float(score[chosen].mean()), float(iou[chosen].mean()))
        for chosen in (index == i for i in range(BINS))
        if chosen.any()
    )
    error = sum(b.count * abs(b.score - b.iou) for b in bins) / len(score) if bins else math.nan
    return Calibration(
        error, _correlation(score, iou), _correlation(_ranks(score), _ranks(iou)), bins
    )


def _correlation(one: Floats, two: Floats) -> float:
    if len(one) < 2 or not one.std() or not two.std():
        return math.nan
    return float(np.corrcoef(one, two)[0, 1])


def _ranks(values: Floats) -> Floats:
    """Ranks; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], float)


@dataclass(frozen=True, slots=True)
class ClickCount:
    """Clicks until a target.

    Attributes:
        target: IoU.
        mean: number of clicks; objects that never reach it count 20.
        failed: share of the objects that never reach it.
    """

    target: float
    mean: float
    failed: float


def click_counts(rows: Sequence[Row]) -> tuple[ClickCount, ...]:
    """NoC for every target over the objects whose clicks were counted; empty if there are none."""
    counted = [row.clicks for row in rows if row.clicks]
    result = []
    for target in clicks.TARGETS if counted else ():
        numbers = [clicks.needed(ious, target) for ious in counted]
        average = mean(NEVER if number is None else number for number in numbers)
        result.append(ClickCount(target, average, numbers.count(None) / len(numbers)))
    return tuple(result)


def click_curve(rows: Sequence[Row]) -> list[float]:
    """Mean IoU after each click; an object that was good enough keeps its IoU."""
    counted = [row.clicks for row in rows if row.clicks]
    return [mean(ious[min(n, len(ious) - 1)] for ious in counted) for n in range(clicks.MOST)]


def standard_error(values: Sequence[float]) -> float:
    """Of the mean, taking the values as independent; NaN for fewer than two."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def summary(report: Report) -> dict[str, Any]:
    """Everything the tables are made of, for JSON; NaN where there is nothing."""
    headline = report.group()
    return {
        "model": report.model,
        "version": report.version,
        "dataset": report.dataset,
        "images": report.images,
        "seed": report.seed,
        "sizes": {size: group_summary(report.group(size)) for size in SIZES},
        "categories": {
            name: group_summary([row for row in headline if row.category == name])
            for name in sorted({row.category for row in headline})
        },
        "standard_error": {
            step: standard_error([row.answers[step].iou for row in headline]) for step in STEPS
        },
        "calibration": {
            kind: asdict(calibration(answers_of(headline, kind))) for kind in ("box", "point")
        },
        "clicks": {
            "objects": sum(bool(row.clicks) for row in headline),
            "targets": [asdict(count) for count in click_counts(headline)],
            "mean_iou": click_curve(headline) if any(row.clicks for row in headline) else [],
        },
        "detections": dict(report.detections),
        "milliseconds": {
            step: {
                "median": float(np.median(values)),
                "p95": float(np.percentile(values, 95)),
                "count": len(values),
            }
            for step, values in report.times.items()
        },
    }


def group_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts and means of one group of objects."""
    return {
        "objects": len(rows),
        "box_itself": mean(row.box_itself for row in rows),
        "ellipse": mean(row.ellipse for row in rows),
        "steps": {
            step: {name: mean_answer(rows, step, attrgetter(name)) for name in VALUES}
            for step in STEPS
        },
    }


def answers_of(rows: Sequence[Row], kind: str) -> list[Answer]:
    """All answers that began with a box, or with a point, corrections included."""
    return [row.answers[step] for row in rows for step in STEPS if step.startswith(kind)]
