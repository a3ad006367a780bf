"""The object list on a real project."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import QMimeData, QModelIndex, QPoint, Qt
from PySide6.QtWidgets import QLineEdit

from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.proposals import area_of
from annotator.ui.annotation_list import AnnotationList
from annotator.ui.annotation_model import MIME, compact, origin_text, placed
from models.api import Box
from tests.ui.panels import MODEL, add, names, opened, square

Key, Left = Qt.Key, Qt.MouseButton.LeftButton
Ctrl, Shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def workspace(tmp_path, qtbot):
    with opened(tmp_path, qtbot) as workspace:
        yield workspace


@pytest.fixture
def panel(workspace, qtbot):
    panel = AnnotationList(workspace)
    qtbot.addWidget(panel)
    panel.resize(320, 500)
    panel.show()
    qtbot.waitExposed(panel)
    panel.activateWindow()
    panel.view.setFocus()
    return panel


def shown(panel) -> list[str]:
    model = panel.view.model_
    return [model.index(row).data() for row in range(model.rowCount())]


def selected_rows(panel) -> list[int]:
    return sorted(index.row() for index in panel.view.selectionModel().selectedRows())


def row_rect(panel, row: int):
    return panel.view.visualRect(panel.view.model_.index(row))


def click(qtbot, panel, row: int, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    qtbot.mouseClick(panel.view.viewport(), Left, modifiers, row_rect(panel, row).center())


def flags(workspace, flag: str) -> list[bool]:
    return [getattr(a, flag) for a in workspace.annotations]


def entry(menu, text: str):
    return next(a for a in menu.actions() if a.text().split("\t")[0] == text)


def test_the_top_layer_comes_first(workspace, panel):
    add(workspace, "dog", "cat", "")
    assert shown(panel) == ["No name", "cat", "dog"]
    assert panel.filter.currentText() == "All objects (3)"


def test_the_selection_is_the_same_here_and_there(workspace, panel, qtbot):
    bottom, middle, top = add(workspace, "a", "b", "c")
    click(qtbot, panel, 0)
    assert workspace.selection == {top}
    click(qtbot, panel, 2, Ctrl)
    assert workspace.selection == {top, bottom}
    click(qtbot, panel, 2)
    click(qtbot, panel, 0, Shift)
    assert workspace.selection == {top, middle, bottom}
    workspace.select((middle,))
    assert selected_rows(panel) == [1]
    workspace.select(())
    assert selected_rows(panel) == []
    qtbot.keyClick(panel.view, Key.Key_A, Ctrl)
    assert workspace.selection == {top, middle, bottom}


def test_arrows_walk_through_the_objects(workspace, panel, qtbot):
    bottom, top = add(workspace, "a", "b")
    workspace.select((top,))
    qtbot.keyClick(panel.view, Key.Key_Down)
    assert workspace.selection == {bottom}


def test_rows_stay_when_others_come_and_go(workspace, panel, qtbot):
    first, second = add(workspace, "a", "b")
    model = panel.view.model_
    workspace.select((first,))
    with qtbot.assertNotEmitted(model.modelReset):
        (third,) = add(workspace, "c")
        assert shown(panel) == ["c", "b", "a"]
        assert selected_rows(panel) == [2]
        workspace.select((second,))
        workspace.delete_selected()
        assert shown(panel) == ["c", "a"]
        workspace.undo()
        assert shown(panel) == ["c", "b", "a"]
    assert model.place(third) == 0
    assert model.place(99) is None


def test_the_eye_and_the_lock_of_one_row(workspace, panel, qtbot):
    first, _ = add(workspace, "a", "b")
    workspace.select((first,))
    eye = QPoint(12, row_rect(panel, 0).center().y())
    lock = QPoint(34, row_rect(panel, 0).center().y())
    qtbot.mouseClick(panel.view.viewport(), Left, pos=eye)
    qtbot.mouseClick(panel.view.viewport(), Left, pos=lock)
    assert flags(workspace, "hidden") == [False, True]
    assert flags(workspace, "locked") == [False, True]
    assert workspace.selection == {first}
    qtbot.mouseDClick(panel.view.viewport(), Left, pos=eye)
    qtbot.mouseClick(panel.view.viewport(), Left, pos=lock)
    assert flags(workspace, "locked") == [False, False]


def test_a_switch_of_a_selected_row_counts_for_all_selected(workspace, panel, qtbot):
    add(workspace, "a", "b", "c")
    click(qtbot, panel, 0)
    click(qtbot, panel, 1, Ctrl)
    qtbot.mouseClick(panel.view.viewport(), Left, pos=QPoint(12, row_rect(panel, 1).center().y()))
    assert flags(workspace, "hidden") == [False, True, True]
    workspace.undo()
    assert flags(workspace, "hidden") == [False, False, False]


def test_keys_hide_lock_and_change_the_order(workspace, panel, qtbot):
    add(workspace, "a", "b", "c")
    click(qtbot, panel, 1)
    for key, modifiers, expected in (
        (Key.Key_Up, Ctrl, ["b", "c", "a"]),
        (Key.Key_Down, Ctrl, ["c", "b", "a"]),
        (Key.Key_Down, Ctrl | Shift, ["c", "a", "b"]),
        (Key.Key_Up, Ctrl | Shift, ["b", "c", "a"]),
    ):
        qtbot.keyClick(panel.view, key, modifiers)
        assert shown(panel) == expected
    qtbot.keyClick(panel.view, Key.Key_Space)
    qtbot.keyClick(panel.view, Key.Key_L, Ctrl)
    assert flags(workspace, "hidden") == [False, False, True]
    assert flags(workspace, "locked") == [False, False, True]
    assert names(workspace) == ["a", "c", "b"]


def test_delete_again_and_again(workspace, panel, qtbot):
    add(workspace, "a", "b", "c")
    click(qtbot, panel, 1)
    qtbot.keyClick(panel.view, Key.Key_Delete)
    assert names(workspace) == ["a", "c"]
    qtbot.keyClick(panel.view, Key.Key_Delete)
    assert names(workspace) == ["c"]
    qtbot.keyClick(panel.view, Key.Key_Backspace)
    assert names(workspace) == []


def test_locked_objects_are_not_deleted_and_the_user_hears_why(workspace, panel, qtbot):
    ids = add(workspace, "a")
    workspace.set_flag(ids, "locked", True)
    workspace.select(ids)
    with qtbot.waitSignal(workspace.noticed):
        qtbot.keyClick(panel.view, Key.Key_Delete)
    with qtbot.waitSignal(workspace.noticed):
        panel.view.model_.setData(panel.view.model_.index(0), "b")
    assert names(workspace) == ["a"]


def test_f2_renames_all_selected_with_completion(workspace, panel, qtbot):
    add(workspace, "traffic light", "dog", "")
    click(qtbot, panel, 0)
    click(qtbot, panel, 1, Ctrl)
    qtbot.keyClick(panel.view, Key.Key_F2)
    editor = panel.view.viewport().findChild(QLineEdit)
    assert editor.hasFocus()
    qtbot.keyClicks(editor, "light")
    popup = editor.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    assert popup.model().index(0, 0).data() == "traffic light"
    qtbot.keyClick(popup, Key.Key_Down)
    qtbot.keyClick(popup, Key.Key_Return)
    qtbot.waitUntil(lambda: names(workspace) == ["traffic light"] * 3)
    workspace.undo()
    assert names(workspace) == ["traffic light", "dog", None]


def test_f2_and_enter_make_a_new_class(workspace, panel, qtbot):
    add(workspace, "dog")
    click(qtbot, panel, 0)
    qtbot.keyClick(panel.view, Key.Key_F2)
    editor = panel.view.viewport().findChild(QLineEdit)
    editor.setText(" big  dog ")
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: names(workspace) == ["big dog"])
    qtbot.keyClick(panel.view, Key.Key_F2)
    editor = panel.view.viewport().findChild(QLineEdit)
    editor.clear()
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: panel.view.viewport().findChild(QLineEdit) is None)
    assert names(workspace) == ["big dog"]


def test_dragging_changes_the_layers(workspace, panel):
    a, b, c, d = add(workspace, "a", "b", "c", "d")
    model = panel.view.model_
    data = QMimeData()
    data.setData(MIME, f"{a} {c}".encode())
    move = Qt.DropAction.MoveAction
    assert model.dropMimeData(data, move, 0, 0, QModelIndex())
    assert shown(panel) == ["c", "a", "d", "b"]
    assert model.dropMimeData(data, move, -1, -1, QModelIndex())
    assert shown(panel) == ["d", "b", "c", "a"]
    assert model.dropMimeData(model.mimeData([model.index(0)]), move, 2, 0, QModelIndex())
    assert shown(panel) == ["b", "d", "c", "a"]
    assert not model.dropMimeData(QMimeData(), move, 0, 0, QModelIndex())
    assert workspace.document.undo_text(workspace.key) == "Change the order"
    assert {b, d} <= {annotation.id for annotation in workspace.annotations}


def test_placed_keeps_the_order_of_what_it_moves():
    rows = tuple(Annotation(i, Box(0, 0, 1, 1)) for i in range(1, 6))
    order = [a.id for a in placed(rows, {2, 4}, 5)]
    assert order == [1, 3, 5, 2, 4]
    assert [a.id for a in placed(rows, {2, 4}, None)] == [2, 4, 1, 3, 5]
    assert [a.id for a in placed(rows, {5}, 1)] == [1, 5, 2, 3, 4]
    assert placed(rows, set(), 3) == rows


def test_the_filter_shows_one_class_and_switches_only_its_objects(workspace, panel, qtbot):
    add(workspace, "dog", "cat", "dog", "")
    texts = [panel.filter.itemText(i) for i in range(panel.filter.count())]
    assert texts == ["All objects (4)", "dog (2)", "cat (1)", "No name (1)"]
    panel.filter.setCurrentIndex(1)
    panel.filter.activated.emit(1)
    assert shown(panel) == ["dog", "dog"]
    qtbot.mouseClick(panel.buttons["hide_all"], Left)
    assert flags(workspace, "hidden") == [True, False, True, False]
    add(workspace, "dog", "bird")
    assert panel.filter.currentText() == "dog (3)"
    assert len(shown(panel)) == 3
    panel.filter.setCurrentIndex(panel.filter.count() - 1)
    panel.filter.activated.emit(panel.filter.count() - 1)
    assert shown(panel) == ["No name"]
    workspace.show("b.png")
    assert shown(panel) == []
    assert panel.filter.currentText() == "All objects (0)"


def test_hide_all_and_show_all(workspace, panel, qtbot):
    add(workspace, "a", "b")
    qtbot.mouseClick(panel.buttons["hide_all"], Left)
    assert flags(workspace, "hidden") == [True, True]
    assert panel.buttons["hide_all"].toolTip().startswith("Show")
    qtbot.mouseClick(panel.buttons["hide_all"], Left)
    assert flags(workspace, "hidden") == [False, False]
    qtbot.mouseClick(panel.buttons["lock_all"], Left)
    assert flags(workspace, "locked") == [True, True]


def test_the_context_menu(workspace, panel, qtbot):
    first, _second = add(workspace, "a", "b")
    workspace.select((first,))
    entry(panel.build_menu(), "Crowd").trigger()
    assert flags(workspace, "is_crowd") == [True, False]
    assert entry(panel.build_menu(), "Crowd").isChecked()
    entry(panel.build_menu(), "Show only this").trigger()
    assert flags(workspace, "hidden") == [False, True]
    entry(panel.build_menu(), "Show all").trigger()
    assert flags(workspace, "hidden") == [False, False]
    entry(panel.build_menu(), "To the top").trigger()
    assert shown(panel) == ["a", "b"]
    entry(panel.build_menu(), "Copy").trigger()
    assert workspace.can_paste
    entry(panel.build_menu(), "Duplicate").trigger()
    assert shown(panel) == ["a", "a", "b"]
    entry(panel.build_menu(), "Delete").trigger()
    assert shown(panel) == ["a", "b"]


def test_the_pointer_and_double_clicks_are_told(workspace, panel, qtbot):
    bottom, top = add(workspace, "a", "b")
    with qtbot.waitSignal(panel.hovered) as hovered:
        panel.view.entered.emit(panel.view.model_.index(0))
    assert hovered.args == [top]
    with qtbot.waitSignal(panel.hovered) as hovered:
        panel.view.viewportEntered.emit()
    assert hovered.args == [None]
    click(qtbot, panel, 1)
    with qtbot.waitSignal(panel.activated) as activated:
        qtbot.mouseDClick(panel.view.viewport(), Left, pos=row_rect(panel, 1).center())
    assert activated.args == [bottom]
    with qtbot.waitSignal(panel.activated) as activated:
        qtbot.keyClick(panel.view, Key.Key_Return)
    assert activated.args == [bottom]


def test_facts_about_one_object(workspace, panel):
    shape = square(0, 0, 20)
    assert area_of(shape) == 400
    assert area_of(Box(0, 0, 2.5, 4)) == 10
    assert [compact(n) for n in (950, 9_999, 12_345, 345_678, 1_234_567)] == [
        "950", "9,999", "12.3k", "346k", "1.2M",
    ]  # fmt: skip
    assert origin_text(Annotation(1, shape)) == "Drawn by hand"
    assert origin_text(Annotation(1, shape, origin=MODEL)) == "Made with basic 1"
    imported = Origin(Source.IMPORT, "yolo")
    assert origin_text(Annotation(1, shape, origin=imported)) == "Imported, made by yolo"
    add(workspace, "a", "b")
    tip = panel.view.model_.index(0).data(Qt.ItemDataRole.ToolTipRole)
    assert tip.split("\n") == ["b", "100 pixels", "Made with basic 1, 93 % sure"]


def test_closing_the_project_empties_the_list(workspace, panel):
    add(workspace, "a")
    workspace.close_project()
    assert shown(panel) == []


def test_two_thousand_objects_stay_quick(workspace, panel):
    document, key = workspace.document, workspace.key
    dog = document.add_category("dog").id
    many = tuple(Annotation(document.new_id(), square(i % 80, i % 50), dog) for i in range(2000))
    document.edit(key, many, "Add")
    assert len(shown(panel)) == 2000
    began = time.perf_counter()
    workspace.select(a.id for a in many)
    assert len(workspace.selection) == 2000
    document.edit(key, (*many[:700], replace(many[700], hidden=True), *many[701:]), "Hide")
    workspace.select((many[0].id,))
    panel.grab()
    # About 60 ms for the four; generous for a loaded machine.
    assert time.perf_counter() - began < 0.5
    assert selected_rows(panel) == [1999]
