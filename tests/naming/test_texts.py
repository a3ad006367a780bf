"""Vectors of names are computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.api import ModelError
from models.naming.texts import NameVectors

TEMPLATES = ("a photo of a {}.", "the {} in the scene")


class _Encoder:
    """Sentences to vectors that depend on every letter; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        self.asked += sentences
        rows = [np.random.default_rng(list(s.encode())).normal(size=8) for s in sentences]
        return np.asarray(rows, np.float32)


def test_a_name_is_the_mean_of_its_sentences(tmp_path: Path) -> None:
    encode = _Encoder()
    vectors = NameVectors(tmp_path, "toy", TEMPLATES)
    list(vectors.learning(["cat", "{dog}"], encode))
    assert encode.asked == [t.replace("{}", n) for n in ("cat", "{dog}") for t in TEMPLATES]
    rows = _Encoder()(encode.asked[:2])
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(0)
    table = vectors.table([["cat"], ["{dog}", "cat"]])
    np.testing.assert_allclose(table.rows[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert table.starts.tolist() == [0, 1]
    assert len(table.rows) == 3


def test_what_is_known_is_not_computed_again(tmp_path: Path) -> None:
    list(NameVectors(tmp_path, "toy", TEMPLATES).learning(["cat", "dog", "cat"], _Encoder()))
    encode = _Encoder()
    again = NameVectors(tmp_path, "toy", TEMPLATES)
    assert again.missing(["dog", "bird", "bird"]) == ["bird"]
    left = list(again.learning(["dog", "bird"], encode))
    assert encode.asked == [t.replace("{}", "bird") for t in TEMPLATES]
    assert left[-1] == 0
    assert NameVectors(tmp_path, "toy", TEMPLATES[:1]).missing(["dog"]) == ["dog"]
    assert NameVectors(tmp_path, "other", TEMPLATES).missing(["dog"]) == ["dog"]


def test_stopping_keeps_what_was_done(tmp_path: Path) -> None:
    names = [f"thing {number}" for number in range(200)]
    steps = NameVectors(tmp_path, "toy", TEMPLATES).learning(names, _Encoder())
    left = next(steps)
    steps.close()
    assert len(NameVectors(tmp_path, "toy", TEMPLATES).missing(names)) == left < 200


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not an archive at all"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    vectors = NameVectors(tmp_path, "toy", TEMPLATES)
    vectors.path.write_bytes(content)
    vectors = NameVectors(tmp_path, "toy", TEMPLATES)
    assert vectors.missing(["cat"]) == ["cat"]
    list(vectors.learning(["cat"], _Encoder()))
    assert not NameVectors(tmp_path, "toy", TEMPLATES).missing(["cat"])


def test_a_folder_that_cannot_be_written_costs_no_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    vectors = NameVectors(tmp_path / "file", "toy", TEMPLATES)
    list(vectors.learning(["cat"], _Encoder()))
    assert len(vectors.table([["cat"]])) == 1


def test_no_templates(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="at least one template"):
        NameVectors(tmp_path, "toy", ())
