"""Changing to EdgeSAM in the running window: import its file, click, keep the mask.

The weights are generated (`../shared/fixtures`): the masks mean nothing, but they are known.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLabel

from annotator.ui.settings_dialog import SettingsDialog
from tests.conftest import SHARED
from tests.e2e.user import Start, User
from tests.models.toy_segmenter import ToyModel, register

FIXTURE = SHARED / "fixtures" / "edgesam"


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the official layout that the catalogue takes for `edge_sam.pth`."""
    if not FIXTURE.is_dir():
        pytest.skip("needs ../shared/fixtures")
    torch = pytest.importorskip("torch")
    import models.catalog

    monkeypatch.syspath_prepend(str(FIXTURE.parent))
    fixture_weights = __import__("fixture_weights")
    state = fixture_weights.state_dict(str(FIXTURE / "keys.json"), str(FIXTURE / "overlay.npz"))
    path = tmp_path / "a file with another name.pth"
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    known = dict(models.catalog.WEIGHTS)
    known["edgesam"] = replace(known["edgesam"], sha256=digest, bytes=path.stat().st_size)
    for module in [
        m for name, m in sys.modules.items() if name.startswith(("models", "annotator"))
    ]:
        if getattr(module, "WEIGHTS", None) is models.catalog.WEIGHTS:
            monkeypatch.setattr(module, "WEIGHTS", MappingProxyType(known))
    monkeypatch.setattr(models.catalog, "WEIGHTS", MappingProxyType(known))
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path / "weights"))
    return path


def test_edgesam_answers_after_its_file_was_imported(
    start: Start, folder: Path, checkpoint: Path
) -> None:
    from models.catalog import WEIGHTS
    from models.weights import WeightStore

    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.window.settings.update(model="edgesam")
        user.waits_for(lambda: "missing" in " ".join(user.window.messages.messages))
        WeightStore().import_file(checkpoint, WEIGHTS.values())
        user.window.settings.update(model="basic")
        user.window.settings.update(model="edgesam")
        user.clicks(80, 120)
        user._bot.waitUntil(lambda: bool(user.workspace.candidates), timeout=60_000)
        assert user.workspace.assistant.model.id == "edgesam"
        assert len(user.workspace.candidates) == 4
        assert all(np.isfinite(c.logits).all() for c in user.workspace.candidates)
        user.names("thing")
        user.waits_for_objects(1)
        (annotation,) = user.workspace.annotations
        assert annotation.origin.model == "edgesam"
        assert annotation.origin.prompt is not None

    start([str(folder)], script)


def test_where_the_model_runs_is_said_everywhere(start: Start, folder: Path) -> None:
    model = ToyModel()
    text = "Toy processor: exact."

    def script(user: User) -> None:
        window, assistant = user.window, user.workspace.assistant
        user.waits_for_image("img2.png")
        window.settings.update(model="toy", device="processor")
        user.waits_for(lambda: "toy" in assistant.devices)
        window.actions_by_id["file.settings"].trigger()
        (dialog,) = window.findChildren(SettingsDialog)
        dialog.show_page("Model")
        (combo,) = dialog.findChildren(QComboBox, "device")
        assert combo.currentData() == "processor"

        def labels() -> list[str]:
            return [label.text() for label in dialog.findChildren(QLabel) if label.isVisible()]

        user.waits_for(lambda: "Toy processor: processor." in labels())
        combo.setFocus()
        user.presses(Qt.Key.Key_End)
        assert window.settings.settings.device == "exact"
        user.waits_for(lambda: assistant.devices["toy"] == text)
        assert text in labels()
        tips = [label.toolTip() for label in window.status.findChildren(QLabel)]
        assert any(f"Runs on: {text}" in tip for tip in tips)
        dialog.close()

    with pytest.MonkeyPatch.context() as patch:
        register(patch, model)
        start([str(folder)], script)
    assert model.devices[0] == "processor"
    assert model.devices[-1] == "exact"
