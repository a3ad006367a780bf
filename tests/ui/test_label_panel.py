"""The name panel on a real project."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import QMimeData, QModelIndex, QPoint, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QLabel, QLineEdit, QMessageBox, QVBoxLayout, QWidget

from annotator.core.prompting import PromptDraft
from annotator.ui.class_list import MIME
from annotator.ui.label_panel import NAME_HINT, RENAME_HINT, SEARCH_HINT, LabelPanel
from models.api import Box, Suggestion
from tests.ui.panels import add, names, opened

Key, Ctrl, Alt = Qt.Key, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier


@pytest.fixture
def workspace(tmp_path, qtbot):
    with opened(tmp_path, qtbot) as workspace:
        yield workspace


@pytest.fixture
def panel(workspace, qtbot):
    """The panel in a window beside a stand-in for the canvas."""
    window = QWidget()
    column = QVBoxLayout(window)
    canvas = QLineEdit()
    panel = LabelPanel(workspace)
    column.addWidget(canvas)
    column.addWidget(panel)
    panel.left.connect(canvas.setFocus)
    window.resize(300, 700)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    canvas.setFocus()
    window.panel, window.canvas = panel, canvas
    yield panel
    window.close()


def shown(panel) -> list[str]:
    model = panel.classes.model_
    return [model.index(row).data() for row in range(model.rowCount())]


def type_name(qtbot, panel, text: str) -> None:
    panel.focus_search()
    qtbot.keyClicks(panel.search, text)


def make(workspace, *classes: str) -> list[int]:
    return [workspace.document.add_category(name).id for name in classes]


def center(view, row: int) -> QPoint:
    return view.visualRect(view.model().index(row)).center()


def test_typing_a_new_name_names_the_selected_object(workspace, panel, qtbot):
    (number,) = add(workspace, "")
    workspace.select((number,))
    with qtbot.waitSignal(panel.left):
        type_name(qtbot, panel, "zebra")
        assert shown(panel) == ["Create “zebra”"]
        qtbot.keyClick(panel.search, Key.Key_Return)
    assert names(workspace) == ["zebra"]
    assert panel.search.text() == ""
    assert panel.window().canvas.hasFocus()


def test_enter_chooses_the_best_match_and_arrows_another(workspace, panel, qtbot):
    car, cat, _ = make(workspace, "car", "cat", "dog")
    type_name(qtbot, panel, "ca")
    assert shown(panel) == ["car", "cat", "Create “ca”"]
    qtbot.keyClick(panel.search, Key.Key_Return)
    assert workspace.active_category == car
    type_name(qtbot, panel, "ca")
    qtbot.keyClick(panel.search, Key.Key_Down)
    qtbot.keyClick(panel.search, Key.Key_Return)
    assert workspace.active_category == cat


def test_ctrl_enter_makes_a_class_although_others_match(workspace, panel, qtbot):
    make(workspace, "carrot")
    type_name(qtbot, panel, "car")
    qtbot.keyClick(panel.search, Key.Key_Return, Ctrl)
    assert [c.name for c in workspace.document.categories()] == ["carrot", "car"]


def test_enter_never_replaces_a_word_by_a_similar_one(workspace, panel, qtbot):
    make(workspace, "cat", "carrot")
    type_name(qtbot, panel, "cart")
    assert shown(panel)[0] == "Create “cart”"
    assert set(shown(panel)[1:]) == {"cat", "carrot"}
    qtbot.keyClick(panel.search, Key.Key_Return)
    assert workspace.document.category(workspace.active_category).name == "cart"


def test_an_exact_name_is_not_offered_again(workspace, panel, qtbot):
    make(workspace, "Café", "cafeteria")
    type_name(qtbot, panel, "cafe")
    assert shown(panel) == ["Café", "Create “cafe”", "cafeteria"]
    panel.search.setText("Café")
    assert shown(panel) == ["Café", "cafeteria"]


def test_escape_goes_back_to_the_canvas_without_choosing(workspace, panel, qtbot):
    make(workspace, "dog")
    type_name(qtbot, panel, "dog")
    qtbot.keyClick(panel.search, Key.Key_Escape)
    assert panel.window().canvas.hasFocus()
    assert workspace.active_category is None
    assert shown(panel) == ["dog"]


def test_enter_in_an_empty_field_accepts_the_open_object_unnamed(workspace, panel, qtbot):
    workspace.set_draft(PromptDraft().with_box(Box(8, 8, 52, 42)))
    qtbot.waitUntil(lambda: bool(workspace.candidates))
    panel.focus_search()
    qtbot.keyClick(panel.search, Key.Key_Return)
    qtbot.waitUntil(lambda: len(workspace.annotations) == 1)
    assert names(workspace) == [None]
    assert panel.window().canvas.hasFocus()


def test_a_name_typed_for_an_open_object_accepts_it(workspace, panel, qtbot):
    workspace.set_draft(PromptDraft().with_box(Box(8, 8, 52, 42)))
    qtbot.waitUntil(lambda: bool(workspace.candidates))
    workspace.accept_or_ask()
    assert panel.search.hasFocus()
    assert panel.search.placeholderText() == NAME_HINT
    qtbot.keyClicks(panel.search, "red  thing ")
    qtbot.keyClick(panel.search, Key.Key_Return)
    qtbot.waitUntil(lambda: len(workspace.annotations) == 1)
    assert names(workspace) == ["red thing"]
    assert panel.search.placeholderText() == SEARCH_HINT


def test_the_hint_says_what_typing_will_do(workspace, panel):
    (number,) = add(workspace, "dog")
    panel.focus_search()
    assert panel.search.placeholderText() == SEARCH_HINT
    workspace.select((number,))
    panel.focus_search()
    assert panel.search.placeholderText() == RENAME_HINT
    panel.window().canvas.setFocus()
    assert panel.search.placeholderText() == SEARCH_HINT


def test_the_keys_of_the_field_win_over_commands_of_the_window(workspace, panel, qtbot):
    fired = []
    for keys in ("Esc", "Return", "Ctrl+Return", "1", "D"):
        action = QAction(panel.window())
        action.setShortcut(QKeySequence(keys))
        action.triggered.connect(lambda _=False, k=keys: fired.append(k))
        panel.window().addAction(action)
    type_name(qtbot, panel, "d1")
    assert panel.search.text() == "d1"
    qtbot.keyClick(panel.search, Key.Key_Return)
    panel.focus_search()
    qtbot.keyClick(panel.search, Key.Key_Escape)
    assert fired == []


def test_suggestions_follow_the_selection_and_a_click_accepts(workspace, panel, qtbot):
    first, second = add(workspace, "dog", "")
    assert panel.suggestions.suggestions == ()
    height = panel.suggestions.height()
    workspace.select((second,))
    assert [s.name for s in panel.suggestions.suggestions] == ["dog"]
    assert panel.suggestion_at(1) == "dog"
    assert panel.suggestion_at(2) is None
    assert panel.suggestion_at(0) is None
    view = panel.suggestions
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=center(view, 0))
    assert names(workspace) == ["dog", "dog"]
    assert panel.window().canvas.hasFocus()
    workspace.select((first, second))
    assert panel.suggestions.suggestions == ()
    assert panel.suggestions.height() == height


def test_suggestions_change_in_place(workspace, panel, qtbot):
    model = panel.suggestions._model
    workspace.suggestions_changed.emit((Suggestion("a", 0.6), Suggestion("b", 0.4)))
    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.dataChanged):
        workspace.suggestions_changed.emit((Suggestion("b", 0.9), Suggestion("a", 0.1)))
    assert model.index(0).data() == "b"
    six = tuple(Suggestion(str(i), 0.1) for i in range(6))
    workspace.suggestions_changed.emit(six)
    assert model.rowCount() == 5
    workspace.suggestions_changed.emit(())
    assert model.rowCount() == 0


def test_digits_follow_the_order_of_the_classes(workspace, panel):
    ids = make(workspace, *"abcdefghijk")
    assert panel.category_for_digit(1) == ids[0]
    assert panel.category_for_digit(9) == ids[8]
    assert panel.category_for_digit(10) is None
    assert panel.category_for_digit(0) is None
    panel.search.setText("c")
    assert panel.category_for_digit(1) == ids[0]
    workspace.document.move_category(ids[10], 0)
    assert panel.category_for_digit(1) == ids[10]


def test_a_click_on_a_class_chooses_it(workspace, panel, qtbot):
    add(workspace, "")
    workspace.select(a.id for a in workspace.annotations)
    dog, cat = make(workspace, "dog", "cat")
    view = panel.classes
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=center(view, 1))
    assert workspace.active_category == cat
    assert names(workspace) == ["cat"]
    assert panel.window().canvas.hasFocus()
    assert view.model_.active == cat != dog


def test_f2_renames_in_place_and_refuses_duplicates(workspace, panel, qtbot):
    make(workspace, "dog", "cat")
    view = panel.classes
    view.setFocus()
    view.highlight(1)
    qtbot.keyClick(view, Key.Key_F2)
    editor = view.viewport().findChild(QLineEdit)
    # `keyClicks` aborts on characters that are not Latin-1.
    editor.setText("  קטן 🐈 ")
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: shown(panel) == ["dog", "קטן 🐈"])
    with qtbot.waitSignal(workspace.reported) as refused:
        view.model_.setData(view.model_.index(1), "")
    assert refused.args[0].message
    view.model_.setData(view.model_.index(1), "dog")
    qtbot.waitUntil(lambda: bool(panel.findChildren(QMessageBox)))
    (question,) = panel.findChildren(QMessageBox)
    assert "dog" in question.text()
    question.reject()
    assert [c.name for c in workspace.document.categories()] == ["dog", "קטן 🐈"]


def test_a_double_click_renames(workspace, panel, qtbot):
    make(workspace, "dog")
    view = panel.classes
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=center(view, 0))
    qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=center(view, 0))
    assert view.viewport().findChild(QLineEdit).text() == "dog"


def test_delete_removes_only_unused_classes(workspace, panel, qtbot):
    add(workspace, "dog")
    make(workspace, "cat")
    view = panel.classes
    view.setFocus()
    view.highlight(0)
    with qtbot.waitSignal(workspace.reported) as refused:
        qtbot.keyClick(view, Key.Key_Delete)
    assert "dog" in refused.args[0].message
    view.highlight(1)
    qtbot.keyClick(view, Key.Key_Delete)
    assert shown(panel) == ["dog"]


def test_classes_are_moved_with_keys_and_by_dragging(workspace, panel, qtbot):
    ids = make(workspace, "a", "b", "c", "d")
    view = panel.classes
    view.setFocus()
    view.highlight(0)
    qtbot.keyClick(view, Key.Key_Down, Alt)
    assert shown(panel) == ["b", "a", "c", "d"]
    assert view.highlighted().name == "a"
    data = QMimeData()
    data.setData(MIME, str(ids[1]).encode())
    move = Qt.DropAction.MoveAction
    assert view.model_.dropMimeData(data, move, 3, 0, QModelIndex())
    assert shown(panel) == ["a", "c", "b", "d"]
    assert view.model_.dropMimeData(data, move, -1, -1, QModelIndex())
    assert shown(panel) == ["a", "c", "d", "b"]
    assert view.model_.dropMimeData(data, move, 0, 0, QModelIndex())
    assert shown(panel) == ["b", "a", "c", "d"]
    assert not view.model_.dropMimeData(QMimeData(), move, 0, 0, QModelIndex())


def entry(menu, text: str):
    return next(a for a in menu.actions() if a.text().split("\t")[0] == text)


def test_the_context_menu_changes_colour_group_and_order(workspace, panel, qtbot):
    first, second = add(workspace, "dog", "cat")
    make(workspace, "tree")
    view = panel.classes
    dog = workspace.document.categories()[0]
    menu = view.build_menu(0, dog)
    assert not entry(menu, "Move up").isEnabled()
    entry(menu, "Select all objects of this class").trigger()
    assert workspace.selection == {first}
    entry(menu, "Move down").trigger()
    assert shown(panel) == ["cat", "dog", "tree"]
    stuff = entry(menu, "Stuff (cannot be counted: sky, grass)")
    assert not stuff.isChecked()
    stuff.trigger()
    assert not workspace.document.category(dog.id).is_thing
    stuff.trigger()
    assert workspace.document.category(dog.id).is_thing
    view.recolored.emit(dog.id, "#123456")
    view.edit_group(1)
    view.viewport().findChild(QLineEdit).setText("animal")
    qtbot.keyClick(view.viewport().findChild(QLineEdit), Key.Key_Return)
    qtbot.waitUntil(lambda: bool(workspace.document.category(dog.id).supercategory))
    changed = workspace.document.category(dog.id)
    assert (changed.color, changed.supercategory, changed.name) == ("#123456", "animal", "dog")
    menu = view.build_menu(0, workspace.document.categories()[0])
    entry(entry(menu, "Super-category").menu(), "animal").trigger()
    qtbot.waitUntil(lambda: workspace.document.categories()[0].supercategory == "animal")
    assert second not in workspace.selection


def test_the_list_counts_the_objects_of_the_project(workspace, panel, qtbot):
    add(workspace, "dog", "dog", "cat")
    ids = [c.id for c in workspace.document.categories()]
    model = panel.classes.model_
    assert [model.count(number) for number in ids] == [2, 1]
    workspace.show("b.png")
    assert [model.count(number) for number in ids] == [2, 1]
    assert [model.count_here(number) for number in ids] == [0, 0]
    assert "2 objects, 0 in this image" in model.index(0).data(Qt.ItemDataRole.ToolTipRole)


def test_closing_the_project_empties_the_panel(workspace, panel):
    add(workspace, "dog")
    workspace.close_project()
    assert shown(panel) == []
    assert panel.category_for_digit(1) is None


def test_many_classes_stay_quick(workspace, panel, qtbot):
    document = workspace.document
    blocked = document.blockSignals(True)
    make(workspace, *(f"class {place} of many" for place in range(1203)))
    document.blockSignals(blocked)
    document.categories_changed.emit()
    panel.focus_search()
    times = []
    for text in ("c", "cl", "cl 9", "many", "xyz", "clas 77", ""):
        began = time.thread_time()
        panel.search.setText(text)
        panel.grab()
        times.append(time.thread_time() - began)
    # Processor time of fuzzy search, model and painting, seconds: about 10 ms.
    assert sorted(times)[len(times) // 2] < 0.05


def test_doubt_and_learning_are_told_above_the_suggestions(workspace, panel):
    make(workspace, "cat", "dog")
    doubt = panel.findChild(QLabel, "doubt")
    panel._show_suggestions((Suggestion("cat", 0.8), Suggestion("dog", 0.1)))
    assert doubt.text() == ""
    panel._show_suggestions((Suggestion("cat", 0.45), Suggestion("dog", 0.4)))
    assert doubt.text() == "unsure"
    panel._show_suggestions((Suggestion("cat", 0.2),))
    assert doubt.text() == "unsure", "the background has the rest"
    workspace.namer.learning.emit(1203)
    assert doubt.text() == "learning 1,203 names…"
    workspace.namer.learning.emit(0)
    panel._show_suggestions(())
    assert doubt.text() == ""


def test_a_text_model_ranks_classes_nobody_used_yet(workspace, panel, qtbot, tmp_path, monkeypatch):
    from models.naming import towers
    from models.naming.clip import Clip
    from tests.naming import small_clip

    small_clip.register(tmp_path)
    made = towers.Tower("small", "Small", small_clip.ARCHITECTURE, "clip-rn50", 16, 32, 1.0, "T.")
    state = small_clip.network().state_dict()
    monkeypatch.setattr(towers, "TOWERS", (made,))
    monkeypatch.setattr(
        Clip, "open", classmethod(lambda cls, tower: cls(tower.architecture, state))
    )
    make(workspace, "cat", "dog", "zebra")
    with qtbot.waitSignal(workspace.namer.changed):
        workspace.namer.use("small")
    (number,) = add(workspace, "")
    space = workspace.namer.space
    workspace.select((number,))
    qtbot.waitUntil(lambda: workspace.document.vector(number, space) is not None)
    qtbot.waitUntil(
        lambda: len(workspace.namer.rank(workspace.document.vector(number, space))) == 3
    )
    expected = [s.name for s in workspace.namer.rank(workspace.document.vector(number, space))]
    assert [s.name for s in panel.suggestions.suggestions] == expected
    workspace.document.add_category("yak")
    qtbot.waitUntil(lambda: len(panel.suggestions.suggestions) == 4)
