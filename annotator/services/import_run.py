"""An import into the open project: files are read on a thread, objects join on the GUI thread.

The thread makes the objects of one image after the other and waits while a few images are ahead;
the GUI thread merges them in slices shorter than a frame. `Import` does the merging and knows
nothing of threads: the images it goes over come through a queue.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.errors import UserError
from annotator.services.importing import Import, taking_back
from annotator.services.store import Courier

if TYPE_CHECKING:
    from annotator.core.formats.api import Content, LabelledImage
    from annotator.core.formats.merging import MergeRules
    from annotator.services.document import Document

SLICE = 0.008
"""Seconds the GUI thread is kept at a time."""
PAUSE = 0.05
"""Seconds between two reports of progress."""
AHEAD = 32
"""Images whose objects wait to be merged."""


class _Feed:
    """Images made on a thread, taken on another.

    Args:
        content: whose images.
        arrived: called on the thread when there is something to take.
    """

    def __init__(self, content: Content, arrived: Callable[[], None]) -> None:
        self._content = content
        self._arrived = arrived
        self._queue: queue.Queue[LabelledImage | UserError | None] = queue.Queue(AHEAD)
        self._asked = threading.Event()
        self.thread = threading.Thread(target=self._run, name="import")
        self.thread.start()

    def images(self) -> Iterator[LabelledImage]:
        """All of them; waits for each.

        Raises:
            UserError: the file cannot be read any more.
        """
        while not self._asked.is_set():
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, UserError):
                raise item
            yield item

    def is_ready(self) -> bool:
        """Whether taking the next one needs no waiting."""
        return not self._queue.empty()

    def stop(self) -> None:
        """Make no more images; the thread ends with the one it is at."""
        self._asked.set()

    def _run(self) -> None:
        try:
            for image in self._content.images():
                self._put(replace(image, annotations=list(image.annotations)))
                if self._asked.is_set():
                    return
            self._put(None)
        except UserError as error:
            self._put(error)

    def _put(self, item: LabelledImage | UserError | None) -> None:
        while not self._asked.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            self._arrived()
            return


class ImportRun(QObject):
    """Reads a file, finds out what would happen, and does it.

    Args:
        document: the project.
        parent: Qt parent.
    """

    recognised = Signal(str)
    """Title of the format; the file is read after that."""
    opened = Signal(object)
    """The `Content`: everything was read and checked once."""
    advanced = Signal(int, int)
    """Image that is being looked at, and number of images."""
    planned = Signal(object)
    """The `Import`, with what would happen."""
    finished = Signal(object)
    """The `Import`, with what happened."""
    taken_back = Signal(int, list)
    """Images that are as before the last import, and keys of those that were changed since."""
    failed = Signal(object)
    """A `UserError`."""

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._courier = Courier(self)
        self._turn = 0
        self._feed: _Feed | None = None
        self._threads: list[threading.Thread] = []
        self._work: Generator[str, None, None] | None = None
        self._joining: Import | None = None
        self._is_applying = False
        self._undoing: Generator[str, None, tuple[int, list[str]]] | None = None
        self._done = 0
        self._shown = 0.0
        # What is posted is done before any key or paint event: slices that post the next one would
        # keep the window waiting until the end. A timer lets it have its turn.
        self._slices = QTimer(self, singleShot=True, interval=0)
        self._slices.timeout.connect(self._go_on)
        self._steps_back = QTimer(self, singleShot=True, interval=0)
        self._steps_back.timeout.connect(self._take_back)

    def open(self, path: Path, format_id: str = "") -> None:
        """Read a file or folder; `opened` or `failed` tells the end. A later call wins.

        Args:
            path: the file or folder.
            format_id: "" to find out.
        """
        self.stop()
        names = self._document.coco_path
        given = (self._turn, path, format_id, self._document.folder, names)
        thread = threading.Thread(target=self._open, args=given, name="import")
        thread.start()
        self._keep(thread)

    def plan(self, content: Content, rules: MergeRules, name: str) -> None:
        """Find out what would happen; a later call wins."""
        self._begin(content, rules, name, apply=False)

    def apply(self, content: Content, rules: MergeRules, name: str) -> None:
        """Do it."""
        self._begin(content, rules, name, apply=True)

    def take_back(self) -> None:
        """Take the last import back."""
        self.stop()
        self._undoing = taking_back(self._document)
        self._take_back()

    def stop(self) -> bool:
        """Stop after the image it is at; what was done so far can be taken back.

        Returns:
            Whether something was being done.
        """
        feed, work, self._feed, self._work = self._feed, self._work, None, None
        self._turn += 1
        if feed is None or work is None:
            return False
        feed.stop()
        # Ends the generator, which notes what was done.
        work.close()
        return self._is_applying

    def is_at_rest(self) -> bool:
        """Whether `close` need not wait; ask again a little later after `stop`."""
        return self._undoing is None and not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Stop, and wait for the threads."""
        self.stop()
        # Half of it taken back would be neither here nor there.
        for _ in self._undoing or ():
            pass
        self._undoing = None
        for thread in self._threads:
            thread.join()

    # --- On the GUI thread ---

    def _begin(self, content: Content, rules: MergeRules, name: str, *, apply: bool) -> None:
        self.stop()
        turn = self._turn
        self._done, self._is_applying = 0, apply
        feed = self._feed = _Feed(content, lambda: self._courier.post(lambda: self._wake(turn)))
        self._keep(feed.thread)
        fed = replace(content, images=feed.images)
        self._joining = Import(self._document, fed, rules, name)
        self._work = self._joining.apply() if apply else self._joining.plan()

    def _wake(self, turn: int) -> None:
        """An image has arrived."""
        if turn == self._turn and not self._slices.isActive():
            self._slices.start()

    def _go_on(self) -> None:
        """Merge what has arrived; what does not fit into a slice waits for the next turn."""
        began, turn = time.monotonic(), self._turn
        while turn == self._turn and self._feed is not None and self._feed.is_ready():
            self._step()
            if time.monotonic() - began > SLICE:
                self._slices.start()
                return

    def _step(self) -> None:
        assert self._work is not None
        assert self._joining is not None
        try:
            next(self._work)
        except StopIteration:
            joining, applied = self._joining, self._is_applying
            self.stop()
            (self.finished if applied else self.planned).emit(joining)
        except UserError as error:
            self.stop()
            self.failed.emit(error)
        else:
            self._done += 1
            if time.monotonic() - self._shown > PAUSE:
                self._shown = time.monotonic()
                self.advanced.emit(self._done, self._joining.content.count)

    def _take_back(self) -> None:
        began = time.monotonic()
        try:
            while self._undoing is not None and time.monotonic() - began < SLICE:
                next(self._undoing)
        except StopIteration as end:
            self._undoing = None
            self.taken_back.emit(*end.value)
        else:
            if self._undoing is not None:
                self._steps_back.start()

    def _keep(self, thread: threading.Thread) -> None:
        """What was stopped may need a moment to notice; nobody waits for it before the end."""
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]

    def _name(self, turn: int, title: str) -> None:
        if turn == self._turn:
            self.recognised.emit(title)

    def _tell(self, turn: int, result: Content | UserError) -> None:
        if turn == self._turn:
            signal = self.failed if isinstance(result, UserError) else self.opened
            signal.emit(result)

    # --- On the thread ---

    def _open(self, turn: int, path: Path, format_id: str, folder: Path, names: Path) -> None:
        from annotator.core.formats.api import Origin
        from annotator.core.formats.registry import format_spec, open_content, recognise

        result: Content | UserError
        try:
            if not path.exists():
                raise UserError(f"“{path}” does not exist.", "Check the spelling or the drive.")
            name = format_id or recognise(path).id
            title = format_spec(name).title
            self._courier.post(lambda: self._name(turn, title))
            # Results have numbers only; the project's own file says what they mean.
            known = names if name == "coco-results" and names.is_file() else None
            result = open_content(Origin(path, folder, known), name)
        except UserError as error:
            result = error
        self._courier.post(lambda: self._tell(turn, result))
