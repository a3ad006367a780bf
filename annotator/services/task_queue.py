"""One thread for heavy work: the newest request wins, background work waits its turn.

This file holds the only connection that crosses threads; everything handed back to a caller is
called on the thread the queue lives on (the GUI thread).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

log = logging.getLogger(__name__)

Failed = Callable[[Exception], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    slot: str
    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Failed


@dataclass(slots=True, eq=False)
class _Stream:
    slot: str
    start: Callable[[], Iterator[Any]]
    step: Callable[[Any], None]
    done: Callable[[], None]
    failed: Failed
    iterator: Iterator[Any] | None = None


class TaskQueue(QObject):
    """Runs work on one long-lived thread.

    Foreground tasks (`submit`) come first, newest request per slot only: a waiting task of the
    same slot is replaced and its callbacks are never called. Background streams (`stream`) advance
    one step at a time whenever nothing else waits, so a foreground task waits for at most one step.

    Args:
        name: names the thread.
        parent: Qt parent.
    """

    busy_changed = Signal(bool)
    _delivered = Signal(object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks: OrderedDict[str, _Task] = OrderedDict()
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._running: _Task | _Stream | None = None
        self._cancelled = False
        self._closing = False
        self._state = threading.Condition()
        self._delivered.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(
        self,
        slot: str,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Failed,
    ) -> None:
        """Run `work` soon; then `done(result)` or `failed(error)` on the caller's thread."""
        with self._state:
            self._tasks.pop(slot, None)
            self._tasks[slot] = _Task(slot, work, done, failed)
            self._state.notify()

    def stream(
        self,
        slot: str,
        start: Callable[[], Iterator[Any]],
        step: Callable[[Any], None],
        done: Callable[[], None],
        failed: Failed,
    ) -> None:
        """Advance an iterator in the background; replaces the stream of the same slot."""
        with self._state:
            self._cancel(slot)
            self._streams[slot] = _Stream(slot, start, step, done, failed)
            self._state.notify()

    def cancel(self, slot: str) -> None:
        """Forget the work of a slot; what runs now ends, but nobody hears of it."""
        with self._state:
            self._cancel(slot)

    def _cancel(self, slot: str) -> None:
        self._tasks.pop(slot, None)
        self._streams.pop(slot, None)
        if self._running is not None and self._running.slot == slot:
            self._cancelled = True

    def close(self) -> None:
        """Drop what waits, let what runs end, and wait for the thread."""
        with self._state:
            self._closing = True
            self._tasks.clear()
            self._streams.clear()
            self._cancelled = True
            self._state.notify()
        self._thread.join()

    def _next(self) -> _Task | _Stream | None:
        with self._state:
            while not (self._tasks or self._streams or self._closing):
                self._emit_busy(False)
                self._state.wait()
            if self._closing:
                return None
            if self._tasks:
                _, self._running = self._tasks.popitem(last=False)
            else:
                self._running = next(iter(self._streams.values()))
            self._cancelled = False
            return self._running

    def _emit_busy(self, busy: bool) -> None:
        if not self._closing:
            self._delivered.emit(lambda: self.busy_changed.emit(busy))

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._emit_busy(True)
            report: Callable[[], None] | None
            try:
                report = self._advance(job)
            except Exception as error:  # noqa: BLE001 - the one place that hands bugs to the GUI
                with self._state:
                    self._streams.pop(job.slot, None) if isinstance(job, _Stream) else None
                failure, failed = error, job.failed

                def report(failed: Failed = failed, failure: Exception = failure) -> None:
                    failed(failure)

            with self._state:
                wanted = not self._cancelled and not self._closing
                self._running = None
            if wanted and report is not None:
                self._delivered.emit(report)

    def _advance(self, job: _Task | _Stream) -> Callable[[], None] | None:
        if isinstance(job, _Task):
            result = job.work()
            return lambda: job.done(result)
        if job.iterator is None:
            job.iterator = job.start()
        try:
            value = next(job.iterator)
        except StopIteration:
            with self._state:
                if self._streams.get(job.slot) is job:
                    del self._streams[job.slot]
            return job.done
        return lambda: job.step(value)

    @Slot(object)
    def _deliver(self, report: Callable[[], None]) -> None:
        report()
