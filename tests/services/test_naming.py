"""Names from a text model on the model thread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from annotator.core.vocabulary import TEMPLATES
from annotator.services.answering import Picture
from annotator.services.embeddings import Embeddings, ImageFile
from annotator.services.naming import Namer, Wording
from annotator.services.task_queue import TaskQueue
from models.api import Box, ModelError
from models.naming import sight, towers
from tests.models.toy_segmenter import ToyModel, ToySegmenter, register
from tests.naming import small_clip

TEMPLATE = TEMPLATES[:1]
PICTURE = Picture("a.png", ImageFile(Path("a.png"), 1, 1), np.zeros((40, 30, 3), np.uint8))
WORDS = Wording((("cat", "kitten"), ("dog",), ("苹果",)), TEMPLATE)


@pytest.fixture
def tower(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> towers.Tower:
    """A small CLIP in the place of the real ones."""
    from models.naming.clip import Clip

    small_clip.register(tmp_path)
    made = towers.Tower(
        "small", "Small", small_clip.ARCHITECTURE, "clip-rn50", 16, 32, 1.0, "Tests."
    )
    state = small_clip.network().state_dict()
    monkeypatch.setattr(towers, "TOWERS", (made,))
    monkeypatch.setattr(
        Clip, "open", classmethod(lambda cls, tower: cls(tower.architecture, state))
    )
    return made


@pytest.fixture
def queue(qtbot):
    queue = TaskQueue("names under test")
    yield queue
    queue.close()


@pytest.fixture
def namer(queue: TaskQueue, tower: towers.Tower, tmp_path: Path):
    namer = Namer(queue, Embeddings(), cache=tmp_path / "cache")
    yield namer
    namer.close()


def learn(qtbot, namer: Namer, tower: towers.Tower, wording: Wording = WORDS) -> None:
    with qtbot.waitSignal(namer.changed, check_params_cb=lambda: True):
        namer.use(tower.id)
    with qtbot.waitSignal(namer.changed):
        namer.set_wording(wording)


def seen(frame):
    pixels = np.random.default_rng(3).integers(0, 255, (40, 30, 3), np.uint8)
    return pixels, np.ones((40, 30), bool), None


def test_without_a_model_nothing_happens(namer: Namer, qtbot) -> None:
    namer.set_wording(WORDS)
    assert namer.space == ""
    assert namer.rank(np.ones(16, np.float32)) == ()
    namer.look(PICTURE, seen, lambda vector: pytest.fail("nobody looks"))
    with pytest.raises(ModelError, match="no model for names"):
        namer.use("no such model")
    assert namer.space == ""


def test_names_are_learnt_and_ranked_as_clip_would(qtbot, namer: Namer, tower) -> None:
    learn(qtbot, namer, tower)
    found = []
    namer.look(PICTURE, seen, found.append)
    qtbot.waitUntil(lambda: bool(found))
    ranking = namer.rank(found[0])
    assert {suggestion.name for suggestion in ranking} == {"cat", "dog", "苹果"}
    scores = [suggestion.score for suggestion in ranking]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1 + 1e-6

    from models.naming.clip import Clip

    clip = Clip.open(tower)
    image = found[0] / np.linalg.norm(found[0])
    texts = clip.texts([TEMPLATE[0].format(n) for n in ("cat", "kitten", "dog", "苹果")])
    cosines = texts @ image / np.linalg.norm(texts, axis=1)
    logits = np.exp(4.6052) * np.array([cosines[:2].max(), cosines[2], cosines[3], 0])
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    by_name = {suggestion.name: suggestion.score for suggestion in ranking}
    for name, score in zip(("cat", "dog", "苹果"), expected[:3], strict=True):
        assert by_name[name] == pytest.approx(score, abs=1e-4)


def test_what_is_on_disk_needs_no_model(
    qtbot, namer: Namer, tower, queue, tmp_path, monkeypatch
) -> None:
    learn(qtbot, namer, tower)
    from models.naming.clip import Clip

    def fail(*_: object) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr(Clip, "open", classmethod(fail))
    again = Namer(queue, Embeddings(), cache=tmp_path / "cache")
    learn(qtbot, again, tower)
    assert len(again.rank(np.ones(16, np.float32))) == 3


def test_a_new_class_ranks_along_after_a_moment(qtbot, namer: Namer, tower) -> None:
    learn(qtbot, namer, tower)
    with qtbot.waitSignals(
        [namer.learning, namer.changed], check_params_cbs=[lambda n: n > 0, None]
    ):
        namer.set_wording(Wording((*WORDS.classes, ("zebra",)), TEMPLATE))
    assert "zebra" in {suggestion.name for suggestion in namer.rank(np.ones(16, np.float32))}
    with qtbot.waitSignal(namer.changed):
        namer.set_wording(Wording((), TEMPLATE))
    assert namer.rank(np.ones(16, np.float32)) == ()


def test_a_model_that_is_not_there_is_told(qtbot, namer: Namer, monkeypatch, tmp_path) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path / "none"))
    with qtbot.waitSignal(namer.failed) as told:
        namer.use("clip-vit-b-32")
        namer.set_wording(WORDS)
    assert "CLIP ViT-B-32" in told.args[0].message
    assert "annotator models get" in told.args[0].message
    assert namer.rank(np.ones(512, np.float32)) == ()


class _Labels(ToySegmenter):
    """Knows what lies in a box: the direction depends on its left edge."""

    space = "toy-space"
    tower = "clip-rn50x16"

    def vector(self, embedding, box):
        found = np.zeros(small_clip.LENGTH, np.float32)
        found[int(box.x0)] = 1
        return found

    def vectors(self, embedding, boxes):
        return np.stack([self.vector(embedding, box) for box in boxes])


def test_a_segmenter_names_masks_of_any_origin(qtbot, namer: Namer, tower, monkeypatch) -> None:
    model = ToyModel()
    model.spec = replace(model.spec, load=lambda: _Labels(model))
    register(monkeypatch, model)
    monkeypatch.setattr(sight, "SEGMENTERS", ("toy",))
    monkeypatch.setattr(towers, "TOWERS", (replace(tower, id="clip-rn50x16"),))
    with qtbot.waitSignals([namer.changed, namer.changed]):
        namer.use("toy")
        namer.set_wording(WORDS)
    assert namer.space == "clip-rn50x16-toy-1"
    found = []
    for left in (3, 5):
        box = Box(left, 0, 20, 20)
        namer.describe(left, PICTURE, lambda frame, box=box: (None, None, box), found.append)
    qtbot.waitUntil(lambda: len(found) == 2)
    assert [int(vector.argmax()) for vector in found] == [3, 5]
    assert len(model.calls) == 1, "the image is looked at once"
    assert len(namer.rank(found[0])) == 3
