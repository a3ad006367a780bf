"""`annotator prelabel --again` and `--labeller`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtWidgets import QApplication

from annotator.app import main
from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.mask import Mask
from annotator.core.proposals import accepted
from annotator.services.document import Document
from models import labelling
from models.labelling import LabelledMask, LabellerSpec, Name, hard_candidate
from tests.models.moving import Disk, disk_mask, scene, write
from tests.models.toy_segmenter import ToyModel, register

DISKS = (Disk(80, 80, 32, 14, 6, seed=1), Disk(230, 150, 40, -8, 4, seed=5))
NAMES = ("coin", "button")


@pytest.fixture(autouse=True)
def application(qapp: QApplication) -> QApplication:
    return qapp


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of a series; the objects of the first are accepted and named."""
    folder = tmp_path / "images"
    for time in range(3):
        write(folder / f"{time}.png", scene(DISKS, time))
    document = Document.open(folder)
    document.add_images([f"{time}.png" for time in range(3)])
    objects = tuple(
        Annotation(
            document.new_id(),
            raster.from_array(disk_mask(disk, 0)),
            document.add_category(name).id,
        )
        for name, disk in zip(NAMES, DISKS, strict=True)
    )
    document.edit("0.png", objects, "Mark")
    document.close()
    return folder


def again(folder: Path, *arguments: str) -> int:
    return main(["prelabel", str(folder), "--model", "loupe", "--again", *arguments])


def proposed(folder: Path, key: str) -> dict[str, Annotation]:
    document = Document.open(folder)
    names = {category.id: category.name for category in document.categories()}
    found = {names[a.category_id or 0]: a for a in document.annotations(key) if a.proposed}
    document.close()
    return found


def test_accepted_objects_are_proposed_in_the_other_images(folder: Path) -> None:
    assert again(folder) == 0
    assert proposed(folder, "0.png") == {}
    for time in (1, 2):
        found = proposed(folder, f"{time}.png")
        assert sorted(found) == sorted(NAMES)
        for name, disk in zip(NAMES, DISKS, strict=True):
            shape, truth = found[name].shape, disk_mask(disk, time)
            assert isinstance(shape, Mask)
            mask = raster.to_array(shape)
            assert (mask & truth).sum() / (mask | truth).sum() > 0.7


def test_a_further_run_replaces_only_what_nobody_touched(folder: Path) -> None:
    again(folder)
    document = Document.open(folder)
    objects = document.annotations("1.png")
    document.edit("1.png", (accepted(objects[0]), *objects[1:]), "Accept")
    document.close()
    assert again(folder) == 0
    document = Document.open(folder)
    after = document.annotations("1.png")
    document.close()
    assert objects[0].id in {a.id for a in after if not a.proposed}
    assert objects[1].id not in {a.id for a in after}
    assert len(after) == 2


def test_resuming_with_other_objects_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again(folder)
    document = Document.open(folder)
    document.edit("0.png", document.annotations("0.png")[:1], "Delete")
    document.close()
    assert again(folder, "--resume") == 2
    assert "objects was" in capsys.readouterr().err


def test_without_named_objects_there_is_nothing_to_look_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = Document.open(folder)
    unnamed = tuple(replace(a, category_id=None) for a in document.annotations("0.png"))
    document.edit("0.png", unnamed, "Forget")
    document.close()
    assert again(folder) == 2
    assert "no accepted object with a name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [("--again", "--side", "4"), ("--again", "--labeller", "toys"), ("--labeller", "nothing")],
)
def test_options_that_do_not_go_together(folder: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["prelabel", str(folder), *arguments])
    assert raised.value.code == 2


# --- Labellers ---


class Bright:
    """Everything bright is a coin, and the rest is ground."""

    def __init__(self, spec: LabellerSpec) -> None:
        self.spec = spec
        self.fingerprint = "bright"
        self.device = "Runs on a lamp."

    def label(self, image: NDArray[np.uint8], names: Sequence[Name]) -> Sequence[LabelledMask]:
        bright = image.max(axis=2) > 130
        found = []
        for name in names:
            mask = bright if name.is_thing else ~bright
            candidate = hard_candidate(mask, 0.8)
            if candidate is not None:
                found.append(LabelledMask(candidate, name.name, name.is_thing))
        return found


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> LabellerSpec:
    spec = LabellerSpec(
        "bright", "Bright", "1", "Tests.", "MIT", load=lambda: Bright(spec), takes_names=True,
        effort="It takes a while",
    )  # fmt: skip
    monkeypatch.setattr(labelling, "labellers", lambda: {"bright": spec})
    return spec


def test_it_says_what_it_takes_and_where_it_runs(
    folder: Path, bright: LabellerSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prelabel", str(folder), "--labeller", "bright"]) == 0
    assert "It takes a while. Runs on a lamp." in capsys.readouterr().err


def test_how_long_it_takes_is_said_after_one_image_that_took_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from annotator.commands import progress

    @dataclass
    class Counts:
        images: int = 4
        made: int = 0

        @property
        def done(self) -> int:
            return self.made

    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    counts = Counts()
    with progress.progress(counts) as show:
        counts.made, now[0] = 1, 31.0
        show()
    assert capsys.readouterr().err == "1 of 4 images, 31 s an image, 2 min left\n"


def test_a_network_means_its_panoptic_labeller() -> None:
    assert labelling.labeller_spec("omgseg").id == "omgseg-panoptic"


def test_a_labeller_finds_the_classes_of_the_project(folder: Path, bright: LabellerSpec) -> None:
    document = Document.open(folder)
    ground = document.add_category("ground")
    document.change_category(replace(ground, extra={"isthing": 0}))
    document.close()
    assert main(["prelabel", str(folder), "--labeller", "bright", "--scope", "untouched"]) == 0
    found = proposed(folder, "1.png")
    assert sorted(found) == ["button", "coin", "ground"]
    assert found["ground"].origin.model == "bright"
    assert found["ground"].origin.prompt is None
    before = {a.id for a in found.values()}
    assert main(["prelabel", str(folder), "--labeller", "bright"]) == 0
    assert sorted(proposed(folder, "1.png")) == sorted(found)
    assert before.isdisjoint(a.id for a in proposed(folder, "1.png").values())


def test_the_list_of_labellers(
    folder: Path, bright: LabellerSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["prelabel", str(folder), "--labeller", "list"])
    assert raised.value.code == 0
    assert "bright: Tests. MIT." in capsys.readouterr().err


def test_a_model_that_is_not_there_says_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = LabellerSpec("far", "Far", "1", "Tests.", "MIT", load=lambda: Bright(spec),
                        available=lambda: "Get it first.")  # fmt: skip
    monkeypatch.setattr(labelling, "labellers", lambda: {"far": spec})
    assert main(["prelabel", str(folder), "--labeller", "far"]) == 1
    assert "Get it first." in capsys.readouterr().err


def test_the_toy_still_goes_the_plain_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, ToyModel())
    assert main(["prelabel", str(folder), "--model", "toy", "--side", "2"]) == 0
