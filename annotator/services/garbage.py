"""Collect garbage on the GUI thread only, and give freed memory back."""

from __future__ import annotations

import gc
import time

from PySide6.QtCore import QObject, QTimer

from annotator.core.memory import FreedMemory

INTERVAL_MS = 300
FULL_PAUSE_S = 30.0
"""Seconds between full collections at the least: they look at every object there is."""


class GarbageCollector(QObject):
    """Takes over from Python's automatic collector for as long as it is started.

    Python collects cycles on whatever thread happens to allocate. A QObject that dies in such a
    cycle on a worker thread takes its children, timers and connections with it while the GUI
    thread uses them, and the program crashes. So the automatic collector is switched off, and the
    thread this object lives on looks every second whether it is due.

    Args:
        parent: Qt parent.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._last_full = time.monotonic()
        self._was_enabled = False
        self._freed = FreedMemory()
        self._timer = QTimer(self, interval=INTERVAL_MS)
        self._timer.timeout.connect(self.check)

    def start(self) -> None:
        """Switch the automatic collector off and this one on."""
        self._was_enabled = gc.isenabled()
        gc.disable()
        self._timer.start()

    def stop(self) -> None:
        """Give the work back to Python, if it did it before."""
        self._timer.stop()
        self._freed.close()
        if self._was_enabled:
            gc.enable()

    def check(self) -> None:
        """Collect the youngest generations that are due, all of them now and then."""
        self._freed.check()
        young, middle, old = gc.get_count()
        limits = gc.get_threshold()
        now = time.monotonic()
        if old > limits[2] and now - self._last_full > FULL_PAUSE_S:
            gc.collect()
            self._last_full = now
        elif middle > limits[1]:
            gc.collect(1)
        elif young > limits[0]:
            gc.collect(0)
