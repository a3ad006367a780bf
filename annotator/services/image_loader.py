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

_Source = tuple[str, Path]

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
        self._key = ""
        self._key_before = ""
        self._settled = False
        self._wanted: tuple[_Source, ...] = ()
        self._queues: _Queues | None = None
        self._closed = False

    def request(self, key: str, path: Path) -> None:
        """Load this image; whatever was requested before is no longer answered.

        An image kept in memory is answered in the next turn of the event loop.
        """
        if self._closed:
            return
        self._ticket += 1
        if key != self._key:
            self._key_before, self._key = self._key, key
        self._settled, self._wanted = False, ()
        ticket, source = self._ticket, (key, path)
        self._cancel()
        kept = self._cache.use(source)
        if kept is None:
            self._preview(ticket, source)
            return
        QTimer.singleShot(0, self, lambda: self._answer(ticket, kept))
        if not kept.complete:
            self._complete(ticket, source)

    def prefetch(self, neighbours: Sequence[tuple[str, Path]]) -> None:
        """Load these (key, path) in the background, the likeliest next one first.

        Waits until the requested image is complete. The first neighbour is loaded completely, of
        the others the previews (small images have none and are loaded completely), as far as memory
        allows. The image the user just came from goes last. Replaces what was being prefetched.
        """
        if self._closed:
            return
        # A stable sort: the direction of travel is away from where the user was.
        self._wanted = tuple(sorted(neighbours, key=lambda source: source[0] == self._key_before))
        if self._settled:
            self._look_ahead()

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
            self._queues.ahead.cancel("neighbours")

    def _preview(self, ticket: int, source: _Source) -> None:
        cache = self._cache

        def work() -> LoadedImage:
            from annotator.core import images

            # Prefetching may have finished just this image in the meantime.
            return cache.get(source) or cache.keep(source, images.load_preview(*source))

        def done(image: LoadedImage) -> None:
            if ticket == self._ticket and not image.complete:
                self._complete(ticket, source)
            self._answer(ticket, image)

        self._started().preview.submit("image", work, done, lambda e: self._fail(ticket, e))

    def _complete(self, ticket: int, source: _Source) -> None:
        cache = self._cache

        def work() -> LoadedImage:
            from annotator.core import images

            kept = cache.get(source)
            if kept is not None and kept.complete:
                return kept
            return cache.keep(source, images.load(*source))

        def done(image: LoadedImage) -> None:
            self._answer(ticket, image)

        self._started().complete.submit("image", work, done, lambda e: self._fail(ticket, e))

    def _look_ahead(self) -> None:
        cache, wanted = self._cache, self._wanted
        if wanted:
            self._started().ahead.stream(
                "neighbours", lambda: _prefetch(cache, wanted), _ignore, _nothing, _reraise
            )

    def _answer(self, ticket: int, image: LoadedImage) -> None:
        if ticket != self._ticket:
            return
        self.loaded.emit(image)
        if image.complete:
            self._settle(ticket)

    def _fail(self, ticket: int, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        if ticket == self._ticket:
            self.failed.emit(self._key, error)
            self._settle(ticket)

    def _settle(self, ticket: int) -> None:
        """Look ahead, unless a slot has just asked for another image."""
        if ticket == self._ticket:
            self._settled = True
            self._look_ahead()


@dataclass(frozen=True, slots=True)
class _Queues:
    preview: TaskQueue
    complete: TaskQueue
    ahead: TaskQueue


class _Cache:
    """Images by key and path, bounded in bytes, least recently used out first; for all threads.

    The path belongs to the name: two projects may both have an "a.jpg".
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._images: OrderedDict[_Source, LoadedImage] = OrderedDict()
        self._current: _Source | None = None
        self._lock = threading.Lock()

    def get(self, source: _Source) -> LoadedImage | None:
        """The image kept, which thereby goes out last."""
        with self._lock:
            image = self._images.get(source)
            if image is not None:
                self._images.move_to_end(source)
            return image

    def use(self, source: _Source) -> LoadedImage | None:
        """The same, and this is the current image from now on."""
        with self._lock:
            self._current = source
        return self.get(source)

    def keep(self, source: _Source, image: LoadedImage) -> LoadedImage:
        """Keep an image, dropping older ones; never a preview in place of the complete image.

        An image that would push out the current one is not kept, unless it is the current one.
        """
        with self._lock:
            known = self._images.get(source)
            if known is not None and known.complete and not image.complete:
                return known
            self._images.pop(source, None)
            if self._make_room(image.nbytes) or source == self._current:
                self._images[source] = image
        return image

    def spare(self) -> int:
        """Bytes that fit beside the complete current image."""
        with self._lock:
            current = None if self._current is None else self._images.get(self._current)
            return self._max_bytes - (0 if current is None else current.full_nbytes)

    def drop(self, key: str) -> None:
        """Forget an image of this key."""
        with self._lock:
            for source in [source for source in self._images if source[0] == key]:
                del self._images[source]

    def clear(self) -> None:
        """Forget all images."""
        with self._lock:
            self._images.clear()

    def _make_room(self, nbytes: int) -> bool:
        used = sum(image.nbytes for image in self._images.values())
        for old in list(self._images):
            if used + nbytes <= self._max_bytes:
                break
            if old != self._current:
                used -= self._images.pop(old).nbytes
        return used + nbytes <= self._max_bytes


def _prefetch(cache: _Cache, wanted: Sequence[_Source]) -> Iterator[None]:
    """Previews (or complete small images) in order, then the complete image of the first."""
    from annotator.core import images

    lower_priority()
    spare, promoted = cache.spare(), None
    for position, source in enumerate(wanted):
        image = cache.get(source)
        if image is None:
            try:
                info = images.probe(source[1])
                if not images.pays_preview(info) and info.nbytes > spare:
                    continue
                image = cache.keep(source, images.load_preview(*source))
            except UserError:
                continue  # told when a person opens it
        spare -= image.nbytes
        if position == 0 and not image.complete and image.full_nbytes <= spare:
            spare -= image.full_nbytes
            promoted = source
        if spare <= 0:
            break
        yield
    if promoted is not None:
        try:
            cache.keep(promoted, images.load(*promoted))
        except UserError:
            return


def _ignore(_: object) -> None:
    """A prefetched image waits in the cache."""


def _nothing() -> None:
    """Nobody waits for the end of prefetching."""


def _reraise(error: Exception) -> None:
    raise error
