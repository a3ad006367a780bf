"""`ImageHistory`: the steps of the image that is shown, read and drawn in the background."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.errors import UserError
from annotator.core.history import Change
from annotator.services.history_journal import StepRow
from annotator.services.history_steps import Past, Target
from annotator.services.priority import lower_priority
from annotator.services.store import Reader, explain_failure
from annotator.services.task_queue import TaskQueue

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

    from annotator.core.annotation import Category
    from annotator.services.document import Document

SIDE = 64
"""Of the pictures, pixels."""
BASE_SIDE = 1024
"""The image is read no larger than this for them."""
SETTLE_S = 5.0
"""How long the newest steps may take to be in the journal."""
AFTER_MS = 150
"""Pause after a step before the list is read again: strokes come faster."""
KEPT = 2000
"""Pictures in memory."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The history of an image.

    Attributes:
        key: of the image.
        rows: all steps, oldest first.
        tip: the step the current state is after.
    """

    key: str
    rows: Sequence[StepRow]
    tip: int


@dataclass(frozen=True, slots=True)
class Look:
    """What a step changed.

    Attributes:
        step: number.
        words: for people.
        picture: a square, null where it cannot be drawn.
    """

    step: int
    words: str
    picture: QImage


class ImageHistory(QObject):
    """Reads the history of one image at a time on a thread of its own.

    Args:
        parent: Qt parent.
    """

    loaded = Signal(object)
    """`Steps` of the image that was asked for last."""
    looked = Signal(object)
    """`Look` at one step."""
    found = Signal(object)
    """`Target`: a state that was asked for."""
    reported = Signal(object)
    """A `UserError`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self._key = ""
        self._queue: TaskQueue | None = None
        self._worker: _Worker | None = None
        self._looks: OrderedDict[tuple[str, int], Look] = OrderedDict()
        self._drawing = False
        self._soon = QTimer(self, singleShot=True, interval=AFTER_MS)
        self._soon.timeout.connect(self._load)

    def follow(self, document: Document | None) -> None:
        """Another project, or none."""
        self._soon.stop()
        if self._document is not None:
            self._document.annotations_changed.disconnect(self._follow_change)
        if self._queue is not None:
            self._queue.cancel("steps")
            self._queue.cancel("looks")
        if self._worker is not None:
            self._worker.close()
        self._document, self._key, self._worker = document, "", None
        self._looks.clear()
        self._drawing = False
        if document is not None:
            document.annotations_changed.connect(self._follow_change)
            self._worker = _Worker(document)

    def show(self, key: str) -> None:
        """Read the steps of this image; `loaded` follows, and again after every step."""
        self._key = key
        self._load()

    def hide(self) -> None:
        """Nobody looks at the moment."""
        self._key = ""
        self._soon.stop()

    def look(self, step: int) -> Look | None:
        """What a step changed, if it is known; else `looked` follows soon."""
        known = self._looks.get((self._key, step))
        if known is None and self._worker is not None:
            self._worker.wish(self._key, step)
            self._draw()
        return known

    def find(self, step: int) -> None:
        """Work the state after a step out (0: before the first one); `found` follows."""
        worker, key = self._worker, self._key
        if worker is not None and key:
            worker.know(key)
            self._submit("target", lambda: worker.target(key, step), self.found.emit)

    def close(self) -> None:
        """End the thread."""
        self.follow(None)
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    def _follow_change(self, key: str) -> None:
        if key == self._key:
            self._soon.start()

    def _load(self) -> None:
        worker, key = self._worker, self._key
        if worker is not None and key:
            worker.know(key)
            self._submit("steps", lambda: worker.steps(key), self._take)

    def _take(self, steps: Steps) -> None:
        if steps.key == self._key:
            self.loaded.emit(steps)

    def _draw(self) -> None:
        worker = self._worker
        if worker is None or self._drawing:
            return
        self._drawing = True
        categories = self._document.categories() if self._document is not None else ()
        self._threads().stream(
            "looks", lambda: worker.looks(categories), self._keep, self._rest, self._fail
        )

    def _keep(self, made: tuple[str, Look]) -> None:
        key, look = made
        self._looks[key, look.step] = look
        while len(self._looks) > KEPT:
            self._looks.popitem(last=False)
        if key == self._key:
            self.looked.emit(look)

    def _rest(self) -> None:
        self._drawing = False
        if self._worker is not None and self._worker.has_wishes():
            self._draw()

    def _threads(self) -> TaskQueue:
        if self._queue is None:
            self._queue = TaskQueue("history", self)
        return self._queue

    def _submit(self, slot: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._threads().submit(slot, work, done, self._fail)

    def _fail(self, error: Exception) -> None:
        self._drawing = False
        if not isinstance(error, UserError):
            raise error
        self.reported.emit(error)


class _Worker:
    """What the thread does; wishes are shared with the GUI thread."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._reader: Reader = document.reader()
        self._ids: dict[str, tuple[int, int, int]] = {}
        self._past: Past | None = None
        self._base: tuple[str, Any] = ("", None)
        self._wishes: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._closed = False
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def know(self, key: str) -> None:
        """The document is asked on its own thread only."""
        record = self._document.record(key)
        self._ids[key] = (record.id, record.width, record.height)

    def wish(self, key: str, step: int) -> None:
        self.know(key)
        with self._lock:
            self._wishes.pop((key, step), None)
            self._wishes[key, step] = None
            while len(self._wishes) > 64:
                self._wishes.popitem(last=False)

    def has_wishes(self) -> bool:
        with self._lock:
            return bool(self._wishes)

    def close(self) -> None:
        with self._lock:
            self._wishes.clear()
        with self._reading:
            self._closed = True
            self._past = None
            self._reader.close()

    def steps(self, key: str) -> Steps:
        self._document.flush(SETTLE_S)
        with self._reading:
            past = self._read(key, lambda past: past, fresh=True)
        return Steps(key, past.rows, past.tip) if past is not None else Steps(key, (), 0)

    def target(self, key: str, step: int) -> Target:
        self._document.flush(SETTLE_S)
        with self._reading:
            found: Target | None = self._read(key, lambda past: past.target(step), fresh=True)
        if found is None:
            raise UserError("The project is closed.", "Open it again.")
        return found

    def looks(self, categories: Sequence[Category]) -> Iterator[tuple[str, Look]]:
        """Newest wishes first, one each time."""
        lower_priority()
        names = {c.id: c.name for c in categories}
        colors = {c.id: _rgb(c.color) for c in categories}
        while True:
            with self._lock:
                if not self._wishes:
                    return
                (key, step), _ = self._wishes.popitem()
            with self._reading:
                change = self._read(key, lambda past, n=step: past.change(n))  # type: ignore[misc]
            if change is not None:
                yield key, self._look(key, step, change, names, colors)

    def _look(
        self,
        key: str,
        step: int,
        change: Change,
        names: dict[int, str],
        colors: dict[int, tuple[int, int, int]],
    ) -> Look:
        from PySide6.QtGui import QImage

        from annotator.core.history_words import picture, words

        _, width, height = self._ids[key]
        made = picture(
            self._pixels(key), (width, height), change,
            lambda c: colors.get(c or 0, (230, 160, 0)), SIDE,
        )  # fmt: skip
        image = QImage(made.data, SIDE, SIDE, 3 * SIDE, QImage.Format.Format_RGB888).copy()
        text = words(change, lambda c: names.get(c or 0, "removed class" if c else "unnamed"))
        return Look(step, text, image)

    def _pixels(self, key: str) -> Any:
        if self._base[0] != key:
            from annotator.core.images import read_reduced

            try:
                pixels = read_reduced(self._document.path(key), BASE_SIDE)
            except UserError:
                pixels = None
            self._base = (key, pixels)
        return self._base[1]

    def _read(self, key: str, ask: Callable[[Past], Any], *, fresh: bool = False) -> Any:
        """Ask the past of an image; None when the project is closed."""
        if self._closed:
            return None
        journal = self._document.project_dir / "journal.sqlite"
        try:
            db = self._reader.connection()
            if fresh or self._past is None or self._past.key != key:
                self._past = Past(db, key, self._ids[key][0])
            return ask(self._past)
        except sqlite3.Error as error:
            raise explain_failure(error, journal) from error


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
