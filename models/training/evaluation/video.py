"""Objects of sequences: region similarity J and boundary accuracy F, as DAVIS defines them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

TOLERANCE = 0.008
"""How far boundaries may lie apart, as a part of the image's diagonal."""


def region_similarity(truth: Mask, found: Mask) -> float:
    """J: IoU of two masks (H, W); 1 where both are empty."""
    union = np.count_nonzero(truth | found)
    return np.count_nonzero(truth & found) / union if union else 1.0


def boundary_accuracy(truth: Mask, found: Mask, tolerance: float = TOLERANCE) -> float:
    """F: harmonic mean of how much of each boundary (H, W) lies close to the other.

    Args:
        truth: the right mask.
        found: the mask of a model.
        tolerance: see `TOLERANCE`; 1 and more are pixels.
    """
    reach = tolerance if tolerance >= 1 else math.ceil(tolerance * math.hypot(*truth.shape))
    right, own = boundary(truth), boundary(found)
    all_right, all_own = np.count_nonzero(right), np.count_nonzero(own)
    if not all_right or not all_own:
        return float(all_right == all_own)
    disk = _disk(int(reach))
    precision = np.count_nonzero(own & _grown(right, disk)) / all_own
    recall = np.count_nonzero(right & _grown(own, disk)) / all_right
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def boundary(mask: Mask) -> Mask:
    """Pixels (H, W) that differ from the next one to the right, below or between the two."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, across = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    edge: Mask = (mask ^ right) | (mask ^ below) | (mask ^ across)
    return edge


def sequence_scores(
    truth: Sequence[NDArray[np.integer]], found: Sequence[NDArray[np.integer]]
) -> dict[int, tuple[float, float]]:
    """J and F of every object of a sequence, means over its frames.

    The first frame, which is given, and the last one do not count, as in DAVIS 2017.

    Args:
        truth: maps (H, W) of ids, 0 is nothing. Objects are those of the first frame.
        found: as many of a model, under the same ids.

    Raises:
        ValueError: fewer than three frames, or the two differ in number or size.
    """
    if len(truth) != len(found) or len(truth) < 3:
        raise ValueError(f"sequences of {len(truth)} and {len(found)} frames; 3 are needed")
    if any(a.shape != b.shape for a, b in zip(truth, found, strict=True)):
        raise ValueError("frames of different sizes")
    scores = {}
    for number in sorted(set(np.unique(truth[0]).tolist()) - {0}):
        pairs = [(a == number, b == number) for a, b in zip(truth[1:-1], found[1:-1], strict=True)]
        regions = float(np.mean([region_similarity(*pair) for pair in pairs]))
        edges = float(np.mean([boundary_accuracy(*pair) for pair in pairs]))
        scores[int(number)] = (regions, edges)
    return scores


def _disk(radius: int) -> NDArray[np.uint8]:
    steps = np.arange(-radius, radius + 1)
    return (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.uint8)


def _grown(mask: Mask, disk: NDArray[np.uint8]) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disk), np.bool_)
