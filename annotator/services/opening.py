"""How a `Document` comes to life: a new folder, a known one, a damaged one."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QLockFile

from annotator.core.errors import UserError
from annotator.core.files import fingerprint, free_name, time_stamp
from annotator.core.formats.resolver import Resolver
from annotator.services import journal, operations
from annotator.services.coco_backups import FOLDER, ChangedOutside, base_of
from annotator.services.coco_export import CocoState, is_foreign, load_state, save_state
from annotator.services.document import Document
from annotator.services.importing import describe_problems
from annotator.services.journal import DamagedJournal
from annotator.services.journal_check import problems
from annotator.services.operations import Operation
from annotator.services.project_folder import COCO, Place, find_place, lock_project
from annotator.services.store import explain_failure, parts


def open_document(folder: Path, project_dir: Path | None) -> Document:
    """See `Document.open`."""
    place = find_place(folder, project_dir)
    lock = lock_project(place.project_dir)
    try:
        return _open(place, lock, [])
    except BaseException:
        lock.unlock()
        raise


def recover_document(folder: Path, project_dir: Path | None) -> Document:
    """See `Document.recover`."""
    place = find_place(folder, project_dir)
    lock = lock_project(place.project_dir)
    try:
        try:
            _check(place)
            return _open(place, lock, [])
        except DamagedJournal:
            return _open(place, lock, [_recover(place)])
    except BaseException:
        lock.unlock()
        raise


def _check(place: Place) -> None:
    """Find damage that does not keep a journal from being opened."""
    if not place.journal.is_file():
        return
    try:
        with contextlib.closing(journal.connect(place.journal, read_only=True)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            found = problems(db) if version == journal.VERSION else []
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found:
        raise journal.damaged(place.journal, "; ".join(found))


def _open(place: Place, lock: QLockFile, notices: list[UserError]) -> Document:
    if place.notice is not None:
        notices.append(place.notice)
    try:
        db, _ = journal.open_journal(place.journal)
    except sqlite3.OperationalError as error:
        raise explain_failure(error, place.journal) from error
    try:
        state = load_state(place.coco_state, COCO)
        # Written last when a project is made: without it the first opening did not come to its end.
        if not journal.load_counter(db, "unnamed"):
            state = _start(db, place, state, notices)
        coco = place.coco.with_name(state.file)
        state = _behind(db, state, coco, notices)
        with contextlib.suppress(OSError):
            if state.hashes and is_foreign(coco, state):
                base = base_of(place.project_dir / FOLDER, state.hashes)
                notices.append(_changed_outside(coco, base))
        document = Document(place, lock, db, coco, state)
    except sqlite3.OperationalError as error:
        db.close()
        raise explain_failure(error, place.journal) from error
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        db.close()
        raise journal.damaged(place.journal, str(error)) from error
    except OSError as error:
        db.close()
        raise explain_failure(error, place.project_dir) from error
    for notice in notices:
        document.announce(notice)
    return document


def _behind(
    db: sqlite3.Connection, state: CocoState, coco: Path, notices: list[UserError]
) -> CocoState:
    """Where the journal lost steps that the COCO file has, the file counts as somebody else's.

    Copies without the journal's “-wal”, and backups of it, are older than the file.
    """
    generation = journal.load_counter(db, "generation")
    if generation >= state.generation or not coco.is_file():
        return state
    notices.append(
        ChangedOutside(
            coco,
            None,
            f"The project's journal is older than “{coco.name}”: its newest steps are missing.",
            "Merge takes the newer objects over. The file is kept under another name otherwise.",
            is_newer=True,
        )
    )
    return CocoState(state.file, generation)


def _changed_outside(coco: Path, base: Path | None) -> UserError:
    return ChangedOutside(
        coco,
        base,
        f"“{coco.name}” was changed by another program since it was last written here.",
        "The project shows its own state; the changed file is kept under another name when the"
        " project is next saved.",
    )


# --- A new project ---


def _start(
    db: sqlite3.Connection, place: Place, state: CocoState, notices: list[UserError]
) -> CocoState:
    """Fill a new journal, from the COCO file if there is one."""
    from annotator.core.formats.coco.dataset import Dataset, new_header

    own = place.coco.with_name(state.file)
    source = own if own.is_file() else place.source
    dataset = None
    if source.is_file():
        from annotator.core.formats.coco.reading import read_coco

        resolver = Resolver(place.folder)
        try:
            dataset = read_coco(source, resolver.key, resolver.size)
        except UserError as error:
            notices.append(error)
            state = replace(state, file=free_name(own).name)
        else:
            kept = _keep_original(source, place.project_dir)
            if dataset.problems:
                notices.append(describe_problems(source, dataset.problems, kept))
            if state.generation and not notices:
                notices.append(_without_journal(place, source))
            if source == own:
                state = state.seen(fingerprint(own))
    if dataset is None:
        dataset = Dataset(header=new_header(place.folder.name, time.strftime("%Y-%m-%d")))
    state = replace(state, generation=0)
    save_state(place.coco_state, state)
    operations.write_dataset(db, dataset)
    return state


def _without_journal(place: Place, source: Path) -> UserError:
    return UserError(
        f"The project's journal “{place.journal}” was missing or empty: all objects come from"
        f" “{source.name}”, without history and proposals.",
        f"If you have a copy of “{place.project_dir.name}”, close the project and put it back.",
    )


def _keep_original(source: Path, project_dir: Path) -> Path:
    """The file as it was before this program wrote it for the first time."""
    kept = free_name(project_dir / f"imported {time_stamp()}.json")
    shutil.copy2(source, kept)
    return kept


# --- A damaged project ---


def _recover(place: Place) -> UserError:
    """Put the damaged journal aside, make a new one of what is readable, and say what was done."""
    from annotator.services.salvage import salvage

    damaged = free_name(place.journal.with_name(f"journal.damaged-{time_stamp()}.sqlite"))
    for suffix in ("-wal", "-shm", ""):
        part = place.journal.with_name(place.journal.name + suffix)
        if part.exists():
            part.rename(damaged.with_name(damaged.name + suffix))
    state = load_state(place.coco_state, COCO)
    own = place.coco.with_name(state.file)
    found = salvage(damaged, place, own if own.is_file() else place.source)
    with contextlib.closing(journal.connect(place.journal)) as db:
        # What was lost came from the file, so the journal is not behind it.
        operations.raise_counter(db, "generation", state.generation + 1)
    return UserError(
        f"The journal was damaged and made anew: {found}.",
        f"The damaged file was kept as “{damaged}”.",
    )


def rescue_path(place: Place) -> Path:
    """Where a journal goes that its own place does not take."""
    from platformdirs import user_data_path

    folder = user_data_path("annotator", appauthor=False) / "rescued"
    return free_name(folder / f"{place.folder.name[:40]} {time_stamp()}.sqlite")


def put_aside(
    place: Place, aside: Path, lost: Sequence[Operation], error: UserError | None
) -> UserError:
    """Add operations the journal does not take to the copy of it that was put aside.

    Returns:
        What happened, for people.
    """
    reason = error.message if error else f"“{place.journal}” cannot be written."
    count = sum(operation.is_work for operation in lost)
    lost_text = UserError(f"{reason} The last {count} edits are lost.", "Check the disk.")
    try:
        if not aside.exists():
            # The open file leads nowhere; what is on the disk may be readable again.
            aside.parent.mkdir(parents=True, exist_ok=True)
            for old, new in zip(parts(place.journal)[:2], parts(aside)[:2], strict=True):
                if old.exists():
                    shutil.copyfile(old, new)
        if not aside.exists():
            return lost_text
        db, _ = journal.open_journal(aside)
        db.execute("BEGIN IMMEDIATE")
        for operation in lost:
            operation.apply(db)
        db.execute("COMMIT")
        db.close()
    except (OSError, sqlite3.Error, UserError):
        return lost_text
    return UserError(
        f"{reason} The project with the last {count} edits was put aside as “{aside}”.",
        f"When the folder can be written again, copy it to “{place.journal}”.",
    )
