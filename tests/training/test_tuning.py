"""Fine-tuning on few images: what changes, what stays, when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch  # noqa: TID253

from models.api import ModelError
from models.networks.loupe import Loupe
from models.training import tuning
from models.training.data import LabelledImage
from models.training.loop import Trainer
from models.training.recipe import NARROW
from models.training.settings import Settings
from models.training.tuning import Checked, Tuning, fine_tune, held_ious
from tests.training.shapes import shapes

SHORT = Tuning(
    settings=Settings(
        steps=12, decay=6, warm_up=1, rate=5e-3, images=2, objects=3, side=96, passes=2, average=0.8
    ),
    check_every=4,
    patience=2,
    held_side=96,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return shapes(tmp_path_factory.mktemp("data") / "shapes", 4)


def a_network() -> Loupe:
    torch.manual_seed(0)
    return Loupe(NARROW)


@pytest.fixture(scope="module")
def beginner(images: list[LabelledImage]) -> Loupe:
    """It has begun to learn, so that the statistics of its norms mean something."""
    network = a_network()
    for _ in Trainer(network, replace(SHORT.settings, steps=15)).run(images):
        pass
    return network


@pytest.mark.parametrize("trained", ["decoder", "decoder and last stages"])
def test_it_helps_and_changes_only_what_it_may(
    images: list[LabelledImage], beginner: Loupe, trained: tuning.Parts
) -> None:
    network = beginner
    before = {name: value.clone() for name, value in network.state_dict().items()}
    seen: list[Checked] = []

    tuned = fine_tune(
        network, images, images[:2], replace(SHORT, trained=trained), told=seen.append
    )

    assert tuned.helped
    assert not tuned.stopped
    assert tuned.before == seen[0]
    assert tuned.after == max(seen, key=lambda one: one.mean)
    assert held_ious(tuned.network, images[:2], SHORT.settings) == pytest.approx(tuned.after.ious)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    after = tuned.network.state_dict()
    parts = {
        ".".join(k.split(".")[:3]) if k.startswith("encoder.stages") else k.split(".")[0]
        for k, v in after.items()
        if not torch.equal(v, before[k])
    }
    stages = {"encoder", "encoder.stages.3", "encoder.stages.4"}
    assert parts == ({"decoder"} if trained == "decoder" else {"decoder", *stages})
    assert all(torch.equal(v, before[k]) for k, v in after.items() if "running" in k)


def test_it_ends_when_nothing_gets_better(
    images: list[LabelledImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    ious = iter([0.5, 0.6, 0.4, 0.6, 0.9])
    monkeypatch.setattr(tuning, "held_ious", lambda *_: (next(ious),))
    settings = replace(SHORT.settings, steps=100)
    seen: list[Checked] = []

    tuned = fine_tune(
        a_network(), images, images, replace(SHORT, settings=settings), told=seen.append
    )

    assert [one.step for one in seen] == [0, 4, 8, 12]
    assert (tuned.after.step, tuned.after.mean) == (4, 0.6)


def test_what_does_not_help_is_the_original(
    images: list[LabelledImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    ious = iter([0.5, 0.4, 0.3])
    monkeypatch.setattr(tuning, "held_ious", lambda *_: (next(ious),))
    network = a_network()

    tuned = fine_tune(network, images, images, SHORT)

    assert not tuned.helped
    assert tuned.after == tuned.before
    for name, value in network.state_dict().items():
        assert torch.equal(tuned.network.state_dict()[name], value)


def test_it_can_be_stopped(images: list[LabelledImage]) -> None:
    tuned = fine_tune(a_network(), images, images[:1], SHORT, stopped=lambda: True)

    assert tuned.stopped
    assert tuned.after.step == 0


def test_nothing_to_measure_on_is_refused(images: list[LabelledImage]) -> None:
    with pytest.raises(ModelError, match="Nothing is held out"):
        fine_tune(a_network(), images, [], SHORT)
