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
from annotator.core.files import explain, sync_folder, time_stamp
from annotator.services.journal import connect, load_counter
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
        self._token = self._generation = 0
        self._is_doubtful = False
        self._epoch = 0
        self._waiting: deque[Operation] = deque()
        self._error: UserError | None = None
        self._attempts = 0
        self._closing = False
        self._deadline = float("inf")
        self._aside: Path | None = None
        self._state = threading.Condition()
        with contextlib.suppress(sqlite3.Error):
            # Before anybody reads: then the mark reaches the file itself.
            self._generation = load_counter(db, "generation")
            self._mark()
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

    def _mark(self) -> None:
        """Give the journal something to know it by, in the file itself and not only in its log."""
        if not _token(self._db):
            self._db.execute("INSERT INTO counters VALUES('token', 1 + abs(random() / 2))")
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._token = _token(self._db)

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
        self._generation = generation or self._generation
        self._is_doubtful = False
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
        self._is_doubtful = is_unreachable(error)
        with self._state:
            self._attempts += 1
        if self._error is None or self._error.message != message.message:
            self._error = message
            self._failing(message)

    def _stay_in_place(self) -> None:
        """Make sure that the file we write is the one people find.

        Where a folder was deleted, POSIX lets us write into the void. The open file still holds
        everything, so it is written anew as soon as there is a place for it. Where a share went
        away and came back, it is the open file that leads nowhere.
        """
        current = _identity(self._path)
        if current == self._file and not self._is_doubtful:
            return
        if current is not None and (fresh := self._own_journal()) is not None:
            self._use(fresh)
            return
        if current == self._file:
            return
        project = self._path.parent
        if not project.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        project.mkdir(exist_ok=True)
        renewed = self._path.with_name(f".{self._path.name}.renewed")
        for part in parts(renewed):
            part.unlink(missing_ok=True)
        # Complete before anything there is touched: the open file may be unreadable.
        self._copy_to(renewed)
        other = self._path.with_name(f"journal.replaced-{time_stamp()}.sqlite")
        for old, kept in zip(parts(self._path), parts(other), strict=True):
            if current is None:
                old.unlink(missing_ok=True)
            elif old.exists():
                old.rename(kept)
        renewed.rename(self._path)
        sync_folder(project)
        fresh = connect(self._path)
        fresh.execute("PRAGMA journal_mode=WAL")
        fresh.execute("PRAGMA synchronous=FULL")
        self._use(fresh)

    def _own_journal(self) -> sqlite3.Connection | None:
        """A new connection to the file that is there now, if it is this journal as we left it."""
        # Without its log first: that may be ours beside a file of somebody else.
        address = f"{self._path.absolute().as_uri()}?immutable=1"
        with contextlib.suppress(sqlite3.Error):
            with contextlib.closing(sqlite3.connect(address, uri=True)) as alone:
                if not self._token or _token(alone) != self._token:
                    return None
            fresh = connect(self._path)
            # Where the answer of a commit got lost, it may be one further.
            known = (self._generation, self._generation + self._is_doubtful)
            try:
                if _token(fresh) == self._token and load_counter(fresh, "generation") in known:
                    fresh.execute("PRAGMA synchronous=FULL")
                    return fresh
                fresh.close()
            except sqlite3.Error:
                fresh.close()
        return None

    def _use(self, db: sqlite3.Connection) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._db = db
        self._file = _identity(self._path)
        self._is_doubtful = False
        self._epoch += 1


def parts(path: Path) -> tuple[Path, Path, Path]:
    """The files an SQLite database may consist of."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def _token(db: sqlite3.Connection) -> int:
    """What tells this journal from others; 0 where there is none."""
    row = db.execute("SELECT value FROM counters WHERE name='token'").fetchone()
    return int(row[0]) if row else 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_unreachable(error: sqlite3.Error | OSError) -> bool:
    """Whether the file may be there again later while the open one leads nowhere for ever."""
    return isinstance(error, OSError) or getattr(error, "sqlite_errorname", "").startswith(
        ("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_CORRUPT")
    )


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
