"""One thread for heavy work: the newest request wins, background work waits its turn.

This file holds the only connection that crosses threads; everything handed back to a caller is
called on the thread the queue lives on (the GUI thread).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

log = logging.getLogger(__name__)

CLOSING_S = 0.3
"""How long somebody who closes the window may wait for a model that works, seconds."""

Failed = Callable[[Exception], None]


@dataclass(slots=True, eq=False)
class _Task:
    slot: str
    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Failed
    is_cancelled: bool = False


@dataclass(slots=True, eq=False)
class _Stream:
    slot: str
    start: Callable[[], Iterator[Any]]
    step: Callable[[Any], None]
    done: Callable[[], None]
    failed: Failed
    is_cancelled: bool = False
    iterator: Iterator[Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Report:
    job: _Task | _Stream
    call: Callable[[], None]


def unexpected(error: Exception) -> None:
    """`failed` of work that cannot fail: what it raised is a bug of the program."""
    raise error


class TaskQueue(QObject):
    """Runs work on one long-lived thread.

    Foreground tasks (`submit`) come first, newest request per slot only: a waiting task of the
    same slot is replaced and its callbacks are never called. Background streams (`stream`) advance
    one step at a time whenever nothing else waits, so a foreground task waits for at most one step;
    a stream pauses until its last step was delivered, so a fast one cannot flood the event loop.

    Args:
        name: names the thread.
        parent: Qt parent.
    """

    busy_changed = Signal(bool)
    _busy_seen = Signal(bool)
    _delivered = Signal(object)
    _told = Signal(object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks: OrderedDict[str, _Task] = OrderedDict()
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._running: _Task | _Stream | None = None
        self._undelivered: list[_Task | _Stream] = []
        self._dropped: list[_Stream] = []
        self._closing = False
        self._busy = False
        self._state = threading.Condition()
        self._delivered.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._busy_seen.connect(self.busy_changed, Qt.ConnectionType.QueuedConnection)
        self._told.connect(self._hear, Qt.ConnectionType.QueuedConnection)
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
        """Advance an iterator in the background; replaces the stream of the same slot.

        A generator that is cancelled is closed on the thread, after the step it is at.
        """
        with self._state:
            self._cancel(slot)
            self._streams[slot] = _Stream(slot, start, step, done, failed)
            self._state.notify()

    def tell(self, call: Callable[[], None]) -> None:
        """From work that runs: have something called on the caller's thread, before the result."""
        with self._state:
            if not self._closing:
                self._told.emit(call)

    def cancel(self, slot: str) -> None:
        """Forget the work of a slot; what runs now ends, but from now on nobody hears of it."""
        with self._state:
            self._cancel(slot)

    def _cancel(self, slot: str) -> None:
        self._tasks.pop(slot, None)
        if (stream := self._streams.pop(slot, None)) is not None:
            self._dropped.append(stream)
            self._state.notify()
        for job in (self._running, *self._undelivered):
            if job is not None and job.slot == slot:
                job.is_cancelled = True

    def close(self, *, patience: float | None = None) -> None:
        """Drop what waits and end the thread.

        Args:
            patience: seconds to wait for what runs now; if it takes longer, it goes on alone and
                nobody hears of it. None: it is waited for.
        """
        with self._state:
            self._closing = True
            self._tasks.clear()
            self._dropped += self._streams.values()
            self._streams.clear()
            self._state.notify()
        self._thread.join(patience)

    def _next(self) -> _Task | _Stream | None:
        with self._state:
            while (job := self._ready()) is None and not self._closing:
                if self._dropped:
                    self._end_dropped()
                    continue
                self._set_busy(bool(self._streams))
                self._state.wait()
            if self._closing:
                return None
            self._set_busy(True)
            self._running = job
            return job

    def _end_dropped(self) -> None:
        """Let generators nobody waits for end what they began, where they began it."""
        while self._dropped:
            iterator = self._dropped.pop().iterator
            if isinstance(iterator, Generator):
                # It may take a while, and others may want to ask for something.
                self._state.release()
                try:
                    iterator.close()
                finally:
                    self._state.acquire()

    def _ready(self) -> _Task | _Stream | None:
        if self._tasks:
            return self._tasks.popitem(last=False)[1]
        waiting = (s for s in self._streams.values() if s not in self._undelivered)
        return next(waiting, None)

    def _set_busy(self, busy: bool) -> None:
        if busy != self._busy:
            self._busy = busy
            self._busy_seen.emit(busy)

    def _run(self) -> None:
        self._work()
        with self._state:
            self._end_dropped()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                call = self._advance(job)
            except Exception as error:  # noqa: BLE001 - the one place that hands bugs to the GUI
                self._forget(job)
                call = partial(job.failed, error)
            with self._state:
                self._running = None
                if self._closing:
                    return  # who would be told may be gone
                self._undelivered.append(job)
                self._delivered.emit(_Report(job, call))

    def _advance(self, job: _Task | _Stream) -> Callable[[], None]:
        if isinstance(job, _Task):
            return partial(job.done, job.work())
        if job.iterator is None:
            job.iterator = job.start()
        try:
            return partial(job.step, next(job.iterator))
        except StopIteration:
            self._forget(job)
            return job.done

    def _forget(self, job: _Task | _Stream) -> None:
        with self._state:
            if self._streams.get(job.slot) is job:
                del self._streams[job.slot]

    @Slot(object)
    def _hear(self, call: Callable[[], None]) -> None:
        if not self._closing:
            call()

    @Slot(object)
    def _deliver(self, report: _Report) -> None:
        try:
            if not report.job.is_cancelled and not self._closing:
                report.call()
        finally:
            with self._state:
                self._undelivered.remove(report.job)
                self._state.notify()
