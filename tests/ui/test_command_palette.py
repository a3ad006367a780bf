import subprocess
import sys

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMainWindow, QPlainTextEdit

from annotator import actions as table
from annotator.keymaps import bindings
from annotator.ui.command_palette import CommandPalette, Source
from annotator.ui.icons import icon
from annotator.ui.key_guard import KeyGuard

IMAGES = [f"day {n // 100}/IMG_{n:05d}.jpg" for n in range(20_000)]


class Window(QMainWindow):
    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.chosen: list[str] = []
        self.resize(900, 600)
        self.commands = table.build_actions(self, self.ran.append, bindings(), icon)
        self.editor = QPlainTextEdit()
        self.setCentralWidget(self.editor)
        self.guard = KeyGuard(self, ())
        self.palette_sheet = CommandPalette(
            self,
            self.commands,
            (
                Source("classes", "Class", lambda: ["zebra", "Zoë", "traffic light"],
                       self.chosen.append, "tag"),
                Source("images", "Image", lambda: IMAGES, self.chosen.append, "image"),
            ),
        )  # fmt: skip


@pytest.fixture
def window(qtbot):
    window = Window()
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.editor.setFocus()
    return window


@pytest.fixture
def sheet(window):
    return window.palette_sheet


def texts(sheet):
    return [sheet.rows.row(place).text for place in range(sheet.rows.rowCount())]


def test_typing_and_enter_runs_a_command(window, sheet):
    sheet.open()
    QTest.keyClicks(sheet.search, "rectan")
    assert texts(sheet)[0] == "Rectangle"
    QTest.keyClick(sheet.search, Qt.Key.Key_Return)
    assert window.ran == ["tool.box"]
    assert not sheet.isVisible()
    assert window.editor.hasFocus()


@pytest.mark.parametrize(
    ("typed", "first"),
    [("zoom o", "Zoom Out"), ("ndo", "Undo"), ("brigtness", "Brightness and Contrast"),
     ("nui", "Next Untouched Image"), ("iscrowd", "Crowd")],
)  # fmt: skip
def test_finding_forgives(sheet, typed, first):
    sheet.open()
    sheet.search.setText(typed)
    assert texts(sheet)[0] == first


def test_an_empty_search_offers_all_and_the_recent_first(window, sheet):
    sheet.open()
    before = texts(sheet)
    assert len(before) > 40
    sheet.search.setText("fit to")
    QTest.keyClick(sheet.search, Qt.Key.Key_Enter)
    sheet.open()
    assert texts(sheet)[0] == "Fit to Window"
    assert window.ran == ["view.fit"]


def test_disabled_commands_say_when_they_can_be_used(window, sheet):
    table.set_enabled(window.commands, {"selection": False})
    sheet.open()
    sheet.search.setText("duplicate")
    row = sheet.rows.row(0)
    assert not row.enabled
    assert "objects are selected" in row.detail
    QTest.keyClick(sheet.search, Qt.Key.Key_Return)
    assert window.ran == []
    assert sheet.isVisible()


def test_classes_and_images_are_found_too(window, sheet):
    sheet.open()
    sheet.search.setText("zoe")
    place = texts(sheet).index("Zoë")
    assert sheet.rows.row(place).detail == "Class"
    sheet.choose(place)
    sheet.open()
    sheet.search.setText("00123")
    assert texts(sheet)[0] == "day 1/IMG_00123.jpg"
    QTest.keyClick(sheet.search, Qt.Key.Key_Return)
    assert window.chosen == ["Zoë", "day 1/IMG_00123.jpg"]


def test_one_source_only(window, sheet):
    sheet.open("images")
    assert sheet.search.placeholderText() == "Go to image…"
    assert texts(sheet)[0] == IMAGES[0]
    sheet.search.setText("zebra")
    assert texts(sheet) == []
    QTest.keyClick(sheet.search, Qt.Key.Key_Return)
    sheet.search.setText("day 199 19_999")
    assert texts(sheet) == []
    sheet.search.setText("day 199 19999")
    assert texts(sheet) == ["day 199/IMG_19999.jpg"]


def test_arrows_and_tab_move_and_wrap(sheet):
    sheet.open("classes")
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Tab):
        QTest.keyClick(sheet.search, key)
    assert sheet.list.currentIndex().row() == 2
    QTest.keyClick(sheet.search, Qt.Key.Key_Down)
    assert sheet.list.currentIndex().row() == 0
    QTest.keyClick(sheet.search, Qt.Key.Key_Up)
    assert sheet.list.currentIndex().row() == 2
    QTest.keyClick(sheet.search, Qt.Key.Key_PageUp)
    assert sheet.list.currentIndex().row() == 0


def test_escape_closes_and_gives_the_focus_back(window, sheet):
    sheet.open()
    assert sheet.search.hasFocus()
    QTest.keyClick(sheet.search, Qt.Key.Key_Escape)
    assert not sheet.isVisible()
    assert window.editor.hasFocus()
    assert window.ran == []


def test_losing_the_focus_closes(qtbot, window, sheet):
    sheet.open()
    window.editor.setFocus()
    qtbot.waitUntil(lambda: not sheet.isVisible())
    assert window.editor.hasFocus()


def test_clicking_a_row_chooses_it(qtbot, window, sheet):
    sheet.open("classes")
    area = sheet.list.visualRect(sheet.rows.index(1))
    qtbot.mouseClick(sheet.list.viewport(), Qt.MouseButton.LeftButton, pos=area.center())
    assert window.chosen == ["Zoë"]


def test_keys_in_the_rows_are_the_present_ones(window, sheet):
    table.apply_bindings(window.commands, bindings("cvat"))
    sheet.open()
    sheet.search.setText("next image")
    assert sheet.rows.row(0).keys[0] == "F"


def test_it_stays_inside_the_window(window, sheet):
    sheet.open()
    assert window.rect().contains(sheet.geometry())
    window.resize(420, 320)
    assert window.rect().contains(sheet.geometry())


def test_toggles_are_toggled(window, sheet):
    sheet.open()
    sheet.search.setText("crosshair")
    QTest.keyClick(sheet.search, Qt.Key.Key_Return)
    assert window.commands["view.crosshair"].isChecked()


def test_screen_readers_hear_text_and_keys(sheet):
    sheet.open()
    sheet.search.setText("undo")
    spoken = sheet.rows.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "Undo, Edit, Ctrl+Z"


def test_importing_the_palette_loads_nothing_heavy():
    code = (
        "import sys, annotator.ui.command_palette, annotator.ui.message_bar, annotator.ui.style,"
        "annotator.ui.key_guard, annotator.services.settings, annotator.keymaps;"
        "heavy = {'numpy', 'cv2', 'PIL', 'rapidfuzz', 'torch', 'platformdirs', 'PySide6.QtSvg'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
