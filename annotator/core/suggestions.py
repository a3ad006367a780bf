"""Ranked names for one object, from what this project has named so far.

Two memories are asked: which named objects look like this one, and which names are in use at all.
Both give a `Ranking`; `blend` joins them, and joins rankings of other origin (text models) too.
Has numpy at its top: import it inside functions.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.core.annotation import Category
from annotator.core.similar import cosine, largest, rows_of
from models.api import Suggestion

Ranking = tuple[Suggestion, ...]
"""Names with scores that sum to at most 1, best first."""
_Scores = Mapping[str, float]

# Fitted on the COCO part of the training data with `BasicDescriber`, the objects of an image in
# random order; `annotator evaluate-names` measures the result on images not used for that.
NEIGHBOURS = 25
"""How many of the most similar named objects vote."""
TEMPERATURE = 1 / 35
"""Cosine similarity that divides a neighbour's vote by e."""
FRESH_BONUS = 0.11
"""Added to the cosine of the object named just before: people label like objects in a row."""
FRESH_SPAN = 7.0
"""Named objects after which that bonus has fallen to 1/e."""
HALF_LIFE = 800.0
"""Named objects after which a neighbour's vote counts half."""
LOOKS_WEIGHT = 0.78
"""What looks count against use once some objects are named."""
LOOKS_EVIDENCE = 1.0
"""Number of named objects at which looks count half of that."""
RECENT = 2.1
"""Named objects after which a use counts half as recent."""
RECENT_SHARE = 0.54
"""Share of recent uses against all uses in the ranking by use."""
UNUSED_SCORE = 0.02
"""The most a name gets that nobody has used yet."""
SURE_SCORE = 0.6
"""A name with this score is given without asking, if the object also looks the part. On training
data 1 of 100 proposals got a name so; of those that were objects, 4 of 5 were right."""
UNSURE_SCORE = 0.4
"""A first name below this score is called unsure. On training data 65 of 100 first names were right
that were not called so, and 22 of 100 that were."""
UNSURE_MARGIN = 0.1
"""So is one that is hardly ahead of the second."""
TEXT_EVIDENCE = 20.0
"""Number of named objects at which the memory counts as much as a text model."""
SURE_COSINE = 0.9
"""How similar the closest object of that name has to be."""


def rank(
    categories: Sequence[Category],
    ids: NDArray[np.int64],
    category_ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    query: NDArray[np.float32] | None,
    without: int | None = None,
    limit: int = 5,
) -> Ranking:
    """The best names for one object, best first; the scores sum to at most 1.

    Args:
        categories: the classes of the project, in their order; only their names are returned.
        ids: (n,) annotation ids of the named objects, oldest first.
        category_ids: (n,) their `Category.id`; rows of other classes are ignored.
        vectors: (n, d) what they look like; rows that are not finite count as uses only.
        query: (d,) what the object in question looks like. None, or a vector that cannot be
            compared (other length, not finite, zero), ranks by use alone.
        without: id of an annotation to leave out, the one being asked about.
        limit: the most names to return.
    """
    places = places_of(categories, category_ids)
    if without is not None:
        places = np.where(ids == without, -1, places)
    names = [category.name for category in categories]
    by_use = _by_use(names, places)
    if not by_use:
        return _unused(names, 1.0)[:limit]
    by_looks = _by_looks(names, places, vectors, query)
    count = int(np.count_nonzero(places >= 0))
    trust = LOOKS_WEIGHT * count / (count + LOOKS_EVIDENCE) if by_looks else 0.0
    scores = _mixed((by_looks, by_use), (trust, 1.0 - trust))
    used = _best(scores, limit)
    if len(used) >= limit:
        return used
    rest = _unused([name for name in names if name not in scores], used[-1].score)
    room = 1.0 - UNUSED_SCORE
    scaled = tuple(Suggestion(s.name, s.score * room) for s in used) if rest else used
    return (*scaled, *rest)[:limit]


def sure(
    categories: Sequence[Category],
    category_ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    query: NDArray[np.float32] | None,
) -> Category | None:
    """The class of an object nobody has asked about, or None where there is any doubt.

    Its name is far ahead of the others, and one of its objects looks nearly the same; see `rank`
    for the arguments.
    """
    best = rank(categories, category_ids, category_ids, vectors, query, limit=1)
    similarity = cosine(vectors, query)
    if not best or best[0].score < SURE_SCORE or similarity is None:
        return None
    category = next(one for one in categories if one.name == best[0].name)
    closest = similarity[category_ids == category.id].max(initial=-np.inf)
    return category if closest >= SURE_COSINE else None


def blend(rankings: Sequence[Ranking], weights: Sequence[float]) -> Ranking:
    """The weighted mean of several rankings, best first.

    A name that a ranking does not contain has score 0 there. Ties keep the order in which the
    names are met, so the first ranking decides. Empty rankings still carry their weight: give
    them 0.

    Args:
        rankings: any number of rankings.
        weights: one number of at least 0 per ranking; they need not sum to 1.
    """
    scores = _mixed([{s.name: s.score for s in ranking} for ranking in rankings], weights)
    return _best(scores, len(scores))


def joined(memory: Ranking, text: Ranking, named: int, limit: int = 5) -> Ranking:
    """What a text model says, and more and more what this project has named so far.

    Args:
        memory: from `rank`.
        text: probabilities of a text model; () without one.
        named: how many objects of this project have a name.
        limit: the most names to return.
    """
    if not text:
        return memory[:limit]
    trust = named / (named + TEXT_EVIDENCE)
    return blend((memory, text), (trust, 1.0 - trust))[:limit]


def unsure(ranking: Ranking) -> bool:
    """Whether nobody should rely on the first name: it is improbable, or another is as good.

    What the scores lack to 1 belongs to the background, which thus makes a ranking unsure too.
    """
    if not ranking:
        return False
    second = ranking[1].score if len(ranking) > 1 else 0.0
    return ranking[0].score < UNSURE_SCORE or ranking[0].score - second < UNSURE_MARGIN


def _mixed(scores: Sequence[_Scores], weights: Sequence[float]) -> _Scores:
    total = sum(weights)
    mixed: dict[str, float] = {}
    for part, weight in zip(scores, weights, strict=True):
        share = weight / total if weight > 0 else 0.0
        if share:
            for name, score in part.items():
                mixed[name] = mixed.get(name, 0.0) + score * share
    return mixed


def _best(scores: _Scores, limit: int) -> Ranking:
    # nsmallest keeps the order of ties, and most names are never shown: only a few become objects.
    best = heapq.nsmallest(limit, scores.items(), key=lambda item: -item[1])
    return tuple(Suggestion(name, min(score, 1.0)) for name, score in best)


def places_of(categories: Sequence[Category], category_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) position in `categories` of every named object, -1 where the class is not among them."""
    return rows_of(np.array([category.id for category in categories], np.int64), category_ids)


def _by_use(names: Sequence[str], places: NDArray[np.int64]) -> _Scores:
    """Names by how often and how recently they were given; those never given are missing."""
    used = places[places >= 0]
    if not used.size:
        return {}
    age = np.arange(used.size - 1, -1, -1)
    often = np.bincount(used, minlength=len(names)) / used.size
    recent = np.bincount(used, 0.5 ** (age / RECENT), len(names))
    scores = (1 - RECENT_SHARE) * often + RECENT_SHARE * recent / recent.sum()
    return _named(names, scores)


def _by_looks(
    names: Sequence[str],
    places: NDArray[np.int64],
    vectors: NDArray[np.float32],
    query: NDArray[np.float32] | None,
) -> _Scores:
    """Names of the most similar objects; empty when there is nothing to compare."""
    similarity = cosine(vectors, query)
    if similarity is None or similarity.size != places.size:
        return {}
    age = np.arange(places.size - 1, -1, -1)
    closeness = np.where(places >= 0, similarity, -np.inf) + FRESH_BONUS * np.exp(-age / FRESH_SPAN)
    nearest = largest(closeness, NEIGHBOURS)
    if not nearest.size:
        return {}
    weight = np.exp((closeness[nearest] - closeness[nearest].max()) / TEMPERATURE)
    weight *= 0.5 ** (age[nearest] / HALF_LIFE)
    votes = np.bincount(places[nearest], weight, len(names))
    return _named(names, votes / votes.sum())


def _named(names: Sequence[str], scores: NDArray[np.float64]) -> _Scores:
    """Names with a score above 0, in their order."""
    return {names[i]: float(scores[i]) for i in np.flatnonzero(scores > 0).tolist()}


def _unused(names: Sequence[str], least: float) -> Ranking:
    """Names nobody has used, in their order, with equal scores below `least`."""
    score = min(UNUSED_SCORE / len(names), least / 2) if names else 0.0
    return tuple(Suggestion(name, score) for name in names)
