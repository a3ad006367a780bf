"""A short labelling session played on the real window with real mouse and keyboard events.

`make run` plays it where there is no display, so that a fresh machine shows in half a minute that
everything works: the results are a COCO file and a screenshot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEventLoop, Qt
from PySide6.QtTest import QTest

from annotator.core.errors import UserError

if TYPE_CHECKING:
    from PySide6.QtCore import QPoint

    from annotator.main_window import MainWindow

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What is marked in one sample image: fractions of its width and height.

    Attributes:
        key: the image.
        points: clicks; positive unless the third value is False.
        box: corners of a box drawn first, or None.
        name: what is typed.
    """

    key: str
    points: tuple[tuple[float, float, bool], ...]
    box: tuple[float, float, float, float] | None
    name: str


SCENES = (
    Scene("cat.jpg", ((0.42, 0.35, True),), (0.20, 0.02, 0.99, 0.99), "cat"),
    Scene("coffee.jpg", ((0.47, 0.12, True), (0.6, 0.7, False)), (0.28, 0.03, 0.71, 0.76), "cup"),
    Scene("coins.png", ((0.115, 0.155, True),), None, "coin"),
    Scene("coins.png", ((0.27, 0.155, True),), None, "coin"),
    Scene("space/astronaut.jpg", (), (0.04, 0.0, 0.90, 0.99), "person"),
    Scene("space/rocket.jpg", (), (0.46, 0.06, 0.56, 0.86), "rocket"),
)


def wait_until(condition: Callable[[], bool], meaning: str) -> None:
    """Let the program run until the condition holds.

    Raises:
        UserError: it does not within a minute.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise UserError(f"The session waited in vain for: {meaning}.")
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.002)


class Player:
    """Acts on a window as a person would.

    Args:
        window: the real main window, shown.
    """

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._workspace = window.workspace

    def show(self, key: str) -> None:
        """Walk through the list to an image."""
        wait_until(lambda: self._key_known(key), f"“{key}” in the list")
        while self._workspace.key != key:
            before = self._workspace.key
            QTest.keyClick(self._window.canvas, Qt.Key.Key_D)
            wait_until(lambda before=before: self._workspace.key != before, "the next image")  # type: ignore[misc]
        wait_until(self._image_complete, f"the pixels of “{key}”")

    def _key_known(self, key: str) -> bool:
        document = self._workspace.document
        return document is not None and key in document.keys() and self._workspace.key is not None  # noqa: SIM118

    def _image_complete(self) -> bool:
        image = self._workspace.image
        return image is not None and image.complete

    def at(self, x: float, y: float) -> QPoint:
        """The viewport position of a place given as fractions of the image."""
        image = self._workspace.image
        if image is None:
            raise UserError("No image is shown.")
        return self._window.canvas.to_view(x * image.width, y * image.height)

    def click(self, x: float, y: float, *, positive: bool = True) -> None:
        """One click; negative ones with the right button."""
        button = Qt.MouseButton.LeftButton if positive else Qt.MouseButton.RightButton
        where = self.at(x, y)
        viewport = self._window.canvas.viewport()
        QTest.mouseMove(viewport, where)
        QTest.mouseClick(viewport, button, Qt.KeyboardModifier.NoModifier, where)

    def drag(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """A drag from corner to corner."""
        viewport, left = self._window.canvas.viewport(), Qt.MouseButton.LeftButton
        start, end = self.at(x0, y0), self.at(x1, y1)
        QTest.mousePress(viewport, left, Qt.KeyboardModifier.NoModifier, start)
        for part in range(1, 9):
            QTest.mouseMove(viewport, start + (end - start) * part / 8)
            QCoreApplication.processEvents()
        QTest.mouseRelease(viewport, left, Qt.KeyboardModifier.NoModifier, end)

    def wait_for_mask(self) -> None:
        """Until the newest prompt is answered."""
        wait_until(
            lambda: not self._workspace.working and bool(self._workspace.candidates), "a mask"
        )

    def name(self, name: str) -> None:
        """Type a name and accept with Enter; wait until the object is safe in the journal."""
        before = len(self._workspace.annotations)
        QTest.keyClick(self._window.canvas, Qt.Key.Key_L)
        field = self._window.focusWidget()
        QTest.keyClicks(field, name)
        QTest.keyClick(field, Qt.Key.Key_Return)
        wait_until(lambda: len(self._workspace.annotations) > before, "the accepted object")
        document = self._workspace.document
        wait_until(lambda: document is not None and not document.save_state.pending, "saving")

    def label(self, scene: Scene) -> None:
        """One object from the first mark to the journal."""
        self.show(scene.key)
        if scene.box is not None:
            self.drag(*scene.box)
        for x, y, positive in scene.points:
            self.click(x, y, positive=positive)
        self.wait_for_mask()
        self.name(scene.name)


def play(window: MainWindow, results: Path) -> tuple[Path, Path]:
    """Label the sample folder and write a screenshot.

    Args:
        window: shows the sample folder.
        results: existing folder for the screenshot.

    Returns:
        Paths of the COCO file and of the screenshot.

    Raises:
        UserError: something did not happen in time.
    """
    player = Player(window)
    for scene in SCENES:
        player.label(scene)
    player.show(SCENES[-1].key)
    document = window.workspace.document
    if document is None:
        raise UserError("The sample folder is not open.")
    QTest.keyClick(window.canvas, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    wait_until(lambda: not document.save_state.coco_pending, "the COCO file")
    screenshot = results / "screenshot.png"
    window.grab().save(str(screenshot))
    return document.coco_path, screenshot
