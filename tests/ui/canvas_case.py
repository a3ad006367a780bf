"""A canvas on a real project with real images, and a hand that acts on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.mask import Mask
from annotator.services.settings import SettingsStore
from annotator.services.workspace import Workspace
from annotator.ui.canvas import Canvas
from models.api import Box
from tests.preferences import quick

WIDTH, HEIGHT = 240, 160
NONE = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier
LEFT, RIGHT, MIDDLE = (
    Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton,
)  # fmt: skip


def photo() -> np.ndarray:
    """Every pixel another colour, with a red object at columns 40 to 90, rows 30 to 80."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack((x % 256, (y * 3) % 256, (x + y) % 256), axis=-1).astype(np.uint8) // 2 + 60
    pixels[30:80, 40:90] = (210, 40, 40)
    return pixels


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Mask:
    """A filled rectangle as a mask."""
    piece = raster.Crop(x0, y0, np.ones((y1 - y0, x1 - x0), bool))
    return raster.from_crop(piece, WIDTH, HEIGHT)


class Hand:
    """Acts on a canvas at image positions, as a person would."""

    def __init__(self, canvas: Canvas, workspace: Workspace, settings: SettingsStore) -> None:
        self.canvas, self.workspace, self.settings = canvas, workspace, settings

    def move(self, x: float, y: float) -> None:
        """Point at an image position."""
        QTest.mouseMove(self.canvas.viewport(), self.canvas.to_view(x, y))

    def press(self, x: float, y: float, button: Qt.MouseButton = LEFT, keys: object = NONE) -> None:
        """Press a button."""
        QTest.mousePress(self.canvas.viewport(), button, keys, self.canvas.to_view(x, y))

    def release(
        self, x: float, y: float, button: Qt.MouseButton = LEFT, keys: object = NONE
    ) -> None:
        """Release a button."""
        QTest.mouseRelease(self.canvas.viewport(), button, keys, self.canvas.to_view(x, y))

    def click(self, x: float, y: float, button: Qt.MouseButton = LEFT, keys: object = NONE) -> None:
        """Press and release; not a double click with what came before."""
        self.move(x, y)
        self.press(x, y, button, keys)
        self.release(x, y, button, keys)

    def drag(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        button: Qt.MouseButton = LEFT,
        keys: object = NONE,
        *,
        drop: bool = True,
    ) -> None:
        """Drag in four moves; `drop` releases the button."""
        (x0, y0), (x1, y1) = start, end
        # Where the places are on screen now: the view may move under the pointer.
        spots = [
            self.canvas.to_view(x0 + (x1 - x0) * part / 4, y0 + (y1 - y0) * part / 4)
            for part in range(5)
        ]
        viewport = self.canvas.viewport()
        QTest.mouseMove(viewport, spots[0])
        QTest.mousePress(viewport, button, keys, spots[0])
        for spot in spots[1:]:
            QTest.mouseMove(viewport, spot)
        if drop:
            QTest.mouseRelease(viewport, button, keys, spots[-1])

    def key(self, key: Qt.Key, keys: object = NONE) -> None:
        """Press and release a key."""
        QTest.keyClick(self.canvas, key, keys)

    def wheel(self, x: float, y: float, angle: int, keys: Qt.KeyboardModifier = NONE) -> None:
        """Turn the wheel at an image position."""
        self.wheel_at(self.canvas.to_view(x, y), angle, keys)

    def wheel_at(self, at: QPoint, angle: int, keys: Qt.KeyboardModifier = NONE) -> None:
        """Turn the wheel at a viewport position."""
        viewport = self.canvas.viewport()
        event = QWheelEvent(
            QPointF(at), QPointF(viewport.mapToGlobal(at)), QPoint(), QPoint(0, angle),
            Qt.MouseButton.NoButton, keys, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(viewport, event)

    def pixels(self) -> np.ndarray:
        """What is on screen, (h, w, 3) uint8 RGB."""
        image = self.canvas.viewport().grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        flat = np.frombuffer(image.constBits(), np.uint8)
        rows = flat.reshape(image.height(), image.bytesPerLine())[:, : image.width() * 3]
        return rows.reshape(image.height(), image.width(), 3).copy()

    def settled(self) -> np.ndarray:
        """What is on screen once all tiles are drawn."""
        shown = self.pixels()
        hidden = self.canvas._masks_hidden or self.canvas._stale
        while self.canvas._masks.pending and not hidden:
            shown = self.pixels()
        return shown

    def at(self, x: float, y: float) -> tuple[int, int, int]:
        """The colour on screen at an image position."""
        spot = self.canvas.to_view(x, y)
        return tuple(int(v) for v in self.settled()[spot.y(), spot.x()])

    def add(self, *shapes: Mask | Box, name: str = "thing", **flags: bool) -> list[int]:
        """Add objects, bottom layer first; returns their ids."""
        document, key = self.workspace.document, self.workspace.key
        assert document is not None
        assert key is not None
        category = document.add_category(name).id if name else None
        made = [Annotation(document.new_id(), shape, category, **flags) for shape in shapes]
        document.edit(key, (*self.workspace.annotations, *made), "Add")
        return [annotation.id for annotation in made]


@contextmanager
def opened(folder: Path, qtbot: QtBot, *names: str) -> Iterator[Hand]:
    """A shown canvas, its workspace on a folder of images (one by default), the first one read."""
    images = folder / "images"
    images.mkdir()
    for name in names or ("a.png",):
        Image.fromarray(photo()).save(images / name)
    settings = quick(folder)
    workspace = Workspace(settings)
    canvas = Canvas(workspace, settings)
    qtbot.addWidget(canvas)
    canvas.resize(640, 480)
    canvas.show()
    workspace.open_folder(images)
    qtbot.waitUntil(lambda: workspace.image is not None and workspace.image.complete)
    canvas.setFocus()
    try:
        yield Hand(canvas, workspace, settings)
    finally:
        workspace.close()
