"""The objects that look most like each object of a project, kept while objects come and go.

Comparing everything with everything is the costly part of judging names, and it does not depend
on the names: after an edit only what is new, gone or changed is compared again.
Has numpy at its top: import it inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from annotator.core.similar import rows_of
from annotator.core.suggestions import NEIGHBOURS, TEMPERATURE

BLOCK = 64
"""Objects compared with all others at once: 100,000 take 26 MB for that."""


class Neighbours:
    """For every object the most similar others, by cosine.

    Takes memory for one copy of the vectors and `count` numbers twice for every object. Not for
    several threads at once.

    Args:
        count: how many others are kept for every object.
    """

    def __init__(self, count: int = NEIGHBOURS) -> None:
        self._count = count
        self._used = 0
        self._reset(0)

    def _reset(self, size: int) -> None:
        self._used = 0
        self._ids = np.empty(0, np.int64)
        self._marks = np.empty(0, np.uint32)
        self._units = np.empty((0, size), np.float32)
        self._nearest = np.empty((0, self._count), np.int32)
        self._similarity = np.empty((0, self._count), np.float32)
        self._complete = np.empty(0, bool)

    @property
    def ids(self) -> NDArray[np.int64]:
        """(n,) the objects compared so far, in the order of `votes`."""
        return self._ids[: self._used]

    def update(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> Iterator[float]:
        """Follow a project in steps; what was compared stays known when the steps are given up.

        Args:
            ids: (n,) objects, each once.
            vectors: (n, d) what they look like. Rows that have no direction (zero, not finite) are
                left out.

        Yields:
            The share of the work that is done, 1 at the end.
        """
        vectors = np.ascontiguousarray(vectors, np.float32)
        if vectors.shape[1] != self._units.shape[1]:
            self._reset(vectors.shape[1])
        marks = _marks(vectors)
        places = rows_of(ids, self.ids)
        same = places >= 0
        same[same] = marks[places[same]] == self._marks[: self._used][same]
        self._forget(same)
        fresh = np.flatnonzero(~np.isin(ids, self.ids))
        self._reserve(self._used + fresh.size)
        left = np.count_nonzero(~self._complete[: self._used])
        total, done = fresh.size + left, 0
        yield 0.0 if total else 1.0
        for start in range(0, fresh.size, BLOCK):
            rows = fresh[start : start + BLOCK]
            self._insert(ids[rows], marks[rows], vectors[rows])
            done += rows.size
            yield done / total
        unsettled = np.flatnonzero(~self._complete[: self._used])
        for start in range(0, unsettled.size, BLOCK):
            self._settle(unsettled[start : start + BLOCK])
            yield (fresh.size + min(start + BLOCK, unsettled.size)) / total

    def votes(
        self, rows: NDArray[np.int64], places: NDArray[np.int64], names: int
    ) -> NDArray[np.float64]:
        """What the most similar others are called: shares that sum to 1, or 0 without any.

        The looks of `annotator.core.suggestions.rank`, without recency: every object counts the
        same however long ago it was named.

        Args:
            rows: (k,) positions in `ids`.
            places: (n,) for every one of `ids` the position of its name, -1 without.
            names: how many names there are.

        Returns:
            (k, names) float64.
        """
        nearest, similarity = self._nearest[rows], self._similarity[rows].astype(np.float64)
        named = np.where(nearest >= 0, places[nearest], -1)
        known = named >= 0
        similarity = np.where(known, similarity, -np.inf)
        best = similarity.max(axis=1, initial=-np.inf, keepdims=True)
        # A row without any named neighbour has nothing to subtract from.
        best = np.where(np.isfinite(best), best, 0.0)
        weights = np.where(known, np.exp((similarity - best) / TEMPERATURE), 0.0)
        cells = np.arange(rows.size)[:, None] * names + np.maximum(named, 0)
        votes = np.bincount(cells.ravel(), weights.ravel(), rows.size * names)
        votes = votes.reshape(rows.size, names)
        return np.asarray(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-300))

    def _forget(self, kept: NDArray[np.bool_]) -> None:
        """Drop the rows of objects that are gone or look different now."""
        if kept.all():
            return
        place = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        nearest = self._nearest[: self._used][kept]
        moved = np.where(nearest >= 0, place[nearest], -1)
        lost = (nearest >= 0) & (moved < 0)
        similarity = self._similarity[: self._used][kept]
        similarity[lost] = -np.inf
        self._nearest, self._similarity = moved, similarity
        self._complete = self._complete[: self._used][kept] & ~lost.any(axis=1)
        self._ids = self._ids[: self._used][kept]
        self._marks = self._marks[: self._used][kept]
        self._units = self._units[: self._used][kept]
        self._used = int(kept.sum())

    def _reserve(self, rows: int) -> None:
        room = max(rows, 64)
        if room <= self._ids.size:
            return
        for name, fill in (
            ("_ids", 0), ("_marks", 0), ("_units", 0.0), ("_nearest", -1),
            ("_similarity", -np.inf), ("_complete", False),
        ):  # fmt: skip
            old = getattr(self, name)
            new = np.full((room, *old.shape[1:]), fill, old.dtype)
            new[: self._used] = old[: self._used]
            setattr(self, name, new)

    def _insert(
        self, ids: NDArray[np.int64], marks: NDArray[np.uint32], vectors: NDArray[np.float32]
    ) -> None:
        """Compare some new objects with all others and each other."""
        with np.errstate(all="ignore"):
            units = vectors / np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
        usable = np.isfinite(units).all(axis=1)
        if not usable.any():
            return
        ids, marks, units = ids[usable], marks[usable], units[usable]
        old, now = self._used, self._used + ids.size
        self._ids[old:now], self._marks[old:now], self._units[old:now] = ids, marks, units
        self._used = now
        similarity = self._compare(np.arange(old, now))
        self._nearest[old:now], self._similarity[old:now] = self._top(similarity)
        self._complete[old:now] = True
        self._join(similarity[:, :old], old)

    def _join(self, similarity: NDArray[np.float32], start: int) -> None:
        """Let earlier objects know of new ones, (new, earlier), that begin at `start`."""
        if not similarity.size:
            return
        weakest = self._similarity[:start].min(axis=1)
        rows = np.flatnonzero(similarity.max(axis=0) > weakest)
        values = np.concatenate((self._similarity[rows], similarity[:, rows].T), axis=1)
        new = np.arange(start, start + similarity.shape[0], dtype=np.int32)
        near = np.concatenate(
            (self._nearest[rows], np.broadcast_to(new, (rows.size, new.size))), axis=1
        )
        best = np.argpartition(-values, self._count - 1, axis=1)[:, : self._count]
        self._similarity[rows] = np.take_along_axis(values, best, axis=1)
        self._nearest[rows] = np.take_along_axis(near, best, axis=1)

    def _settle(self, rows: NDArray[np.int64]) -> None:
        """Find the neighbours of objects of which one is gone."""
        self._nearest[rows], self._similarity[rows] = self._top(self._compare(rows))
        self._complete[rows] = True

    def _compare(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(k, n) cosines of some objects with all; -inf with themselves."""
        similarity = self._units[rows] @ self._units[: self._used].T
        similarity[np.arange(rows.size), rows] = -np.inf
        return np.asarray(similarity, np.float32)

    def _top(
        self, similarity: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(k, count) positions and cosines of the largest, -1 and -inf where there are fewer."""
        count = min(self._count, similarity.shape[1])
        best = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(similarity, best, axis=1)
        near = np.where(np.isfinite(values), best, -1).astype(np.int32)
        short = (0, 0), (0, self._count - count)
        return (
            np.pad(near, short, constant_values=-1),
            np.pad(values, short, constant_values=-np.inf),
        )


def _marks(vectors: NDArray[np.float32]) -> NDArray[np.uint32]:
    """(n,) a number that changes with a vector; integers, because sums of floats vary."""
    weights = np.random.default_rng(1).integers(1, 1 << 32, vectors.shape[1], np.uint32) | 1
    return np.asarray(np.einsum("ij,j->i", vectors.view(np.uint32), weights))
