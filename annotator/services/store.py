"""`Store`: the one thread that writes the journal. It keeps the order, drops nothing, retries."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot

from annotator.core.errors import UserError
from annotator.core.files import explain, time_stamp
from annotator.services.journal import connect
from annotator.services.operations import Operation, count_generation

BATCH = 1024
"""Operations in one transaction at most."""
DELAYS = (0.1, 0.3, 1.0, 2.0, 5.0)
"""Seconds between attempts while writing fails; the last one repeats."""


@dataclass(frozen=True, slots=True)
class SaveState:
    """How safe the work is.

    Attributes:
        pending: edits that are not yet durable in the journal.
        coco_pending: the COCO file does not show everything yet.
        error: why saving fails at the moment, None while all is well.
    """

    pending: int = 0
    coco_pending: bool = False
    error: UserError | None = None


class Courier(QObject):
    """Calls functions on the thread it lives on, in the order they were posted from any thread."""

    _posted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._posted.connect(self._call, Qt.ConnectionType.QueuedConnection)

    def post(self, call: Callable[[], None]) -> None:
        """Call this soon."""
        self._posted.emit(call)

    @Slot(object)
    def _call(self, call: Callable[[], None]) -> None:
        call()


class Reader:
    """A reading connection of one thread, renewed when the journal was put back elsewhere."""

    def __init__(self, path: Path, epoch: Callable[[], int]) -> None:
        self._path = path
        self._epoch = epoch
        self._connected = -1
        self._db: sqlite3.Connection | None = None

    def connection(self) -> sqlite3.Connection:
        """The connection to the journal as it is now.

        Raises:
            sqlite3.Error: the journal cannot be opened.
        """
        epoch = self._epoch()
        if self._db is None or self._connected != epoch:
            self.close()
            self._db = connect(self._path, read_only=True)
            self._connected = epoch
        return self._db

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None


class Store:
    """Writes operations in order, many waiting ones in one transaction.

    Args:
        path: the journal.
        db: its writing connection; belongs to the store's thread from now on.
        saved: called on the writing thread after every commit with the operations and the
            generation of the exported state (0: unchanged).
        failing: called on the writing thread with the error when writing starts to fail (or fails
            for another reason), and with None when it works again.
    """

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        saved: Callable[[Sequence[Operation], int], None],
        failing: Callable[[UserError | None], None],
    ) -> None:
        self._path = path
        self._db = db
        self._saved = saved
        self._failing = failing
        self._file = _identity(path)
        self._epoch = 0
        self._waiting: deque[Operation] = deque()
        self._error: UserError | None = None
        self._attempts = 0
        self._closing = False
        self._deadline = float("inf")
        self._aside: Path | None = None
        self._state = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def epoch(self) -> int:
        """Changes when the journal was written anew: readers have to connect again."""
        return self._epoch

    def put(self, operation: Operation) -> None:
        """Write this soon, after everything put before."""
        with self._state:
            if self._closing:
                raise RuntimeError("the store is closed")
            self._waiting.append(operation)
            self._state.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything put so far is durable; False when it is not in time (seconds)."""
        with self._state:
            self._attempts = 0
            self._state.notify_all()
            return self._state.wait_for(lambda: not self._waiting, timeout)

    def close(self, timeout: float, aside: Path | None = None) -> tuple[Operation, ...]:
        """Write what waits and end the thread.

        Args:
            timeout: seconds to try.
            aside: where to copy the journal as far as it came, if not everything can be written.

        Returns:
            What could not be written.
        """
        with self._state:
            self._aside = aside
            self._closing = True
            self._deadline = time.monotonic() + timeout
            self._attempts = 0
            self._state.notify_all()
        self._thread.join()
        return tuple(self._waiting)

    # --- On the writing thread ---

    def _run(self) -> None:
        while batch := self._next():
            try:
                generation = self._commit(batch)
            except (sqlite3.Error, OSError) as error:
                self._fail(error)
            else:
                self._finish(batch, generation)
        with contextlib.suppress(sqlite3.Error, OSError):
            if self._waiting and self._aside is not None:
                # The open file holds everything even where its folder is gone.
                self._copy_to(self._aside)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def _copy_to(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        copy = connect(path)
        self._db.backup(copy)
        copy.close()

    def _next(self) -> list[Operation]:
        """The operations to write now; none at the end."""
        with self._state:
            while True:
                if self._closing and (not self._waiting or time.monotonic() >= self._deadline):
                    return []
                if self._attempts:
                    delay = DELAYS[min(self._attempts, len(DELAYS)) - 1]
                    if self._closing:
                        delay = min(delay, max(self._deadline - time.monotonic(), 0.0), 0.3)
                    # Woken early when someone flushes or closes: then try at once.
                    attempts = self._attempts
                    self._state.wait_for(lambda n=attempts: self._attempts != n, delay)  # type: ignore[misc]
                    return list(islice(self._waiting, BATCH))
                if self._waiting:
                    return list(islice(self._waiting, BATCH))
                self._state.wait()

    def _commit(self, batch: Sequence[Operation]) -> int:
        self._stay_in_place()
        generation = 0
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for operation in batch:
                operation.apply(self._db)
            if any(operation.is_exported for operation in batch):
                generation = count_generation(self._db)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise
        if _identity(self._path) != self._file:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        return generation

    def _finish(self, batch: Sequence[Operation], generation: int) -> None:
        with self._state:
            for _ in batch:
                self._waiting.popleft()
            self._attempts = 0
            self._state.notify_all()
        if self._error is not None:
            self._error = None
            self._failing(None)
        self._saved(batch, generation)

    def _fail(self, error: sqlite3.Error | OSError) -> None:
        message = explain_failure(error, self._path)
        with self._state:
            self._attempts += 1
        if self._error is None or self._error.message != message.message:
            self._error = message
            self._failing(message)

    def _stay_in_place(self) -> None:
        """Make sure that the file we write is the one people find.

        Where a folder was deleted, POSIX lets us write into the void. The open file still holds
        everything, so it is written anew as soon as there is a place for it.
        """
        current = _identity(self._path)
        if current == self._file:
            return
        project = self._path.parent
        if not project.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        project.mkdir(exist_ok=True)
        if current is not None:
            other = self._path.with_name(f"journal.replaced-{time_stamp()}.sqlite")
            self._path.rename(other)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        renewed = connect(self._path)
        self._db.backup(renewed)
        renewed.execute("PRAGMA journal_mode=WAL")
        renewed.execute("PRAGMA synchronous=FULL")
        self._db.close()
        self._db = renewed
        self._file = _identity(self._path)
        self._epoch += 1


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def explain_failure(error: sqlite3.Error | OSError, path: Path) -> UserError:
    """Why the journal cannot be written, for people."""
    if isinstance(error, OSError):
        return explain(error, path)
    text = str(error)
    number = {
        "SQLITE_FULL": errno.ENOSPC,
        "SQLITE_READONLY": errno.EROFS,
        "SQLITE_CANTOPEN": errno.ENOENT,
        "SQLITE_PERM": errno.EACCES,
    }.get("_".join(getattr(error, "sqlite_errorname", "").split("_")[:2]))
    if number is not None:
        return explain(OSError(number, text), path)
    return UserError(
        f"“{path}” cannot be written: {text}.",
        "Your work is kept in memory and written as soon as it is possible again.",
    )
