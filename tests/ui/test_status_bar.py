"""The line at the bottom: what a slow model does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from annotator.services.answering import Encoding
from annotator.services.workspace import Workspace
from annotator.ui.status_bar import SLOW_MS, StatusBar
from tests.ui.panels import opened


@pytest.fixture
def workspace(tmp_path: Path, qtbot: QtBot) -> Iterator[Workspace]:
    with opened(tmp_path, qtbot) as made:
        qtbot.waitUntil(lambda: not made.working)
        yield made


@pytest.fixture
def bar(workspace: Workspace, qtbot: QtBot) -> StatusBar:
    made = StatusBar(workspace)
    qtbot.addWidget(made)
    return made


def field(bar: StatusBar, meaning: str) -> QLabel:
    return next(one for one in bar.findChildren(QLabel) if one.accessibleName() == meaning)


SLOW = Encoding("Open-Vocabulary SAM", "neck", 0.58)


def test_it_says_how_far_a_slow_model_is(workspace: Workspace, bar: StatusBar) -> None:
    activity = field(bar, "Model activity")
    quiet = activity.text()
    workspace.assistant.encoding_changed.emit(SLOW)
    assert activity.text() == "● Encoding, 58%"
    assert "Open-Vocabulary SAM is looking at the image" in activity.toolTip()
    assert "neck" in activity.toolTip()
    workspace.assistant.encoding_changed.emit(None)
    assert activity.text() == quiet
    assert activity.toolTip() == "Model activity"


def test_only_slow_answers_are_announced(
    workspace: Workspace, bar: StatusBar, qtbot: QtBot
) -> None:
    activity = field(bar, "Model activity")
    workspace.working_changed.emit(True)
    workspace.working_changed.emit(False)
    qtbot.wait(2 * SLOW_MS)
    assert activity.text() == ""
    workspace.working_changed.emit(True)
    assert activity.text() == ""
    qtbot.waitUntil(lambda: activity.text() == "● Segmenting…")
    workspace.working_changed.emit(False)
    assert activity.text() == ""


def test_what_a_model_says_is_not_overwritten_by_its_slowness(
    workspace: Workspace, bar: StatusBar, qtbot: QtBot
) -> None:
    workspace.working_changed.emit(True)
    workspace.assistant.encoding_changed.emit(SLOW)
    qtbot.wait(2 * SLOW_MS)
    assert field(bar, "Model activity").text() == "● Encoding, 58%"


def test_the_place_of_the_pointer_is_never_cut_and_lays_out_nothing(bar: StatusBar) -> None:
    bar.resize(1200, 30)
    bar.show()
    place = field(bar, "Pointer position and pixel value")
    widths = []
    for x in (0, 31, 63, 7):
        bar.show_pointer(QPointF(x, x / 2))
        needed = place.fontMetrics().horizontalAdvance(place.text())
        widths.append(place.width())
        assert place.minimumSize() == place.maximumSize()
        assert place.width() >= needed
    assert widths == sorted(widths)
