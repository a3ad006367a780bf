"""A share that goes away while the project is saved, and journals that are not what they were."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication

from annotator.core.errors import UserError
from annotator.services.coco_backups import ChangedOutside
from annotator.services.document import Document
from annotator.services.journal_check import problems
from annotator.services.store import Store
from tests.services.test_document import add
from tests.services.test_project_history import state_of

KEYS = ("a.png", "b.png", "c.png")


class Dead:
    """A connection whose open files lead nowhere for ever."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __getattr__(self, _: str) -> Any:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_READ"
        raise error

    def close(self) -> None:
        self._db.close()


def mount_again(project: Path) -> None:
    """The same files, which the system takes for others."""
    other = project.with_name("other")
    shutil.copytree(project, other)
    project.rename(project.with_name("before"))
    other.rename(project)


@pytest.mark.parametrize("others", [False, True])
def test_a_share_mounted_anew_is_gone_on_with(
    qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    document = Document.open(tmp_path)
    document.add_images(KEYS)
    for key in KEYS:
        add(document, key)
    document.flush()
    store: Store = document._saving.store
    mount_again(document.project_dir)
    store._db = Dead(store._db)  # type: ignore[assignment]

    if others:
        # Same inode numbers as before: only the error says that something is wrong.
        monkeypatch.setattr("annotator.services.store._identity", lambda _: store._file)
    for key in KEYS:
        add(document, key)
    qtbot.waitUntil(lambda: document.save_state.pending == 0, timeout=10_000)
    assert document.save_state.error is None
    expected = state_of(document)
    document.close()
    assert not list(tmp_path.rglob("journal.replaced*"))
    document = Document.open(tmp_path)
    assert state_of(document) == expected
    for key in KEYS:
        assert document.undo(key)
        assert document.undo(key)
        assert not document.annotations(key)
    document.close()


def test_a_share_with_an_older_copy_of_the_journal_is_not_written(
    qtbot: Any, tmp_path: Path
) -> None:
    document = Document.open(tmp_path)
    document.add_images(KEYS)
    document.flush()
    document.close()
    journal = document.project_dir / "journal.sqlite"
    older = journal.read_bytes()
    document = Document.open(tmp_path)
    add(document)
    add(document)
    document.flush()
    journal.rename(tmp_path / "ours.sqlite")
    for suffix in ("-wal", "-shm"):
        journal.with_name(journal.name + suffix).rename(tmp_path / f"ours.sqlite{suffix}")
    journal.write_bytes(older)

    add(document)
    qtbot.waitUntil(lambda: document.save_state.pending == 0, timeout=10_000)
    document.close()
    (kept,) = document.project_dir.glob("journal.replaced-*.sqlite")
    assert kept.read_bytes() == older
    document = Document.open(tmp_path)
    assert len(document.annotations("a.png")) == 3
    document.close()


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None,
    reason="needs Linux and a C compiler",
)
def test_calls_that_fail_while_the_share_is_away_are_repeated(tmp_path: Path) -> None:
    here = Path(__file__).parent
    library, folder = tmp_path / "failing.so", tmp_path / "photos"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", library, here / "failing_files.c", "-ldl"]
    subprocess.run(command, check=True)
    folder.mkdir()
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "FAILING_UNDER": str(folder),
        "FAILING_NUMBER": str(tmp_path / "number"),
    }
    child = [sys.executable, "-m", "tests.services.share_child", str(folder)]
    done = subprocess.run(
        child, env=environment, cwd=here.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["EIO", "ESTALE", "ENOTCONN", "ENOSPC", "EROFS", "closed"]


# --- A journal that is not what the COCO file was written from ---


def saved_project(qtbot: Any, folder: Path) -> Document:
    document = Document.open(folder)
    document.add_images(KEYS)
    add(document)
    document.save()
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)
    return document


def told(qtbot: Any, folder: Path) -> tuple[Document, list[UserError]]:
    document, reports = Document.open(folder), list[UserError]()
    document.reported.connect(reports.append)
    qtbot.waitUntil(lambda: bool(reports), timeout=5_000)
    return document, reports


def test_a_journal_older_than_the_coco_file_never_overwrites_it(qtbot: Any, tmp_path: Path) -> None:
    saved_project(qtbot, tmp_path).close()
    journal = tmp_path / ".annotator" / "journal.sqlite"
    older = journal.read_bytes()
    document = Document.open(tmp_path)
    add(document)
    document.close()
    newer = document.coco_path.read_bytes()
    journal.write_bytes(older)

    document, (report, *_) = told(qtbot, tmp_path)
    assert isinstance(report, ChangedOutside)
    assert report.is_newer
    assert "older" in report.message
    assert len(document.annotations("a.png")) == 1
    add(document, "b.png")
    document.close()
    (kept,) = tmp_path.glob("annotations (changed outside*")
    assert kept.read_bytes() == newer


def test_a_missing_journal_is_told(qtbot: Any, tmp_path: Path) -> None:
    saved_project(qtbot, tmp_path).close()
    (tmp_path / ".annotator" / "journal.sqlite").write_bytes(b"")

    document, (report, *_) = told(qtbot, tmp_path)
    assert "missing or empty" in report.message
    assert len(document.annotations("a.png")) == 1
    document.close()
    reports: list[UserError] = []
    document = Document.open(tmp_path)
    document.reported.connect(reports.append)
    QCoreApplication.processEvents()
    assert not reports, "once"
    document.close()


def test_a_single_wrong_letter_of_a_mask_is_found_and_repaired(qtbot: Any, tmp_path: Path) -> None:
    document = saved_project(qtbot, tmp_path)
    expected = document.annotations("a.png")[0].shape
    document.close()
    path = tmp_path / ".annotator" / "journal.sqlite"
    db = sqlite3.connect(path)
    (value,) = db.execute("SELECT value FROM annotations").fetchone()
    counts = json.loads(value)["mask"]["counts"]
    wrong = counts[:2] + chr(ord(counts[2]) ^ 1) + counts[3:]
    db.execute("UPDATE annotations SET value=?", (value.replace(counts, wrong),))
    db.commit()
    assert problems(db) == ["1 objects that cannot be read"]
    db.close()
    document = Document.recover(tmp_path)
    assert document.annotations("a.png")[0].shape == expected, "the COCO file still has it"
    document.close()
    assert list(path.parent.glob("journal.damaged*"))
