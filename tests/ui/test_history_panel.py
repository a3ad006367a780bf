"""The history panel on a real project: every step is listed, shown and reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from annotator.services.workspace import Workspace
from annotator.ui.history_panel import HistoryPanel
from tests.ui.panels import add, opened, square


@pytest.fixture
def workspace(tmp_path: Path, qtbot: QtBot) -> Iterator[Workspace]:
    with opened(tmp_path, qtbot) as found:
        yield found


@pytest.fixture
def panel(workspace: Workspace, qtbot: QtBot) -> Iterator[HistoryPanel]:
    made = HistoryPanel(workspace)
    qtbot.addWidget(made)
    made._follow(workspace.document)
    made.resize(320, 600)
    made.show()
    yield made
    made.close_threads()


def rows(panel: HistoryPanel) -> list[str]:
    return [
        panel.steps.index(i).data(Qt.ItemDataRole.DisplayRole).split("\n")[0]
        for i in range(panel.steps.rowCount())
    ]


def shows(panel: HistoryPanel, qtbot: QtBot, *texts: str) -> None:
    """Wait until these rows are there."""
    qtbot.waitUntil(lambda: rows(panel) == list(texts))


def go(panel: HistoryPanel, qtbot: QtBot, place: int, *, as_new: bool = False) -> None:
    with qtbot.waitSignal(panel.history.found):
        panel.list.chosen.emit(place, as_new)


def edit(workspace: Workspace, text: str, left: int) -> None:
    document, key = workspace.document, workspace.key
    assert document is not None
    assert key is not None
    first, *rest = workspace.annotations
    document.edit(key, (replace(first, shape=square(left, 9)), *rest), text)


def test_steps_are_listed_in_words_with_pictures(
    workspace: Workspace, panel: HistoryPanel, qtbot: QtBot
) -> None:
    add(workspace, "cat")
    edit(workspace, "Brush", 20)
    shows(panel, qtbot, "Brush  ●", "Add", "Before the first step")
    numbers = [panel.steps.number_at(place) for place in range(2)]

    def looked() -> bool:
        return all(panel.history.look(number) is not None for number in numbers)

    qtbot.waitUntil(looked)
    shape, first = (panel.history.look(number) for number in numbers)
    assert shape is not None
    assert first is not None
    assert shape.words == "1 reshaped"
    assert first.words == "1 added (cat)"
    assert first.picture.width() == 64
    colors = {first.picture.pixelColor(x, 32).name() for x in range(64)}
    assert len(colors) > 1, "something is drawn"
    assert "by hand" in panel.steps.index(0).data(Qt.ItemDataRole.DisplayRole)


def test_every_step_is_reached_also_on_another_line(
    workspace: Workspace, panel: HistoryPanel, qtbot: QtBot
) -> None:
    document, key = workspace.document, workspace.key
    assert document is not None
    assert key is not None
    states = [workspace.annotations]
    add(workspace, "cat")
    states.append(workspace.annotations)
    for place in (20, 40):
        edit(workspace, f"Brush {place}", place)
        states.append(workspace.annotations)
    document.undo(key)
    document.undo(key)
    edit(workspace, "Other", 60)
    other = workspace.annotations
    shows(panel, qtbot, "Other  ●", "Brush 40", "Brush 20", "Add", "Before the first step")
    assert "another line" in panel.steps.index(1).data(Qt.ItemDataRole.DisplayRole)
    for place, state in (
        (1, states[3]),
        (4, states[0]),
        (2, states[2]),
        (0, other),
        (3, states[1]),
    ):
        go(panel, qtbot, place)
        assert workspace.annotations == state
        qtbot.waitUntil(lambda p=place: panel.steps.current() == p)  # type: ignore[misc]
    document.redo(key)
    assert workspace.annotations == other, "the line gone last is done again"
    go(panel, qtbot, 1)
    document.undo(key)
    assert workspace.annotations == states[2]
    folder = document.folder
    workspace.close_project()
    workspace.open_folder(folder)
    assert workspace.document is not None
    assert workspace.document.annotations(key) == states[2]
    assert workspace.document.redo(key) == "Brush 40"
    assert workspace.document.undo(key) == "Brush 40"
    assert workspace.document.undo(key) == "Brush 20"


def test_a_state_is_restored_as_a_new_step(
    workspace: Workspace, panel: HistoryPanel, qtbot: QtBot
) -> None:
    document, key = workspace.document, workspace.key
    assert document is not None
    assert key is not None
    add(workspace, "cat")
    state = workspace.annotations
    document.edit(key, (), "Delete")
    document.remove_category(document.categories()[0].id)
    shows(panel, qtbot, "Delete  ●", "Add", "Before the first step")
    go(panel, qtbot, 1, as_new=True)
    assert workspace.annotations == state
    assert [c.name for c in document.categories()] == ["cat"]
    qtbot.waitUntil(lambda: rows(panel)[1:3] == ["Delete", "Add"])
    assert (document.undo_text(key) or "").startswith("Restore today")
    document.undo(key)
    assert workspace.annotations == ()
    qtbot.waitUntil(lambda: rows(panel)[1] == "Delete  ●")
    panel._fill_days()
    undone, last = panel.days.menu().actions()
    assert "as after “Restore" in undone.text(), "nobody knows on which day it was undone"
    assert "as after “Delete”" in last.text()


def test_a_group_step_is_taken_back_in_the_panel(
    workspace: Workspace, panel: HistoryPanel, qtbot: QtBot
) -> None:
    document = workspace.document
    assert document is not None
    category = document.add_category("cat")
    document.change_category(replace(category, name="dog"))
    panel.tabs.setCurrentIndex(1)
    assert "Rename cat to dog" in panel.groups.index(0).data(Qt.ItemDataRole.DisplayRole)
    panel.project_list.setCurrentIndex(panel.groups.index(0))
    with qtbot.waitSignal(document.history.finished):
        panel.toggle.click()
    assert [c.name for c in document.categories()] == ["cat"]
    assert "undone" in panel.groups.index(0).data(Qt.ItemDataRole.DisplayRole)


def test_nothing_is_read_while_nobody_looks(
    workspace: Workspace, panel: HistoryPanel, qtbot: QtBot
) -> None:
    panel.hide()
    with qtbot.assertNotEmitted(panel.history.loaded, wait=300):
        add(workspace, "cat")
