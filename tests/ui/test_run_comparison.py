"""Comparing the objects of an image with a new run, in a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMainWindow
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.annotation import Annotation, Source
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.services.run_preparing import Order
from annotator.services.workspace import Workspace
from annotator.ui.canvas import Canvas
from annotator.ui.run_comparison import Comparing, ComparisonPanel
from models.api import Box
from tests.models.toy_segmenter import ToyModel, register
from tests.ui import panels

Key = Qt.Key


@pytest.fixture
def workspace(tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    register(monkeypatch, ToyModel())
    with panels.opened(tmp_path, qtbot) as workspace:
        workspace._settings.update(model="toy", propose_side=8, propose_area=50)
        document = workspace.document
        assert document is not None
        cat = document.add_category("cat").id
        # The picture has one block on a plain ground; a part of it, and something that is nothing.
        shapes = [Box(10, 10, 36, 40), Box(60, 50, 70, 60)]
        made = [
            Annotation(document.new_id(), raster.from_box(box, panels.WIDTH, panels.HEIGHT), cat)
            for box in shapes
        ]
        document.edit("a.png", tuple(made), "Draw")
        yield workspace


@pytest.fixture
def comparing(workspace: Workspace, qtbot: QtBot) -> Iterator[Comparing]:
    window = QMainWindow()
    canvas = Canvas(workspace, workspace._settings)
    window.setCentralWidget(canvas)
    qtbot.addWidget(window)
    window.resize(900, 500)
    comparing = Comparing(workspace, workspace._settings, canvas, window)
    window.show()
    yield comparing
    comparing.close()


def compared(comparing: Comparing, qtbot: QtBot) -> ComparisonPanel:
    with qtbot.waitSignal(comparing.comparison.compared, timeout=20_000):
        comparing.compare()
    assert comparing.panel is not None
    return comparing.panel


def rows(panel: ComparisonPanel) -> list[str]:
    return [panel.list.item(row).text() for row in range(panel.list.count())]


def test_an_object_takes_the_new_shape_as_a_step(
    workspace: Workspace, comparing: Comparing, qtbot: QtBot
) -> None:
    document = workspace.document
    assert document is not None
    before = workspace.annotations
    panel = compared(comparing, qtbot)
    assert rows(panel)[0].startswith("cat · different shape · IoU 0.")
    assert rows(panel)[1] == "cat · not found"
    assert rows(panel)[2:], "the ground is new"
    assert all(text.startswith("New · score 0.90") for text in rows(panel)[2:])
    assert workspace.annotations == before, "comparing changes nothing"
    QTest.keyClick(panel.list, Key.Key_Return)
    assert workspace.selection == {before[0].id}
    (seen,) = [i for i in comparing._canvas._masks.items if i.annotation.id == before[0].id]
    block = raster.from_box(Box(10, 10, 50, 40), panels.WIDTH, panels.HEIGHT)
    assert isinstance(seen.annotation.shape, Mask)
    assert raster.iou(seen.annotation.shape, block) > 0.8
    QTest.keyClick(panel.list, Key.Key_T)
    after = workspace.annotations[0]
    assert isinstance(after.shape, Mask)
    assert raster.iou(after.shape, block) > 0.8
    assert (after.category_id, after.proposed) == (before[0].category_id, False)
    assert (after.origin.source, after.origin.model) == (Source.MODEL, "toy")
    assert rows(panel)[0] == "cat · not found"
    assert document.undo_text("a.png") == "Take the new shape"
    workspace.undo()
    assert workspace.annotations == before


def test_what_is_new_is_asked_for_or_taken(
    workspace: Workspace, comparing: Comparing, qtbot: QtBot
) -> None:
    panel = compared(comparing, qtbot)
    panel.list.setCurrentRow(1)
    assert not panel.take.isEnabled(), "there is no new shape of what was not found"
    panel.list.setCurrentRow(2)
    assert panel.take.text() == "&Take Object"
    QTest.keyClick(panel.list, Key.Key_Return)
    assert workspace.draft.prompt.points
    workspace.clear_draft()
    QTest.keyClick(panel.list, Key.Key_T)
    assert len(workspace.annotations) == 3
    assert not workspace.annotations[-1].proposed
    QTest.keyClick(panel.list, Key.Key_Escape)
    assert comparing._canvas._instead == {}


def test_an_object_that_was_changed_meanwhile_is_left_alone(
    workspace: Workspace, comparing: Comparing, qtbot: QtBot
) -> None:
    panel = compared(comparing, qtbot)
    first = workspace.annotations[0]
    workspace.set_flag((first.id,), "locked", True)
    locked = workspace.annotations
    panel.take_current()
    assert "compare again" in panel.state.text()
    assert workspace.annotations == locked
    workspace.show("b.png")
    qtbot.waitUntil(lambda: panel.list.count() == 0)


def test_without_an_image_people_are_told(
    workspace: Workspace, comparing: Comparing, qtbot: QtBot
) -> None:
    workspace.close_project()
    with pytest.raises(UserError, match="no image"):
        comparing.compare()


def test_many_images_are_listed_shown_and_taken_in_their_own_image(
    comparing: Comparing, workspace: Workspace, qtbot: QtBot
) -> None:
    document = workspace.document
    assert document is not None
    document.flush()
    before = {key: document.annotations(key) for key in document.keys()}  # noqa: SIM118
    keys = [key for key in document.keys() if key.endswith(".png")]  # noqa: SIM118
    assert len(keys) > 1
    workspace.show(keys[1])
    values = {"side": 8, "min_score": -1.0, "min_stability": -1.0, "max_overlap": 0.6,
              "min_area": 50}  # fmt: skip
    ended: list[bool] = []
    comparing.comparison.working.connect(ended.append)
    comparing.compare_folder(Order("everything", values, "toy"), keys)
    qtbot.waitUntil(lambda: ended[-1:] == [False] and len(ended) > 1, timeout=20_000)
    panel = comparing.panel
    assert panel is not None
    assert panel.state.text().startswith(f"{len(keys)} of {len(keys)} images")
    assert "1 different, 1 missing" in panel.state.text()
    assert {key: document.annotations(key) for key in before} == before, "nothing is written"
    rows = [panel.list.item(i).text() for i in range(panel.list.count())]
    place = next(i for i, text in enumerate(rows) if "different shape" in text)
    assert rows[place].endswith("\na.png")
    panel.list.setCurrentRow(place)
    # Taken without going there, as one step of that image.
    assert workspace.key == keys[1]
    QTest.keyClick(panel.list, Key.Key_T)
    assert document.annotations("a.png")[0].shape != before["a.png"][0].shape
    assert panel.list.count() == len(rows) - 1
    place = next(i for i, text in enumerate(rows) if "not found" in text) - 1
    panel.list.setCurrentRow(place)
    assert not panel.take.isEnabled()
    QTest.keyClick(panel.list, Key.Key_Return)
    qtbot.waitUntil(lambda: workspace.key == "a.png" and bool(workspace.selection), timeout=20_000)
    assert panel.list.count() == len(rows) - 1, "the list stays when images are shown"
    assert document.undo("a.png") == "Take the new shape"
    assert document.annotations("a.png") == before["a.png"]


def test_a_folder_comparison_can_be_stopped(
    comparing: Comparing, workspace: Workspace, qtbot: QtBot
) -> None:
    document = workspace.document
    assert document is not None
    comparing.compare_folder(Order("boxes", {"path": "nowhere", "names": ""}, "toy"), ["a.png"])
    panel = comparing.panel
    assert panel is not None
    assert not panel.stop.isHidden()
    panel.stop.click()
    assert panel.stop.isHidden()
