"""The first use of a checkpoint takes a while: the window says so, and the user can go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton

from models import exporting
from models.registry import DEFAULT_SEGMENTER
from tests.e2e.user import Start, User
from tests.models import slow_export
from tests.models.toy_segmenter import ToyModel, register


def test_the_window_says_that_a_model_is_being_prepared(
    start: Start, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = slow_export.install(tmp_path, monkeypatch)
    model = ToyModel()
    model.spec = replace(
        model.spec,
        load=lambda: exporting.export_once("x", tmp_path, slow_export.PROGRAM, [], "x"),
    )
    register(monkeypatch, model)

    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        messages = user.window.messages
        user.window.settings.update(model="toy")
        user.waits_for(lambda: messages.messages == ("Toy is being prepared for this computer.",))
        user.waits_for(lambda: "● Preparing Toy…" in user.status())
        user.waits_for(begun.exists)
        banner = messages.banner("preparing")
        assert banner is not None
        (button,) = (b for b in banner.findChildren(QPushButton) if "default" in b.text())
        button.click()
        user.waits_for(lambda: messages.messages == ())
        user.clicks(80, 120)
        user.waits_for(lambda: bool(user.workspace.candidates))
        assert user.workspace.assistant.model.id == DEFAULT_SEGMENTER
        assert not any("Preparing" in text for text in user.status())

    start([str(folder)], script)
