"""The dialog of Track Through: what it asks, what it refuses, and that all of it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from annotator.services.tracking_run import Order
from annotator.ui.track_dialog import FOUND, TrackDialog


def choose(dialog: TrackDialog, objects: str, tracker: str) -> None:
    dialog.objects.setCurrentIndex(dialog.objects.findData(objects))
    dialog.tracker.setCurrentIndex(dialog.tracker.findData(tracker))


@pytest.fixture
def dialog(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackDialog:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    dialog = TrackDialog("clip/0.png", 12, 3, (7,))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


@pytest.mark.parametrize("tracker", ["omgseg", "rapsam-r50"])
def test_without_weights_it_says_what_to_get(
    dialog: TrackDialog, qtbot: QtBot, tracker: str
) -> None:
    choose(dialog, "selected", "motion")
    assert not dialog.problem
    assert not dialog.get_button.isVisible()
    choose(dialog, "selected", tracker)
    assert "(MIT;" in dialog.problem
    assert "Settings, Model" in dialog.problem
    assert not dialog.start_button.isEnabled()
    with qtbot.waitSignal(dialog.weights_wanted):
        dialog.get_button.click()
    # Everything is said in whole lines.
    for label in dialog.findChildren(QLabel):
        if label.isVisible() and label.wordWrap():
            qtbot.waitUntil(
                lambda label=label: label.height() >= label.heightForWidth(label.width())
            )


def test_only_a_model_that_finds_can_begin_with_nothing(dialog: TrackDialog) -> None:
    choose(dialog, FOUND, "motion")
    assert "only what is marked" in dialog.problem
    assert not dialog.get_button.isVisible()


def test_the_answer(dialog: TrackDialog, qtbot: QtBot) -> None:
    choose(dialog, "selected", "motion")
    dialog.images.setValue(5)
    with qtbot.waitSignal(dialog.ordered) as heard:
        dialog.start_button.click()
    assert heard.args == [Order("motion", "clip/0.png", frozenset({7}), 5, find=False)]
