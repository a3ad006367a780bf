"""A large image in the real window: what the model sees follows the zoom."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from annotator.core import raster
from annotator.core.mask import Mask
from annotator.ui.status_bar import StatusBar
from models.crops import CropCandidate
from models.registry import DEFAULT_SEGMENTER, segmenter_spec
from tests.e2e.user import Start, User
from tests.models.toy_segmenter import ToyModel, register

CLOSE = {"zoom": 30, "x": 301, "y": 201}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One image, eight times as wide as the model sees it, with an object of 3 x 3 pixels."""
    register(monkeypatch, ToyModel())
    pixels = np.full((384, 512, 3), 20, np.uint8)
    pixels[200:203, 300:303] = 220
    folder = tmp_path / "images"
    folder.mkdir()
    assert cv2.imwrite(str(folder / "large.png"), pixels)
    return folder


def shown_model(user: User) -> str:
    status = user.window.findChild(StatusBar)
    assert status is not None
    names = [child for child in status.children() if hasattr(child, "accessibleName")]
    (label,) = [child for child in names if child.accessibleName() == "Model in use"]
    return str(label.text())


def test_zooming_in_gives_exact_masks_of_small_objects(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.window.settings.update(model="toy")
        user.waits_for_image()
        user.waits_for(lambda: shown_model(user) == "Toy · whole image 1:8")
        user.window.canvas.restore_view(CLOSE)
        user.waits_for(lambda: shown_model(user) == "Toy · detail 1:1")
        user.clicks(301.5, 201.5)
        user.waits_for(lambda: isinstance(user.workspace.candidate, CropCandidate))
        user.workspace.accept()
        user.waits_for_objects(1)
        truth = np.zeros((384, 512), bool)
        truth[200:203, 300:303] = True
        mask = user.workspace.annotations[0].shape
        assert isinstance(mask, Mask)
        np.testing.assert_array_equal(raster.to_array(mask), truth)
        user.window.canvas.fit()
        user.waits_for(lambda: shown_model(user) == "Toy · whole image 1:8")
        user.window.settings.update(model="")
        title = segmenter_spec(DEFAULT_SEGMENTER).title
        user.waits_for(lambda: shown_model(user) == title)

    assert start([str(folder)], script) == 0


def test_a_prompt_from_before_zooming_in_becomes_exact(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.window.settings.update(model="toy")
        user.waits_for_image()
        user.clicks(301.5, 201.5)
        user.waits_for(lambda: bool(user.workspace.candidates))
        assert not isinstance(user.workspace.candidate, CropCandidate)
        user.window.canvas.restore_view(CLOSE)
        user.waits_for(lambda: isinstance(user.workspace.candidate, CropCandidate))

    assert start([str(folder)], script) == 0
