"""What the disk does to us, and that nothing is lost by it."""

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time

import numpy as np
import pytest

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.services import coco_export, saving
from annotator.services.document import Document
from annotator.services.journal import load_notes, open_journal
from annotator.services.operations import WriteNote
from annotator.services.store import Store

SQUARE = np.zeros((40, 60), bool)
SQUARE[5:20, 10:30] = True


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def opened(qapp, monkeypatch):
    monkeypatch.setattr(saving, "CLOSING", 0.5)
    documents = []

    def open_document(folder):
        document = Document.open(folder)
        document.add_images(["a.png"])
        documents.append(document)
        return document

    yield open_document
    for document in documents:
        document.close()


def add(document, noise=False):
    image = SQUARE.copy()
    if noise:
        image |= np.random.default_rng(len(document.annotations("a.png"))).random(image.shape) > 0.5
    annotation = Annotation(document.new_id(), raster.from_array(image))
    return document.edit("a.png", (*document.annotations("a.png"), annotation), "Add")


def is_safe(document):
    return lambda: document.save_state.pending == 0 and document.save_state.error is None


def ids_on_disk(folder):
    db = sqlite3.connect(folder / ".annotator" / "journal.sqlite")
    found = [row[0] for row in db.execute("SELECT id FROM annotations ORDER BY place")]
    db.close()
    return found


# --- The writing thread by itself ---


@pytest.fixture
def store(tmp_path):
    """A store, what it saved and why it failed."""
    path = tmp_path / "journal.sqlite"
    db, _ = open_journal(path)
    saved, errors = [], []
    store = Store(path, db, lambda batch, _: saved.extend(batch), errors.append)
    store.path, store.db, store.saved, store.errors = path, db, saved, errors
    yield store
    store.close(5)


def test_operations_are_written_in_order(store):
    notes = [WriteNote("x", str(value)) for value in range(5000)]
    for note in notes:
        store.put(note)
    assert store.flush(10)
    assert store.saved == notes
    db = sqlite3.connect(store.path)
    assert load_notes(db) == {"x": 4999}
    db.close()


def test_any_thread_may_put(store):
    threads = [
        threading.Thread(
            target=lambda n=n: [store.put(WriteNote(f"{n}-{i}", "1")) for i in range(200)]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.flush(10)
    assert len(store.saved) == 800


def test_a_failing_batch_is_repeated_until_it_works(store):
    class Failing:
        is_work, is_exported = True, False
        times = 3

        def apply(self, db):
            WriteNote("half", "1").apply(db)
            self.times -= 1
            if self.times >= 0:
                raise sqlite3.OperationalError("database or disk is full")

    failing, later = Failing(), WriteNote("later", "2")
    store.put(failing)
    store.put(later)
    deadline = time.monotonic() + 10
    while len(store.saved) < 2 and time.monotonic() < deadline:
        store.flush(0.05)
    assert store.saved == [failing, later]
    assert [error is None for error in store.errors] == [False, True]
    assert str(store.path) in store.errors[0].message
    assert store.errors[0].remedy


def test_closing_gives_up_in_time_and_hands_back_what_is_left(store):
    class Failing:
        is_work, is_exported = True, False

        def apply(self, db):
            raise sqlite3.OperationalError("disk I/O error")

    failing = Failing()
    store.put(failing)
    started = time.monotonic()
    assert not store.flush(0.2)
    assert store.close(0.3) == (failing,)
    assert time.monotonic() - started < 3
    with pytest.raises(RuntimeError, match="closed"):
        store.put(failing)


# --- Through the document ---


def test_a_full_disk_keeps_the_work_and_recovers_by_itself(qtbot, opened, folder):
    document = opened(folder)
    add(document)
    document.flush()
    confirmed = []
    document.edit_saved.connect(confirmed.append)
    pages = document._saving.store._db.execute("PRAGMA page_count").fetchone()[0]
    document._saving.store._db.execute(f"PRAGMA max_page_count={pages}")
    steps = [add(document, noise=True) for _ in range(60)]
    qtbot.waitUntil(lambda: document.save_state.error is not None)
    error = document.save_state.error
    assert "full" in error.message
    assert "journal.sqlite" in error.message
    assert document.save_state.pending > 50
    assert len(document.annotations("a.png")) == 61, "work goes on in memory"
    assert document.undo("a.png") == "Add"
    document._saving.store._db.execute("PRAGMA max_page_count=1000000")
    qtbot.waitUntil(is_safe(document), timeout=10_000)
    assert [step for step in confirmed if step in steps] == steps
    assert ids_on_disk(folder) == [a.id for a in document.annotations("a.png")]


def can_mount(path):
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def fill(path):
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", 0) as file:
        while file.write(bytes(4096)):
            pass


@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
def test_a_disk_that_is_really_full(qtbot, opened, folder):
    if not can_mount(folder):
        pytest.skip("may not mount")
    try:
        document = opened(folder)
        add(document)
        document.flush()
        fill(folder / "filler")
        for _ in range(100):
            add(document, noise=True)
        document.save()
        qtbot.waitUntil(lambda: document.save_state.error is not None)
        assert "full" in document.save_state.error.message
        (folder / "filler").unlink()
        qtbot.waitUntil(is_safe(document), timeout=15_000)
        document.save()
        qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=15_000)
        document.close()
        assert len(ids_on_disk(folder)) == 101
        assert len(json.loads(document.coco_path.read_text())["annotations"]) == 101
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_vanished_folder_is_told_and_used_again_when_it_is_back(qtbot, opened, folder, tmp_path):
    document = opened(folder)
    add(document)
    document.flush()
    folder.rename(tmp_path / "away")
    add(document)
    qtbot.waitUntil(lambda: document.save_state.error is not None)
    assert "vanished" in document.save_state.error.message
    add(document)
    assert document.save_state.pending >= 2
    (tmp_path / "away").rename(folder)
    qtbot.waitUntil(is_safe(document), timeout=10_000)
    assert ids_on_disk(folder) == [1, 2, 3]


@pytest.mark.skipif(os.name == "nt", reason="open files cannot be deleted there")
@pytest.mark.parametrize("what", ["folder", "project"])
def test_a_deleted_folder_gets_its_journal_back(qtbot, opened, folder, what):
    document = opened(folder)
    add(document)
    document.save()
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)
    shutil.rmtree(folder if what == "folder" else folder / ".annotator")
    add(document)
    if what == "folder":
        qtbot.waitUntil(lambda: document.save_state.error is not None)
        folder.mkdir()
    qtbot.waitUntil(is_safe(document), timeout=10_000)
    document.save()
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)
    document._opened._images.clear()
    assert len(document.annotations("a.png")) == 2, "readers see the new file"
    assert document.undo("a.png")
    document.close()
    again = opened(folder)
    assert [a.id for a in again.annotations("a.png")] == [1]
    assert again.redo("a.png")


def test_another_journal_in_the_same_place_is_kept(qtbot, opened, folder):
    document = opened(folder)
    add(document)
    document.flush()
    path = folder / ".annotator" / "journal.sqlite"
    other = folder / ".annotator" / "other.sqlite"
    sqlite3.connect(other).executescript("CREATE TABLE x(y)")
    path.unlink()
    other.rename(path)
    add(document)
    qtbot.waitUntil(is_safe(document), timeout=10_000)
    assert ids_on_disk(folder) == [1, 2]
    assert len(list((folder / ".annotator").glob("journal.replaced-*.sqlite"))) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_coco_file_that_cannot_be_written_stays_pending(
    qtbot, opened, folder, monkeypatch, number
):
    def fail(_handle):
        raise OSError(number, os.strerror(number))

    document = opened(folder)
    (folder / "annotations.json").write_text("mine")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        add(document)
        document.save()
        qtbot.waitUntil(lambda: document.save_state.error is not None)
        assert "annotations.json" in document.save_state.error.message
        assert document.save_state.coco_pending
        qtbot.waitUntil(lambda: document.save_state.pending == 0)  # safe in the journal
        assert (folder / "annotations.json").read_text() == "mine"
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)
    assert document.save_state.error is None
    assert len(list(folder.glob("*changed outside*"))) == 1


def test_work_that_cannot_be_saved_at_the_end_is_put_aside(
    qtbot, opened, folder, tmp_path, private_home
):
    document = opened(folder)
    add(document)
    document.flush()
    shutil.rmtree(folder)
    add(document)
    with pytest.raises(UserError, match="put aside") as caught:
        document.close()
    rescued = list(private_home.rglob("rescued/*.sqlite"))
    assert len(rescued) == 1
    assert str(rescued[0]) in caught.value.message
    folder.mkdir()
    (folder / ".annotator").mkdir()
    shutil.copy(rescued[0], folder / ".annotator" / "journal.sqlite")
    again = opened(folder)
    assert [a.id for a in again.annotations("a.png")] == [1, 2]


def test_the_coco_file_waits_longer_when_writing_takes_long(monkeypatch, opened, folder):
    document = opened(folder)
    exporter = document.exporter
    exporter._duration = 4.0
    before = time.monotonic()
    exporter.follow()
    assert exporter._due - before == pytest.approx(coco_export.PATIENCE * 4.0, abs=0.5)
    exporter._duration = 0.0
    exporter.follow()
    assert exporter._due - before == pytest.approx(coco_export.QUIET, abs=0.5)


def test_many_edits_do_not_put_the_coco_file_off_for_ever(opened, folder):
    document = opened(folder)
    exporter = document.exporter
    exporter._first = time.monotonic() - coco_export.LONGEST + 0.5
    exporter.follow()
    assert exporter._due - time.monotonic() < 1.0
