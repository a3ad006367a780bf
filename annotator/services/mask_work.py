"""`MaskWork`: arithmetic on large masks goes to a thread; its result is one edit, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QEventLoop, QObject, Signal

from annotator.core.errors import UserError
from annotator.services.task_queue import TaskQueue

T = TypeVar("T")

LARGE = 400_000
"""Pixels of the boxes of all masks from which on the work would be felt."""


class MaskWork(QObject):
    """Does one piece of work after the other."""

    failed = Signal(object)
    """A `UserError`: why there is no result."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue: TaskQueue | None = None

    def run(self, pixels: float, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Hand the result of some work to `done`: at once where it is small, else soon.

        What was begun before is finished first; who reads masks for the work does so before.

        Args:
            pixels: how large it is.
            work: runs on a thread, perhaps.
            done: runs here.

        Raises:
            UserError: from small work; that of large work is told by `failed`.
        """
        self.finish()
        if pixels < LARGE:
            done(work())
            return
        self._queue = TaskQueue("masks", self)

        def finished(result: T) -> None:
            self._end()
            done(result)

        self._queue.submit("masks", work, finished, self._fail)

    def _fail(self, error: Exception) -> None:
        self._end()
        if not isinstance(error, UserError):
            raise error
        self.failed.emit(error)

    def _end(self) -> None:
        if self._queue is not None:
            self._queue.close()
            self._queue.deleteLater()
            self._queue = None

    def finish(self) -> None:
        """Wait for what is under way: before undo, and before another image."""
        flags = QEventLoop.ProcessEventsFlag
        while self._queue is not None:
            QCoreApplication.processEvents(flags.ExcludeUserInputEvents | flags.WaitForMoreEvents)
