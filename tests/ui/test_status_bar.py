"""The line at the bottom: what a slow model does."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from annotator.services.answering import Encoding
from annotator.ui.status_bar import StatusBar
from tests.ui.panels import opened


def test_it_says_how_far_a_slow_model_is(tmp_path: Path, qtbot: QtBot) -> None:
    with opened(tmp_path, qtbot) as workspace:
        qtbot.waitUntil(lambda: not workspace.working)
        bar = StatusBar(workspace)
        qtbot.addWidget(bar)
        labels = {label.accessibleName(): label for label in bar.findChildren(QLabel)}
        activity = labels["Model activity"]
        quiet = activity.text()
        workspace.assistant.encoding_changed.emit(Encoding("Open-Vocabulary SAM", "neck", 0.58))
        assert activity.text() == "● Encoding, 58%"
        assert "Open-Vocabulary SAM is looking at the image" in activity.toolTip()
        assert "neck" in activity.toolTip()
        workspace.assistant.encoding_changed.emit(None)
        assert activity.text() == quiet
        assert activity.toolTip() == "Model activity"
