"""The vectors closest to one, against the plain definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.core.similar import closest


def by_definition(vectors, query):
    """Cosine of every row, in double precision; nan where there is none."""
    rows = [np.asarray(row, np.float64) for row in vectors]
    query = np.asarray(query, np.float64)
    result = []
    for row in rows:
        size = np.linalg.norm(row) * np.linalg.norm(query)
        result.append(row @ query / size if np.isfinite(size) and size > 0 else np.nan)
    return np.array(result)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 60),
    size=st.integers(1, 40),
    limit=st.integers(0, 70),
    at_least=st.floats(-1, 1),
)
def test_the_best_rows_in_order(seed, count, size, limit, at_least):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, size)).astype(np.float32) * rng.uniform(0.1, 30, (count, 1))
    vectors = vectors.astype(np.float32)
    for row in range(0, count, 7):
        vectors[row, 0] = rng.choice([np.nan, np.inf, -np.inf])
    vectors[3:count:11] = 0
    query = rng.normal(size=size).astype(np.float32)
    truth = by_definition(vectors, query)
    found, similarity = closest(vectors, query, limit, at_least)
    assert np.allclose(similarity, truth[found], atol=1e-5)
    assert (np.diff(similarity) <= 0).all()
    usable = truth[np.isfinite(truth)]
    assert len(found) == len(set(found.tolist())) <= limit
    clear = np.count_nonzero(usable > at_least + 1e-5), np.count_nonzero(usable > at_least - 1e-5)
    assert min(limit, clear[0]) <= len(found) <= min(limit, clear[1])
    if len(found):
        assert similarity[-1] >= np.sort(usable)[::-1][len(found) - 1] - 1e-5


@pytest.mark.parametrize("query", [(0, 0), (np.nan, 1), (np.inf, 1), (1, 2, 3)])
def test_nothing_is_close_to_what_cannot_be_compared(query):
    found, similarity = closest(np.eye(2, dtype=np.float32), np.array(query, np.float32), 5)
    assert found.size == similarity.size == 0


def test_equals_keep_their_order_and_the_limit_holds():
    vectors = np.array([(1, 0), (0, 1), (2, 0), (3, 0)], np.float32)
    found, similarity = closest(vectors, np.array((5, 0), np.float32), 10, at_least=0.5)
    assert found.tolist() == [0, 2, 3]
    assert similarity.tolist() == [1, 1, 1]
