"""Adapted models come and go: the store, its card, the registry, damage of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models import adapted, registry
from models.adapted import CARD, GRAPHS, WEIGHTS, AdaptedStore
from models.api import Box, ModelError, Prompt
from models.loupe.segmenter import LoupeSegmenter
from tests.training.adapted_base import offer_base
from tests.training.cards import offer


def test_a_model_is_known_as_soon_as_it_is_there_and_no_longer() -> None:
    assert "adapted-photos" not in registry.segmenters()
    model = offer()
    assert model.id == "adapted-photos"
    spec = registry.segmenter_spec(model.id)
    assert spec.title == "Loupe, adapted to photos ✿"
    assert spec.available() is None
    assert "0.000 → 0.500" in spec.summary
    AdaptedStore().remove(model)
    assert model.id not in registry.segmenters()
    with pytest.raises(ModelError, match="no model “adapted-photos”"):
        registry.segmenter_spec(model.id)
    assert not list(AdaptedStore().folder.iterdir())


def test_it_stands_beside_the_original_in_lists() -> None:
    offer()
    names = list(registry.segmenters())
    assert names.index("adapted-photos") == names.index("loupe") + 1


def test_models_of_one_name_stand_side_by_side() -> None:
    first, second = offer(), offer()
    assert (first.id, second.id) == ("adapted-photos", "adapted-photos-2")
    assert second.title == "Loupe, adapted to photos ✿ (2)"
    assert {first.id, second.id} <= registry.segmenters().keys()


def test_a_model_made_by_another_process_is_found() -> None:
    assert "adapted-photos" not in registry.segmenters()
    program = (
        "from models.adapted import AdaptedStore\nfrom tests.training.cards import card\n"
        "with AdaptedStore().work() as work:\n"
        "    (work / 'model').mkdir()\n    AdaptedStore().put(work / 'model', card('photos'))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert "adapted-photos" in registry.segmenters()


def test_the_folder_of_models_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path / "elsewhere"))
    assert offer().folder == tmp_path / "elsewhere" / "adapted" / "photos"
    assert "adapted-photos" in registry.segmenters()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Fotos 2026", "fotos-2026"),
        ("Übung/№ 1", "ubung-no-1"),
        ("写真", "project"),
        ("..", "project"),
        ("a" * 90, "a" * 40),
    ],
)
def test_names_become_parts_of_paths(name: str, part: str) -> None:
    assert adapted.slug(name) == part


# --- Damage ---


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"format": "annotator-adapted-9"}', '{"format": "annotator-adapted-1"}'],
)
def test_a_damaged_card_leaves_a_model_that_can_only_be_removed(text: str) -> None:
    good, model = offer("good"), offer()
    (model.folder / CARD).write_text(text)
    os.utime(AdaptedStore().folder)  # people copy folders; the card itself is read once
    spec = registry.segmenter_spec(model.id)
    assert "Remove the model" in str(spec.available())
    with pytest.raises(ModelError, match="Remove the model"):
        spec.load()
    assert registry.segmenter_spec(good.id).available() is None
    AdaptedStore().remove(AdaptedStore().find(model.id))
    assert model.id not in registry.segmenters()


@pytest.mark.parametrize(
    ("field", "value"),
    [("title", 3), ("before", {"box": 1.0}), ("after", {"box": "x"}), ("held_images", "many")],
)
def test_a_card_with_wrong_entries_is_damaged(field: str, value: object) -> None:
    model = offer()
    path = model.folder / CARD
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    assert AdaptedStore().find(model.id).card is None


@pytest.mark.parametrize("name", GRAPHS)
def test_a_missing_or_empty_graph_is_noticed_without_loading(name: str) -> None:
    model = offer()
    (model.folder / name).write_bytes(b"")
    assert name in str(registry.segmenter_spec(model.id).available())
    (model.folder / name).unlink()
    assert name in str(registry.segmenter_spec(model.id).available())


def test_it_answers_and_a_changed_graph_is_refused() -> None:
    model = offer_base("cells")
    segmenter = registry.segmenter_spec(model.id).load()
    assert isinstance(segmenter, LoupeSegmenter)
    assert segmenter.spec.id == model.id
    embedding = segmenter.encode(np.zeros((60, 80, 3), np.uint8))
    assert segmenter.decode(embedding, Prompt(box=Box(10, 10, 40, 40)))
    other = bytearray((model.folder / GRAPHS[1]).read_bytes())
    other[len(other) // 2] ^= 1
    (model.folder / GRAPHS[1]).write_bytes(other)
    with pytest.raises(ModelError, match=r"changed or damaged|decoder\.onnx"):
        registry.segmenter_spec(model.id).load()


def test_strange_things_in_the_folder_do_no_harm() -> None:
    store = AdaptedStore()
    store.folder.mkdir(parents=True)
    (store.folder / "notes.txt").write_text("mine")
    (store.folder / "a@b").mkdir()
    (store.folder / "empty").mkdir()
    assert [model.id for model in store.models()] == ["adapted-empty"]
    assert registry.segmenter_spec("adapted-empty").available() is not None
    assert offer().folder.is_dir()
    assert (store.folder / "notes.txt").read_text() == "mine"


# --- Work that did not come to its end ---


def test_half_a_model_is_never_offered() -> None:
    store = AdaptedStore()

    def fail() -> None:
        with store.work() as work:
            (work / "model").mkdir()
            assert not store.models()
            raise ModelError("stop")

    with pytest.raises(ModelError, match="stop"):
        fail()
    assert not list(store.folder.iterdir())


def test_what_dead_processes_left_goes_and_what_living_ones_do_stays() -> None:
    store = AdaptedStore()
    dead = store.folder / ".making-1"
    dead.mkdir(parents=True)
    (dead / "0.jpg").write_bytes(b"x")
    program = (
        "import sys\nfrom models.adapted import AdaptedStore\n"
        "with AdaptedStore().work() as work:\n    print(work, flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as living:
        assert living.stdout is not None
        at_work = Path(living.stdout.readline().strip())
        assert not dead.exists()
        offer()
        assert at_work.is_dir()
        living.kill()
        living.wait()
    offer()
    assert not at_work.exists()


def test_only_loupe_and_its_descendants_can_be_adapted() -> None:
    with pytest.raises(ModelError, match="only “loupe” can"):
        adapted.trainable_folder("basic")
    with pytest.raises(ModelError, match="no adapted model “adapted-x”"):
        adapted.trainable_folder("adapted-x")
    model = offer()
    assert adapted.trainable_folder(model.id) == model.folder
    (model.folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"weights\.pt” is missing"):
        adapted.trainable_folder(model.id)
