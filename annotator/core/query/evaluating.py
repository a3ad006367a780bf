"""Queries answered from columns of facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.annotation import Category
from annotator.core.query.facts import (
    FLAGS,
    PROPOSED,
    SOURCES,
    STATES,
    STATUSES,
    ImageFacts,
    ObjectFacts,
)
from annotator.core.query.values import Case, Objects, Query, Span, Term, Text, Value

Rows = NDArray[np.bool_]
"""Which images, or which objects."""
NO_NAME = "none"


class Evaluation:
    """Answers queries about a project as it was at one moment.

    Args:
        images: all of them.
        objects: all of them; None suffices for queries that do not need them.
        categories: the classes.
    """

    def __init__(
        self, images: ImageFacts, objects: ObjectFacts | None, categories: Iterable[Category]
    ) -> None:
        self._images = images
        self._known = objects
        self._categories = tuple(categories)
        self._lowered: list[str] | None = None
        self._of_image: NDArray[np.int64] | None = None

    def images(self, query: Query) -> Rows:
        """Which images the query means, (n,)."""
        found = np.zeros(len(self._images.keys), bool)
        for case in query.cases:
            found |= self._case(case)
        return found

    def keys(self, query: Query) -> list[str]:
        """Their keys, in the order of the project."""
        return [self._images.keys[row] for row in np.flatnonzero(self.images(query)).tolist()]

    def _case(self, case: Case) -> Rows:
        found = np.ones(len(self._images.keys), bool)
        for term in case.terms:
            rows = np.zeros_like(found)
            for value in term.values:
                rows |= self._image_rows(term.field, value)
            found &= ~rows if term.negative else rows
        for group in case.objects:
            found &= self._has(group)
        for group in case.unless:
            found &= ~self._has(group)
        return found

    # --- Images ---

    def _image_rows(self, field: str, value: Value) -> Rows:
        images = self._images
        if isinstance(value, Span):
            numbers: NDArray[Any] | None = {
                "width": images.widths, "height": images.heights, "proposals": images.proposals,
                "date": images.dates,
            }[field]  # fmt: skip
            assert numbers is not None, "dates were not read"
            return _inside(numbers, value)
        if field == "state":
            wanted = [place for place, state in enumerate(STATES) if state.value == value.value]
            return np.asarray(np.isin(images.states, wanted))
        if field == "comment":
            return self._commented(value)
        if value.kind == "pattern":
            matches = value.matcher()
            return np.fromiter(map(matches, images.keys), bool, len(images.keys))
        if self._lowered is None:
            self._lowered = [key.casefold() for key in images.keys]
        word = value.value
        if value.kind == "whole":
            ends = "/" + word
            hits = (key == word or key.endswith(ends) for key in self._lowered)
        else:
            hits = (word in key for key in self._lowered)
        return np.fromiter(hits, bool, len(self._lowered))

    def _commented(self, value: Text) -> Rows:
        matches = value.matcher()
        found = np.zeros(len(self._images.keys), bool)
        found[[row for row, text in self._images.comments.items() if matches(text)]] = True
        objects = self._objects
        rows = [row for row, text in objects.comments.items() if matches(text)]
        found[self._places[rows]] = True
        return found

    # --- Objects ---

    @property
    def _objects(self) -> ObjectFacts:
        assert self._known is not None, "objects were not read"
        return self._known

    @property
    def _places(self) -> NDArray[np.int64]:
        """The row of the image of every object, (m,)."""
        if self._of_image is None:
            order = np.argsort(self._images.ids, kind="stable")
            found = np.searchsorted(self._images.ids[order], self._objects.images)
            self._of_image = order[np.minimum(found, len(order) - 1)] if len(order) else found
        return self._of_image

    def _has(self, group: Objects) -> Rows:
        if not group.terms:
            return _inside(self._images.counts, group.count)
        objects = self._objects
        proposals = any(
            term.field == "is" and not term.negative
            and any(isinstance(v, Text) and v.value == "proposed" for v in term.values)
            for term in group.terms
        )  # fmt: skip
        rows = ((objects.flags & PROPOSED) != 0) == proposals
        for term in group.terms:
            hit = np.zeros(len(rows), bool)
            for value in term.values:
                hit |= self._object_rows(term, value)
            rows &= ~hit if term.negative else hit
        counts = np.bincount(self._places[rows], minlength=len(self._images.keys))
        return _inside(counts, group.count)

    def _object_rows(self, term: Term, value: Value) -> Rows:
        objects = self._objects
        if term.field == "attr":
            return self._with_attribute(term.key, value)
        if isinstance(value, Span):
            numbers = objects.scores if term.field == "score" else objects.areas
            return _inside(self._shares() if value.share else numbers, value)
        if term.field == "class":
            return np.asarray(np.isin(objects.categories, self._classes(value)))
        if term.field == "status":
            wanted = next(i for i, status in enumerate(STATUSES) if status.value == value.value)
            return np.asarray(objects.statuses == wanted)
        if term.field == "origin":
            return self._from(value)
        if value.value == "commented":
            found = np.zeros(len(objects.ids), bool)
            found[list(objects.comments)] = True
            return found
        return np.asarray((objects.flags & FLAGS[value.value]) != 0)

    def _shares(self) -> NDArray[np.float32]:
        images = self._images
        pixels = images.widths.astype(np.float32) * images.heights
        with np.errstate(divide="ignore", invalid="ignore"):
            shares: NDArray[np.float32] = self._objects.areas / pixels[self._places]
        return shares

    def _classes(self, value: Text) -> list[int]:
        """Ids of the classes a word means: those called so, else those whose name has it."""
        if value.value == NO_NAME and value.kind != "pattern":
            return [-1]
        names: Mapping[int, tuple[str, ...]] = {c.id: (c.name, *c.synonyms) for c in
                                                self._categories}  # fmt: skip
        if value.kind != "pattern":
            same = Text(value.value, "whole").matcher()
            exact = [i for i, words in names.items() if any(map(same, words))]
            if exact or value.kind == "whole":
                return exact
        matches = value.matcher()
        return [i for i, words in names.items() if any(map(matches, words))]

    def _from(self, value: Text) -> Rows:
        objects = self._objects
        for place, source in enumerate(SOURCES):
            if source.value == value.value:
                return np.asarray(objects.sources == place)
        matches = value.matcher()
        wanted = [i for i, name in enumerate(objects.model_names) if name and matches(name)]
        return np.asarray(np.isin(objects.models, wanted))

    def _with_attribute(self, key: str, value: Value) -> Rows:
        found = np.zeros(len(self._objects.ids), bool)
        matches = None if isinstance(value, Span) else _whole(value).matcher()
        for row, attributes in self._objects.attributes.items():
            if key not in attributes:
                continue
            has = attributes[key]
            if isinstance(value, Span):
                is_number = isinstance(has, (int, float)) and not isinstance(has, bool)
                found[row] = is_number and value.contains(float(has))
            elif matches is not None:
                found[row] = matches(f"{has:g}" if isinstance(has, float) else str(has))
        return found


def _whole(value: Text) -> Text:
    """An attribute “dark red” is not “red”."""
    return Text(value.value, "whole") if value.kind == "part" else value


def _inside(numbers: NDArray[Any], span: Span) -> Rows:
    above = numbers > span.low if span.open_low else numbers >= span.low
    below = numbers < span.high if span.open_high else numbers <= span.high
    found: Rows = above & below
    return found
