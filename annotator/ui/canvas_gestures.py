"""`Gestures`: the gesture that is running on a canvas, and unfinished ones that wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.ui.gestures import Gesture, GestureEvent, Sketch
from annotator.ui.tools import Tool

if TYPE_CHECKING:
    from annotator.ui.canvas import Canvas

Place = tuple[str | None, str]
"""An image and a tool."""


class Gestures(QObject):
    """Runs one gesture at a time: begun by a press, told every event, closed by Escape.

    Args:
        canvas: what gestures act on.
    """

    changed = Signal()
    """A gesture began or ended."""

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._running: Gesture | None = None
        self._parked: dict[Place, tuple[Gesture, Sketch | None]] = {}

    def __bool__(self) -> bool:
        """Whether a gesture is running."""
        return self._running is not None

    def send(self, event: GestureEvent, tool: Tool, begin: Callable[[], None]) -> bool:
        """Start a gesture, or tell the running one what happened.

        Args:
            event: what happened.
            tool: starts the gesture.
            begin: called before one is started.

        Returns:
            Whether the gesture came to its end.
        """
        try:
            if self._running is not None:
                self._running.send(event)
            elif event.kind in ("press", "double"):
                begin()
                pressed = replace(event, kind="press", twice=event.kind == "double")
                self._running = tool.gesture(self._canvas, pressed)
                next(self._running)
                self.changed.emit()
        except StopIteration:
            self._running = None
            self.changed.emit()
            return True
        return False

    def drop(self) -> None:
        """Cancel the running gesture: it takes down what it shows."""
        gesture, self._running = self._running, None
        if gesture is not None:
            gesture.close()
        self._canvas.sketch(None)
        self.changed.emit()

    def park(self, place: Place, sketch: Sketch | None) -> None:
        """Let the running gesture wait until its tool and image are back."""
        if self._running is not None:
            self._parked[place] = self._running, sketch
            self._running = None
            self._canvas.sketch(None)
            self.changed.emit()

    def unpark(self, place: Place, *, usable: bool) -> None:
        """Go on with the gesture that waits here; without its image it is forgotten."""
        kept = self._parked.pop(place, None)
        if kept is not None and usable:
            self._running, sketch = kept
            self._canvas.sketch(sketch)
            self.changed.emit()

    def forget(self) -> None:
        """The project is gone, and with it all that waits."""
        self._parked.clear()
