"""A narrow OMG-Seg learns machine-made scenes, and labels images and folders in the program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

import models.labelling
from annotator.core import raster
from annotator.core.annotation import Annotations, Category
from annotator.core.mask import Mask
from annotator.services.run_preparing import Order
from models.api import Point, Prompt, SegmenterSpec
from models.labelling import LabellerSpec, Unasked, labelled
from models.networks.omgseg import OmgSeg, narrow_omgseg
from models.omgseg.prompted import PromptedSegmenter
from models.training.evaluation.panoptic import PanopticQuality, Part
from tests.e2e.user import Start, User, starter
from tests.models import omgseg_narrow as narrow
from tests.training.omgseg_scenes import NAMES, SIZE, Scene, make_scene

BAR = 0.5
"""Of panoptic quality; random weights have 0."""
KNOWN = [one.name for one in NAMES]
"""So frozen CLIP, which is random here, has no say."""
INDEX = {one.name: place for place, one in enumerate(NAMES)}


def scenes(count: int) -> list[Scene]:
    rng = np.random.default_rng(99)
    return [make_scene(rng) for _ in range(count)]


def quality(network: OmgSeg, folder: Path) -> float:
    """PQ of what a network says of scenes it has never seen."""
    model = Unasked(narrow.labeller(network, folder, trained=KNOWN), NAMES)
    counted = PanopticQuality()
    for scene in scenes(30):
        embedding = model.encode(scene.image)
        found = [one for one in labelled(embedding) if one.candidate.score >= 0.3]
        numbers = np.zeros(SIZE, np.int32)
        for number, one in enumerate(found, 1):
            numbers[model.render(embedding, one.candidate)] = number
        parts = [Part(number, INDEX[one.label]) for number, one in enumerate(found, 1)]
        counted.add(scene.numbered, _parts(scene), numbers, parts)
    return counted.numbers()["PQ"]


def _parts(scene: Scene) -> list[Part]:
    return [Part(number, label) for number, (label, _) in enumerate(scene.segments, 1)]


@pytest.mark.slow
def test_random_weights_miss_the_bar(tmp_path: Path) -> None:
    assert quality(narrow_omgseg(0), tmp_path) < BAR / 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_learns_things_and_stuff(taught: OmgSeg, tmp_path: Path) -> None:
    assert quality(taught, tmp_path) > BAR


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_of_the_candidates_of_a_click_is_the_object(taught: OmgSeg) -> None:
    spec = SegmenterSpec("narrow", "Narrow", "1", "", "", load=lambda: model)
    model = PromptedSegmenter(spec, narrow.opened(taught), narrow.LONGEST)
    best = []
    for scene in scenes(15):
        embedding = model.encode(scene.image)
        for _, mask in scene.segments:
            rows, columns = np.nonzero(mask)
            middle = len(rows) // 2
            click = Point(columns[middle] + 0.5, rows[middle] + 0.5)
            found = model.decode(embedding, Prompt((click,)))
            best.append(max(_iou(model.render(embedding, one), mask) for one in found))
    assert np.mean(best) > 0.7


@pytest.fixture
def labeller(taught: OmgSeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabellerSpec:
    spec = narrow.labeller(taught, tmp_path / "names", trained=KNOWN).spec
    monkeypatch.setattr(models.labelling, "labellers", lambda: {spec.id: spec})
    return spec


@pytest.fixture
def start(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Start:
    return starter(qtbot, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_this_image_and_this_folder_in_the_window(
    start: Start, labeller: LabellerSpec, tmp_path: Path
) -> None:
    made = scenes(6)
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number, scene in enumerate(made):
        Image.fromarray(scene.image).save(folder / f"{number}.png")

    def script(user: User) -> None:
        user.waits_for_image("0.png")
        document = user.workspace.document
        assert document is not None
        for one in NAMES:
            category = document.add_category(one.name)
            if not one.is_thing:
                document.change_category(_as_stuff(category))
        user.window.labels._agreed.add(labeller.id)
        user.window.run("image.label")
        user.waits_for(lambda: not user.window.labels.running)
        assert _program_quality(made[:1], [document.annotations("0.png")]) > BAR
        values = {"labeller": labeller.id, "min_score": 0.3, "max_overlap": 0.6, "min_area": 40}
        run = user.window.prelabelling.run
        keys = [f"{number}.png" for number in range(len(made))]
        run.start(Order("labeller", values, labeller.id), keys)
        user._bot.waitUntil(lambda: not run.running, timeout=120_000)
        found = [document.annotations(key) for key in keys]
        assert _program_quality(made, found) > BAR
        assert all(one.proposed for objects in found for one in objects)

    assert start([str(folder)], script) == 0


def _as_stuff(category: Category) -> Category:
    from dataclasses import replace

    return replace(category, extra={"isthing": 0})


def _program_quality(made: list[Scene], found: list[Annotations]) -> float:
    """PQ of the proposals of a project whose classes are `NAMES` in their order."""
    counted = PanopticQuality()
    for scene, objects in zip(made, found, strict=True):
        numbers = np.zeros(SIZE, np.int32)
        parts = []
        for number, one in enumerate(objects, 1):
            assert isinstance(one.shape, Mask)
            assert one.category_id is not None
            numbers[raster.to_array(one.shape)] = number
            parts.append(Part(number, one.category_id - 1))
        counted.add(scene.numbered, _parts(scene), numbers, parts)
    return counted.numbers()["PQ"]


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())
