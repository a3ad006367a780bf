"""`SimilarSearch`: a model looks for objects that look like one, in one image after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services.answering import Picture
from annotator.services.assistant import Assistant
from annotator.services.everything import Alike, Ended, Everything
from annotator.services.looks import read_picture

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.looks import Looks
    from annotator.services.workspace import Workspace
    from models.everything import Options

SLOT = "similar image"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search has come.

    Attributes:
        done: images.
        total: images.
        found: new proposals.
    """

    done: int
    total: int
    found: int


class SimilarSearch(QObject):
    """Everything mode in one image after the other, keeping only what looks like an object.

    Images are read by one thread and encoded beforehand by another that gives way; clicks wait
    for at most one step of everything mode. What is found is proposed, one step per image; images
    a person marked as reviewed are left alone.

    Args:
        workspace: what is open.
        looks: its thread reads the images.
        parent: Qt parent.
    """

    progressed = Signal(object)
    """`Progress`."""
    running_changed = Signal(bool)
    """Whether a search goes on."""
    finished = Signal(str)
    """It came to its end, in words."""
    failed = Signal(object)
    """A `UserError`: the model cannot do it."""

    def __init__(self, workspace: Workspace, looks: Looks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._everything: Everything = workspace.everything
        self._assistant: Assistant = workspace.assistant
        self._looks = looks
        self._document: Document | None = None
        self._queue: deque[str] = deque()
        self._ready: Picture | None = None
        self._quiet = False
        self._total = self._found = self._hit = self._unread = self._reviewed = 0
        self._everything.running_changed.connect(self._follow_everything)
        workspace.project_closing.connect(self.stop)
        workspace.model_changed.connect(lambda _: self.stop())

    @property
    def running(self) -> bool:
        """Whether a search goes on."""
        return self._document is not None

    def start(
        self, document: Document, keys: Sequence[str], options: Options, alike: Alike
    ) -> None:
        """Search some images.

        Raises:
            UserError: a search goes on already.
        """
        if self.running:
            raise UserError(
                "Similar objects are being looked for already.",
                "Wait until that is done, or press Esc to stop it.",
            )
        open_keys = [key for key in keys if not document.record(key).settled]
        self._document, self._options, self._alike = document, options, alike
        self._queue, self._total = deque(open_keys), len(open_keys)
        self._found = self._hit = self._unread = 0
        self._reviewed = len(keys) - len(open_keys)
        self.running_changed.emit(True)
        self._next()

    def stop(self) -> None:
        """End the search; what was proposed stays."""
        if self.running:
            self._end("Stopped. ")

    def _end(self, before: str = "") -> None:
        done = self._total - len(self._queue)
        self._document, self._ready = None, None
        self._queue.clear()
        self._looks.cancel(SLOT)
        if self._quiet:  # everything mode works for this search
            self._everything.stop()
        self.running_changed.emit(False)
        self.finished.emit(before + self._told(done))

    def _told(self, done: int) -> str:
        objects = f"{self._found:,} similar object{'' if self._found == 1 else 's'}"
        images = f"{self._hit:,} of {done:,} image{'' if done == 1 else 's'}"
        text = f"Found {objects} in {images}."
        if self._unread:
            text += f" {self._unread:,} could not be read."
        if self._reviewed:
            text += f" {self._reviewed:,} reviewed left alone."
        return text

    # --- One image after the other ---

    def _next(self) -> None:
        document = self._document
        if document is None:
            return
        done = self._total - len(self._queue)
        self.progressed.emit(Progress(done, self._total, self._found))
        if not self._queue:
            self._end()
            return
        key = self._queue[0]
        path = document.path(key)
        self._looks.submit(SLOT, lambda _: read_picture(key, path), self._take)

    def _take(self, picture: Picture | None) -> None:
        if picture is None:
            self._unread += 1
            self._queue.popleft()
            self._next()
            return
        if not self._assistant.model.cache_on_disk:
            self._search(picture)
            return
        # Clicks would have to wait for an encoder on the thread that answers them.
        self._assistant.encode_ahead(picture, lambda: self._search(picture), SLOT)

    def _search(self, picture: Picture) -> None:
        if self._document is None or not self._queue or self._queue[0] != picture.key:
            return
        if self._everything.key is not None:
            self._ready = picture  # the person's own search comes first
            return
        self._ready, self._quiet = None, True
        self._everything.start(
            self._document, picture, self._options, self._alike, partial(self._follow, picture.key)
        )

    def _follow_everything(self, running: bool) -> None:
        if not running and self._ready is not None:
            self._search(self._ready)

    def _follow(self, key: str, ended: Ended) -> None:
        self._quiet = False
        if self._document is None or not self._queue or self._queue[0] != key:
            return
        if ended.error is not None:
            self.failed.emit(ended.error)
        if ended.found is None:
            self.stop()
            return
        self._queue.popleft()
        self._found += ended.found
        self._hit += ended.found > 0
        self._next()
