"""The window as a whole: every command does something, panels come and go."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication

from annotator.menus import COMMANDS
from tests.e2e.user import CTRL, SHIFT, Start, User


def test_every_command_has_a_handler(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        assert {row.id for row in COMMANDS} <= set(user.window._handlers)

    start([str(folder)], script)


def test_the_palette_finds_commands_classes_and_images(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.presses(Qt.Key.Key_P, CTRL | SHIFT)
        user.types("img10")
        user.presses(Qt.Key.Key_Return)
        user.waits_for_image("img10.png")
        user.presses(Qt.Key.Key_P, CTRL | SHIFT)
        user.types("polygon")
        user.presses(Qt.Key.Key_Return)
        assert user.workspace.tool == "polygon"

    start([str(folder)], script)


def test_dropping_a_folder_opens_it(start: Start, folder: Path) -> None:
    def drop(user: User, path: Path) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        nothing = Qt.KeyboardModifier.NoModifier
        event = QDropEvent(
            QPointF(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, nothing
        )
        user.window.dropEvent(event)  # Qt sends it only in the course of a real drag

    def script(user: User) -> None:
        assert user.workspace.document is None
        drop(user, folder)
        user.waits_for_image("img2.png")
        drop(user, folder / "night" / "img2.png")  # an image of this very project
        user.waits_for_image("night/img2.png")
        assert user.workspace.document is not None
        assert user.workspace.document.folder == folder

    start([], script)


def test_hold_h_to_see_the_bare_image(start: Start, folder: Path) -> None:
    from PySide6.QtTest import QTest

    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.names("disk")
        user.presses(Qt.Key.Key_R)
        user.drags(150, 60, 290, 180)
        user.waits_for_objects(1)
        user.presses(Qt.Key.Key_Escape)
        spot = user.view(170, 70)

        def is_bare() -> bool:
            place = user.window.canvas.viewport().mapTo(user.window, spot)
            color = user.window.grab().toImage().pixelColor(place)
            image = user.workspace.image
            assert image is not None
            ground = image.pixels[70, 170]
            shown = (color.red(), color.green(), color.blue())
            return max(abs(a - int(b)) for a, b in zip(shown, ground, strict=True)) < 8

        user.waits_for(lambda: not is_bare())
        QTest.keyPress(user.window.canvas, Qt.Key.Key_H)
        user.waits_for(is_bare)
        QTest.keyRelease(user.window.canvas, Qt.Key.Key_H)
        user.waits_for(lambda: not is_bare())

    start([str(folder)], script)


def test_themes_switch_while_running(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        lightness = []
        for theme in ("light", "dark"):
            user.window.actions_by_id[f"view.theme_{theme}"].trigger()
            QApplication.processEvents()
            lightness.append(user.window.palette().window().color().lightness())
        assert lightness[0] > 200 > 80 > lightness[1]

    start([str(folder)], script)
