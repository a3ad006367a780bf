"""Trimming the history of a project by age, when somebody asks for it; the state stays as it is.

What is kept is decided by order, not by the clock: a step goes only if all steps made before it in
its image are old too, and no kept step needs it on its way to the current state.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotator.core.errors import UserError
from annotator.services import journal
from annotator.services.history_journal import DONE, StepRow, load_step_rows
from annotator.services.project_folder import known_journal, lock_project
from annotator.services.store import explain_failure

CHUNK = 500
_STATE = ("images", "categories", "annotations", "notes", "counters", "header")
"""Tables that trimming must not change."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was trimmed, or would be.

    Attributes:
        steps: number of steps that go.
        kept: number of steps that stay.
        images: with steps that go.
        before: bytes of the journal.
        after: bytes of it afterwards; the same while nothing was done.
    """

    steps: int
    kept: int
    images: int
    before: int
    after: int


def compact(
    folder: Path, project_dir: Path | None, until: float, *, dry_run: bool = False
) -> Compacted:
    """Remove steps from before a moment, and give the room back to the disk.

    Args:
        folder: the images.
        project_dir: where the journal is, if not beside the images.
        until: seconds since 1970; later steps stay.
        dry_run: only count.

    Raises:
        UserError: there is no project, it is open elsewhere, damaged or cannot be written.
    """
    path = known_journal(folder, project_dir)
    if path is None:
        raise UserError(f"“{folder}” is not a project yet.", "Open it in the window once.")
    lock = lock_project(path.parent)
    try:
        db, _ = journal.open_journal(path)
        try:
            return _compact(db, path, until, dry_run)
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        raise explain_failure(error, path) from error
    finally:
        lock.unlock()


def _compact(db: sqlite3.Connection, path: Path, until: float, dry_run: bool) -> Compacted:
    before = _size(db)
    going: list[int] = []
    images = 0
    for (image,) in db.execute("SELECT DISTINCT image FROM steps").fetchall():
        trimmed = trimmable(load_step_rows(db, image), until)
        going += trimmed
        images += bool(trimmed)
    kept = db.execute("SELECT count(*) FROM steps").fetchone()[0] - len(going)
    if dry_run or not going:
        return Compacted(len(going), kept, images, before, before)
    state = _fingerprints(db)
    db.execute("BEGIN IMMEDIATE")
    try:
        for some in _chunks(going):
            marks = ",".join("?" * len(some))
            db.execute(f"DELETE FROM steps WHERE id IN ({marks})", some)
        db.execute(
            "DELETE FROM parts WHERE time < ? AND kind != 'classes'"
            " AND NOT EXISTS (SELECT 1 FROM steps WHERE part = parts.id)",
            (until,),
        )
        db.execute("DELETE FROM class_steps WHERE part NOT IN (SELECT id FROM parts)")
        if _fingerprints(db) != state:
            raise journal.damaged(path, "trimming would have changed the current state")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Compacted(len(going), kept, images, before, _size(db))


def trimmable(rows: Sequence[StepRow], until: float) -> list[int]:
    """The steps of one image that may go.

    Args:
        rows: all steps of the image, oldest first.
        until: seconds since 1970.
    """
    # The clock may have jumped: order counts, and the first step that is not old ends the search.
    cut = next((row.id for row in rows if row.time >= until), None)
    if cut is None:
        cut = rows[-1].id + 1 if rows else 0
    parents = {row.id: row.parent for row in rows}
    tip = max((row.id for row in rows if row.state == DONE), default=0)
    line = _line(tip, parents)
    needed: set[int] = set()
    for row in reversed(rows):
        if row.id < cut:
            break
        if row.parent < 0:
            # Nobody knows which steps it needs.
            return []
        # To reach it from the current state, its way down from the line and the line from there.
        step = row.id
        while step in parents and step not in line and step not in needed:
            needed.add(step)
            step = parents[step]
        needed |= {number for number in line if number > step}
    return [row.id for row in rows if row.id < cut and row.id not in needed]


def _line(tip: int, parents: dict[int, int]) -> set[int]:
    line = set()
    while tip in parents:
        line.add(tip)
        tip = parents[tip]
    return line


def _size(db: sqlite3.Connection) -> int:
    pages, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    return int(pages * size)


def _fingerprints(db: sqlite3.Connection) -> list[object]:
    """Counts and sums that would show a lost or changed row."""
    sums = [
        db.execute(f"SELECT count(*), total(rowid) FROM {table}").fetchone() for table in _STATE
    ]
    return [*sums, db.execute("SELECT total(length(value)) FROM annotations").fetchone()]


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), CHUNK):
        yield numbers[start : start + CHUNK]
