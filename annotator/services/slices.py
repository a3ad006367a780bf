"""`Slices`: long work on the GUI thread in pieces shorter than a frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from PySide6.QtCore import QObject, QTimer

SLICE = 0.008
"""Seconds the window waits at a time."""


class Slices(QObject):
    """Advances a generator whenever nothing else waits.

    Args:
        parent: Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work: Generator[object, None, Any] | None = None
        self._done: Callable[[Any], None] = lambda _: None
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._advance)

    @property
    def running(self) -> bool:
        """Whether there is work."""
        return self._work is not None

    def start(self, work: Generator[object, None, Any], done: Callable[[Any], None]) -> None:
        """Begin; `done` gets what the generator returns. A little is done at once."""
        self.stop()
        self._work, self._done = work, done
        self._timer.start()
        self._advance()

    def stop(self) -> None:
        """End it where it is; nobody hears of it."""
        self._timer.stop()
        work, self._work = self._work, None
        if work is not None:
            work.close()

    def _advance(self) -> None:
        work, end = self._work, time.perf_counter() + SLICE
        if work is None:
            return
        try:
            while time.perf_counter() < end:
                next(work)
        except StopIteration as over:
            self._timer.stop()
            self._work = None
            self._done(over.value)
        except BaseException:
            self.stop()
            raise
