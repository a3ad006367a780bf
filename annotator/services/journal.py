"""The project's journal: one SQLite file with the current state and every step that led to it.

Nothing is ever deleted from the history: a step is done, undone, or abandoned (undone, and then
something else was done). What is written stands in `annotator.services.operations`.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annotator.core.annotation import Annotations, Category, ImageRecord, Status
from annotator.core.codec import (
    annotation_from_json,
    annotation_to_json,
    category_from_json,
)
from annotator.core.errors import UserError
from annotator.core.files import explain, from_json, to_json
from annotator.core.history import Change
from annotator.services.history_journal import (
    ABANDONED,
    FROM_3,
    GROUPS,
    STEPS,
    UNDONE,
    Step,
    take_over_imports,
)

APPLICATION_ID = 0x414E4E4F  # "ANNO"
VERSION = 4
"""2: proposals. A program of version 1 would take them for annotations, so it has to refuse.
3: `images.reviewed` is the place of a status among `STATUSES`, and images have comments.
4: steps know their line, origin and group step."""
READABLE = (3, VERSION)
"""Versions whose current state is read in the same way."""
STATUSES = (Status.TODO, Status.DONE, Status.LOOK, Status.REJECTED)

_PROPOSED_INDEX = "CREATE INDEX annotations_proposed ON annotations(category) WHERE proposed;"
_SCHEMA = f"""
CREATE TABLE images(
  id INTEGER PRIMARY KEY, key NOT NULL UNIQUE, place INTEGER NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, orientation INTEGER NOT NULL, count INTEGER NOT NULL,
  reviewed INTEGER NOT NULL, proposals INTEGER NOT NULL, extra TEXT NOT NULL,
  comment TEXT NOT NULL DEFAULT '');
CREATE TABLE categories(
  id INTEGER PRIMARY KEY, place INTEGER NOT NULL, removed INTEGER NOT NULL, value TEXT NOT NULL);
CREATE TABLE annotations(
  image INTEGER NOT NULL, id INTEGER NOT NULL, place INTEGER NOT NULL, category INTEGER,
  value TEXT NOT NULL, coco TEXT, proposed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(image, id));
CREATE INDEX annotations_place ON annotations(image, place);
CREATE INDEX annotations_id ON annotations(id, category);
CREATE INDEX annotations_category ON annotations(category);
{_PROPOSED_INDEX}
{STEPS}{GROUPS}
CREATE TABLE vectors(
  id INTEGER PRIMARY KEY, annotation INTEGER NOT NULL, space TEXT NOT NULL, vector BLOB NOT NULL,
  UNIQUE(annotation, space));
CREATE TABLE notes(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE header(place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, value TEXT NOT NULL);
"""

_UPGRADES = {
    1: f"""
ALTER TABLE annotations ADD COLUMN proposed INTEGER NOT NULL DEFAULT 0;
{_PROPOSED_INDEX}""",
    2: "ALTER TABLE images ADD COLUMN comment TEXT NOT NULL DEFAULT '';",
    3: FROM_3,
}
"""What makes a journal of this version one of the next."""

TABLES = (
    "images",
    "categories",
    "annotations",
    "steps",
    "parts",
    "class_steps",
    "vectors",
    "notes",
    "counters",
    "header",
)


class DamagedJournal(UserError):
    """The journal cannot be read; `Document.recover` can make a new one from what is left."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection that any thread may use (one at a time).

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    if read_only:
        db.execute("PRAGMA query_only=1")
    return db


def connect_beside(path: Path) -> sqlite3.Connection:
    """A reading connection without the project's lock, while a window may have it open.

    Raises:
        sqlite3.Error: the file cannot be opened.
        UserError: another version of the program made it.
    """
    if os.access(path.parent, os.W_OK):
        db = connect(path, read_only=True)
    else:
        # Where nobody can write, SQLite cannot make the files it shares with writers: there are
        # none.
        db = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    if db.execute("PRAGMA user_version").fetchone()[0] not in READABLE:
        db.close()
        raise UserError(
            f"“{path}” was made by another version of this program.",
            "Open the project in the window of this version once.",
        )
    return db


def open_journal(path: Path) -> tuple[sqlite3.Connection, bool]:
    """The writing connection, and whether the journal is new.

    Raises:
        DamagedJournal: the file is there but cannot be used.
        UserError: a newer version of the program made it.
        sqlite3.OperationalError: the disk does not let us.
    """
    db = connect(path)
    try:
        is_new = _prepare(db, path)
    except sqlite3.OperationalError:
        db.close()
        raise
    except sqlite3.DatabaseError as error:
        db.close()
        raise damaged(path, str(error)) from error
    except UserError:
        db.close()
        raise
    return db, is_new


def _prepare(db: sqlite3.Connection, path: Path) -> bool:
    identity = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    is_new = not (identity or version or tables)
    if not is_new and identity != APPLICATION_ID:
        raise damaged(path, "it belongs to another program")
    if version > VERSION:
        raise UserError(
            f"“{path}” was made by a newer version of this program.",
            "Update Annotator, or open a copy of the folder without its “.annotator”.",
        )
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    if is_new:
        db.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id={APPLICATION_ID};"
            f"PRAGMA user_version={VERSION}; {_SCHEMA} COMMIT;"
        )
    elif path.stat().st_size < 16 << 20:
        problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise damaged(path, problem)
    if not is_new and version < VERSION:
        _upgrade(db, version)
    return is_new


def _upgrade(db: sqlite3.Connection, version: int) -> None:
    """From an older version to this one, in one transaction."""
    steps = "".join(_UPGRADES[number] for number in range(version, VERSION))
    try:
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version={VERSION};")
        take_over_imports(db)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def damaged(path: Path, reason: str) -> UserError:
    """The message for a journal that cannot be used.

    Where the disk does not answer, SQLite may say that the file is malformed: then it is the disk
    that is told about, and nobody repairs what is sound.
    """
    try:
        with path.open("rb") as file:
            file.read(4096)
    except OSError as error:
        return explain(error, path, "read")
    return DamagedJournal(
        f"The project's journal “{path}” is damaged ({reason}).",
        "Recover the project: the damaged file is kept, and everything readable is taken over.",
    )


# --- Reading ---


ImageRow = tuple[int, str, int, int, int, int, int, int, str, str]
"""id, key, width, height, orientation, count, reviewed, proposals, extra, comment."""


def load_images(db: sqlite3.Connection) -> list[ImageRow]:
    """All images in their order."""
    rows = db.execute(
        "SELECT id, key, width, height, orientation, count, reviewed, proposals, extra, comment"
        " FROM images ORDER BY place, id"
    ).fetchall()
    return [row if isinstance(row[1], str) else (row[0], os.fsdecode(row[1]), *row[2:])
            for row in rows]  # fmt: skip


def record(row: ImageRow) -> ImageRecord:
    """The value a row stands for."""
    extra = from_json(row[8]) if row[8] != "{}" else {}
    return ImageRecord(
        row[1], row[0], row[2], row[3], row[4], row[5], STATUSES[row[6]], row[7], extra, row[9]
    )


def load_categories(db: sqlite3.Connection) -> tuple[list[Category], list[Category]]:
    """The categories in use, in their order, and the removed ones."""
    rows = db.execute("SELECT removed, value FROM categories ORDER BY place, id").fetchall()
    values = [(removed, category_from_json(from_json(value))) for removed, value in rows]
    return [c for removed, c in values if not removed], [c for removed, c in values if removed]


def load_usage(db: sqlite3.Connection) -> tuple[Counter[int], Counter[int]]:
    """How many annotations every category has, and how many proposals."""
    # Two indexes answer this: the table itself, masks and all, is not read.
    query = "SELECT category, count(*) FROM annotations WHERE category NOT NULL{} GROUP BY category"
    every = Counter(dict(db.execute(query.format("")).fetchall()))
    proposed = Counter(dict(db.execute(query.format(" AND proposed")).fetchall()))
    return every - proposed, proposed


def load_notes(db: sqlite3.Connection) -> dict[str, Any]:
    """All small things."""
    rows = db.execute("SELECT name, value FROM notes").fetchall()
    return {name: from_json(value) for name, value in rows}


def load_header(db: sqlite3.Connection) -> dict[str, Any]:
    """The top level of the COCO file but for its three lists."""
    rows = db.execute("SELECT name, value FROM header ORDER BY place").fetchall()
    return {name: from_json(value) for name, value in rows}


def load_counter(db: sqlite3.Connection, name: str) -> int:
    """A counter, 0 before its first use."""
    row = db.execute("SELECT value FROM counters WHERE name=?", (name,)).fetchone()
    return int(row[0]) if row else 0


def load_annotations(db: sqlite3.Connection, image: int) -> Annotations:
    """The objects of one image, bottom layer first."""
    rows = db.execute("SELECT value FROM annotations WHERE image=? ORDER BY place", (image,))
    return tuple(annotation_from_json(from_json(value)) for (value,) in rows)


def load_steps(db: sqlite3.Connection, image: int) -> list[Step]:
    """The line of the history of one image its current state is on, oldest first."""
    rows = db.execute(
        "SELECT id, text, state FROM steps WHERE image=? AND state<? ORDER BY id",
        (image, ABANDONED),
    )
    return [Step(number, text, state == UNDONE) for number, text, state in rows]


def load_change(db: sqlite3.Connection, step: int) -> Change:
    """What a step changed."""
    row = db.execute("SELECT change FROM steps WHERE id=?", (step,)).fetchone()
    return unpack_change(row[0])


def load_vectors(db: sqlite3.Connection, space: str) -> list[tuple[int, int | None, bytes]]:
    """Annotation, category (None: no name, deleted or proposed) and vector, oldest first."""
    return db.execute(
        "SELECT v.annotation, a.category, v.vector FROM vectors v"
        " LEFT JOIN annotations a ON a.id = v.annotation AND NOT a.proposed"
        " WHERE v.space=? ORDER BY v.id",
        (space,),
    ).fetchall()


def load_category_of(db: sqlite3.Connection, annotation: int) -> int | None:
    """The category of one object, None without one or while it is proposed."""
    query = "SELECT category FROM annotations WHERE id=? AND NOT proposed"
    row = db.execute(query, (annotation,)).fetchone()
    return row[0] if row else None


def load_places(
    db: sqlite3.Connection, annotations: Sequence[int]
) -> list[tuple[int, str, int | None, bool]]:
    """Annotation, key of its image, category and whether it is proposed; only of those there are.

    Args:
        db: a connection.
        annotations: no more than SQLite takes in one query, some hundreds.
    """
    marks = ",".join("?" * len(annotations))
    rows = db.execute(
        "SELECT a.id, i.key, a.category, a.proposed FROM annotations a"
        f" JOIN images i ON i.id = a.image WHERE a.id IN ({marks})",
        annotations,
    )
    return [(number, _decoded(key), category, bool(p)) for number, key, category, p in rows]


def load_undescribed(db: sqlite3.Connection, space: str) -> list[tuple[str, int]]:
    """Image key and annotation of all accepted objects without a vector in this space."""
    rows = db.execute(
        "SELECT i.key, a.id FROM annotations a JOIN images i ON i.id = a.image"
        " WHERE NOT a.proposed AND NOT EXISTS"
        " (SELECT 1 FROM vectors v WHERE v.annotation = a.id AND v.space = ?)"
        " ORDER BY i.place, i.id, a.place",
        (space,),
    )
    return [(_decoded(key), number) for key, number in rows]


def _decoded(key: str | bytes) -> str:
    return key if isinstance(key, str) else os.fsdecode(key)


def pack_change(change: Change) -> bytes:
    """Compressed JSON."""
    value = {
        "before": [[place, annotation_to_json(a)] for place, a in change.before],
        "after": [[place, annotation_to_json(a)] for place, a in change.after],
    }
    return zlib.compress(to_json(value), 1)


def unpack_change(packed: bytes) -> Change:
    """The inverse of `pack_change`."""
    value = from_json(zlib.decompress(packed))
    before, after = (
        tuple((place, annotation_from_json(entry)) for place, entry in value[side])
        for side in ("before", "after")
    )
    return Change(before, after)
