import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QRadioButton, QSlider, QToolButton, QWidget

from annotator.keymaps import bindings, conflicts
from annotator.menus import COMMANDS
from annotator.menus.gestures import GESTURES
from annotator.services.settings import Settings, SettingsStore
from annotator.ui.settings_dialog import SettingsDialog
from annotator.ui.shortcut_sheet import KEYS, ShortcutSheet

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def store(tmp_path, qapp):
    return SettingsStore(tmp_path / "a.ini")


@pytest.fixture
def sheet(qtbot, store):
    sheet = ShortcutSheet(store)
    qtbot.addWidget(sheet)
    sheet.show()
    sheet.activateWindow()
    qtbot.waitUntil(sheet.isActiveWindow)
    return sheet


def rows(sheet):
    tree = sheet.editor.tree
    groups = [tree.topLevelItem(place) for place in range(tree.topLevelItemCount())]
    return [
        group.child(place)
        for group in groups
        for place in range(group.childCount())
        if not group.isHidden() and not group.child(place).isHidden()
    ]


def texts(sheet):
    return [item.text(0) for item in rows(sheet)]


def keys_of(sheet, command_id):
    return tuple(sheet.editor._items[command_id].data(1, KEYS))


def press(sheet, command_id, key, modifier=Qt.KeyboardModifier.NoModifier):
    """Choose a command, press Enter, then the new keys, as a person does."""
    sheet.editor.select(command_id)
    sheet.editor.tree.setFocus()
    QTest.keyClick(sheet.editor.tree, Qt.Key.Key_Return)
    assert sheet.editor.binding.field.hasFocus()
    QTest.keyClick(sheet.editor.binding.field, key, modifier)


def focused():
    return QApplication.focusWidget()


def test_it_shows_every_command_and_gesture(sheet):
    count = sum(not row.submenu for row in COMMANDS) + len(GESTURES)
    assert len(rows(sheet)) == count
    for row in COMMANDS:
        if not row.submenu:
            assert keys_of(sheet, row.id) == row.shortcuts


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("rectangle", "Rectangle"), ("ctrl+shift+p", "Command Palette"),
     ("wheel", "Scroll sideways"), ("ISCROWD", "Crowd"), ("mouse corner", "Close the outline")],
)  # fmt: skip
def test_searching_by_name_key_hint_and_gesture(sheet, typed, expected):
    QTest.keyClicks(sheet.editor.search, typed)
    assert expected in texts(sheet)
    assert len(texts(sheet)) < 12


def test_searching_selects_the_first_hit_and_enter_starts_rebinding(sheet):
    QTest.keyClicks(sheet.editor.search, "polyg")
    QTest.keyClick(sheet.editor.search, Qt.Key.Key_Return)
    assert sheet.editor.binding.field.hasFocus()
    assert sheet.editor.binding._title.text() == "Polygon"


def test_nothing_found_leaves_an_empty_list(sheet):
    sheet.editor.search.setText("xyzzy")
    assert texts(sheet) == []
    sheet.editor.search.clear()
    assert len(texts(sheet)) > 80


def test_choosing_another_key_map_shows_its_keys(sheet, store):
    box = sheet.editor.keymap
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_End)
    QTest.keyClick(box, Qt.Key.Key_Return)
    box.activated.emit(box.currentIndex())
    assert store.settings.keymap == "cvat"
    assert keys_of(sheet, "image.next")[0] == "F"


def test_a_free_key_is_said_to_be_free_and_enter_sets_it(sheet, store):
    press(sheet, "tool.box", Qt.Key.Key_F9)
    assert "free" in sheet.editor.binding.status.text()
    assert focused() is sheet.editor.binding.take
    QTest.keyClick(focused(), Qt.Key.Key_Space)
    assert store.settings.key_overrides == {"tool.box": ("F9",)}
    assert keys_of(sheet, "tool.box") == ("F9",)
    assert sheet.editor.tree.hasFocus()


def test_a_conflict_is_shown_live_and_can_be_taken_over(sheet, store):
    press(sheet, "tool.box", Qt.Key.Key_D, CTRL)
    editor = sheet.editor.binding
    assert editor.status.text() == "Ctrl+D is used by “Duplicate”."
    assert editor.status.level == "warning"
    assert not editor.add.isVisible()
    editor.take.click()
    assert keys_of(sheet, "tool.box") == ("Ctrl+D",)
    assert keys_of(sheet, "edit.duplicate") == ()


def test_a_conflict_can_be_swapped(sheet, store):
    press(sheet, "tool.box", Qt.Key.Key_D)
    sheet.editor.binding.swap.click()
    assert keys_of(sheet, "tool.box") == ("D",)
    assert keys_of(sheet, "image.next") == ("R", "PgDown")
    assert conflicts(bindings("standard", store.settings.key_overrides)) == ()


def test_a_second_key_can_be_added_and_taken_away(qtbot, sheet, store):
    press(sheet, "tool.box", Qt.Key.Key_K)
    sheet.editor.binding.add.click()
    assert keys_of(sheet, "tool.box") == ("R", "K")

    def chips():
        found = sheet.editor.binding.findChildren(QToolButton)
        return {chip.text(): chip for chip in found if chip.isVisible() and chip.text()}

    qtbot.waitUntil(lambda: set(chips()) == {"R", "K"})
    chips()["R"].click()
    assert keys_of(sheet, "tool.box") == ("K",)


def test_a_key_the_canvas_needs_cannot_be_taken(sheet, store):
    press(sheet, "tool.box", Qt.Key.Key_Space)
    editor = sheet.editor.binding
    assert "canvas" in editor.status.text()
    assert not editor.take.isVisible()
    assert store.settings == Settings()


def test_a_key_the_command_has_already_changes_nothing(sheet, store):
    press(sheet, "tool.box", Qt.Key.Key_R)
    assert "already" in sheet.editor.binding.status.text()
    assert not sheet.editor.binding.take.isVisible()


def test_escape_gives_up(sheet, store):
    press(sheet, "tool.box", Qt.Key.Key_K)
    QTest.keyClick(focused(), Qt.Key.Key_Escape)
    assert sheet.isVisible()
    assert sheet.editor.tree.hasFocus()
    assert store.settings == Settings()


def test_resetting_one_and_undoing_it(sheet, store):
    own = {"tool.box": ("K",), "edit.copy": ()}
    store.update(key_overrides=own)
    sheet.editor.select("tool.box")
    sheet.editor.binding.reset.click()
    assert store.settings.key_overrides == {"edit.copy": ()}
    sheet.editor.binding.undo_reset.click()
    assert store.settings.key_overrides == own


def test_resetting_all_and_undoing_it(sheet, store):
    own = {"tool.box": ("K",), "edit.copy": ()}
    store.update(key_overrides=own)
    sheet.editor.binding.reset_all.click()
    assert store.settings.key_overrides == {}
    assert not sheet.editor.binding.reset_all.isEnabled()
    sheet.editor.binding.undo_reset.click()
    assert store.settings.key_overrides == own
    assert not sheet.editor.binding.undo_reset.isVisible()


def test_conflicts_of_own_keys_with_another_map_are_shown(sheet, store):
    assert not sheet.editor.problems.isVisible()
    store.update(key_overrides={"tool.box": ("K",), "tool.polygon": ("K",)})
    assert sheet.editor.problems.isVisible()
    assert "“Rectangle” and “Polygon”" in sheet.editor.problems.text()


def test_the_sheet_is_opened_once_per_window(qtbot, store):
    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    first = ShortcutSheet.open_over(store, window)
    assert ShortcutSheet.open_over(store, window) is first
    assert not first.isModal()
    first.close()
    qtbot.waitUntil(lambda: not window.findChildren(ShortcutSheet))


@pytest.fixture
def dialog(qtbot, store):
    dialog = SettingsDialog(store)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def find(dialog, kind, name):
    found = dialog.findChild(kind, name)
    assert found is not None, name
    return found


def test_settings_act_at_once(dialog, store):
    find(dialog, QRadioButton, "theme.dark").click()
    find(dialog, QRadioButton, "wheel.scroll").click()
    find(dialog, QRadioButton, "segmentation.rle").click()
    find(dialog, QCheckBox, "crosshair").click()
    find(dialog, QSlider, "mask_opacity").setValue(70)
    assert store.settings == Settings(
        theme="dark", wheel="scroll", segmentation="rle", crosshair=True, mask_opacity=0.7
    )


def test_settings_follow_changes_made_elsewhere(dialog, store):
    store.update(theme="light", hover_preview=False, mask_opacity=0.333)
    assert find(dialog, QRadioButton, "theme.light").isChecked()
    assert not find(dialog, QCheckBox, "hover_preview").isChecked()
    assert find(dialog, QSlider, "mask_opacity").value() == 33
    assert store.settings.theme == "light"


def test_looking_at_all_pages_changes_nothing(dialog, store):
    store.update(mask_opacity=0.333)
    for place in range(dialog.pages.count()):
        dialog.pages.setCurrentRow(place)
        QApplication.processEvents()
    assert store.settings == Settings(mask_opacity=0.333)


def test_the_model_page_names_models_honestly(dialog, store):
    from models.registry import DEFAULT_SEGMENTER, segmenters

    dialog.show_page("Model")
    for spec in segmenters().values():
        button = find(dialog, QRadioButton, f"model.{spec.id}")
        assert button.text() == spec.title
        assert button.isEnabled() == (spec.available() is None)
    assert find(dialog, QRadioButton, f"model.{DEFAULT_SEGMENTER}").isChecked()
    assert store.settings.model == ""


def test_recent_folders_can_be_forgotten(dialog, store):
    store.update(recent_folders=("/a",))
    dialog.show_page("Saving")
    button = next(
        b for b in dialog.findChildren(QWidget) if b.property("text") == "&Forget recent folders"
    )
    button.click()
    assert store.settings.recent_folders == ()
    assert not button.isEnabled()


def test_every_page_can_be_walked_with_the_keyboard(dialog):
    for place in range(dialog.pages.count()):
        dialog.pages.setCurrentRow(place)
        QApplication.processEvents()
        page = dialog._stack.currentWidget()
        wanted = {
            w for w in page.findChildren(QWidget)
            if isinstance(w, QRadioButton | QCheckBox | QSlider) and w.isVisible() and w.isEnabled()
        }  # fmt: skip
        assert all(w.focusPolicy() & Qt.FocusPolicy.TabFocus for w in wanted)


def test_the_settings_are_opened_once_per_window(qtbot, store):
    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    first = SettingsDialog.open_over(store, window, "Keyboard")
    assert SettingsDialog.open_over(store, window, "Model") is first
    assert first.pages.currentItem().text() == "Model"
    first.close()
    qtbot.waitUntil(lambda: not window.findChildren(SettingsDialog))
