"""`Querying`: queries about the open project, answered on a thread of their own; newest wins."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.errors import UserError
from annotator.core.query.parsing import parse
from annotator.core.query.values import Query
from annotator.services.journal import connect_beside
from annotator.services.project_folder import known_journal
from annotator.services.store import Courier, explain_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from annotator.core.query.facts import ImageFacts, ObjectFacts
    from annotator.services.document import Document

SETTLE_S = 2.0
"""How long a question waits for edits to be durable."""
REST_MS = 300
"""How long the work rests before the answer follows it."""
SAID = 50_000
"""Objects between two reports of progress."""
MOST_AGAIN = 256
"""Images whose objects are read one by one after changes; more of them, and all are read."""


class _SupersededError(Exception):
    """A newer question came."""


class Querying(QObject):
    """Answers the newest query, and answers it anew after edits.

    Args:
        document: the project.
        parent: Qt parent.
    """

    answered = Signal(object)
    """frozenset of the keys the query means."""
    progressed = Signal(int, int)
    """Objects read for the first time, and how many there are."""
    failed = Signal(object)
    """A `UserError`: the journal cannot be read."""

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._courier = Courier(self)
        self._reader = _Reader(document)
        self._state = threading.Condition()
        self._wanted: Query | None = None
        self._number = 0
        self._closed = False
        self._query: Query | None = None
        self._again = QTimer(self, interval=REST_MS, singleShot=True)
        self._again.timeout.connect(self._ask_again)
        document.annotations_changed.connect(self._follow)
        document.record_changed.connect(self._follow)
        document.categories_changed.connect(self._again.start)
        document.images_changed.connect(self._follow_images)
        self._thread = threading.Thread(target=self._run, name="query", daemon=True)
        self._thread.start()

    def ask(self, query: Query | None) -> None:
        """Answer this from now on; None for nothing."""
        self._query = query
        self._again.stop()
        with self._state:
            self._number += 1
            self._wanted = query
            self._state.notify_all()

    def close(self) -> None:
        """Stop; nothing is answered any more."""
        self._again.stop()
        for signal in (
            self._document.annotations_changed,
            self._document.record_changed,
        ):
            signal.disconnect(self._follow)
        self._document.categories_changed.disconnect(self._again.start)
        self._document.images_changed.disconnect(self._follow_images)
        with self._state:
            self._closed = True
            self._number += 1
            self._state.notify_all()
        self._thread.join()

    def _follow(self, key: str) -> None:
        with self._state:
            self._reader.changed.add(key)
            self._reader.stale = True
        if self._query is not None:
            self._again.start()

    def _follow_images(self) -> None:
        self._reader.stale = True
        self._again.start()

    def _ask_again(self) -> None:
        if self._query is not None:
            self.ask(self._query)

    # --- On the thread ---

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._closed or self._wanted is not None)
                if self._closed:
                    break
                query, self._wanted, number = self._wanted, None, self._number
            assert query is not None
            self._answer(query, number)
        self._reader.close()

    def _answer(self, query: Query, number: int) -> None:
        try:
            keys = self._reader.keys(query, lambda done, of: self._advance(number, done, of))
        except UserError as error:
            self._courier.post(lambda error=error: self.failed.emit(error))  # type: ignore[misc]
        except _SupersededError:
            pass
        else:
            self._courier.post(lambda: self._tell(number, keys))

    def _advance(self, number: int, done: int, count: int) -> None:
        if self._closed or (number != self._number and not self._needs_objects_still()):
            raise _SupersededError
        if done % SAID < MOST_AGAIN * 2:
            self._courier.post(lambda: self.progressed.emit(done, count))

    def _needs_objects_still(self) -> bool:
        """Whoever types on needs the same objects: reading them goes on."""
        query = self._wanted
        return query is not None and query.needs_objects

    def _tell(self, number: int, keys: frozenset[str]) -> None:
        if number == self._number and not self._closed:
            self.answered.emit(keys)


class _Reader:
    """The journal and what was read of it; used on the thread, but for `changed`."""

    def __init__(self, document: Document) -> None:
        self.changed: set[str] = set()
        self.stale = True
        """Whether something happened to images."""
        self._due: set[str] = set()
        self._images: ImageFacts | None = None
        self._folder, self._project = document.folder, document.project_dir
        self._flush = document.flush
        self._path = Path()
        self._db: sqlite3.Connection | None = None
        self._objects: ObjectFacts | None = None

    def keys(self, query: Query, progress: Callable[[int, int], None]) -> frozenset[str]:
        """What a query means.

        Raises:
            UserError: the journal cannot be read.
        """
        from annotator.core.query.evaluating import Evaluation
        from annotator.services.project_facts import read_categories, read_images

        # Taken before the edits are awaited: what comes later is there the next time.
        while self.changed:
            self._due.add(self.changed.pop())
        stale, self.stale = self.stale, False
        if stale:
            self._images = None
        self._flush(SETTLE_S)
        try:
            db = self._connected()
            images = self._images
            if images is None or (query.needs_dates and images.dates is None):
                images = self._images = read_images(db, dates=query.needs_dates)
            objects = self._read_objects(db, images, progress) if query.needs_objects else None
            found = Evaluation(images, objects, read_categories(db)).keys(query)
        except sqlite3.Error as error:
            self._objects = self._images = None
            raise explain_failure(error, self._path) from error
        return frozenset(found)

    def _connected(self) -> sqlite3.Connection:
        if self._db is None:
            journal = known_journal(self._folder, self._project)
            assert journal is not None, "the project is open"
            self._path, self._db = journal, connect_beside(journal)
        return self._db

    def _read_objects(
        self, db: sqlite3.Connection, images: ImageFacts, progress: Callable[[int, int], None]
    ) -> ObjectFacts:
        from annotator.services.project_facts import read_again, read_objects

        if self._objects is None or len(self._due) > MOST_AGAIN:
            self._objects = None
            self._objects = read_objects(db, progress)
        elif self._due:
            ids = dict(zip(images.keys, images.ids.tolist(), strict=True))
            again = [ids[key] for key in self._due if key in ids]
            self._objects = read_again(db, self._objects, again)
        self._due = set()
        return self._objects

    def close(self) -> None:
        """Let go of the journal."""
        if self._db is not None:
            self._db.close()
            self._db = None


def meant(folder: Path, project_dir: Path | None, text: str) -> frozenset[str]:
    """The keys a query means, for commands.

    Args:
        folder: the images.
        project_dir: the project's own files, None for the usual place.
        text: the query.

    Raises:
        UserError: the query is wrong, or there is no project.
    """
    from annotator.core.query.evaluating import Evaluation
    from annotator.services.project_facts import read_categories, read_images, read_objects

    query = parsed(text)
    journal = known_journal(folder, project_dir)
    if journal is None:
        raise UserError(
            f"“{folder}” is no project yet, so there is nothing to ask.",
            "Open it in the window once, or leave --query away.",
        )
    try:
        db = connect_beside(journal)
        try:
            images = read_images(db, dates=query.needs_dates)
            objects = read_objects(db) if query.needs_objects else None
            return frozenset(Evaluation(images, objects, read_categories(db)).keys(query))
        finally:
            db.close()
    except sqlite3.Error as error:
        raise explain_failure(error, journal) from error


def parsed(text: str) -> Query:
    """A query somebody typed.

    Raises:
        UserError: it is wrong; the message shows where.
    """
    from annotator.core.query.parsing import QueryError

    try:
        return parse(text)
    except QueryError as error:
        wrong = text[error.start : error.end] or "the end"
        raise UserError(
            f"The query is not understood: {error} (at “{wrong}”, letter {error.start + 1}).",
            "The (i) in the window's filter, or the README, explains queries.",
        ) from error
