"""`CheckRun`: checks of the open project on a thread of their own; repairs as one group step."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services.checking import Order, Repaired, Step, repair_text, repairs, run
from annotator.services.priority import lower_priority
from annotator.services.slices import Slices
from annotator.services.store import Courier, explain_failure

if TYPE_CHECKING:
    from annotator.core.checks.api import Finding
    from annotator.services.document import Document

PAUSE = 0.1
"""Seconds between two reports."""
SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a repair did.

    Attributes:
        group: the group step; it does not exist where no image changed.
        count: findings repaired.
        images: that changed.
        left: images that somebody changed meanwhile; they were left alone.
        named: image and object of those that got a name.
    """

    group: int
    count: int
    images: int
    left: int
    named: frozenset[tuple[str, int]] = frozenset()


class CheckRun(QObject):
    """Finds, and repairs, one at a time.

    Args:
        parent: Qt parent.
    """

    found = Signal(list)
    """Further `Finding`s."""
    advanced = Signal(int, int, str)
    """Images done, of how many, and what is looked at: "objects" or "pictures"."""
    finished = Signal(bool)
    """A search came to its end; whether it was stopped."""
    repaired = Signal(object)
    """A repair came to its end: `Done`."""
    failed = Signal(object)
    """A `UserError`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._courier = Courier(self)
        self._asked = threading.Event()
        self._thread: threading.Thread | None = None
        self._slices = Slices(self)
        self._running = False

    @property
    def running(self) -> bool:
        """Whether it works."""
        return self._running

    def start(self, document: Document, order: Order) -> None:
        """Look for what may be wrong."""
        self._begin(partial(self._find, document, order))

    def repair(self, document: Document, order: Order, findings: Collection[Finding]) -> None:
        """Repair these, as one group step of the project."""
        self._begin(partial(self._repair, document, order, tuple(findings)))

    def stop(self) -> None:
        """End the search; what was found stays."""
        self._asked.set()

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self.stop()
        self._slices.stop()
        self._running = False
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _begin(self, work: Callable[[], None]) -> None:
        self.close()
        self._asked = threading.Event()
        self._running = True
        self._thread = threading.Thread(target=work, name="check", daemon=True)
        self._thread.start()

    # --- On the thread ---

    def _find(self, document: Document, order: Order) -> None:
        asked = self._asked
        lower_priority()
        try:
            document.flush(SETTLE_S)
            self._report(run(order), asked)
        except UserError as error:
            self._post(asked, partial(self._fail, error))
        except sqlite3.Error as error:
            self._post(asked, partial(self._fail, explain_failure(error, order.folder)))
        else:
            self._courier.post(lambda: self._finish(asked))

    def _report(self, steps: Iterator[Step], asked: threading.Event) -> None:
        found: list[Finding] = []
        told = 0.0
        for step in steps:
            found += step.found
            is_last = step.done == step.count
            if asked.is_set():
                break
            if is_last or time.monotonic() - told > PAUSE:
                told = time.monotonic()
                if found:
                    self._post(asked, partial(self.found.emit, found))
                    found = []
                self._post(asked, partial(self.advanced.emit, step.done, step.count, step.what))

    def _repair(self, document: Document, order: Order, findings: Sequence[Finding]) -> None:
        asked = self._asked
        lower_priority()
        try:
            document.flush(SETTLE_S)
            made = list(repairs(order, findings, asked.is_set))
        except UserError as error:
            self._post(asked, partial(self._fail, error))
            return
        except sqlite3.Error as error:
            self._post(asked, partial(self._fail, explain_failure(error, order.folder)))
            return
        text = repair_text({finding.check for finding in findings})
        self._post(asked, partial(self._apply, document, made, text))

    def _post(self, asked: threading.Event, call: Callable[[], object]) -> None:
        self._courier.post(lambda: None if asked.is_set() else _ignore(call()))

    # --- On the GUI thread ---

    def _finish(self, asked: threading.Event) -> None:
        if asked is self._asked and self._running:
            self._running = False
            self.finished.emit(asked.is_set())

    def _fail(self, error: UserError) -> None:
        self._running = False
        self.failed.emit(error)

    def _end_repair(self, done: Done) -> None:
        self._running = False
        self.repaired.emit(done)

    def _apply(self, document: Document, made: Sequence[Repaired], text: str) -> None:
        self._slices.start(_edits(document, made, text), self._end_repair)


def _ignore(_: object) -> None:
    return None


def _edits(document: Document, made: Sequence[Repaired], text: str) -> Generator[None, None, Done]:
    """Edit image after image, all in one group step."""
    count = images = left = 0
    named: set[tuple[str, int]] = set()
    group = document.history.begin("repair", text)
    for done in made:
        # Somebody may have edited the image since it was looked at.
        if document.annotations(done.key) != done.before:
            left += 1
            continue
        with document.history.inside(group):
            document.edit(done.key, done.after, text)
        count, images = count + done.count, images + 1
        nameless = {a.id for a in done.before if a.category_id is None}
        named |= {(done.key, a.id) for a in done.after
                  if a.id in nameless and a.category_id is not None}  # fmt: skip
        yield
    return Done(group, count, images, left, frozenset(named))
