"""Prompts in the loop: what a person says, what the network answers, what they say next.

One training step asks about every object several times. The first question is a box or a click;
each later one brings the mask so far and, mostly, a click where mask and truth disagree (compare
algorithm 1 of EdgeSAM, Zhou et al. 2023, with the truth in the teacher's place). All of this is
outside the gradient, in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.loupe import windows as geometry
from models.training.scenes import Scene

Floats = NDArray[np.float32]

POINTS = 4
"""Clicks a question can hold; unused ones have the label 0."""
BOX_SHARE = 0.45
BOX_MARGINS = 1.15, 1.45
"""Sides of windows around boxes, in sides of the box."""
POINT_MARGIN = 1.5
"""Of the windows around a click the one is right whose side is nearest to this many times the
object's."""
EXACT_BOX_SHARE = 0.5
TARGET = 2 * geometry.GRID


@dataclass(slots=True, eq=False)
class Rounds:
    """K objects in each of B scenes, and the conversation about them so far.

    Attributes:
        truths: (B, K, S, S) uint8.
        sizes: (B, 2) float32 width and height of the image inside the input.
        real: (B, K) bool: False for rows that only fill up the batch.
        points: (B, K, POINTS, 3).
        boxes: (B, K, 5).
        windows: (B, K, 4).
        previous: (B, K, G, G) probabilities.
        has_previous: (B, K).
    """

    truths: NDArray[np.uint8]
    sizes: Floats
    real: NDArray[np.bool_]
    points: Floats
    boxes: Floats
    windows: Floats
    previous: Floats
    has_previous: Floats

    @property
    def places(self) -> Floats:
        """Where the windows lie in the atlas."""
        side = self.truths.shape[-1]
        return geometry.places(self.windows, side, side)

    def targets(self) -> Floats:
        """(B, K, 2 G, 2 G): the truth in the windows, 0 to 1."""
        found = np.empty((*self.truths.shape[:2], TARGET, TARGET), np.float32)
        side = self.truths.shape[-1]
        everything = np.array([side / 2, side / 2, side, side], np.float32)
        for index in np.ndindex(*found.shape[:2]):
            truth = self.truths[index].astype(np.float32)
            found[index] = geometry.seen_from(truth, everything, self.windows[index], TARGET)
        return found

    def weights(self) -> Floats:
        """(B, K): how much the mask of this window is worth learning.

        The window around a click may be far too small or too large for the object; then only the
        score has to say so.
        """
        area = self.truths.sum((2, 3), dtype=np.float32)
        share = np.sqrt(area / (self.windows[..., 2] * self.windows[..., 3]))
        fits = (share > 0.1) & (share < 0.95)
        return np.where(self.real, np.where(fits, 1.0, 0.1), 0.0).astype(np.float32)


def begin(rng: np.random.Generator, scenes: list[Scene], count: int) -> Rounds:
    """The first question about `count` objects of each scene."""
    side = scenes[0].image.shape[0]
    images = len(scenes)
    rounds = Rounds(
        truths=np.zeros((images, count, side, side), np.uint8),
        sizes=np.full((images, 2), side, np.float32),
        real=np.zeros((images, count), np.bool_),
        points=np.zeros((images, count, POINTS, 3), np.float32),
        boxes=np.zeros((images, count, 5), np.float32),
        windows=np.zeros((images, count, 4), np.float32),
        previous=np.zeros((images, count, geometry.GRID, geometry.GRID), np.float32),
        has_previous=np.zeros((images, count), np.float32),
    )
    rounds.windows[:] = side / 2, side / 2, side, side
    for image, scene in enumerate(scenes):
        for place in range(count if len(scene.masks) else 0):
            # A scene with few objects asks about them several times, in other words.
            mask = scene.masks[place % len(scene.masks)]
            rounds.truths[image, place] = mask
            rounds.real[image, place] = True
            _ask(rng, rounds, (image, place), mask)
    return rounds


def _ask(
    rng: np.random.Generator, rounds: Rounds, index: tuple[int, int], mask: NDArray[np.uint8]
) -> None:
    cols, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    tight = np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1], np.float32)
    if rng.random() < BOX_SHARE:
        box = tight
        if rng.random() > EXACT_BOX_SHARE:
            sides = np.tile(tight[2:] - tight[:2], 2)
            box = tight + rng.normal(0, 0.05, 4).clip(-0.12, 0.12) * sides
        rounds.boxes[index] = [*box, 1]
        rounds.windows[index] = geometry.around_boxes(
            box.astype(np.float32), float(rng.uniform(*BOX_MARGINS))
        )
        return
    x, y = _click_inside(rng, mask)
    rounds.points[index][0] = x, y, 1
    side = mask.shape[0]
    choices = geometry.around_point(x, y, side, side)
    wanted = POINT_MARGIN * float((tight[2:] - tight[:2]).max())
    best = int(np.abs(np.log(choices[:, 2] / wanted)).argmin())
    chosen = best if rng.random() < 0.5 else int(rng.integers(len(choices)))
    window = choices[chosen]
    if chosen < len(choices) - 1:
        window[2:] *= np.exp(rng.uniform(-0.25, 0.25))
    rounds.windows[index] = window


def _click_inside(rng: np.random.Generator, mask: NDArray[np.uint8]) -> tuple[float, float]:
    """Half of the time the point farthest from the outline, else somewhere not too near it."""
    distance = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    peak = float(distance.max())
    near = np.flatnonzero(distance >= (peak if rng.random() < 0.5 else 0.3 * peak))
    row, col = divmod(int(rng.choice(near)), mask.shape[1])
    return col + 0.5, row + 0.5


def follow_up(rng: np.random.Generator, rounds: Rounds, logits: Floats) -> None:
    """Turn the answers (B, K, 2 G, 2 G) into the next questions, in place.

    A first click is mostly followed by a closer look alone, as it is in the program.
    """
    targets = rounds.targets()
    for image, place in zip(*np.nonzero(rounds.real), strict=True):
        index = image, place
        is_first_click = not rounds.boxes[index][4] and not rounds.has_previous[index]
        if not (is_first_click and rng.random() < 0.6):
            click = _correction(rng, rounds, index, logits[index] > 0, targets[index] > 0.5)
            used = int((rounds.points[index][:, 2] != 0).sum())
            if click is not None and used < POINTS:
                rounds.points[index][used] = click
        _look_closer(rng, rounds, index, logits[index])


def _correction(
    rng: np.random.Generator,
    rounds: Rounds,
    index: tuple[int, int],
    predicted: NDArray[np.bool_],
    target: NDArray[np.bool_],
) -> tuple[float, float, float] | None:
    """A click x, y, label where mask and truth disagree; None where they hardly do."""
    window = rounds.windows[index]
    truth = rounds.truths[index]
    area = float(truth.sum())
    cell = float(window[2] * window[3]) / target.size
    outside = area - target.sum() * cell
    wrong = predicted != target
    if outside > 0.05 * area and rng.random() < outside / (outside + wrong.sum() * cell):
        pixels = np.flatnonzero(truth)
        for pixel in rng.choice(pixels, 8):
            row, col = divmod(int(pixel), truth.shape[1])
            offset = np.abs([col + 0.5 - window[0], row + 0.5 - window[1]])
            if (offset > window[2:] / 2).any():
                return col + 0.5, row + 0.5, 1.0
    if wrong.sum() < 4:
        return None
    if rng.random() < 0.4:  # the middle of a mistake, as people click
        depth = cv2.distanceTransform(np.pad(wrong.astype(np.uint8), 1), cv2.DIST_L2, 3)
        cell_index = int(depth[1:-1, 1:-1].argmax())
    else:
        cell_index = int(rng.choice(np.flatnonzero(wrong)))
    row, col = divmod(cell_index, target.shape[1])
    offset = (np.array([col, row]) + rng.random(2)) / target.shape[1] - 0.5
    x, y = window[:2] + offset * window[2:]
    return float(x), float(y), 1.0 if target[row, col] else -1.0


def _look_closer(
    rng: np.random.Generator, rounds: Rounds, index: tuple[int, int], logits: Floats
) -> None:
    old = rounds.windows[index].copy()
    points = rounds.points[index]
    stay = [points[points[:, 2] > 0, :2]]
    if rounds.boxes[index][4]:
        stay.append(rounds.boxes[index][:4].reshape(2, 2))
    window = geometry.closer(logits, old, np.concatenate(stay))
    window[2:] *= np.exp(rng.uniform(-0.08, 0.12))
    rounds.windows[index] = window
    probabilities = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    rounds.previous[index] = geometry.seen_from(probabilities, old, window, geometry.GRID)
    rounds.has_previous[index] = 1
