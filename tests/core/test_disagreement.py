"""Who looks like whom, and which names that speaks against, compared with plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.core import neighbours as module
from annotator.core import suggestions
from annotator.core.annotation import Category
from annotator.core.disagreement import Opinion, disagreements
from annotator.core.neighbours import Neighbours

CLASSES = [Category(i + 1, name, "#000000") for i, name in enumerate(("cat", "dog", "car", "bus"))]


def drain(steps) -> list[float]:
    return list(steps)


def brute(ids, vectors, count):
    """For every object with a direction, the ids of the nearest others with their cosines."""
    units = {}
    for number, vector in zip(ids.tolist(), vectors.astype(np.float64), strict=True):
        length = np.linalg.norm(vector)
        if np.isfinite(length) and length > 0:
            units[number] = vector / length
    found = {}
    for number, unit in units.items():
        others = [(float(unit @ other), i) for i, other in units.items() if i != number]
        found[number] = sorted(others, reverse=True)[:count]
    return found


def check(table: Neighbours, ids, vectors, count) -> None:
    truth = brute(ids, vectors, count)
    assert sorted(table.ids.tolist()) == sorted(truth)
    for row, number in enumerate(table.ids.tolist()):
        near, similarity = table._nearest[row], table._similarity[row]
        known = near >= 0
        assert np.isneginf(similarity[~known]).all()
        found = sorted(zip(similarity[known], table.ids[near[known]], strict=True), reverse=True)
        wanted = truth[number]
        assert len(found) == len(wanted)
        assert np.allclose([s for s, _ in found], [s for s, _ in wanted], atol=1e-5)
        assert number not in [i for _, i in found]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), changes=st.integers(1, 5), block=st.integers(1, 9))
def test_following_changes_gives_what_starting_anew_would(seed, changes, block):
    rng = np.random.default_rng(seed)
    size, count = 5, 4
    ids, vectors = np.empty(0, np.int64), np.empty((0, size), np.float32)
    table, highest = Neighbours(count), 0
    before, module.BLOCK = module.BLOCK, block
    try:
        for _ in range(changes):
            kept = rng.random(ids.size) < 0.8
            ids, vectors = ids[kept], vectors[kept].copy()
            for row in np.flatnonzero(rng.random(ids.size) < 0.2):
                vectors[row] = rng.normal(size=size)
            more = int(rng.integers(0, 12))
            ids = np.concatenate((ids, np.arange(highest + 1, highest + 1 + more)))
            vectors = np.concatenate((vectors, rng.normal(size=(more, size)).astype(np.float32)))
            highest += more
            if vectors.size and rng.random() < 0.3:
                vectors[rng.integers(len(vectors))] = rng.choice([0, np.nan, np.inf])
            steps = table.update(ids, vectors)
            if rng.random() < 0.4:  # given up half-way
                for _ in range(int(rng.integers(0, 3))):
                    next(steps, None)
                continue
            assert drain(steps)[-1] == 1
            check(table, ids, vectors, count)
        drain(table.update(ids, vectors))
        check(table, ids, vectors, count)
    finally:
        module.BLOCK = before


def test_nothing_is_compared_again_when_nothing_changed():
    rng = np.random.default_rng(0)
    ids, vectors = np.arange(1, 200), rng.normal(size=(199, 8)).astype(np.float32)
    table = Neighbours()
    assert len(drain(table.update(ids, vectors))) == 1 + -(-199 // module.BLOCK)
    assert drain(table.update(ids[::-1], vectors[::-1])) == [1.0]


def test_vectors_of_another_length_start_anew():
    table = Neighbours(2)
    drain(table.update(np.arange(5), np.eye(5, dtype=np.float32)))
    drain(table.update(np.arange(3), np.eye(3, dtype=np.float32)))
    check(table, np.arange(3), np.eye(3), 2)


def scene(seed=0, n=60, noise=0.4):
    """Objects around one direction per class, and a few with the wrong name."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, len(CLASSES), n)
    vectors = np.eye(len(CLASSES), 6)[true] + noise * rng.normal(size=(n, 6))
    given = true.copy()
    given[:3] = (given[:3] + 1) % len(CLASSES)
    return np.arange(100, 100 + n), given + 1, vectors.astype(np.float32), true


def judged(ids, categories, vectors, opinions=(), classes=CLASSES):
    table = Neighbours()
    drain(table.update(ids, vectors))
    return disagreements(table, classes, ids, categories, opinions)


def test_the_votes_are_those_of_the_name_panel_without_recency(monkeypatch):
    monkeypatch.setattr(suggestions, "FRESH_BONUS", 0.0)
    monkeypatch.setattr(suggestions, "HALF_LIFE", 1e12)
    ids, categories, vectors, _ = scene()
    found = judged(ids, categories, vectors)
    assert found.ids.tolist() == ids.tolist()
    names = [c.name for c in CLASSES]
    places = suggestions.places_of(CLASSES, categories)
    for row, number in enumerate(found.ids):
        left = np.where(ids == number, -1, places)
        truth = suggestions._by_looks(names, left, vectors, vectors[row])
        given = names[found.given[row]]
        assert found.score[row] == pytest.approx(truth.get(given, 0.0), abs=1e-5)
        others = [names[i] for i in found.others[row]]
        assert given not in others
        assert found.other_scores[row] == pytest.approx(
            [truth.get(name, 0.0) for name in others], abs=1e-5
        )
        assert (np.diff(found.other_scores[row]) <= 1e-6).all()
        best = max(score for name, score in truth.items() if name != given)
        assert found.amount[row] == pytest.approx(best - truth.get(given, 0.0), abs=1e-5)


def test_wrong_names_come_first():
    ids, categories, vectors, true = scene(noise=0.12)
    found = judged(ids, categories, vectors)
    worst = np.argsort(-found.amount)[:3]
    assert sorted(found.ids[worst].tolist()) == [100, 101, 102]
    assert found.others[worst, 0].tolist() == true[worst].tolist()
    assert (found.amount[worst] > 0.9).all()
    assert np.count_nonzero(found.amount > 0) == 3


def test_when_and_in_what_order_they_were_named_does_not_count():
    ids, categories, vectors, _ = scene()
    mixed = np.random.default_rng(5).permutation(ids.size)
    one, other = judged(ids, categories, vectors), judged(ids[mixed], categories[mixed],
                                                          vectors[mixed])  # fmt: skip
    back = np.argsort(other.ids)
    assert np.allclose(one.amount, other.amount[back], atol=1e-5)


def test_an_object_does_not_vote_for_itself():
    vectors = np.array([(1, 0), (1, 0.01), (1, 0.02)], np.float32)
    found = judged(np.arange(1, 4), np.array([1, 2, 2]), vectors)
    assert found.score[0] == 0
    assert found.amount[0] == pytest.approx(1)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_classes_to_disagree(count):
    ids, _, vectors, _ = scene(n=4)
    found = judged(ids, np.full(4, 1), vectors, classes=CLASSES[:count])
    assert found.ids.size == found.amount.size == 0


def test_a_second_opinion_is_weighed_in_where_it_has_vectors():
    ids, categories, vectors, _ = scene(noise=0.12)
    alone = judged(ids, categories, vectors)
    some = np.arange(0, ids.size, 2)
    seen = []

    def scores(asked):
        seen.append(len(asked))
        return np.eye(len(CLASSES))[asked[:, 0].astype(int)]

    # It stands by every name that was given.
    opinion = Opinion(ids[some], (categories[some] - 1)[:, None].astype(np.float32), scores, 3.0)
    found = judged(ids, categories, vectors, [opinion])
    assert sum(seen) == some.size
    assert np.allclose(found.amount[1::2], alone.amount[1::2])
    assert np.allclose(found.score[some], (alone.score[some] + 3) / 4, atol=1e-6)
    assert (found.amount[some] < 0).all()


def test_an_opinion_judges_what_the_memory_does_not_know(monkeypatch):
    monkeypatch.setattr("annotator.core.disagreement.CELLS", 8)  # blocks of two
    table = Neighbours()
    ids = np.arange(1, 6)
    opinion = Opinion(
        ids, np.zeros((5, 3), np.float32), lambda v: np.tile((0.7, 0.2, 0.1, 0.0), (len(v), 1))
    )
    found = disagreements(table, CLASSES, ids, np.array([1, 2, 3, 4, 99]), [opinion])
    assert found.ids.tolist() == [1, 2, 3, 4], "99 is no class"
    assert found.amount == pytest.approx([-0.5, 0.5, 0.6, 0.7])
    assert found.others[1].tolist() == [0, 2, 3]
    wrong = Opinion(ids, opinion.vectors, lambda v: np.zeros((len(v), 3)))
    with pytest.raises(ValueError, match="shape"):
        disagreements(table, CLASSES, ids, np.array([1, 2, 3, 4, 99]), [wrong])
