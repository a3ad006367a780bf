"""`Nudging`: arrow keys move selected objects; all keys of one go are one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt

from annotator.ui.gestures import Ghost

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent

    from annotator.ui.canvas import Canvas
    from annotator.ui.canvas_view import View

ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
LARGE = 10
"""Pixels an arrow key with Shift moves."""


def steps(event: QKeyEvent, view: View) -> tuple[int, int]:
    """By how many image pixels an arrow key moves things; its direction is that on the screen."""
    dx, dy = view.in_image(*ARROWS[Qt.Key(event.key())])
    length = LARGE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
    return dx * length, dy * length


class Nudging(QObject):
    """Selected objects on their way under arrow keys.

    Args:
        canvas: shows them.
    """

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._ghost: Ghost | None = None
        self._ids: frozenset[int] = frozenset()
        self._down: set[int] = set()

    def __bool__(self) -> bool:
        """Whether objects are on their way."""
        return self._ghost is not None

    def holds(self, key: int) -> bool:
        """Whether this key moves objects now."""
        return key in self._down

    def press(self, event: QKeyEvent) -> bool:
        """An arrow key goes down, or repeats; False when there is nothing to move."""
        workspace = self._canvas.workspace
        if workspace.draft or all(a.locked for a in workspace.selected):
            return False
        dx, dy = steps(event, self._canvas.frame().view)
        so_far = self._ghost or Ghost(0, 0)
        self._ids = workspace.selection
        self._down.add(event.key())
        self._ghost = Ghost(so_far.dx + dx, so_far.dy + dy)
        self._canvas.sketch(self._ghost)
        return True

    def release(self, keys: set[int]) -> None:
        """Keys are up: the last one keeps the new place."""
        arrows = self._down & keys
        self._down -= arrows
        if arrows and not self._down:
            self.commit()

    def commit(self) -> None:
        """Keep the new place: one undo step."""
        ghost = self._ghost
        self.drop()
        if ghost is not None:
            self._canvas.sketch(None)
            self._canvas.workspace.move_selected(ghost.dx, ghost.dy)
            self._canvas.keep_in_view()

    def drop(self) -> None:
        """Forget it; whoever calls this clears the sketch."""
        self._ghost = None
        self._down.clear()

    def follow_selection(self, ids: frozenset[int]) -> None:
        """The selection changed under a move that was not finished: it no longer applies."""
        if self._ghost is not None and ids != self._ids:
            self._ghost = None
            self._canvas.sketch(None)
