"""A person in front of the real window: starts through `main()`, uses mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from annotator import app
from annotator.bugs import BugHandler
from annotator.main_window import MainWindow
from annotator.session import Player

NONE = Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier


class User(Player):
    """Acts in image pixels and waits for what a person would wait for."""

    def __init__(self, window: MainWindow, qtbot: QtBot) -> None:
        super().__init__(window)
        self.window = window
        self.workspace = window.workspace
        self._bot = qtbot

    def waits_for(self, condition: Callable[[], bool]) -> None:
        self._bot.waitUntil(condition, timeout=15_000)

    def waits_for_image(self, key: str | None = None) -> None:
        self.waits_for(
            lambda: (
                (image := self.workspace.image) is not None
                and image.complete
                and (key is None or image.key == key)
            )
        )

    def view(self, x: float, y: float) -> QPoint:
        return self.window.canvas.to_view(x, y)

    def points_at(self, x: float, y: float) -> None:
        QTest.mouseMove(self.window.canvas.viewport(), self.view(x, y))
        QApplication.processEvents()

    def clicks(
        self,
        x: float,
        y: float,
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
        keys: Qt.KeyboardModifier = NONE,
    ) -> None:
        self.points_at(x, y)
        QTest.mouseClick(self.window.canvas.viewport(), button, keys, self.view(x, y))

    def drags(self, x0: float, y0: float, x1: float, y1: float) -> None:
        viewport, left = self.window.canvas.viewport(), Qt.MouseButton.LeftButton
        start, end = self.view(x0, y0), self.view(x1, y1)
        QTest.mouseMove(viewport, start)
        QTest.mousePress(viewport, left, NONE, start)
        for part in range(1, 7):
            QTest.mouseMove(viewport, start + (end - start) * part / 6)
            QApplication.processEvents()
        QTest.mouseRelease(viewport, left, NONE, end)

    def presses(self, key: Qt.Key, keys: Qt.KeyboardModifier = NONE) -> None:
        QTest.keyClick(QApplication.focusWidget() or self.window.canvas, key, keys)
        QApplication.processEvents()

    def types(self, text: str) -> None:
        QTest.keyClicks(QApplication.focusWidget(), text)

    def names(self, name: str) -> None:
        """Find-or-make a class by keyboard, which accepts an open prompt under it."""
        self.presses(Qt.Key.Key_L)
        self.types(name)
        self.presses(Qt.Key.Key_Return)

    def status(self) -> list[str]:
        """What the status bar says."""
        return [label.text() for label in self.window.status.findChildren(QLabel)]

    def waits_for_objects(self, count: int) -> None:
        self.waits_for(lambda: len(self.workspace.annotations) == count)

    def saves(self) -> Path:
        """Ctrl+S, and wait until the COCO file is there."""
        document = self.workspace.document
        assert document is not None
        self.presses(Qt.Key.Key_S, CTRL)
        self.waits_for(
            lambda: not document.save_state.pending and not document.save_state.coco_pending
        )
        return document.coco_path


Start = Callable[[list[str], Callable[[User], None]], int]


def starter(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start through `main()`; the script runs in place of the event loop."""

    def start(arguments: list[str], script: Callable[[User], None]) -> int:
        shown: list[MainWindow] = []
        make = app.make_window

        def remember(application: QApplication) -> MainWindow:
            shown.append(make(application))
            return shown[-1]

        def loop(*_: object) -> int:
            window = shown[-1]
            qtbot.addWidget(window)
            try:
                qtbot.waitUntil(lambda: window.started, timeout=5000)
                script(User(window, qtbot))
            finally:
                window.close()
            return 0

        # pytest-qt fails the test for every exception; the program's own handler would hide them.
        monkeypatch.setattr(BugHandler, "install", lambda _: None)
        monkeypatch.setattr(app, "make_window", remember)
        monkeypatch.setattr(QApplication, "exec", loop)
        return app.main(arguments)

    return start


def draw_disks(path: Path, disks: list[tuple[int, int, int, tuple[int, int, int]]]) -> None:
    """A 320 x 240 picture of coloured disks (x, y, radius, colour) on a quiet textured ground."""
    rng = np.random.default_rng(len(disks))
    picture = np.full((240, 320, 3), 118, np.int16) + rng.integers(-6, 7, (240, 320, 1))
    yy, xx = np.mgrid[:240, :320] + 0.5
    for x, y, radius, color in disks:
        picture[(xx - x) ** 2 + (yy - y) ** 2 < radius**2] = color
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path)
