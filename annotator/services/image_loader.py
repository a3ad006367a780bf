"""`ImageLoader`: the image a person asked for, at once; its neighbours, beforehand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.errors import UserError
from annotator.services.priority import lower_priority
from annotator.services.task_queue import TaskQueue

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage

MEMORY = 96 << 20
"""Bytes kept by default: a 12-megapixel image (36 MB), one neighbour and two previews."""


class ImageLoader(QObject):
    """Loads images on three threads: what shows first, complete images, neighbours.

    A large JPEG comes twice: a reduced preview, then the complete image. Other images come once.
    Only the newest request is answered.

    Args:
        max_bytes: memory for images kept. The current image is kept in any case.
        parent: Qt parent.
    """

    loaded = Signal(object)
    """LoadedImage: of the newest request; a preview first where that pays."""
    failed = Signal(str, object)
    """The key of the newest request, and a UserError."""

    def __init__(self, max_bytes: int = MEMORY, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cache = _Cache(max_bytes)
        self._ticket = 0
        self._queues: _Queues | None = None
        self._closed = False

    def request(self, key: str, path: Path) -> None:
        """Load this image; whatever was requested before is no longer answered.

        An image kept in memory is answered in the next turn of the event loop.
        """
        self._ticket += 1
        ticket = self._ticket
        if self._closed:
            return
        kept = self._cache.use(key)
        if kept is not None:
            QTimer.singleShot(0, self, lambda: self._answer(ticket, kept))
            if kept.complete:
                self._cancel()
            else:
                self._complete(ticket, key, path)
            return
        self._preview(ticket, key, path)

    def prefetch(self, neighbours: Sequence[tuple[str, Path]]) -> None:
        """Load these (key, path) in the background, the likeliest next one first.

        The first one is loaded completely, of the others the previews (small images have none and
        are loaded completely), as far as memory allows. Replaces what was being prefetched.
        """
        if self._closed:
            return
        wanted = tuple(neighbours)
        cache = self._cache

        def start() -> Iterator[None]:
            return _prefetch(cache, wanted)

        self._started().ahead.stream("prefetch", start, _ignore, _nothing, _reraise)

    def forget(self, key: str) -> None:
        """Drop what is kept of an image, for example because the file has changed."""
        self._cache.drop(key)

    def close(self) -> None:
        """Stop the threads and forget everything; later requests are ignored."""
        self._closed = True
        self._ticket += 1
        if self._queues is not None:
            for queue in (self._queues.ahead, self._queues.preview, self._queues.complete):
                queue.close()
        self._queues = None
        self._cache.clear()

    def _started(self) -> _Queues:
        if self._queues is None:
            self._queues = _Queues(
                TaskQueue("image preview", self),
                TaskQueue("image", self),
                TaskQueue("image prefetch", self),
            )
        return self._queues

    def _cancel(self) -> None:
        if self._queues is not None:
            self._queues.preview.cancel("image")
            self._queues.complete.cancel("image")

    def _preview(self, ticket: int, key: str, path: Path) -> None:
        queues, cache = self._started(), self._cache
        queues.complete.cancel("image")
        queues.ahead.cancel("prefetch")

        def work() -> LoadedImage:
            from annotator.core import images

            # The background thread may have finished just this image in the meantime.
            return cache.get(key) or cache.keep(images.load_preview(key, path))

        def done(image: LoadedImage) -> None:
            if ticket == self._ticket and not image.complete:
                self._complete(ticket, key, path)
            self._answer(ticket, image)

        queues.preview.submit("image", work, done, lambda error: self._fail(ticket, key, error))

    def _complete(self, ticket: int, key: str, path: Path) -> None:
        queues, cache = self._started(), self._cache
        queues.preview.cancel("image")

        def work() -> LoadedImage:
            from annotator.core import images

            kept = cache.get(key)
            if kept is not None and kept.complete:
                return kept
            return cache.keep(images.load(key, path))

        queues.complete.submit(
            "image",
            work,
            lambda image: self._answer(ticket, image),
            lambda error: self._fail(ticket, key, error),
        )

    def _answer(self, ticket: int, image: LoadedImage) -> None:
        if ticket == self._ticket:
            self.loaded.emit(image)

    def _fail(self, ticket: int, key: str, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        if ticket == self._ticket:
            self.failed.emit(key, error)


@dataclass(frozen=True, slots=True)
class _Queues:
    preview: TaskQueue
    complete: TaskQueue
    ahead: TaskQueue


class _Cache:
    """Images by key, bounded in bytes, least recently used out first; for several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._images: OrderedDict[str, LoadedImage] = OrderedDict()
        self._current = ""
        self._lock = threading.Lock()

    def get(self, key: str) -> LoadedImage | None:
        """The image kept under a key, which thereby goes out last."""
        with self._lock:
            image = self._images.get(key)
            if image is not None:
                self._images.move_to_end(key)
            return image

    def use(self, key: str) -> LoadedImage | None:
        """The same, and the image with this key is the current one from now on."""
        with self._lock:
            self._current = key
        return self.get(key)

    def keep(self, image: LoadedImage) -> LoadedImage:
        """Keep an image, dropping older ones; never a preview in place of the complete image.

        An image that would push out the current one is not kept, unless it is the current one.
        """
        with self._lock:
            known = self._images.get(image.key)
            if known is not None and known.complete and not image.complete:
                return known
            self._images.pop(image.key, None)
            if self._make_room(image.nbytes, image.key):
                self._images[image.key] = image
        return image

    def spare(self) -> int:
        """Bytes that fit beside the complete current image."""
        with self._lock:
            current = self._images.get(self._current)
            return self._max_bytes - (0 if current is None else current.full_nbytes)

    def drop(self, key: str) -> None:
        with self._lock:
            self._images.pop(key, None)

    def clear(self) -> None:
        with self._lock:
            self._images.clear()

    def _make_room(self, nbytes: int, key: str) -> bool:
        used = sum(image.nbytes for image in self._images.values())
        for old in list(self._images):
            if used + nbytes <= self._max_bytes:
                return True
            if old != self._current:
                used -= self._images.pop(old).nbytes
        return used + nbytes <= self._max_bytes or key == self._current


def _prefetch(cache: _Cache, wanted: Sequence[tuple[str, Path]]) -> Iterator[None]:
    """Previews (or complete small images) in order, then the complete image of the first."""
    from annotator.core import images

    lower_priority()
    spare, promoted = cache.spare(), None
    for position, (key, path) in enumerate(wanted):
        image = cache.get(key)
        if image is None:
            try:
                info = images.probe(path)
                if not images.pays_preview(info) and info.nbytes > spare:
                    continue
                image = cache.keep(images.load_preview(key, path))
            except UserError:
                continue  # told when a person opens it
        spare -= image.nbytes
        if position == 0 and not image.complete and image.full_nbytes <= spare:
            spare -= image.full_nbytes
            promoted = (key, path)
        if spare <= 0:
            break
        yield
    if promoted is not None:
        try:
            cache.keep(images.load(*promoted))
        except UserError:
            return


def _ignore(_: object) -> None:
    """A prefetched image waits in the cache."""


def _nothing() -> None:
    """Nobody waits for the end of prefetching."""


def _reraise(error: Exception) -> None:
    raise error
