"""Cosines, synonyms and the background."""

from __future__ import annotations

import numpy as np
import pytest

from models.api import ModelError
from models.naming.classifier import SCALE, Names, logits, probabilities
from tests.conftest import SHARED

OVSAM = SHARED / "fixtures" / "ovsam" / "cases.npz"


def units(*shape: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_the_best_synonym_of_each_class_counts():
    table, vectors = units(7, 3, 16), 5 * units(4, 16, seed=1)
    expected = np.einsum("nd,cpd->ncp", vectors / 5, table).max(axis=2) * SCALE
    found = logits(vectors, table)
    np.testing.assert_allclose(found[:, :-1], expected, atol=1e-4)
    assert not found[:, -1].any()


def test_repeated_names_are_kept_once():
    table = units(3, 4, 8)
    table[0, 1:] = table[0, 0]
    table[2, 2:] = table[2, 0]
    names = Names.of(table)
    assert list(names.starts) == [0, 1, 5]
    assert names.rows.shape == (7, 8)
    np.testing.assert_array_equal(names.rows[-1], table[2, 1])


def test_many_vectors_are_ranked_as_each_alone():
    table, vectors = units(9, 2, 8), units(2500, 8, seed=3)
    together = logits(vectors, table)
    for index in (0, 1023, 1024, 2499):
        np.testing.assert_allclose(together[index], logits(vectors[index, None], table)[0], 1e-4)


def test_probabilities_and_background_make_one():
    found = probabilities(units(5, 16, seed=4), units(3, 1, 16), scale=2)
    scores = logits(units(5, 16, seed=4), units(3, 1, 16), scale=2)
    background = 1 / np.exp(scores).sum(axis=1)
    np.testing.assert_allclose(found.sum(axis=1) + background, 1, atol=1e-5)


def test_a_vector_of_zeros_fits_nothing_better_than_anything_else():
    np.testing.assert_allclose(probabilities(np.zeros((1, 8)), units(4, 1, 8)), 0.2, atol=1e-6)


def test_no_vectors_give_no_rows():
    assert logits(np.zeros((0, 8), np.float32), units(4, 1, 8)).shape == (0, 5)


@pytest.mark.parametrize("shape", [(4, 8), (0, 2, 8), (4, 0, 8), (4, 1, 1, 8), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ModelError, match="wrong shape"):
        Names.of(np.zeros(shape, np.float32))


def test_values_that_are_not_numbers_are_refused():
    table = units(2, 1, 4)
    table[1, 0, 2] = np.nan
    with pytest.raises(ModelError, match="not numbers"):
        Names.of(table)


def test_another_space_is_refused():
    with pytest.raises(ModelError, match="different models"):
        logits(units(2, 6), units(3, 1, 8))


@pytest.mark.skipif(not OVSAM.exists(), reason="needs ../shared/fixtures/ovsam")
@pytest.mark.parametrize("case", ["point", "box", "twopoints", "point_and_box"])
def test_the_original_ranks_the_same(case):
    with np.load(OVSAM) as cases:
        vectors, table = cases[f"{case}/roi_embed"], cases["class_embed"]
        np.testing.assert_allclose(logits(vectors, table), cases[f"{case}/cls_logits"], atol=1e-4)
        np.testing.assert_allclose(
            probabilities(vectors, table), cases[f"{case}/cls_prob"], atol=1e-5
        )
