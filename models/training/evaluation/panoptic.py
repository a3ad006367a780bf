"""Panoptic quality (Kirillov et al., 2019), as panopticapi counts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

VOID = 0
"""What pixels of no segment hold."""


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of a map.

    Attributes:
        id: what its pixels hold; not `VOID`.
        category_id: its class.
        crowd: of the truth only: a group that may be found in any pieces, or not at all.
    """

    id: int
    category_id: int
    crowd: bool = False


@dataclass(slots=True)
class Count:
    """What happened to the segments of one class.

    Attributes:
        found: pairs of truth and prediction that overlap by more than half.
        overlaps: sum of their IoU.
        invented: predictions without a partner.
        missed: truths without one.
    """

    found: int = 0
    overlaps: float = 0.0
    invented: int = 0
    missed: int = 0

    @property
    def quality(self) -> float:
        """PQ of the class; NaN where there was nothing to find and nothing was found."""
        weight = self.found + 0.5 * (self.invented + self.missed)
        return self.overlaps / weight if weight else float("nan")


@dataclass(slots=True)
class PanopticQuality:
    """Collects images and gives the numbers of all of them."""

    counts: dict[int, Count] = field(default_factory=dict)

    def add(
        self,
        truth: NDArray[np.integer],
        true_parts: Sequence[Part],
        found: NDArray[np.integer],
        found_parts: Sequence[Part],
    ) -> None:
        """Count one image.

        Args:
            truth: (H, W), the id of every pixel's segment, `VOID` where nobody knows.
            true_parts: its segments.
            found: (H, W) the same of a model.
            found_parts: its segments; those without a pixel do not count.

        Raises:
            ValueError: the maps differ in size.
        """
        if truth.shape != found.shape:
            raise ValueError(f"maps of {truth.shape} and {found.shape} pixels")
        shared = _shared(truth, found)
        true_area, found_area = _areas(truth), _areas(found)
        known = {part.id: part for part in true_parts if part.id in true_area}
        mine = {part.id: part for part in found_parts if part.id in found_area}
        matched: set[tuple[int, int]] = set()
        for (first, second), pixels in shared.items():
            if first not in known or second not in mine or known[first].crowd:
                continue
            union = true_area[first] + found_area[second] - pixels
            union -= shared.get((VOID, second), 0)
            same = known[first].category_id == mine[second].category_id
            if same and pixels / union > 0.5:
                count = self._of(known[first])
                count.found += 1
                count.overlaps += pixels / union
                matched.add((first, second))
        taken, explained = {a for a, _ in matched}, {b for _, b in matched}
        for part in known.values():
            if part.id not in taken and not part.crowd:
                self._of(part).missed += 1
        for part in mine.values():
            forgiven = shared.get((VOID, part.id), 0) + sum(
                shared.get((crowd.id, part.id), 0)
                for crowd in known.values()
                if crowd.crowd and crowd.category_id == part.category_id
            )
            if part.id not in explained and forgiven / found_area[part.id] <= 0.5:
                self._of(part).invented += 1

    def numbers(self, things: Iterable[int] = ()) -> dict[str, float]:
        """PQ, SQ and RQ, means over the classes that occurred; with `things` also PQ of both kinds.

        NaN where there is nothing to average.
        """
        numbers = dict(zip(("PQ", "SQ", "RQ"), self._means(self.counts), strict=True))
        if countable := set(things):
            kinds = {"PQ things": True, "PQ stuff": False}
            for name, wanted in kinds.items():
                chosen = {k: v for k, v in self.counts.items() if (k in countable) is wanted}
                numbers[name] = self._means(chosen)[0]
        return numbers

    @staticmethod
    def _means(counts: Mapping[int, Count]) -> tuple[float, float, float]:
        rows = [
            (
                count.quality,
                count.overlaps / count.found if count.found else 0.0,
                count.found / (count.found + 0.5 * (count.invented + count.missed)),
            )
            for count in counts.values()
            if count.found + count.invented + count.missed
        ]
        if not rows:
            return (float("nan"),) * 3
        quality, segments, recognition = np.mean(rows, axis=0).tolist()
        return quality, segments, recognition

    def _of(self, part: Part) -> Count:
        return self.counts.setdefault(part.category_id, Count())


def _areas(values: NDArray[np.integer]) -> dict[int, int]:
    ids, counts = np.unique(values, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def _shared(first: NDArray[np.integer], second: NDArray[np.integer]) -> dict[tuple[int, int], int]:
    """How many pixels each pair of ids has in common."""
    pairs = np.stack([first.ravel(), second.ravel()]).astype(np.int64)
    ids, counts = np.unique(pairs, axis=1, return_counts=True)
    return {(a, b): n for (a, b), n in zip(ids.T.tolist(), counts.tolist(), strict=True)}
