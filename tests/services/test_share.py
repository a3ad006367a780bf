"""A network share that goes away while the project is saved, and comes back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from annotator.services.document import Document
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
