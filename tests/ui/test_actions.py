import string

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QIcon, QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QLineEdit,
    QListWidget,
    QMainWindow,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

from annotator import actions as table
from annotator.keymaps import bindings
from annotator.menus import COMMANDS, TOOLBAR, command
from annotator.menus.command import CONDITIONS
from annotator.ui.icons import icon
from annotator.ui.key_guard import KeyGuard


class Window(QMainWindow):
    """A canvas, and every kind of widget that wants keys for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.held: list[tuple[str, bool]] = []
        centre = QWidget()
        column = QVBoxLayout(centre)
        self.canvas = QWidget()
        self.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.line = QLineEdit()
        self.spin = QSpinBox()
        self.text = QPlainTextEdit()
        self.combo = QComboBox()
        self.combo.setEditable(True)
        self.list = QListWidget()
        self.list.addItems(["one", "two", "three"])
        self.list.setCurrentRow(0)
        self.button = QPushButton("Press")
        for widget in (self.canvas, self.line, self.spin, self.text, self.combo, self.list):
            column.addWidget(widget)
        column.addWidget(self.button)
        self.setCentralWidget(centre)
        self.commands = table.build_actions(self, self.ran.append, bindings(), icon)
        # Nothing is both a proposal and none: keys are shared between the two.
        table.set_enabled(self.commands, {"proposal": False, "only_proposals": False})
        self.menus = table.build_menus(self.menuBar(), self.commands)
        self.guard = KeyGuard(self, (self.canvas,))
        self.guard.set_bindings(bindings())
        self.guard.held_changed.connect(lambda name, down: self.held.append((name, down)))


@pytest.fixture
def window(qtbot):
    window = Window()
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.canvas.setFocus()
    return window


def type_into(qtbot, widget, key, modifier=Qt.KeyboardModifier.NoModifier):
    widget.setFocus()
    qtbot.keyClick(widget, key, modifier)


def test_ids_are_unique_and_rows_are_complete():
    ids = [row.id for row in COMMANDS]
    assert len(set(ids)) == len(ids)
    for row in COMMANDS:
        assert row.text
        assert row.hint, row.id
        assert row.enabled == "" or row.enabled in CONDITIONS, row.id
        assert not row.group or row.checkable, row.id
        assert not row.held or row.checkable, row.id


def test_the_toolbar_names_commands_with_icons():
    for command_id in filter(None, TOOLBAR):
        assert command(command_id).icon


def test_every_shortcut_means_exactly_one_key():
    for row in COMMANDS:
        for text in row.shortcuts:
            sequence = QKeySequence(text)
            assert sequence.count() == 1, (row.id, text)
            assert sequence.toString(QKeySequence.SequenceFormat.PortableText) == text, row.id


def test_every_command_is_in_a_menu_or_has_keys(window):
    in_menus = {a.objectName() for menu in window.menus.values() for a in menu.actions()}
    for row in COMMANDS:
        assert row.id in in_menus or row.shortcuts, row.id


def test_menus_follow_the_table(window):
    titles = [action.text().replace("&", "") for action in window.menuBar().actions()]
    assert titles == [
        "File",
        "Edit",
        "Objects",
        "Image",
        "View",
        "Tools",
        "Proposals",
        "Names",
        "Review",
        "Tracks",
        "Help",
    ]
    assert window.menus["View/Theme"].actions()[0].text().replace("&", "") == "System Theme"
    assert window.commands["file.open_recent"].menu() is window.menus["file.open_recent"]
    assert not any(
        menu.actions()[0].isSeparator() or menu.actions()[-1].isSeparator()
        for path, menu in window.menus.items()
        if path not in {"file.open_recent", "track.merge"}
    )


def test_every_menu_entry_has_its_own_mnemonic(window):
    for path, menu in window.menus.items():
        letters = []
        for action in menu.actions():
            place = action.text().find("&")
            if not action.isSeparator() and place >= 0:
                letters.append(action.text()[place + 1].lower())
        assert len(set(letters)) == len(letters), path


def test_a_triggered_action_runs_its_command(window):
    window.commands["view.fit"].trigger()
    window.commands["tool.box"].trigger()
    assert window.ran == ["view.fit", "tool.box"]


def test_tools_exclude_each_other(window):
    window.commands["tool.box"].trigger()
    window.commands["tool.polygon"].trigger()
    assert not window.commands["tool.box"].isChecked()
    assert window.commands["tool.polygon"].isChecked()


def test_checkable_commands_toggle_independently(window):
    window.commands["view.crosshair"].trigger()
    window.commands["view.pixel_grid"].trigger()
    assert window.commands["view.crosshair"].isChecked()
    assert window.commands["view.pixel_grid"].isChecked()


def test_set_enabled_touches_only_what_is_named(window):
    table.set_enabled(window.commands, {"prompt": False, "project": True})
    assert not window.commands["prompt.clear"].isEnabled()
    assert window.commands["edit.delete"].isEnabled()
    table.set_enabled(window.commands, {"object": False})
    assert not window.commands["edit.delete"].isEnabled()
    assert not window.commands["prompt.clear"].isEnabled()


def test_tooltips_show_the_first_key_and_the_hint(window):
    tip = window.commands["tool.box"].toolTip()
    assert tip.startswith("Rectangle (R)\n")
    changed = bindings("standard", {"tool.box": ("Ctrl+R",)})
    table.apply_bindings(window.commands, changed)
    assert window.commands["tool.box"].toolTip().startswith("Rectangle (Ctrl+R)")


def test_changed_bindings_act_at_once(window, qtbot):
    table.apply_bindings(window.commands, bindings("standard", {"tool.box": ("T",)}))
    qtbot.keyClick(window.canvas, Qt.Key.Key_R)
    qtbot.keyClick(window.canvas, Qt.Key.Key_T)
    assert window.ran == ["tool.box"]


def test_show_names_writes_classes_and_takes_them_back(window):
    table.show_names(window.commands, "class", ["cat & dog", "tree"])
    assert table.plain(window.commands["class.1"].text()) == "cat & dog"
    assert window.commands["class.3"].text() == "Class 3"
    table.show_names(window.commands, "class", [])
    assert window.commands["class.1"].text() == "Class 1"


@pytest.mark.parametrize(
    ("key", "modifier", "command_id"),
    [
        (Qt.Key.Key_D, Qt.KeyboardModifier.NoModifier, "image.next"),
        (Qt.Key.Key_PageUp, Qt.KeyboardModifier.NoModifier, "image.previous"),
        (Qt.Key.Key_7, Qt.KeyboardModifier.NoModifier, "class.7"),
        (Qt.Key.Key_7, Qt.KeyboardModifier.KeypadModifier, "class.7"),
        (Qt.Key.Key_2, Qt.KeyboardModifier.ShiftModifier, "suggestion.2"),
        (Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, "prompt.accept"),
        (Qt.Key.Key_Enter, Qt.KeyboardModifier.KeypadModifier, "prompt.accept"),
        (Qt.Key.Key_Tab, Qt.KeyboardModifier.NoModifier, "prompt.next_candidate"),
        (Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier, "prompt.previous_candidate"),
        (Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier, "edit.undo"),
        (Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier, "edit.redo"),
        (Qt.Key.Key_F1, Qt.KeyboardModifier.NoModifier, "help.shortcuts"),
        (Qt.Key.Key_Question, Qt.KeyboardModifier.NoModifier, "help.shortcuts"),
    ],
)
def test_on_the_canvas_every_key_is_a_command(window, qtbot, key, modifier, command_id):
    qtbot.keyClick(window.canvas, key, modifier)
    assert window.ran == [command_id]


def test_backspace_takes_back_a_point_or_deletes(window, qtbot):
    table.set_enabled(window.commands, {"prompt": True, "object": False})
    qtbot.keyClick(window.canvas, Qt.Key.Key_Backspace)
    table.set_enabled(window.commands, {"prompt": False, "object": True})
    qtbot.keyClick(window.canvas, Qt.Key.Key_Backspace)
    table.set_enabled(window.commands, {"object": False, "only_proposals": True})
    qtbot.keyClick(window.canvas, Qt.Key.Key_Backspace)
    assert window.ran == ["prompt.take_back", "edit.delete", "proposals.reject"]


def test_tab_moves_the_focus_while_there_are_no_candidates(window, qtbot):
    table.set_enabled(window.commands, {"candidates": False})
    qtbot.keyClick(window.canvas, Qt.Key.Key_Tab)
    assert window.ran == []
    assert not window.canvas.hasFocus()


@pytest.mark.parametrize("name", ["line", "text", "combo"])
def test_typing_types(window, qtbot, name):
    widget = getattr(window, name)
    for letter in string.ascii_lowercase + string.digits + ",.?/+-":
        type_into(qtbot, widget, letter)
    qtbot.keyClick(widget, "D", Qt.KeyboardModifier.ShiftModifier)
    typed = widget.toPlainText() if name == "text" else (
        widget.currentText() if name == "combo" else widget.text()
    )  # fmt: skip
    assert typed == string.ascii_lowercase + string.digits + ",.?/+-" + "D"
    assert window.ran == []
    assert window.held == []


@pytest.mark.parametrize(
    "key",
    [Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Tab, Qt.Key.Key_Backspace,
     Qt.Key.Key_Delete, Qt.Key.Key_PageDown, Qt.Key.Key_Space],
)  # fmt: skip
def test_a_text_field_keeps_its_editing_keys(window, qtbot, key):
    type_into(qtbot, window.line, key)
    assert window.ran == []


def test_a_spin_box_takes_digits(window, qtbot):
    window.spin.setFocus()
    window.spin.selectAll()
    qtbot.keyClick(window.spin, Qt.Key.Key_4)
    qtbot.keyClick(window.spin, Qt.Key.Key_2)
    assert window.spin.value() == 42
    assert window.ran == []


def test_commands_with_ctrl_and_function_keys_work_in_a_text_field(window, qtbot):
    type_into(qtbot, window.line, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    type_into(qtbot, window.line, Qt.Key.Key_F1)
    assert window.ran == ["file.save", "help.shortcuts"]


def test_copying_in_a_text_field_copies_text(window, qtbot):
    window.line.setText("word")
    window.line.setFocus()
    window.line.selectAll()
    qtbot.keyClick(window.line, Qt.Key.Key_X, Qt.KeyboardModifier.ControlModifier)
    assert window.line.text() == ""
    assert window.ran == []


def test_a_list_keeps_the_keys_that_drive_it_and_gives_the_others(window, qtbot):
    type_into(qtbot, window.list, Qt.Key.Key_Down)
    assert window.list.currentRow() == 1
    with qtbot.waitSignal(window.list.itemActivated):
        qtbot.keyClick(window.list, Qt.Key.Key_Return)
    qtbot.keyClick(window.list, Qt.Key.Key_PageUp)
    assert window.ran == []
    qtbot.keyClick(window.list, Qt.Key.Key_D)
    qtbot.keyClick(window.list, Qt.Key.Key_Delete)
    qtbot.keyClick(window.list, Qt.Key.Key_3)
    assert window.ran == ["image.next", "edit.delete", "class.3"]


def test_space_presses_a_button(window, qtbot):
    with qtbot.waitSignal(window.button.clicked):
        type_into(qtbot, window.button, Qt.Key.Key_Space)


def test_a_held_key_reports_down_and_up_once(window, qtbot):
    qtbot.keyPress(window.canvas, Qt.Key.Key_H)
    qtbot.keyPress(window.canvas, Qt.Key.Key_H)
    assert window.held == [("view.hide_masks", True)]
    qtbot.keyRelease(window.canvas, Qt.Key.Key_H)
    qtbot.waitUntil(lambda: len(window.held) > 1)
    assert window.held == [("view.hide_masks", True), ("view.hide_masks", False)]
    assert window.ran == []


def test_repeats_of_a_held_key_are_no_releases(window, qtbot):
    for _ in range(20):
        qtbot.keyPress(window.canvas, Qt.Key.Key_H)
        qtbot.keyRelease(window.canvas, Qt.Key.Key_H)
    assert window.held == [("view.hide_masks", True)]
    qtbot.waitUntil(lambda: window.held[-1] == ("view.hide_masks", False))
    assert len(window.held) == 2


def test_a_held_key_works_from_a_list_and_ends_with_the_focus(window, qtbot):
    window.list.setFocus()
    qtbot.keyPress(window.list, Qt.Key.Key_H)
    assert window.held == [("view.hide_masks", True)]
    window.line.setFocus()
    assert window.held[-1] == ("view.hide_masks", False)


def test_the_menu_entry_of_a_held_command_still_runs(window):
    window.commands["view.hide_masks"].trigger()
    assert window.ran == ["view.hide_masks"]


def test_a_focused_widget_may_be_deleted(window, qtbot):
    window.line.setFocus()
    window.line.deleteLater()
    qtbot.waitUntil(lambda: not isValid(window.line))
    qtbot.keyClick(window.canvas, Qt.Key.Key_D)
    assert window.ran == ["image.next"]


def test_the_guard_filters_a_floating_dock_but_not_other_windows(window, qtbot):
    other = QLineEdit()
    qtbot.addWidget(other)
    other.show()
    other.activateWindow()
    other.setFocus()
    qtbot.keyClick(other, "d")
    assert other.text() == "d"
    assert window.guard._focused is not other


def test_icons_are_not_rendered_when_actions_are_made(qtbot):
    asked: list[str] = []

    def lazy(name: str) -> QIcon:
        asked.append(name)
        return icon(name)

    window = QMainWindow()
    qtbot.addWidget(window)
    made = table.build_actions(window, print, bindings(), lazy)
    assert all(isinstance(action, QAction) for action in made.values())
    assert len(asked) == sum(bool(row.icon) for row in COMMANDS)
