"""Which names of a project its own objects speak against, to find wrong ones.

Has numpy at its top: import it inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.annotation import Category
from annotator.core.neighbours import Neighbours
from annotator.core.similar import rows_of
from annotator.core.suggestions import places_of

OTHERS = 3
"""How many other names are kept for an object."""
CELLS = 1 << 21
"""Objects times names looked at together at most: 16 MB."""

Scores = Callable[[NDArray[np.float32]], NDArray[np.floating]]
"""(k, d) vectors to (k, C) probabilities, a column for every class in its order."""


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """What something else than the memory thinks of the names: a text model, for example.

    Attributes:
        ids: (m,) the objects it has vectors of, each once.
        vectors: (m, d) of its own space.
        scores: how it ranks them.
        weight: against 1 for the memory. An object it has no vector of is left to the others.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    scores: Scores
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Disagreements:
    """How the names given to some objects compare with those that a ranking gives them.

    Attributes:
        ids: (n,) annotation ids.
        given: (n,) positions of their classes.
        score: (n,) what the ranking gives the name they have, 0 to 1.
        others: (n, m) positions of the best other classes, best first.
        other_scores: (n, m) what it gives those.
    """

    ids: NDArray[np.int64]
    given: NDArray[np.int64]
    score: NDArray[np.float32]
    others: NDArray[np.int64]
    other_scores: NDArray[np.float32]

    @property
    def amount(self) -> NDArray[np.float32]:
        """(n,) score of the best other name minus that of the given one, -1 to 1."""
        return np.asarray(self.other_scores[:, 0] - self.score, np.float32)


def disagreements(
    neighbours: Neighbours,
    categories: Sequence[Category],
    ids: NDArray[np.int64],
    category_ids: NDArray[np.int64],
    opinions: Sequence[Opinion] = (),
) -> Disagreements:
    """Judge the names of all objects at once, each by all others but itself.

    Args:
        neighbours: who looks like whom; objects it does not know are judged by opinions alone.
        categories: the classes of the project.
        ids: (n,) named objects, each once.
        category_ids: (n,) what they are called.
        opinions: other rankings.

    Returns:
        Objects nothing can be said of are left out: no class of the project, nobody to compare
        with, or only one class.

    Raises:
        ValueError: an opinion does not have a row for every vector and a column for every class.
    """
    places = places_of(categories, category_ids)
    known = _in_order(places, rows_of(ids, neighbours.ids))
    count = len(categories)
    parts = []
    if count > 1:
        for start in range(0, ids.size, max(CELLS // count, 1)):
            rows = np.arange(start, min(start + max(CELLS // count, 1), ids.size))
            rows = rows[places[rows] >= 0]
            scores = _scores(neighbours, known, count, ids[rows], opinions)
            parts.append(_compared(ids[rows], places[rows], scores))
    return _joined(parts, min(OTHERS, max(count - 1, 0)))


def _in_order(values: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The values at some rows, -1 where the row is -1."""
    if not values.size:
        return np.full(rows.shape, -1, np.int64)
    return np.where(rows >= 0, values[rows], -1)


def _scores(
    neighbours: Neighbours,
    known: NDArray[np.int64],
    count: int,
    ids: NDArray[np.int64],
    opinions: Sequence[Opinion],
) -> NDArray[np.float64]:
    """(k, count) weighted means of all that can judge an object; 0 where nothing can."""
    total, weight = np.zeros((ids.size, count)), np.zeros((ids.size, 1))
    rows = rows_of(neighbours.ids, ids)
    mine = np.flatnonzero(rows >= 0)
    votes = neighbours.votes(rows[mine], known, count)
    total[mine] += votes
    weight[mine] += votes.any(axis=1, keepdims=True)
    for opinion in opinions:
        rows = rows_of(opinion.ids, ids)
        mine = np.flatnonzero(rows >= 0)
        if not mine.size or opinion.weight <= 0:
            continue
        scores = np.asarray(opinion.scores(opinion.vectors[rows[mine]]), np.float64)
        if scores.shape != (mine.size, count):
            raise ValueError(f"scores of shape {scores.shape}, not {(mine.size, count)}")
        usable = np.isfinite(scores).all(axis=1)
        total[mine[usable]] += opinion.weight * scores[usable]
        weight[mine[usable]] += opinion.weight
    return total / np.maximum(weight, 1e-300)


def _compared(
    ids: NDArray[np.int64], given: NDArray[np.int64], scores: NDArray[np.float64]
) -> Disagreements:
    judged = scores.any(axis=1)
    ids, given, scores = ids[judged], given[judged], scores[judged]
    every = np.arange(ids.size)
    own = scores[every, given].astype(np.float32)
    scores[every, given] = -np.inf
    count = min(OTHERS, scores.shape[1] - 1)
    best = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    others = np.take_along_axis(scores, best, axis=1).astype(np.float32)
    return Disagreements(ids, given, own, best, others)


def _joined(parts: Sequence[Disagreements], width: int) -> Disagreements:
    empty = Disagreements(
        np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32),
        np.empty((0, max(width, 1)), np.int64), np.empty((0, max(width, 1)), np.float32),
    )  # fmt: skip
    parts = [part for part in parts if part.ids.size] or [empty]
    return Disagreements(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.given for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.others for part in parts]),
        np.concatenate([part.other_scores for part in parts]),
    )
