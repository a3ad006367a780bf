"""A query as a value: terms about images and about their objects."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from annotator.core.annotation import ImageState, Status


@dataclass(frozen=True, slots=True)
class Span:
    """A range of numbers; times are seconds since 1970, share is of the image's area.

    Attributes:
        low: the smallest number.
        high: the greatest number.
        open_low: `low` itself is not meant.
        open_high: `high` itself is not meant.
        share: whether the numbers are shares of the image, 0 to 1.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    share: bool = False

    def contains(self, value: float) -> bool:
        """Whether a number is meant."""
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)


@dataclass(frozen=True, slots=True)
class Text:
    """A word (part of the text), “quoted text” (all of it) or a /regular expression/.

    Attributes:
        value: in lower case but for expressions.
        kind: "part", "whole" or "pattern".
    """

    value: str
    kind: str = "part"

    def matcher(self) -> Callable[[str], bool]:
        """Decides about texts."""
        if self.kind == "pattern":
            found = re.compile(self.value).search
            return lambda text: found(text) is not None
        value = self.value
        if self.kind == "whole":
            return lambda text: text.casefold() == value
        return lambda text: value in text.casefold()


Value = Span | Text


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        field: a name of `IMAGE_FIELDS` or `OBJECT_FIELDS`; "count" in both; "attr" with a `key`.
        values: one of them has to hold.
        key: name of the attribute.
        negative: it must not hold.
    """

    field: str
    values: tuple[Value, ...]
    key: str = ""
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of an image for which all terms hold.

    Attributes:
        terms: about one and the same object.
        count: how many there have to be.
    """

    terms: tuple[Term, ...] = ()
    count: Span = field(default_factory=lambda: Span(low=1))


@dataclass(frozen=True, slots=True)
class Case:
    """What holds for an image: all terms, and all groups of objects.

    Attributes:
        terms: about the image.
        objects: each about objects of its own.
        unless: there must be no image terms or objects like these.
    """

    terms: tuple[Term, ...] = ()
    objects: tuple[Objects, ...] = ()
    unless: tuple[Objects, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """Images for which at least one case holds.

    Attributes:
        cases: separated by “|”.
    """

    cases: tuple[Case, ...] = (Case(),)

    @property
    def needs_objects(self) -> bool:
        """Whether objects have to be looked at one by one."""
        groups = [g for case in self.cases for g in (*case.objects, *case.unless)]
        comments = any(term.field == "comment" for case in self.cases for term in case.terms)
        return comments or any(group.terms for group in groups)

    @property
    def needs_dates(self) -> bool:
        """Whether the history has to be looked at."""
        return any(term.field == "date" for case in self.cases for term in case.terms)

    @property
    def words(self) -> tuple[str, ...] | None:
        """The words, where it is nothing but words; they need no more than file names."""
        (case, *more) = self.cases
        if more or case.objects or case.unless:
            return None
        plain = [t for t in case.terms if t.field == "name" and not t.negative]
        values = [t.values[0] for t in plain if len(t.values) == 1]
        words = tuple(v.value for v in values if isinstance(v, Text) and v.kind == "part")
        return words if len(words) == len(case.terms) else None


IMAGE_FIELDS: Mapping[str, str] = {
    "name": "part of folder or file name, or /expression/",
    "state": "untouched, proposals, annotated, reviewed, look, rejected",
    "date": "day of the last change: today, 2026-11-01, >=2026-11-01, 2026-11-01..2026-11-07",
    "width": "pixels of the image",
    "height": "pixels of the image",
    "comment": "part of what was said about the image or one of its objects",
    "proposals": "number of open proposals",
}
"""Fields about images, and what they take."""

OBJECT_FIELDS: Mapping[str, str] = {
    "class": "name of the class, or none",
    "count": "how many objects, of those the other terms are about: 0, >3, 2..5",
    "area": "pixels, or % of the image: <500, 1%..5%",
    "score": "what the model said, 0 to 1: <0.6",
    "origin": "person, model, import, or the name of a model",
    "status": "of the object: todo, done, look, rejected",
    "is": "proposed, crowd, hidden, locked, edited, box, commented",
    "attr.NAME": "value of an attribute: word, “text”, number, true, false",
}
"""Fields about objects, and what they take."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "state": tuple(state.value for state in ImageState),
    "status": tuple(status.value for status in Status),
    "is": ("proposed", "crowd", "hidden", "locked", "edited", "box", "commented"),
}
"""Fields that take one of a few words."""
