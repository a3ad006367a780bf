"""What a check is: a function that finds, and perhaps one that repairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from annotator.core.annotation import Annotation, Annotations


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as wrong.

    Attributes:
        pixels: objects, specks and holes of fewer pixels, and overlaps of more.
        iou: two objects that overlap more are the same one twice.
        deviations: a class-size outlier is so many robust standard deviations from the middle.
        differing: pictures whose 64-bit hashes differ in no more bits look the same.
    """

    pixels: int = 16
    iou: float = 0.9
    deviations: float = 4.0
    differing: int = 4


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image as checks see it.

    Attributes:
        key: of the image.
        width: pixels, 0 while unknown.
        height: pixels, 0 while unknown.
        annotations: all objects, proposals among them, bottom layer first.
        names: classes of objects without one, where their looks leave no doubt; for repairs only.
    """

    key: str
    width: int
    height: int
    annotations: Annotations
    names: Mapping[int, int] = field(default_factory=dict)

    @property
    def accepted(self) -> Annotations:
        """The objects without proposals."""
        return tuple(a for a in self.annotations if not a.proposed)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that may be wrong.

    Attributes:
        check: id of the check.
        key: of the image.
        ids: the objects it is about; () for the image itself.
        text: what, for people.
    """

    check: str
    key: str
    ids: tuple[int, ...]
    text: str


Find = Callable[[Labelled, Limits], Iterator[tuple[tuple[int, ...], str]]]
"""Ids of objects and what may be wrong with them."""
Repair = Callable[[Labelled, tuple[int, ...], Limits], Annotations]
"""All objects of an image with a finding about some of them repaired."""


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of things that may be wrong.

    Attributes:
        id: what people type.
        title: for people.
        remedy: what a repair does, "" where only a person can decide.
        find: looks at one image; None where images are compared with each other.
        repair: see `Repair`.
    """

    id: str
    title: str
    remedy: str = ""
    find: Find | None = None
    repair: Repair | None = None

    def findings(self, image: Labelled, limits: Limits) -> list[Finding]:
        """What it finds in an image."""
        if self.find is None:
            return []
        found = self.find(image, limits)
        return [Finding(self.id, image.key, ids, text) for ids, text in found]


def replaced(image: Labelled, changes: dict[int, Annotation | None]) -> Annotations:
    """All objects, some of them as they are here, or gone (None). Locked ones stay as they are."""
    after = (a if a.locked else changes.get(a.id, a) for a in image.annotations)
    return tuple(a for a in after if a is not None)
