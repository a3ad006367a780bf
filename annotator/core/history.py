"""What one edit changed, small enough to keep for ever and exact enough to take back."""

from __future__ import annotations

from dataclasses import dataclass

from annotator.core.annotation import Annotation, Annotations
from annotator.core.errors import UserError

Entries = tuple[tuple[int, Annotation], ...]
"""Annotations with the place they have in the image's tuple."""


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two states of one image.

    Attributes:
        before: entries of the old state that are gone or changed, places in the old tuple.
        after: entries of the new state that are new or changed, places in the new tuple.
    """

    before: Entries
    after: Entries

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.before or self.after)

    @property
    def inverse(self) -> Change:
        """The change that takes this one back."""
        return Change(self.after, self.before)

    def apply(self, annotations: Annotations) -> Annotations:
        """The new state, given the old one.

        Raises:
            UserError: the state is not the one this change was made from.
        """
        kept = list(annotations)
        for place, annotation in reversed(self.before):
            if place >= len(kept) or kept[place].id != annotation.id:
                raise UserError(
                    "A step of the history does not fit the image it belongs to.",
                    "The annotations were left as they are.",
                )
            del kept[place]
        for place, annotation in self.after:
            kept.insert(place, annotation)
        return tuple(kept)


def difference(old: Annotations, new: Annotations) -> Change:
    """The smallest simple change from one state to another."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    before = tuple(enumerate(old))[start : len(old) - end]
    after = tuple(enumerate(new))[start : len(new) - end]
    if [a.id for _, a in before] == [a.id for _, a in after]:
        pairs = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        return Change(tuple(b for b, _ in pairs), tuple(a for _, a in pairs))
    return Change(before, after)
