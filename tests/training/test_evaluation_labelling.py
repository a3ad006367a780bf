"""Mask AP of models that label images by themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models.labelling
from models.api import ModelError
from models.labelling import LabelledMask, LabellerSpec, Name, hard_candidate
from models.training.evaluation.command import run
from models.training.evaluation.dataset import read_dataset
from models.training.evaluation.labelling import labeller_numbers

BOXES = {1: [(5, 5, 20, 20, "cat"), (40, 30, 30, 20, "dog")], 2: [(10, 10, 30, 40, "dog")]}


class Knowing:
    """Finds what is brighter than black, and calls it what its brightness says."""

    fingerprint = "knowing"

    def __init__(self, swapped: bool = False) -> None:
        self.swapped = swapped

    @property
    def spec(self) -> LabellerSpec:
        return LabellerSpec("knowing", "", "1", "", "", load=lambda: self, takes_names=True)

    def label(self, image: np.ndarray, names: Sequence[Name]) -> Sequence[LabelledMask]:
        assert [one.name for one in names] == ["cat", "dog"]
        found = []
        for value, name in ((100, "dog" if self.swapped else "cat"), (200, "dog")):
            candidate = hard_candidate(image[..., 0] == value, 0.9)
            if candidate is not None:
                found.append(LabelledMask(candidate, name))
        return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    annotations = []
    for number, boxes in BOXES.items():
        pixels = np.zeros((60, 80, 3), np.uint8)
        for x, y, w, h, name in boxes:
            pixels[y : y + h, x : x + w] = 100 if name == "cat" else 200
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "iscrowd": 0, "area": w * h,
                 "category_id": 1 if name == "cat" else 2, "bbox": [x, y, w, h],
                 "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}
            )  # fmt: skip
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 80, "height": 60} for n in BOXES],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def test_what_is_right_counts_and_what_has_another_name_does_not(data: Path) -> None:
    dataset = read_dataset(data)
    assert labeller_numbers(Knowing(), dataset)["AP"] == pytest.approx(1.0)
    swapped = labeller_numbers(Knowing(swapped=True), dataset)
    assert swapped["AP"] < 0.6


def test_the_command(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.labelling, "labellers", lambda: {"knowing": Knowing().spec})
    assert run([str(data), "--labeller", "knowing"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("| knowing | AP | AP50 ")
    assert "| 1.0000 | 1.0000 |" in printed
    with pytest.raises(ModelError, match="labels images by itself"):
        run([str(data), "--labeller", "unknown"])


def test_without_weights_it_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path / "none"))
    with pytest.raises(ModelError, match="cannot be measured: OMG-Seg needs"):
        run([str(data), "--labeller", "omgseg-panoptic"])
