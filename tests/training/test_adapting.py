"""Adapting: what is set aside, what is refused, what is worth offering, what a stop leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch  # noqa: TID253
from pycocotools import mask as coco_mask

from models import registry
from models.adapted import MEASURED, WEIGHTS, AdaptedStore, Comparison, Refused
from models.api import ModelError
from models.loupe.segmenter import LoupeSegmenter
from models.training import adapting
from models.training.adapting import Division, Job, Stage, adapt, compare, divide, reduced
from models.training.data import LabelledImage
from models.training.evaluation.report import STEPS, Answer, Row
from models.training.export import load_weights
from models.weight_files import Cancelled
from tests.training.adapted_base import BASE, offer_base, one_thread
from tests.training.shapes import shapes

__all__ = ["one_thread"]  # pytest finds it here


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return shapes(tmp_path_factory.mktemp("shapes") / "data", 12)


@pytest.fixture
def store() -> AdaptedStore:
    offer_base()
    return AdaptedStore()


def names(images: Sequence[LabelledImage]) -> set[str]:
    return {image.name for image in images}


def of_all(found: Division) -> list[str]:
    return [image.name for part in (found.learned, found.watched, found.measured) for image in part]


# --- The whole way ---


def test_a_model_that_learns_is_offered(
    images: list[LabelledImage], store: AdaptedStore, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG and nothing more")
    unreadable = replace(images[0], name="broken.png", load=broken.read_bytes)
    gone = replace(images[0], name="gone.png", load=(tmp_path / "gone.png").read_bytes)
    stages: list[Stage] = []
    job = Job("shapes", BASE, "decoder+last", steps=10, rate=0.01)
    done = adapt([*images, unreadable, gone], job, store, stages.append)
    assert done.comparison.helps
    assert done.comparison.gain > 0.05
    assert len(done.problems) == 2
    assert any("broken.png" in problem for problem in done.problems)
    shares = [stage.share for stage in stages]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.05
    assert shares[-1] == pytest.approx(1.0)
    assert [stage.doing for stage in stages if stage.doing == "Training"]
    found = done.model.card
    assert found is not None
    assert (found.origin, found.learned_images, found.held_images) == (BASE, 9, 3)
    assert found.after["box"] == pytest.approx(done.comparison.after["box"], abs=1e-4)
    segmenter = registry.segmenter_spec(done.model.id).load()
    base = registry.segmenter_spec(BASE).load()
    assert isinstance(segmenter, LoupeSegmenter)
    assert isinstance(base, LoupeSegmenter)
    assert segmenter.fingerprint != base.fingerprint
    assert (
        load_weights(done.model.folder / WEIGHTS).config
        == load_weights(store.find(BASE).folder / WEIGHTS).config
    )
    assert sorted(path.name for path in store.folder.iterdir()) == ["base", "shapes"]


def test_what_does_not_learn_is_not_offered(
    images: list[LabelledImage], store: AdaptedStore
) -> None:
    before = set(registry.segmenters())
    with pytest.raises(Refused, match="It does not help"):
        adapt(images, Job("shapes", BASE, steps=2, rate=1e-9), store)
    assert set(registry.segmenters()) == before
    assert [path.name for path in store.folder.iterdir()] == ["base"]


def test_what_learns_only_on_the_watched_images_is_not_offered(
    images: list[LabelledImage], store: AdaptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict rests on images that had no say in the training."""

    def lucky(*arguments: object, **named: object) -> object:
        tuned = genuine(*arguments, **named)  # type: ignore[arg-type]
        return replace(tuned, after=replace(tuned.before, step=1, ious=(1.0,)))

    genuine = adapting.fine_tune
    monkeypatch.setattr(adapting, "fine_tune", lucky)
    with pytest.raises(Refused, match="3 images it did not learn from") as refusal:
        adapt(images, Job("shapes", BASE, steps=1, rate=1e-9), store)
    comparison = refusal.value.comparison
    assert comparison is not None
    assert comparison.images == 3
    assert not comparison.helps
    assert [path.name for path in store.folder.iterdir()] == ["base"]


@pytest.mark.parametrize("doing", ["Preparing", "Training", "Measuring after"])
def test_a_stop_leaves_nothing(
    images: list[LabelledImage], store: AdaptedStore, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    reached: list[str] = []
    monkeypatch.setattr(adapting, "fine_tune", _at_once(adapting.fine_tune))
    with pytest.raises(Cancelled):
        adapt(
            images,
            Job("shapes", BASE, steps=2, rate=0.01),
            store,
            lambda stage: reached.append(stage.doing),
            lambda: doing in reached,
        )
    assert reached[-1] == doing
    assert [path.name for path in store.folder.iterdir()] == ["base"]


def _at_once(genuine: Callable[..., object]) -> Callable[..., object]:
    """Any training is a success, so that the work goes on to its end."""

    def tuned(*arguments: object, **named: object) -> object:
        found = genuine(*arguments, **named)
        return replace(found, after=replace(found.before, step=1, ious=(1.0,)))  # type: ignore[attr-defined]

    return tuned


def test_a_full_disk_is_named(
    images: list[LabelledImage], store: AdaptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(adapting, "reduced", full)
    with pytest.raises(ModelError, match="is full"):
        adapt(images, Job("shapes", BASE), store)
    assert [path.name for path in store.folder.iterdir()] == ["base"]


# --- What is set aside ---


def test_every_image_has_one_part_and_it_depends_on_its_name(images: list[LabelledImage]) -> None:
    chosen = adapting._chosen(images, 0)
    found = divide(chosen, 0)
    assert sorted(of_all(found)) == sorted(names(images))
    assert (len(found.learned), len(found.watched), len(found.measured)) == (7, 2, 3)
    assert of_all(divide(adapting._chosen(images[::-1], 0), 0)) == of_all(found)
    assert of_all(divide(adapting._chosen(images, 1), 1)) != of_all(found)
    fewer = divide(adapting._chosen([i for i in images if i.name != chosen[-1].name], 0), 0)
    assert names(fewer.measured) == names(found.measured)


def test_an_image_full_of_objects_is_not_measured_alone(images: list[LabelledImage]) -> None:
    crowded = [replace(i, masks=i.masks * 20, boxes=np.concatenate([i.boxes] * 20)) for i in images]
    found = divide(crowded, 0)
    assert {len(image.masks) for image in found.measured} == {adapting.MEASURED_OBJECTS}
    assert {len(image.masks) for image in found.learned} == {60}
    assert len(found.measured[0].boxes) == adapting.MEASURED_OBJECTS


@pytest.mark.parametrize(
    ("count", "objects", "words"),
    [(0, 3, "0 accepted masks in 0 images"), (7, 3, "in 7 images"), (12, 1, "12 accepted masks")],
)
def test_too_little_is_refused_with_what_would_be_enough(
    images: list[LabelledImage], store: AdaptedStore, count: int, objects: int, words: str
) -> None:
    few = [
        replace(i, masks=i.masks[:objects] * (1 if objects < 3 else 5), boxes=np.zeros((15, 4)))
        for i in images[:count]
    ]
    with pytest.raises(Refused, match=words) as refusal:
        adapt(few, Job("shapes", BASE), store)
    assert "30 masks in 8 images are needed" in str(refusal.value)


def test_specks_do_not_count(images: list[LabelledImage], store: AdaptedStore) -> None:
    speck = np.zeros(images[0].size, np.uint8)
    speck[:7, :9] = 1
    rle = coco_mask.encode(np.asfortranarray(speck))
    dotted = [replace(i, masks=(rle,) * 5, boxes=np.zeros((5, 4), np.float32)) for i in images]
    with pytest.raises(Refused, match="0 accepted masks"):
        adapt(dotted, Job("shapes", BASE), store)


def test_large_images_are_copied_small(tmp_path: Path) -> None:
    mask = np.zeros((1000, 3000), np.uint8)
    mask[200:600, 1500:2400] = 1
    pixels = np.full((1000, 3000, 3), (20, 60, 200), np.uint8)
    pixels[mask > 0] = (240, 30, 10)
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    box = np.array([[1500, 200, 2400, 600]], np.float32)
    rle = coco_mask.encode(np.asfortranarray(mask))
    image = LabelledImage("large.png", "", (1000, 3000), (rle,), box, path.read_bytes)
    small = reduced(image, tmp_path / "copy.jpg", 600)
    assert small.size == (200, 600)
    assert small.boxes.tolist() == [[300, 40, 480, 120]]
    copy = small.pixels()
    assert np.abs(copy[small.mask(0) > 0].mean(0) - (240, 30, 10)).max() < 5
    assert np.abs(copy[:30].mean((0, 1)) - (20, 60, 200)).max() < 5
    assert reduced(image, tmp_path / "other.jpg", 3000) is image


# --- What is worth offering ---


def rows(ious: dict[str, list[float]]) -> list[Row]:
    """Objects by image; every prompt has the same IoU."""
    return [
        Row(name, number, "", 100, {step: Answer(iou, iou, iou, 1, 1) for step in STEPS}, 0.5, 0.5)
        for name, values in ious.items()
        for number, iou in enumerate(values)
    ]


def shifted(before: dict[str, list[float]], by: dict[str, float]) -> Comparison:
    after = {name: [iou + by[name] for iou in values] for name, values in before.items()}
    return compare(rows(before), rows(after))


BEFORE = {"a": [0.5, 0.6, 0.7], "b": [0.6, 0.65], "c": [0.4, 0.8], "d": [0.7]}


def test_a_gain_in_every_image_helps() -> None:
    found = shifted(BEFORE, {"a": 0.02, "b": 0.03, "c": 0.02, "d": 0.04})
    assert found.helps
    assert found.gain == pytest.approx((3 * 0.02 + 2 * 0.03 + 2 * 0.02 + 0.04) / 8)
    assert 0.02 <= found.least < found.gain
    assert (found.images, found.objects) == (4, 8)
    assert found.before["box"] == pytest.approx(np.mean([v for vs in BEFORE.values() for v in vs]))


def test_a_gain_in_one_image_is_chance() -> None:
    """However many objects that image has: they resemble each other."""
    many = {**BEFORE, "a": [0.5] * 40}
    found = shifted(many, {"a": 0.1, "b": -0.02, "c": -0.02, "d": -0.02})
    assert found.gain > 0.05
    assert not found.helps


def test_a_gain_too_small_to_notice_is_none() -> None:
    found = shifted(BEFORE, dict.fromkeys(BEFORE, 0.004))
    assert found.least > 0
    assert not found.helps


def test_a_loss_does_not_help() -> None:
    assert not shifted(BEFORE, dict.fromkeys(BEFORE, -0.1)).helps
    assert not shifted(BEFORE, dict.fromkeys(BEFORE, 0.0)).helps


@pytest.mark.parametrize(
    ("level", "by", "words"),
    [(0.95, 0.001, "nearly as you do"), (0.5, 0.0, "More accepted masks"), (0.5, 0.02, "chance")],
)
def test_the_reason_fits_the_numbers(level: float, by: float, words: str) -> None:
    numbers = dict.fromkeys(MEASURED, level)
    after = dict.fromkeys(MEASURED, level + by)
    spec = registry.segmenter_spec("loupe")
    assert words in adapting._no_help(spec, Comparison(numbers, after, 5, 20, -0.01))


def test_the_parts_that_are_not_trained_stay(
    images: list[LabelledImage], store: AdaptedStore
) -> None:
    network = load_weights(store.find(BASE).folder / WEIGHTS)
    chosen = adapting._chosen(images, 0)
    tell = adapting._Teller(lambda stage: None, lambda: False)
    for parts, changed in (("decoder", False), ("decoder+last", True)):
        job = Job("x", BASE, parts, steps=1, rate=0.01)  # type: ignore[arg-type]
        tuned = adapting._tuned(network, divide(chosen, 0), job, tell)
        if tuned.after.step == 0:
            continue  # the first state was the best
        old, new = network.encoder.state_dict(), tuned.network.encoder.state_dict()
        same = all(torch.equal(old[name], new[name]) for name in old)
        assert same is not changed
