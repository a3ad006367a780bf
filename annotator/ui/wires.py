"""`Wires`: a line that follows edges from the last click to the pointer, found on a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from annotator.services.task_queue import TaskQueue, unexpected

if TYPE_CHECKING:
    from annotator.core.editing.livewire import Wire
    from annotator.ui.canvas import Canvas

Spot = tuple[float, float]


class Wires(QObject):
    """One line of one gesture; `end` it.

    Args:
        canvas: shows the image.
    """

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._queue = TaskQueue("edges", self)
        self._wire: Wire | None = None
        self._start: Spot = (0.0, 0.0)

    def begin(self, start: Spot, *, snap: bool) -> None:
        """Look at the edges around a place; until that is done, lines from it are straight.

        Args:
            start: where the line begins, image pixels.
            snap: whether it may be moved to an edge that is near.
        """
        image = self._canvas.workspace.image
        self._wire, self._start = None, start
        if image is None or not image.complete:
            return
        pixels, unit = image.pixels, self._canvas.reach(1)

        def work() -> Wire:
            from annotator.core.editing.livewire import Wire

            return Wire(pixels, start, unit, snap=snap)

        self._queue.submit("edges", work, self._take, unexpected)

    def _take(self, wire: Wire) -> None:
        self._wire = wire
        self._canvas.repeat_move()

    @property
    def ready(self) -> bool:
        """Whether lines follow edges now."""
        return self._wire is not None

    def path(self, to: Spot, *, snap: bool) -> tuple[Spot, ...]:
        """The line from the beginning to a place, both ends included."""
        if self._wire is None:
            return self._start, to
        return self._wire.path(self._wire.snapped(to) if snap else to)

    def end(self) -> None:
        """No more lines."""
        self._queue.close()
        self.deleteLater()
