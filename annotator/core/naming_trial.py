"""Simulated labelling: how high the right name stands, object after object.

Each object is named once its rank was recorded, so that every ranking knows what a person would
have told it by then. Names never given before count as misses, except for models that know words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core import suggestions
from annotator.core.annotation import Category

Floats = NDArray[np.float32]
Method = Callable[["Past", "Named"], Sequence[str]]
"""Ranks the names for the next object, best first."""
SHOWN = 5
"""Names the panel shows."""
WINDOW = 150
"""Objects a point of the curve is the mean of."""


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """One object.

    Attributes:
        name: the right one.
        vectors: what it looks like, by vector space.
    """

    name: str
    vectors: Mapping[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What was named before: `objects[:count]`, oldest first."""

    objects: Sequence[Named]
    count: int
    tables: Mapping[str, Floats]
    classes: NDArray[np.int64]
    names: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """How one method did.

    Attributes:
        ranks: (n,) place of the right name for each object, 0 for the first, -1 for not shown.
    """

    method: str
    ranks: NDArray[np.int64]

    def top(self, places: int) -> float:
        """Share of objects whose name was among the first so many."""
        return float(self._hits(places).mean()) if self.ranks.size else 0.0

    def curve(self, places: int) -> list[tuple[float, float]]:
        """Objects named so far, and the share of hits among the latest `WINDOW`."""
        hits = self._hits(places)
        ends = range(min(WINDOW, hits.size), hits.size + 1, max(WINDOW // 3, 1))
        return [(float(end), float(hits[max(end - WINDOW, 0) : end].mean())) for end in ends if end]

    def _hits(self, places: int) -> NDArray[np.float64]:
        return ((self.ranks >= 0) & (self.ranks < places)).astype(np.float64)


def by_frequency(past: Past, query: Named) -> list[str]:
    """Most frequent names first."""
    del query
    return [n for n, _ in Counter(item.name for item in past.objects[: past.count]).most_common()]


def by_last_use(past: Past, query: Named) -> list[str]:
    """Names used last first."""
    del query
    return list(dict.fromkeys(item.name for item in reversed(past.objects[: past.count])))


def by_memory(space: str) -> Method:
    """The ranking of the name panel without a text model, from the vectors of one space."""

    def ranked(past: Past, query: Named) -> list[str]:
        return [suggestion.name for suggestion in _memory(past, query, space)]

    return ranked


def by_text(space: str, rank: Callable[[Floats], suggestions.Ranking]) -> Method:
    """What a text model says alone."""

    def ranked(past: Past, query: Named) -> list[str]:
        del past
        return [suggestion.name for suggestion in rank(query.vectors[space])[:SHOWN]]

    return ranked


def by_both(space: str, rank: Callable[[Floats], suggestions.Ranking]) -> Method:
    """The ranking of the name panel with a text model."""

    def ranked(past: Past, query: Named) -> list[str]:
        memory = _memory(past, query, space)
        both = suggestions.joined(memory, rank(query.vectors[space]), past.count, SHOWN)
        return [suggestion.name for suggestion in both]

    return ranked


def run(
    objects: Sequence[Named], methods: Mapping[str, Method]
) -> Iterator[tuple[int, Mapping[str, int]]]:
    """Name one object after the other; the rank of each method for each.

    Yields:
        The number of the object and, by method, the place of its name, -1 for not shown.
    """
    names = list(dict.fromkeys(item.name for item in objects))
    places = {name: place for place, name in enumerate(names)}
    classes = np.array([places[item.name] for item in objects], np.int64)
    spaces = objects[0].vectors if objects else {}
    tables = {space: np.stack([item.vectors[space] for item in objects]) for space in spaces}
    for number, item in enumerate(objects):
        past = Past(objects, number, tables, classes, names)
        found = {method: list(rank(past, item)[:SHOWN]) for method, rank in methods.items()}
        yield (
            number,
            {m: shown.index(item.name) if item.name in shown else -1 for m, shown in found.items()},
        )


def _memory(past: Past, query: Named, space: str) -> suggestions.Ranking:
    used = np.unique(past.classes[: past.count])
    categories = [Category(int(place), past.names[place], "") for place in used]
    return suggestions.rank(
        categories,
        np.arange(past.count),
        past.classes[: past.count],
        past.tables[space][: past.count],
        query.vectors[space],
        limit=SHOWN,
    )
