"""The attributes editor on a real project."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit

from annotator.ui.attributes_editor import AttributesEditor
from annotator.ui.attributes_model import KEY, VALUE, kind_of, parse_value, value_text
from tests.ui.panels import add, opened

Key = Qt.Key


@pytest.fixture
def workspace(tmp_path, qtbot):
    with opened(tmp_path, qtbot) as workspace:
        yield workspace


@pytest.fixture
def editor(workspace, qtbot):
    editor = AttributesEditor(workspace)
    qtbot.addWidget(editor)
    editor.resize(320, 300)
    editor.show()
    qtbot.waitExposed(editor)
    editor.activateWindow()
    editor.setFocus()
    yield editor.page  # noqa: PT022 - `return` would end the editor around the page


def attributes(workspace, place: int = 0) -> dict:
    return dict(workspace.annotations[place].attributes)


def cells(editor) -> list[tuple[str, str]]:
    model = editor.table.model_
    return [
        (model.index(row, KEY).data(), model.index(row, VALUE).data())
        for row in range(len(model.rows))
    ]


def put(editor, row: int, column: int, text: str) -> bool:
    model = editor.table.model_
    return model.setData(model.index(row, column), text)


def field(editor) -> QLineEdit:
    return editor.table.viewport().findChildren(QLineEdit)[-1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("3", 3), ("-2.5", -2.5), ("1e3", 1000.0), (".5", 0.5),
        ("5.", 5.0), ("+7", 7), ("  red ", "red"), ("007", "007"), ("1,5", "1,5"), ("nan", "nan"),
        ("1e999", "1e999"), ("inf", "inf"), ('"12"', "12"), ('"true"', "true"), ("", ""),
        ("٣", "٣"), ("-", "-"), (".", "."), ("e5", "e5"), ('"', '"'),
    ],
)  # fmt: skip
def test_values_are_typed_by_what_is_entered(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert kind_of(parsed) == kind_of(value)


@given(
    st.one_of(
        st.text().map(str.strip),
        st.booleans(),
        st.integers(-(10**15), 10**15),
        st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_what_is_shown_for_editing_means_the_same_value(value):
    again = parse_value(value_text(value))
    assert again == value
    assert kind_of(again) == kind_of(value)


def test_a_key_and_its_value_are_one_step(workspace, editor, qtbot):
    ids = add(workspace, "dog")
    workspace.select(ids)
    qtbot.mouseClick(editor._add, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(field(editor), "age")
    qtbot.keyClick(field(editor), Key.Key_Tab)
    assert attributes(workspace) == {}
    qtbot.keyClicks(field(editor), "3.5")
    qtbot.keyClick(field(editor), Key.Key_Return)
    qtbot.waitUntil(lambda: attributes(workspace) == {"age": 3.5})
    assert cells(editor) == [("age", "3.5")]
    assert editor.message.text() == ""
    workspace.undo()
    assert attributes(workspace) == {}
    assert cells(editor) == []


def test_values_and_keys_are_changed_and_removed(workspace, editor, qtbot):
    ids = add(workspace, "dog")
    workspace.set_attributes(ids[0], {"age": 3, "pose": "sitting"})
    workspace.select(ids)
    put(editor, 0, VALUE, "true")
    qtbot.waitUntil(lambda: attributes(workspace)["age"] is True)
    put(editor, 0, KEY, "adult")
    qtbot.waitUntil(lambda: list(attributes(workspace)) == ["adult", "pose"])
    editor.table.setCurrentIndex(editor.table.model_.index(0, KEY))
    qtbot.keyClick(editor.table, Key.Key_Delete)
    qtbot.waitUntil(lambda: attributes(workspace) == {"pose": "sitting"})


def test_enter_edits_the_current_cell(workspace, editor, qtbot):
    ids = add(workspace, "dog")
    workspace.set_attributes(ids[0], {"code": "12"})
    workspace.select(ids)
    editor.table.setCurrentIndex(editor.table.model_.index(0, VALUE))
    qtbot.keyClick(editor.table, Key.Key_Return)
    assert field(editor).text() == '"12"'
    qtbot.keyClick(field(editor), Key.Key_Return)
    qtbot.waitUntil(lambda: not editor.table.viewport().findChildren(QLineEdit))
    assert attributes(workspace) == {"code": "12"}


def test_wrong_keys_are_refused_inline(workspace, editor):
    ids = add(workspace, "dog")
    workspace.set_attributes(ids[0], {"age": 3, "pose": "sitting"})
    workspace.select(ids)
    assert not put(editor, 1, KEY, "age")
    assert "age" in editor.message.text()
    assert not put(editor, 1, KEY, "  ")
    assert "name" in editor.message.text()
    assert put(editor, 2, KEY, "new")
    assert "new" in editor.message.text()
    workspace.select(())
    assert editor.message.text() == ""
    assert attributes(workspace) == {"age": 3, "pose": "sitting"}


def test_several_objects_are_changed_in_one_step(workspace, editor, qtbot):
    ids = add(workspace, "dog", "cat")
    workspace.set_attributes(ids[0], {"age": 3, "wild": True})
    workspace.set_attributes(ids[1], {"age": 4, "wild": 1})
    workspace.select(ids)
    assert cells(editor) == [("age", "several values"), ("wild", "several values")]
    put(editor, 0, VALUE, "")
    put(editor, 0, VALUE, "7")
    qtbot.waitUntil(lambda: attributes(workspace, 1)["age"] == 7)
    assert attributes(workspace, 0) == {"age": 7, "wild": True}
    workspace.undo()
    assert attributes(workspace, 0)["age"] == 3
    assert attributes(workspace, 1)["age"] == 4


def test_a_key_only_some_objects_have_is_said_so(workspace, editor):
    ids = add(workspace, "dog", "cat")
    workspace.set_attributes(ids[0], {"age": 3})
    workspace.select(ids)
    assert cells(editor) == [("age", "not in all of them")]


def test_crowd_of_one_and_of_several(workspace, editor, qtbot):
    ids = add(workspace, "dog", "cat")
    workspace.select(ids[:1])
    editor.crowd.click()
    assert [a.is_crowd for a in workspace.annotations] == [True, False]
    workspace.select(ids)
    assert editor.crowd.checkState() is Qt.CheckState.PartiallyChecked
    editor.crowd.click()
    assert [a.is_crowd for a in workspace.annotations] == [True, True]
    assert editor.crowd.checkState() is Qt.CheckState.Checked
    editor.crowd.click()
    assert [a.is_crowd for a in workspace.annotations] == [False, False]
    assert editor.crowd.checkState() is Qt.CheckState.Unchecked


def test_the_origin_is_shown(workspace, editor):
    ids = add(workspace, "dog", "cat")
    workspace.select(ids[:1])
    assert editor.origin.text() == "Drawn by hand"
    workspace.select(ids[1:])
    assert editor.origin.text() == "Made with basic 1, 93 % sure, from 1 point"
    workspace.select(ids)
    assert editor.origin.text().startswith("2 objects")


def test_keys_and_values_of_this_image_are_completed(workspace, editor):
    ids = add(workspace, "dog", "cat")
    workspace.set_attributes(ids[0], {"pose": "sitting", "age": 3})
    workspace.set_attributes(ids[1], {"age": 4})
    workspace.select(ids[1:])
    table = editor.table
    table.edit_new()
    assert field(editor).completer().model().stringList() == ["pose"]
    put(editor, 1, KEY, "pose")
    table.edit_cell(1, VALUE)
    assert field(editor).completer().model().stringList() == ["sitting"]


def test_locked_objects_are_only_shown(workspace, editor):
    ids = add(workspace, "dog")
    workspace.set_attributes(ids[0], {"age": 3})
    workspace.set_flag(ids, "locked", True)
    workspace.select(ids)
    assert editor.table.model_.rowCount() == 1
    assert not editor.crowd.isEnabled()
    assert "Unlock" in editor.message.text()
    workspace.set_flag(ids, "locked", False)
    assert editor.table.model_.rowCount() == 2
    assert editor.message.text() == ""
