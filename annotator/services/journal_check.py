"""Whether a journal is sound: what SQLite can say, and what only this program can."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from annotator.core.codec import annotation_from_json
from annotator.core.errors import UserError
from annotator.core.files import from_json
from annotator.services import journal
from annotator.services.priority import lower_priority

SAMPLE = 2000
"""Objects that are read in full."""
_QUESTIONS = {
    "objects of images that are not there":
        "SELECT count(*) FROM annotations WHERE image NOT IN (SELECT id FROM images)",
    "objects of classes that are not there":
        "SELECT count(*) FROM annotations WHERE category NOT NULL"
        " AND category NOT IN (SELECT id FROM categories)",
    "images with a wrong number of objects":
        "SELECT count(*) FROM images i LEFT JOIN (SELECT image, count(*) AS n,"
        " total(proposed != 0) AS p FROM annotations GROUP BY image) a ON a.image = i.id"
        " WHERE i.count != ifnull(a.n - a.p, 0) OR i.proposals != ifnull(a.p, 0)",
    "steps of images that are not there":
        "SELECT count(*) FROM steps WHERE image NOT IN (SELECT id FROM images)",
    "numbers that would be given twice":
        "SELECT (SELECT ifnull(max(id), 0) FROM annotations) >"
        " ifnull((SELECT value FROM counters WHERE name='annotation'), 0)",
}  # fmt: skip


def problems(db: sqlite3.Connection) -> list[str]:
    """What is wrong, in words; nothing where all is well.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        return [str(verdict)]
    found = []
    for what, question in _QUESTIONS.items():
        if count := db.execute(question).fetchone()[0]:
            found.append(f"{count:,} {what}")
    unreadable = 0
    for (value,) in db.execute(f"SELECT value FROM annotations ORDER BY rowid DESC LIMIT {SAMPLE}"):
        unreadable += not is_sound(value)
    if unreadable:
        found.append(f"{unreadable:,} objects that cannot be read")
    return found


def is_sound(value: str) -> bool:
    """Whether an object of the journal can be read, and the runs of its mask fill the image."""
    from annotator.core import raster
    from annotator.core.mask import Mask

    try:
        shape = annotation_from_json(from_json(value)).shape
        # One wrong letter, and they do not: nothing else would show that a mask is another one.
        return not isinstance(shape, Mask) or (
            int(raster.runs(shape).sum()) == shape.width * shape.height
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return False


class JournalCheck:
    """Checks a journal on a thread of its own while the project is open already.

    Args:
        path: the journal.
        told: called on the thread with what is wrong.
    """

    def __init__(self, path: Path, told: Callable[[UserError], None]) -> None:
        self._path = path
        self._told = told
        self._closed = threading.Event()
        self._db: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="check", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; a check that is under way is cut short."""
        self._closed.set()
        while self._thread.is_alive():
            if (db := self._db) is not None:
                with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
                    db.interrupt()
            self._thread.join(0.02)

    def _run(self) -> None:
        lower_priority()
        try:
            db = self._db = journal.connect(self._path, read_only=True)
            try:
                found = problems(db)
            finally:
                self._db = None
                db.close()
        except sqlite3.OperationalError:
            # Cut short, or the disk does not answer: the one who writes tells about that.
            return
        except sqlite3.DatabaseError as error:
            found = [str(error)]
        if found and not self._closed.is_set():
            self._told(journal.damaged(self._path, "; ".join(found)))
