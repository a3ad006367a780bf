"""`annotator prelabel --vocabulary`: names from a list for what nobody named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core.annotation import Category
from annotator.core.formats.detections.values import Detections, LabelledBox
from annotator.core.prelabel.boxes import Boxes, BoxOptions
from annotator.core.prelabel.joining import Namer
from annotator.core.prelabel.open_names import OpenNames, Words
from annotator.core.prelabel.proposing import propose
from models.api import Box, CropFrame
from models.describe import BasicDescriber
from models.naming import towers
from models.naming.classifier import Names
from tests.models.toy_segmenter import ToyModel
from tests.naming import small_clip
from tests.test_prelabel_command import (  # noqa: F401
    KEYS,
    application,
    call,
    clean,
    folder,
    opened,
    state,
    summary,
)


class Sight:
    """Sees in every object the same vector."""

    id = "told"
    frame = CropFrame()

    def __init__(self, *values: float) -> None:
        self._vector = np.array(values, np.float32)

    def vector(self, view: object, embed: object) -> NDArray[np.float32]:
        return self._vector


WORDS = Words(("cat", "dog"), Names.of(np.eye(3, dtype=np.float32)[:2, None]), "digest")
NOBODY = Namer((), np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
BOXES = (LabelledBox(Box(5, 5, 15, 15), ""), LabelledBox(Box(30, 20, 50, 35), "mine"))


def labels(sight: Sight, namer: Namer = NOBODY, min_score: float | None = None) -> list[str]:
    pixels = np.full((40, 60, 3), 10, np.uint8)
    pixels[5:15, 5:15], pixels[20:35, 30:50] = 200, 120
    boxes = Boxes(Detections({"a.png": BOXES}), BoxOptions())
    source = OpenNames(boxes, sight, WORDS, namer, min_score)
    found = propose(pixels, "a.png", ToyModel().spec.load(), source).found
    return [one.origin.label for one in found]


@pytest.mark.parametrize(
    ("vector", "least", "expected"),
    [
        ((1, 0, 0), None, "cat"),
        ((0, 1, 0), None, "dog"),
        ((1, 1, 0), None, ""),  # either
        ((1, 1, 0), 0.3, "cat"),
        ((0, 0, 1), None, ""),  # the background: neither
        ((0, 0, 1), 0.5, ""),
        ((0, 0, 0), 0.0, ""),  # nothing was seen
    ],
)
def test_what_is_not_in_doubt_gets_its_name(
    vector: tuple[float, ...], least: float | None, expected: str
) -> None:
    assert labels(Sight(*vector), min_score=least) == [expected, "mine"]


def test_the_project_s_memory_counts_more_the_more_it_knows() -> None:
    shade = np.full((10, 10, 3), 200, np.uint8)
    looks = BasicDescriber().describe(shade, np.ones((10, 10), bool), Box(5, 5, 15, 15))
    classes = (Category(4, "tile", "#112233"), Category(5, "other", "#445566"))

    def known(count: int) -> Namer:
        return Namer(classes, np.full(count, 4, np.int64), np.tile(looks, (count, 1)))

    assert labels(Sight(1, 0, 0), known(1))[0] == "cat"
    assert labels(Sight(1, 0, 0), known(200))[0] == "tile"


@pytest.fixture
def clip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small CLIP in the place of the real ones, as if it had been got."""
    from models.naming.clip import Clip

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small_clip.register(tmp_path)
    tower = towers.Tower("small", "Small", small_clip.ARCHITECTURE, "clip-rn50", 16, 32, 1.0, "T.")
    weights = small_clip.network().state_dict()
    monkeypatch.setattr(towers, "TOWERS", (tower,))
    monkeypatch.setattr(towers.Tower, "available", lambda self: None)
    monkeypatch.setattr(Clip, "open", classmethod(lambda cls, t: cls(t.architecture, weights)))


@pytest.fixture
def words(tmp_path: Path) -> str:
    path = tmp_path / "words.txt"
    path.write_text("cat, kitten\ndog\napple\n")
    return str(path)


def names(folder: Path) -> dict[str, list[str | None]]:  # noqa: F811
    return {key: [name for _, name, *_ in found] for key, found in state(folder).items()}


def test_everything_gets_names_and_a_second_run_replaces_them(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    clip: None,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = ("--vocabulary", words, "--min-name-score", "0", "--json")
    assert call(folder, *told) == 0
    value = summary(capsys)
    assert set(value["classes"]) <= {"cat", "dog", "apple"}
    first = state(folder)
    found = [name for some in names(folder).values() for name in some]
    assert len(found) == 20
    assert set(found) == set(value["classes"])
    assert call(folder, *told) == 0
    assert {k: sorted(map(repr, v)) for k, v in state(folder).items()} == {
        k: sorted(map(repr, v)) for k, v in first.items()
    }


def test_names_that_are_in_doubt_are_left_out(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    clip: None,
    words: str,
) -> None:
    assert call(folder, "--vocabulary", words, "--min-name-score", "1") == 0
    assert {name for some in names(folder).values() for name in some} == {None}


def test_the_classes_of_the_project_can_be_the_list(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    clip: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(folder, "--vocabulary", "project", "--json") == 2
    assert "no classes" in summary(capsys)["stopped"]
    with opened(folder) as document:
        document.add_category("brick")
        document.add_category("stone")
    told = ("--vocabulary", "project", "--min-name-score", "0", "--classes", "existing")
    assert call(folder, *told) == 0
    assert {name for some in names(folder).values() for name in some} <= {"brick", "stone"}


def test_a_run_that_was_stopped_names_as_one_that_was_not(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    clip: None,
    words: str,
) -> None:
    told = ("--vocabulary", words, "--min-name-score", "0")
    assert call(folder, *told) == 0
    whole = state(folder)
    clean(folder)
    last = folder / KEYS[-1]
    kept = last.read_bytes()
    last.write_bytes(b"no image")
    assert call(folder, *told) == 1
    last.write_bytes(kept)
    assert call(folder, *told, "--resume") == 0
    assert state(folder) == whole
    assert call(folder, "--resume", "--vocabulary", words) == 2, "another least score"


def test_without_a_model_for_names_people_are_told_how_to_get_one(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(towers.Tower, "available", lambda self: "It is not on this computer.")
    assert call(folder, "--vocabulary", "coco") == 2
    assert "annotator models get clip-vit-b-32" in capsys.readouterr().err
    assert call(folder, "--vocabulary", "coco", "--names-model", "nobody") == 2
    assert "no model for names “nobody”" in capsys.readouterr().err
    monkeypatch.setattr(towers.Tower, "available", lambda self: None)
    assert call(folder, "--vocabulary", str(tmp_path / "none.txt")) == 2
    assert "none.txt" in capsys.readouterr().err


def test_a_results_file_has_the_names(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    clip: None,
    words: str,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out.json"
    told = ("--vocabulary", words, "--min-name-score", "0", "--out", str(out))
    assert call(folder, *told) == 0
    entries = json.loads(out.read_text())
    assert len(entries) == 20
    assert {entry["category"] for entry in entries} <= {"cat", "dog", "apple"}
    assert len({(e["category"], e["category_id"]) for e in entries}) == len(
        {e["category"] for e in entries}
    )
