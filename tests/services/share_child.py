"""Works on a folder whose calls fail now and then (see `failing_files.c`); prints what it survived.

LD_PRELOAD=… python -m tests.services.share_child FOLDER
"""

from __future__ import annotations

import errno
import faulthandler
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication

from annotator.services.document import Document
from annotator.services.journal import DamagedJournal, damaged
from tests.services.test_document import add
from tests.services.test_project_history import finish, state_of

KEYS = ("a.png", "b.png", "c.png")
ERRORS = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENOSPC, errno.EROFS)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        QCoreApplication.processEvents()
        time.sleep(0.005)
        assert time.monotonic() < deadline, "waited in vain"


def is_safe(document: Document) -> bool:
    state = document.save_state
    return not state.pending and not state.coco_pending and state.error is None


def lose_the_share(document: Document, number: int, switch: Path) -> None:
    """Edits, a group step and a new class while nothing can be written."""
    document.history.groups()
    for key in KEYS:
        document.annotations(key)  # what was never looked at cannot be read while it is away
    switch.write_text(str(number))
    try:
        # What SQLite takes for damage while files cannot be read.
        found = damaged(document.project_dir / "journal.sqlite", "malformed")
        assert not isinstance(found, DamagedJournal), "the disk, not the journal"
        add(document, KEYS[0])
        group = document.history.begin("accept", "Batch")
        for key in KEYS:
            with document.history.inside(group):
                add(document, key)
        document.save()
        wait(lambda: document.save_state.error is not None)
        assert document.save_state.pending >= 4
        document.add_category(f"class {number}")
        assert document.undo(KEYS[1]), "work goes on in memory"
        assert document.redo(KEYS[1])
    finally:
        switch.write_text("0")
    assert finish(document.history.taking_back(group)).images == 3
    wait(lambda: is_safe(document))


def main() -> None:
    faulthandler.enable()
    # As in the program (see `annotator.services.garbage`): a closed document must not be destroyed
    # on a thread of the next one.
    gc.disable()
    _ = QCoreApplication([])
    folder, switch = Path(sys.argv[1]), Path(os.environ["FAILING_NUMBER"])
    syncing: set[str] = set()
    plain = os.fsync

    def watched(handle: Any) -> None:
        syncing.add(threading.current_thread().name)
        plain(handle)

    document = Document.open(folder)
    document.add_images(KEYS)
    wait(lambda: document.flush(0.1))
    os.fsync = watched
    for number in ERRORS:
        lose_the_share(document, number, switch)
        expected = state_of(document)
        document.close()
        document = Document.open(folder)
        assert state_of(document) == expected
        print(errno.errorcode[number], flush=True)
    os.fsync = plain
    assert "coco" in syncing
    assert "MainThread" not in syncing
    document.close()
    assert not list(folder.rglob("journal.replaced*"))
    print("closed")


if __name__ == "__main__":
    main()
