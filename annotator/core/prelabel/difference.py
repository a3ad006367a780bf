"""What a new run would add, change or miss, against the accepted objects of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from annotator.core.annotation import Annotation, Annotations
from annotator.core.proposals import overlaps

Kind = Literal["added", "changed", "missing"]
MATCH = 0.5
"""Intersection over union from which on two shapes are the same object."""
SAME = 0.9
"""From here on its shape has not changed: two people draw an object no more alike."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that a run sees otherwise than it was accepted.

    Attributes:
        accepted: the object, None for one that is added.
        found: what the run found, None for an object it does not find.
        iou: of the two, 0 where there is only one.
        reshaped: the shape is another one.
        renamed: the name is another one.
    """

    accepted: Annotation | None
    found: Annotation | None
    iou: float = 0.0
    reshaped: bool = False
    renamed: bool = False

    @property
    def kind(self) -> Kind:
        """What the run would do."""
        if self.accepted is None:
            return "added"
        return "missing" if self.found is None else "changed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against the accepted objects of one image.

    Attributes:
        same: accepted objects that the run finds as they are.
        differences: changed ones, then those it does not find, then what it would add; each in
            the order of the image, or as they were found.
    """

    same: int
    differences: tuple[Difference, ...]

    def count(self, kind: Kind) -> int:
        """How many differences of a kind there are."""
        return sum(one.kind == kind for one in self.differences)


def compare(
    accepted: Annotations,
    found: Annotations,
    name_of: Callable[[Annotation], str],
    match: float = MATCH,
    same: float = SAME,
) -> Comparison:
    """Pair objects, those that overlap most first, and tell what is left or different.

    Args:
        accepted: objects of an image that a person accepted.
        found: what a run found in the same image, with ids of their own.
        name_of: the name of either; "" for none, which is never another name.
        match: see `MATCH`.
        same: see `SAME`.
    """
    pairs = _pairs(accepted, found, match)
    taken = {one.id for one, _ in pairs.values()}
    changed, missing, unchanged = [], [], 0
    for mine in accepted:
        if mine.id not in pairs:
            missing.append(Difference(mine, None))
            continue
        theirs, iou = pairs[mine.id]
        names = name_of(mine), name_of(theirs)
        renamed = all(names) and names[0] != names[1]
        if iou >= same and not renamed:
            unchanged += 1
        else:
            changed.append(Difference(mine, theirs, iou, iou < same, renamed))
    new = [Difference(None, one) for one in found if one.id not in taken]
    return Comparison(unchanged, (*changed, *missing, *new))


def _pairs(
    accepted: Annotations, found: Annotations, match: float
) -> dict[int, tuple[Annotation, float]]:
    """What was found for an accepted object, with how much they overlap, by its id."""
    if not accepted or not found:
        return {}
    ious = overlaps((*accepted, *found)).ious
    by_id = {one.id: one for one in found}
    every = [
        (-value, place, row, mine.id, number)
        for place, mine in enumerate(accepted)
        for row, number in enumerate(by_id)
        if (value := ious[mine.id].get(number, 0.0)) >= match
    ]
    pairs: dict[int, tuple[Annotation, float]] = {}
    taken: set[int] = set()
    for value, _, _, mine_id, number in sorted(every):
        if mine_id not in pairs and number not in taken:
            pairs[mine_id] = by_id[number], -value
            taken.add(number)
    return pairs
