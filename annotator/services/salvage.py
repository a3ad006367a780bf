"""Reading what can be read of a damaged journal, row by row."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.core.codec import category_from_json
from annotator.core.errors import UserError
from annotator.core.files import from_json
from annotator.services import journal, operations
from annotator.services.history_journal import unpack_class_change
from annotator.services.journal_check import is_sound

if TYPE_CHECKING:
    from annotator.core.formats.coco.dataset import Dataset
    from annotator.services.project_folder import Place

_LONGEST_JUMP = 1 << 24
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, zlib.error)


def salvage(damaged: Path, place: Place, coco: Path) -> str:
    """Make a new journal from a damaged one; what was found, for people.

    The new journal stays empty when nothing is readable; it is then filled from the COCO file.

    Raises:
        UserError: the new journal cannot be written.
    """
    db, _ = journal.open_journal(place.journal)
    trial = place.project_dir / ".salvage.sqlite"
    try:
        lost = _copy_tables(damaged, trial, db)
        images, annotations = (
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("images", "annotations")
        )
        if not images:
            _empty(db)
            return "nothing in it was readable, the objects come from the COCO file"
        _repair(db, _read(coco, place) if lost else None)
        return f"{annotations} objects of {images} images were taken over"
    finally:
        db.close()
        for suffix in ("", "-wal", "-shm"):
            trial.with_name(trial.name + suffix).unlink(missing_ok=True)


def _read(coco: Path, place: Place) -> Dataset | None:
    from annotator.core.formats.coco.reading import read_coco
    from annotator.core.formats.resolver import Resolver

    resolver = Resolver(place.folder)
    try:
        return read_coco(coco, resolver.key, resolver.size)
    except UserError:
        return None


def _copy_tables(damaged: Path, trial: Path, db: sqlite3.Connection) -> bool:
    """Copy every readable row; whether something was not."""
    for suffix in ("-wal", ""):
        source = damaged.with_name(damaged.name + suffix)
        if source.is_file():
            shutil.copyfile(source, trial.with_name(trial.name + suffix))
    old = journal.connect(trial)
    lost = False
    try:
        db.execute("BEGIN IMMEDIATE")
        for table in journal.TABLES:
            try:
                lost |= _copy_table(old, db, table)
            except sqlite3.DatabaseError:
                lost = True
        db.execute("COMMIT")
    finally:
        old.close()
    return lost


def _copy_table(old: sqlite3.Connection, db: sqlite3.Connection, table: str) -> bool:
    # An older journal has fewer columns.
    there = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] in there]
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    rows = _Rows(old, table, columns)
    lost = False
    for row in rows:
        if _is_sound(table, dict(zip(columns, row, strict=True))):
            with contextlib.suppress(sqlite3.IntegrityError):
                db.execute(f"INSERT OR IGNORE INTO {table}({names}) VALUES({marks})", row)
        else:
            lost = True
    return lost or rows.lost


class _Rows:
    """All readable rows of a table; damaged stretches are jumped over in growing steps."""

    def __init__(self, db: sqlite3.Connection, table: str, columns: list[str]) -> None:
        self._db = db
        names = ", ".join(columns)
        self._query = f"SELECT rowid, {names} FROM {table} WHERE rowid > ? ORDER BY rowid"
        self.lost = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        last, jump = -1, 1
        while jump < _LONGEST_JUMP:
            try:
                for row in self._db.execute(self._query, (last,)):
                    last, jump = row[0], 1
                    yield row[1:]
            except (sqlite3.DatabaseError, OverflowError, UnicodeDecodeError):
                self.lost = True
                last += jump
                jump *= 2
            else:
                return


def _is_sound(table: str, row: dict[str, Any]) -> bool:
    try:
        if table == "annotations" and not is_sound(row["value"]):
            return False
        if table == "categories":
            category_from_json(from_json(row["value"]))
        elif table == "steps":
            journal.unpack_change(row["change"])
        elif table == "class_steps":
            unpack_class_change(row["change"])
        elif table == "images":
            from_json(row["extra"])
        elif table in ("notes", "header"):
            from_json(row["value"])
    except _UNREADABLE:
        return False
    return all(row[name] is not None for name in row if name not in ("category", "coco"))


def _empty(db: sqlite3.Connection) -> None:
    for table in journal.TABLES:
        db.execute(f"DELETE FROM {table}")


def _repair(db: sqlite3.Connection, coco: Dataset | None) -> None:
    """Fill gaps from the COCO file and make counts and counters right."""
    db.execute("BEGIN IMMEDIATE")
    if coco is not None:
        _fill(db, coco)
    db.execute("DELETE FROM annotations WHERE image NOT IN (SELECT id FROM images)")
    count = "(SELECT count(*) FROM annotations WHERE image=images.id AND proposed={})"
    db.execute(f"UPDATE images SET count={count.format(0)}, proposals={count.format(1)}")
    known = {row[0] for row in db.execute("SELECT id FROM categories")}
    for (category,) in db.execute("SELECT DISTINCT category FROM annotations").fetchall():
        if category is not None and category not in known:
            value = operations.text_of(
                {"id": category, "name": f"class {category}", "color": "#E69F00"}
            )
            db.execute("INSERT INTO categories VALUES(?, ?, 0, ?)", (category, category, value))
    newest = db.execute("SELECT max(id) FROM annotations").fetchone()[0] or 0
    for (packed,) in db.execute("SELECT change FROM steps"):
        change = journal.unpack_change(packed)
        newest = max([newest, *(a.id for _, a in (*change.before, *change.after))])
    operations.raise_counter(db, "annotation", newest)
    numbered = (("image", "images"), ("category", "categories"), ("step", "steps"),
                ("step", "parts"), ("step", "class_steps"))  # fmt: skip
    for name, table in numbered:
        highest = db.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0
        operations.raise_counter(db, name, highest)
    from annotator.core.formats.coco.dataset import UNNAMED_ID

    if not journal.load_counter(db, "unnamed"):
        operations.raise_counter(db, "unnamed", coco.unnamed_id if coco else UNNAMED_ID)
    operations.count_generation(db)
    db.execute("COMMIT")


def _fill(db: sqlite3.Connection, coco: Dataset) -> None:
    """Rows that the journal lost and the COCO file still has."""
    for place, image in enumerate(coco.images):
        operations.insert_image(db, image, place)
    for place, category in enumerate(coco.categories):
        operations.insert_category(db, category, place)
    keys = dict(db.execute("SELECT id, key FROM images").fetchall())
    same = {image.id for image in coco.images if keys.get(image.id) == image.key}
    for place, entry in enumerate(coco.entries):
        if entry.image_id in same:
            operations.insert_entry(db, entry, place)
    if not db.execute("SELECT 1 FROM header").fetchone():
        operations.write_header(db, coco.header)
