"""`CanvasKeys`: keys that mean something on the canvas itself: Space, arrows, Delete, Escape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent

from annotator.ui.canvas_image import SCROLL
from annotator.ui.key_guard import RELEASE_MS
from annotator.ui.nudging import ARROWS, Nudging

if TYPE_CHECKING:
    from annotator.ui.canvas import Canvas

FAST = 6
"""Shift and an arrow key scroll by this many steps."""


class CanvasKeys(QObject):
    """A short tap of Space accepts, holding it pans; arrows move objects, or the view.

    Args:
        canvas: has the focus.
    """

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.nudging = Nudging(canvas)
        self.space_down = False
        """Whether dragging moves the view."""
        self._space_used = False
        self._rising: set[int] = set()
        self._rise = QTimer(self, singleShot=True, interval=RELEASE_MS)
        self._rise.timeout.connect(self.finish)

    def use_space(self) -> None:
        """Space was held to move the view: letting go of it does not accept."""
        self._space_used = self._space_used or self.space_down

    def claims(self, event: QKeyEvent) -> bool:
        """Whether a key means something here and now, before it is a shortcut."""
        plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        none = plain == Qt.KeyboardModifier.NoModifier
        key = event.key()
        if key in ARROWS:
            return none or plain == Qt.KeyboardModifier.ShiftModifier
        if none and self._canvas.vertices.claims(key):
            return True
        if key == Qt.Key.Key_Delete:
            return none and self._canvas.mark_hovered
        if key == Qt.Key.Key_Escape:
            return none and (self._canvas.busy or bool(self.nudging))
        return none and key == Qt.Key.Key_Space

    def press(self, event: QKeyEvent) -> None:
        """A claimed key goes down, or repeats."""
        key = event.key()
        is_repeat = event.isAutoRepeat() or key in self._rising
        self._rising.discard(key)
        if not self._canvas.busy and self._canvas.vertices.press(event):
            return
        if key in ARROWS:
            self._arrow(event)
        elif key == Qt.Key.Key_Delete:
            self._canvas.remove_hovered_mark()
        elif key == Qt.Key.Key_Escape:
            self._canvas.escape()
        elif key == Qt.Key.Key_Space and not is_repeat:
            self.space_down, self._space_used = True, False

    def _arrow(self, event: QKeyEvent) -> None:
        if not self._canvas.busy and self.nudging.press(event):
            return
        large = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        dx, dy = ARROWS[Qt.Key(event.key())]
        step = SCROLL * (FAST if large else 1)
        self._canvas.pan(-dx * step, -dy * step)

    def release(self, event: QKeyEvent) -> bool:
        """A key goes up, unless a press follows at once; False when it is not one of ours."""
        key = event.key()
        space = key == Qt.Key.Key_Space and self.space_down
        if space or self.nudging.holds(key) or self._canvas.vertices.holds(key):
            self._rising.add(key)
            self._rise.start()
            return True
        return False

    def finish(self) -> None:
        """The keys are up: no press followed that would make the release a mere repeat."""
        self._rise.stop()
        risen, self._rising = self._rising, set()
        if Qt.Key.Key_Space in risen:
            used, self.space_down = self._space_used or self._canvas.button_down, False
            self._canvas.show_cursor()
            if not used:
                self._canvas.accept()
        self.nudging.release(risen)
        self._canvas.vertices.release(risen)

    def lose(self) -> None:
        """Keys may be released elsewhere."""
        self._rising.clear()
        self.space_down = False
        self.nudging.commit()
        self._canvas.vertices.commit_nudge()
