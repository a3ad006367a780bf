"""The project's journal: one SQLite file with the current state and every step that led to it.

Nothing is ever deleted from the history: a step is done, undone, or abandoned (undone, and then
something else was done). Every operation here can be applied twice with the same result, so that a
commit whose answer got lost may be repeated.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from annotator.core.annotation import Annotation, Annotations, Category, ImageRecord
from annotator.core.codec import (
    annotation_from_json,
    annotation_to_json,
    category_from_json,
    category_to_json,
)
from annotator.core.errors import UserError
from annotator.core.files import from_json, to_json
from annotator.core.history import Change

if TYPE_CHECKING:
    from annotator.core.formats.coco.dataset import Dataset, Entry

APPLICATION_ID = 0x414E4E4F  # "ANNO"
VERSION = 1
DONE, UNDONE, ABANDONED = 0, 1, 2

_SCHEMA = """
CREATE TABLE images(
  id INTEGER PRIMARY KEY, key NOT NULL UNIQUE, place INTEGER NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, orientation INTEGER NOT NULL, count INTEGER NOT NULL,
  reviewed INTEGER NOT NULL, proposals INTEGER NOT NULL, extra TEXT NOT NULL);
CREATE TABLE categories(
  id INTEGER PRIMARY KEY, place INTEGER NOT NULL, removed INTEGER NOT NULL, value TEXT NOT NULL);
CREATE TABLE annotations(
  image INTEGER NOT NULL, id INTEGER NOT NULL, place INTEGER NOT NULL, category INTEGER,
  value TEXT NOT NULL, coco TEXT, PRIMARY KEY(image, id));
CREATE INDEX annotations_place ON annotations(image, place);
CREATE INDEX annotations_id ON annotations(id, category);
CREATE INDEX annotations_category ON annotations(category);
CREATE TABLE steps(
  id INTEGER PRIMARY KEY, image INTEGER NOT NULL, time REAL NOT NULL, text TEXT NOT NULL,
  change BLOB NOT NULL, state INTEGER NOT NULL);
CREATE INDEX steps_image ON steps(image, id);
CREATE TABLE vectors(
  id INTEGER PRIMARY KEY, annotation INTEGER NOT NULL, space TEXT NOT NULL, vector BLOB NOT NULL,
  UNIQUE(annotation, space));
CREATE TABLE notes(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE header(place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, value TEXT NOT NULL);
"""

TABLES = (
    "images",
    "categories",
    "annotations",
    "steps",
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
    return is_new


def damaged(path: Path, reason: str) -> DamagedJournal:
    """The message for a journal that cannot be used."""
    return DamagedJournal(
        f"The project's journal “{path}” is damaged ({reason}).",
        "Recover the project: the damaged file is kept, and everything readable is taken over.",
    )


# --- Reading ---


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of an image's history."""

    id: int
    text: str
    is_undone: bool


ImageRow = tuple[int, str, int, int, int, int, int, int, str]
"""id, key, width, height, orientation, count, reviewed, proposals, extra."""


def load_images(db: sqlite3.Connection) -> list[ImageRow]:
    """All images in their order."""
    rows = db.execute(
        "SELECT id, key, width, height, orientation, count, reviewed, proposals, extra"
        " FROM images ORDER BY place, id"
    ).fetchall()
    return [row if isinstance(row[1], str) else (row[0], os.fsdecode(row[1]), *row[2:])
            for row in rows]  # fmt: skip


def record(row: ImageRow) -> ImageRecord:
    """The value a row stands for."""
    extra = from_json(row[8]) if row[8] != "{}" else {}
    return ImageRecord(row[1], row[0], row[2], row[3], row[4], row[5], bool(row[6]), row[7], extra)


def load_categories(db: sqlite3.Connection) -> tuple[list[Category], list[Category]]:
    """The categories in use, in their order, and the removed ones."""
    rows = db.execute("SELECT removed, value FROM categories ORDER BY place, id").fetchall()
    values = [(removed, category_from_json(from_json(value))) for removed, value in rows]
    return [c for removed, c in values if not removed], [c for removed, c in values if removed]


def load_usage(db: sqlite3.Connection) -> dict[int, int]:
    """How many annotations every category has."""
    query = "SELECT category, count(*) FROM annotations WHERE category NOT NULL GROUP BY category"
    return dict(db.execute(query).fetchall())


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
    """The living history of one image, oldest first."""
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
    """Annotation, its category (None: no name, or deleted) and vector, oldest first."""
    return db.execute(
        "SELECT v.annotation, a.category, v.vector FROM vectors v"
        " LEFT JOIN annotations a ON a.id = v.annotation WHERE v.space=? ORDER BY v.id",
        (space,),
    ).fetchall()


def load_category_of(db: sqlite3.Connection, annotation: int) -> int | None:
    """The category of one object, None without one."""
    row = db.execute("SELECT category FROM annotations WHERE id=?", (annotation,)).fetchone()
    return row[0] if row else None


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


# --- Writing ---


class Operation(Protocol):
    """Something the writer does inside a transaction.

    Attributes:
        is_work: the user did it and wants to know when it is safe.
        is_exported: the COCO file has to follow.
    """

    is_work: ClassVar[bool]
    is_exported: ClassVar[bool]

    def apply(self, db: sqlite3.Connection) -> None:
        """Do it."""


def text_of(value: Any) -> str:
    """JSON as SQLite text."""
    return to_json(value).decode("utf-8")


def _key(key: str) -> str | bytes:
    """File names may hold bytes that are no Unicode; those are kept as bytes."""
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(key)
    return key


@dataclass(frozen=True, slots=True, eq=False)
class AddImages:
    """New images: their ids, keys and places in the list."""

    ids: Sequence[int]
    keys: Sequence[str]
    places: Sequence[int]
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Insert those that are not there yet."""
        db.executemany(
            "INSERT OR IGNORE INTO images VALUES(?, ?, ?, 0, 0, 1, 0, 0, 0, '{}')",
            zip(self.ids, map(_key, self.keys), self.places, strict=True),
        )
        raise_counter(db, "image", self.ids[-1])


@dataclass(frozen=True, slots=True, eq=False)
class ArrangeImages:
    """The order of all images: (place, id)."""

    places: Sequence[tuple[int, int]]
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Update."""
        db.executemany("UPDATE images SET place=? WHERE id=?", self.places)


@dataclass(frozen=True, slots=True, eq=False)
class WriteSize:
    """Size and orientation of an image."""

    image: int
    width: int
    height: int
    orientation: int
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Update; entries of the COCO file made for another size are made again."""
        db.execute(
            "UPDATE images SET width=?, height=?, orientation=? WHERE id=?",
            (self.width, self.height, self.orientation, self.image),
        )
        db.execute("UPDATE annotations SET coco=NULL WHERE image=?", (self.image,))


@dataclass(frozen=True, slots=True, eq=False)
class WriteReviewed:
    """A person said that an image is finished, or not."""

    image: int
    reviewed: bool
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    def apply(self, db: sqlite3.Connection) -> None:
        """Update."""
        db.execute("UPDATE images SET reviewed=? WHERE id=?", (self.reviewed, self.image))


@dataclass(frozen=True, slots=True, eq=False)
class WriteEdit:
    """One undo step and the state it leads to.

    Attributes:
        image: id.
        step: number of the step.
        text: what the user did.
        change: the difference.
        state: all annotations of the image afterwards.
    """

    image: int
    step: int
    text: str
    change: Change
    state: Annotations
    time: float = field(default_factory=time.time)
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    def apply(self, db: sqlite3.Connection) -> None:
        """Write step and state; steps that were undone can no longer be redone."""
        _write_state(db, self.image, self.change, self.state)
        db.execute(
            "UPDATE steps SET state=? WHERE image=? AND state=? AND id<?",
            (ABANDONED, self.image, UNDONE, self.step),
        )
        db.execute(
            "INSERT OR REPLACE INTO steps VALUES(?, ?, ?, ?, ?, ?)",
            (self.step, self.image, self.time, self.text, pack_change(self.change), DONE),
        )
        newest = max((a.id for _, a in self.change.after), default=0)
        raise_counter(db, "annotation", newest)
        raise_counter(db, "step", self.step)


@dataclass(frozen=True, slots=True, eq=False)
class WriteMove:
    """A step taken back or done again: `change` is what happened now."""

    image: int
    step: int
    change: Change
    state: Annotations
    is_undone: bool
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    def apply(self, db: sqlite3.Connection) -> None:
        """Write the state and mark the step."""
        _write_state(db, self.image, self.change, self.state)
        state = UNDONE if self.is_undone else DONE
        db.execute("UPDATE steps SET state=? WHERE id=?", (state, self.step))


def _write_state(db: sqlite3.Connection, image: int, change: Change, state: Annotations) -> None:
    kept = {a.id for _, a in change.after}
    gone = [(image, a.id) for _, a in change.before if a.id not in kept]
    db.executemany("DELETE FROM annotations WHERE image=? AND id=?", gone)
    write_annotations(db, image, [a for _, a in change.after])
    if not _keeps_order(change, len(state)):
        places = [(place, image, a.id) for place, a in enumerate(state)]
        db.executemany("UPDATE annotations SET place=? WHERE image=? AND id=?", places)
    db.execute("UPDATE images SET count=? WHERE id=?", (len(state), image))


def _keeps_order(change: Change, count: int) -> bool:
    """Whether replacing in place, removing and appending are enough to get the order right."""
    before = [a.id for _, a in change.before]
    after = [a.id for _, a in change.after]
    if before == after or not after:
        return True
    appended = [place for place, _ in change.after] == list(range(count - len(after), count))
    return appended and not set(before) & set(after)


def write_annotations(
    db: sqlite3.Connection, image: int, annotations: Iterable[Annotation]
) -> None:
    """Replace in place, or append on top."""
    rows = [(image, a.id, image, a.category_id, text_of(annotation_to_json(a)))
            for a in annotations]  # fmt: skip
    db.executemany(_UPSERT, rows)


_UPSERT = """
INSERT INTO annotations VALUES(
  ?, ?, (SELECT ifnull(max(place), -1) + 1 FROM annotations WHERE image=?), ?, ?, NULL)
ON CONFLICT(image, id) DO UPDATE SET
  category=excluded.category, value=excluded.value, coco=NULL"""


@dataclass(frozen=True, slots=True, eq=False)
class WriteCategories:
    """All categories in their order, and the removed ones (kept for the history)."""

    categories: Sequence[Category]
    removed: Sequence[Category]
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    def apply(self, db: sqlite3.Connection) -> None:
        """Replace the table."""
        db.execute("DELETE FROM categories")
        both = ((self.categories, 0), (self.removed, 1))
        db.executemany(
            "INSERT INTO categories VALUES(?, ?, ?, ?)",
            [(c.id, place, removed, text_of(category_to_json(c)))
             for group, removed in both for place, c in enumerate(group)],
        )  # fmt: skip
        newest = max((c.id for group, _ in both for c in group), default=0)
        raise_counter(db, "category", newest)


@dataclass(frozen=True, slots=True, eq=False)
class WriteVector:
    """What an object looks like in one space: float32, native byte order."""

    annotation: int
    space: str
    vector: bytes
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Insert or replace."""
        db.execute(
            "INSERT INTO vectors(annotation, space, vector) VALUES(?, ?, ?)"
            " ON CONFLICT(annotation, space) DO UPDATE SET vector=excluded.vector",
            (self.annotation, self.space, self.vector),
        )


@dataclass(frozen=True, slots=True, eq=False)
class WriteNote:
    """A small thing, as JSON text."""

    name: str
    value: str
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Insert or replace."""
        db.execute("INSERT OR REPLACE INTO notes VALUES(?, ?)", (self.name, self.value))


@dataclass(frozen=True, slots=True, eq=False)
class KeepEntries:
    """Entries of the COCO file, kept so that the next one need not make them again.

    Rows: (entry, image, annotation, journal text it was made from).
    """

    rows: Sequence[tuple[str, int, int, str]]
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Update what has not changed since."""
        db.executemany(
            "UPDATE annotations SET coco=? WHERE image=? AND id=? AND value=?", self.rows
        )


def write_header(db: sqlite3.Connection, header: Mapping[str, Any]) -> None:
    """Replace the top level of the COCO file."""
    db.execute("DELETE FROM header")
    db.executemany(
        "INSERT INTO header(name, value) VALUES(?, ?)",
        [(name, text_of(value)) for name, value in header.items()],
    )


def insert_image(db: sqlite3.Connection, image: ImageRecord, place: int) -> None:
    """Add an image of a file, if neither its id nor its key is there."""
    row = (image.id, _key(image.key), place, image.width, image.height, image.orientation,
           image.count, image.reviewed, image.proposals, text_of(image.extra))  # fmt: skip
    db.execute("INSERT OR IGNORE INTO images VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def insert_category(db: sqlite3.Connection, category: Category, place: int) -> None:
    """Add a category of a file, if its id is not there."""
    row = (category.id, place, text_of(category_to_json(category)))
    db.execute("INSERT OR IGNORE INTO categories VALUES(?, ?, 0, ?)", row)


def insert_entry(db: sqlite3.Connection, entry: Entry, place: int) -> None:
    """Add an annotation of a file, if it is not there."""
    value = entry.value
    row = (entry.image_id, value["id"], place, value["category"], text_of(value))
    db.execute("INSERT OR IGNORE INTO annotations VALUES(?, ?, ?, ?, ?, NULL)", row)


def write_dataset(db: sqlite3.Connection, dataset: Dataset) -> None:
    """Fill a new journal with the content of a file, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    for place, image in enumerate(dataset.images):
        insert_image(db, image, place)
    for place, category in enumerate(dataset.categories):
        insert_category(db, category, place)
    for place, entry in enumerate(dataset.entries):
        insert_entry(db, entry, place)
    write_header(db, dataset.header)
    raise_counter(db, "image", max((i.id for i in dataset.images), default=0))
    raise_counter(db, "category", max((c.id for c in dataset.categories), default=0))
    raise_counter(db, "annotation", max((e.value["id"] for e in dataset.entries), default=0))
    raise_counter(db, "unnamed", dataset.unnamed_id)
    db.execute("COMMIT")


def raise_counter(db: sqlite3.Connection, name: str, value: int) -> None:
    """Remember the highest number ever used."""
    db.execute(
        "INSERT INTO counters VALUES(?, ?)"
        " ON CONFLICT(name) DO UPDATE SET value=max(value, excluded.value)",
        (name, value),
    )


def count_generation(db: sqlite3.Connection) -> int:
    """Number the state the COCO file has to show; call it once in a transaction."""
    raise_counter(db, "generation", load_counter(db, "generation") + 1)
    return load_counter(db, "generation")
