"""Number of clicks (NoC): how many clicks a model needs until its mask is good enough.

The standard protocol of interactive segmentation: every click goes to the pixel of the largest
error that is farthest from what is right, no pixel is clicked twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.api import Point, Prompt
from models.training.evaluation import masks
from models.training.evaluation.asking import Asking
from models.training.evaluation.masks import Mask

MOST = 20
"""Clicks after which an object counts as not reached."""
TARGETS = (0.85, 0.90)
"""The IoU to reach."""


def clicked_ious(asking: Asking, truth: Mask) -> tuple[float, ...]:
    """IoU after 1, 2, … clicks, until the highest target or the last click."""
    predicted = np.zeros_like(truth)
    points: tuple[Point, ...] = ()
    ious: list[float] = []
    while len(ious) < MOST and max(ious, default=0.0) < max(TARGETS):
        point = next_click(truth, predicted, points)
        if point is None:  # every wrong pixel has been clicked
            break
        points = (*points, point)
        _, predicted = asking.first(Prompt(points), "many clicks")
        ious.append(masks.iou(truth, predicted))
    return tuple(ious)


def next_click(truth: Mask, predicted: Mask, points: Sequence[Point]) -> Point | None:
    """The centre of the largest error; None if there is none that was not clicked."""
    best, where = 0.0, -1
    for wrong in (truth & ~predicted, predicted & ~truth):
        deep = masks.depth(wrong)
        for point in points:
            deep[int(point.y), int(point.x)] = 0
        index = int(deep.argmax())
        if deep.flat[index] > best:
            best, where = float(deep.flat[index]), index
    return None if where < 0 else masks.pixel_point(truth, where)


def needed(ious: Sequence[float], target: float) -> int | None:
    """Clicks until the target is reached; None if it is not."""
    return next((count for count, iou in enumerate(ious, 1) if iou >= target), None)
