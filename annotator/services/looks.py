"""`Looks`: what objects look like, found out and compared on one thread in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services.priority import lower_priority
from annotator.services.task_queue import CLOSING_S, TaskQueue

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.mask import Mask
    from annotator.services.answering import Picture
    from annotator.services.document import Document
    from annotator.services.whereabouts import Whereabouts
    from annotator.services.workspace import Workspace
    from models.api import Box, Describer

    Vector = NDArray[np.float32]

T = TypeVar("T")
SLOT = "describe"


class Looks(QObject):
    """One thread for all that compares objects of the open project; it starts with its first work.

    Args:
        workspace: what is open.
        describer: makes what says how objects look; called on the thread. By default the one that
            needs no weights.
        space: the `Describer.id` of that, None for the default.
        parent: Qt parent.
    """

    ready_changed = Signal()
    """A project was opened or is about to be closed."""
    described = Signal(int)
    """The object with this id was looked at for the first time."""
    progressed = Signal(int, int)
    """Of the objects nobody had looked at: how many were by now, and how many there were; 0 of 0
    when that is over."""

    def __init__(
        self,
        workspace: Workspace,
        describer: Callable[[], Describer] | None = None,
        space: str | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._make = describer or _basic
        self._space = space
        self._queue: TaskQueue | None = None
        self._where: Whereabouts | None = None
        self._slots: set[str] = set()
        self._describing = False
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closing.connect(self._leave_project)
        if workspace.document is not None:
            self._follow_project(workspace.document)

    @property
    def space(self) -> str:
        """Which vectors of the document are compared."""
        return self._space or _basic().id

    @property
    def describing(self) -> bool:
        """Whether objects nobody has looked at are being looked at."""
        return self._describing

    def _follow_project(self, document: Document) -> None:
        self._where = document.whereabouts()
        self.ready_changed.emit()

    def _leave_project(self) -> None:
        self.stop()
        for slot in self._slots:
            if self._queue is not None:
                self._queue.cancel(slot)
        if self._where is not None:
            self._where.close()
            self._where = None
        self.ready_changed.emit()

    def close(self) -> None:
        """End the thread."""
        self._leave_project()
        if self._queue is not None:
            self._queue.close(patience=CLOSING_S)
            self._queue = None

    # --- Work of others ---

    def submit(
        self, slot: str, work: Callable[[Whereabouts], T], done: Callable[[T], None]
    ) -> None:
        """Have something done for the open project soon; the newest wish of a slot counts."""
        where = self._where
        if where is not None:
            self._slots.add(slot)
            self._started().submit(slot, lambda: work(where), done, self._fail)

    def stream(
        self,
        slot: str,
        start: Callable[[Whereabouts], Iterator[T]],
        step: Callable[[T], None],
        done: Callable[[], None],
    ) -> None:
        """Have something done for the open project step by step, when nothing else waits."""
        where = self._where
        if where is not None:
            self._slots.add(slot)
            self._started().stream(slot, lambda: start(where), step, done, self._fail)

    def cancel(self, slot: str) -> None:
        """Nobody waits for the work of a slot any more."""
        if self._queue is not None:
            self._queue.cancel(slot)

    def _started(self) -> TaskQueue:
        if self._queue is None:
            self._queue = TaskQueue("looks", self)
            self._queue.submit("priority", lower_priority, lambda _: None, self._fail)
        return self._queue

    def _fail(self, error: Exception) -> None:
        if isinstance(error, UserError):
            self._workspace.reported.emit(error)
        else:
            raise error

    # --- Objects nobody has looked at ---

    def describe(self, key: str, annotation_id: int) -> None:
        """Look at one object; `described` follows, or people are told why not."""
        document = self._workspace.document
        if document is None:
            return
        wanted = self._objects(document, key, {annotation_id})

        def done(found: list[tuple[int, Vector]]) -> None:
            self._keep(document, found)
            if not found:
                self._workspace.reported.emit(
                    UserError(
                        f"The object in “{key}” cannot be looked at.",
                        "Its image cannot be read, or the object lies outside of it.",
                    )
                )

        self.submit(
            f"describe {annotation_id}",
            lambda _: list(_described(document.path(key), wanted, self._make())),
            done,
        )

    def describe_all(self) -> None:
        """Look at all accepted objects nobody has looked at, image after image."""
        document, space = self._workspace.document, self.space
        if document is None or self._describing:
            return
        self._describing = True
        self.submit("list", lambda where: where.undescribed(space), self._begin)

    def _begin(self, objects: list[tuple[str, int]]) -> None:
        document = self._workspace.document
        if document is None or not self._describing:
            return
        images = [
            (key, frozenset(number for _, number in group))
            for key, group in groupby(objects, lambda entry: entry[0])
        ]
        self._follow(document, images, 0, len(objects))

    def _follow(
        self, document: Document, images: list[tuple[str, frozenset[int]]], done: int, total: int
    ) -> None:
        """The next image: its objects are fetched here, looked at on the thread."""
        if not self._describing or document is not self._workspace.document:
            return
        self.progressed.emit(done, total)
        if not images:
            self.stop()
            return
        (key, ids), *rest = images
        wanted = self._objects(document, key, ids)

        def go_on(found: list[tuple[int, Vector]]) -> None:
            self._keep(document, found)
            self._follow(document, rest, done + len(ids), total)

        path = document.path(key)
        self.submit(SLOT, lambda _: list(_described(path, wanted, self._make())), go_on)

    def stop(self) -> None:
        """Look at no more of them; what was found out stays."""
        if self._describing:
            self._describing = False
            self.cancel(SLOT)
            self.progressed.emit(0, 0)

    @staticmethod
    def _objects(
        document: Document, key: str, ids: frozenset[int] | set[int]
    ) -> list[tuple[int, Mask | Box]]:
        return [(a.id, a.shape) for a in document.annotations(key) if a.id in ids]

    def _keep(self, document: Document, found: list[tuple[int, Vector]]) -> None:
        if document is self._workspace.document:
            for number, vector in found:
                document.set_vector(number, self.space, vector)
                self.described.emit(number)


def _basic() -> Describer:
    from models.describe import BasicDescriber

    return BasicDescriber()


def _described(
    path: Path, wanted: Sequence[tuple[int, Mask | Box]], describer: Describer
) -> Iterator[tuple[int, Vector]]:
    """Ids and vectors of objects of one image; on the thread."""
    from annotator.core import images, raster, views
    from models.api import Box

    if not wanted:
        return
    try:
        pixels = images.load("", path).pixels
    except UserError:
        return  # told when a person opens it
    height, width = pixels.shape[:2]
    for number, shape in wanted:
        mask = raster.from_box(shape, width, height) if isinstance(shape, Box) else shape
        view = views.of_mask(pixels, mask, describer.frame)
        if view is not None:
            yield number, describer.describe(*view)


def read_picture(key: str, path: Path) -> Picture | None:
    """An image for the model, None when it cannot be read; that is told when a person opens it."""
    from annotator.core import images
    from annotator.services.answering import Picture
    from annotator.services.embeddings import ImageFile

    try:
        image = images.load(key, path)
    except UserError:
        return None
    return Picture(key, ImageFile(path, *image.stamp), image.pixels)
