"""`CacheKeeper`: how much room embeddings take on the disk, and who decides about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services.task_queue import TaskQueue
from models.api import ModelError

if TYPE_CHECKING:
    from models.embedding_cache import DiskCache

GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CacheUse:
    """The room of all embeddings together.

    Attributes:
        used: bytes they take.
        granted: bytes the user grants.
        limit: bytes they may really take: less than granted when the disk has little room.
    """

    used: int
    granted: int
    limit: int


class CacheKeeper(QObject):
    """Measures, bounds and clears the cache in the background; one thing after another.

    Args:
        parent: Qt parent.
    """

    measured = Signal(object)
    """The `CacheUse` as it is now."""
    failed = Signal(object)
    """A `UserError`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue: TaskQueue | None = None

    def measure(self) -> None:
        """Emit `measured` soon."""
        self._do("measure", lambda _: None)

    def clear(self) -> None:
        """Delete all embeddings, then measure. They are made again when they are needed."""
        self._do("clear", lambda cache: cache.clear())

    def grant(self, gigabytes: int) -> None:
        """Bound the cache, in all programs of this user, then measure."""
        from models.embedding_cache import DiskCache

        try:
            DiskCache().set_max_bytes(gigabytes * GB)
        except ModelError as error:
            self._fail(error)
            return
        self._do("grant", lambda cache: cache.trim())

    def close(self) -> None:
        """End the thread; the next request starts another."""
        if self._queue is not None:
            self._queue.close()
            self._queue.deleteLater()
            self._queue = None

    def _do(self, slot: str, act: Callable[[DiskCache], None]) -> None:
        if self._queue is None:
            self._queue = TaskQueue("cache", self)
        self._queue.submit(slot, lambda: _measured(act), self.measured.emit, self._fail)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, ModelError):
            raise error
        self.failed.emit(UserError(str(error), "Check the permissions of the folder."))


def _measured(act: Callable[[DiskCache], None]) -> CacheUse:
    from models.embedding_cache import DiskCache

    cache = DiskCache()
    act(cache)
    return CacheUse(cache.nbytes(), cache.max_bytes, cache.limit())
