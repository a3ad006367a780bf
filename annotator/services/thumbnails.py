"""`Thumbnails`: small pictures of the visible rows, made in the background, kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from annotator.core.errors import UserError
from annotator.core.paths import file_of
from annotator.services.priority import lower_priority
from annotator.services.task_queue import TaskQueue

if TYPE_CHECKING:
    from annotator.core.images import Pixels

SIDE = 128
"""Longest side in pixels: 64 on a screen with two device pixels per pixel."""
MEMORY = 16 << 20
DISK = 96 << 20
_WAITING = 256
"""Older wishes are dropped: those rows have scrolled away and ask again when they come back."""


class Thumbnails(QObject):
    """Makes thumbnails on its own thread, the newest wish first.

    Args:
        folder: the disk cache; the user's cache folder by default.
        memory: bytes of thumbnails kept in memory.
        disk: bytes of thumbnails kept on disk, trimmed once per session.
        parent: Qt parent.
    """

    ready = Signal(str, object)
    """The key and its QImage; a null QImage: the file cannot be shown."""

    def __init__(
        self,
        folder: Path | None = None,
        memory: int = MEMORY,
        disk: int = DISK,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._maker = _Maker(folder, disk)
        self._memory = memory
        self._used = 0
        self._kept: OrderedDict[str, QImage] = OrderedDict()
        self._queue: TaskQueue | None = None
        self._busy = False
        self._closed = False

    def get(self, key: str) -> QImage | None:
        """The thumbnail, if it is in memory."""
        image = self._kept.get(key)
        if image is not None:
            self._kept.move_to_end(key)
        return image

    def request(self, key: str, path: Path) -> None:
        """Wish for a thumbnail; `ready` follows. One in memory is announced without a thread."""
        if self._closed:
            return
        kept = self.get(key)
        if kept is not None:
            self.ready.emit(key, kept)
            return
        self._maker.wish(key, path)
        self._work()

    def forget(self, key: str) -> None:
        """Drop what memory keeps of an image, because the file has changed."""
        image = self._kept.pop(key, None)
        if image is not None:
            self._used -= image.sizeInBytes()

    def close(self) -> None:
        """Stop the thread; later wishes are ignored."""
        self._closed = True
        self._maker.stop()
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        self._kept.clear()
        self._used = 0

    def _work(self) -> None:
        if self._busy or self._closed:
            return
        if self._queue is None:
            self._queue = TaskQueue("thumbnails", self)
        self._busy = True
        self._queue.stream("make", self._maker.make_all, self._keep, self._rest, self._fail)

    def _rest(self) -> None:
        self._busy = False
        if self._maker.has_wishes():
            self._work()

    def _fail(self, error: Exception) -> None:
        self._busy = False
        raise error

    def _keep(self, made: tuple[str, QImage] | None) -> None:
        if self._closed or made is None:
            return
        key, image = made
        self.forget(key)
        self._kept[key] = image
        self._used += image.sizeInBytes()
        while self._used > self._memory and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))
        self.ready.emit(key, image)


class _Maker:
    """What the thread does. Wishes are shared with the GUI thread, everything else is not."""

    def __init__(self, folder: Path | None, disk: int) -> None:
        self._folder = folder
        self._disk = disk
        self._trimmed = False
        self._wishes: OrderedDict[str, Path] = OrderedDict()
        self._making = ""
        self._lock = threading.Lock()

    def wish(self, key: str, path: Path) -> None:
        with self._lock:
            if key == self._making:
                return
            self._wishes.pop(key, None)
            self._wishes[key] = path
            if len(self._wishes) > _WAITING:
                self._wishes.popitem(last=False)

    def has_wishes(self) -> bool:
        with self._lock:
            return bool(self._wishes)

    def stop(self) -> None:
        with self._lock:
            self._wishes.clear()

    def make_all(self) -> Iterator[tuple[str, QImage] | None]:
        """One thumbnail per step until nothing is wished for, then one tidying up per session."""
        lower_priority()
        while True:
            with self._lock:
                if not self._wishes:
                    break
                key, path = self._wishes.popitem()
                self._making = key
            image = self._make(path)
            with self._lock:
                self._making = ""
            yield key, image
        if not self._trimmed:
            self._trimmed = True
            for _ in _trim(self._cache_folder(), self._disk):
                yield None

    def _make(self, path: Path) -> QImage:
        try:
            file = self._cache_folder() / _cache_name(path)
        except OSError:
            return QImage()
        try:
            pixels = _read(file)
            if pixels is None:
                from annotator.core import images

                pixels = images.thumbnail(path, SIDE)
                _write(file, pixels)
        except UserError:
            return QImage()
        height, width = pixels.shape[:2]
        # copy() because QImage does not keep the array alive.
        return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()

    def _cache_folder(self) -> Path:
        if self._folder is None:
            import platformdirs

            self._folder = Path(platformdirs.user_cache_dir("annotator")) / "thumbnails"
        return self._folder


def _cache_name(path: Path) -> str:
    """Where the thumbnail of this very content of the file lies; OSError if it is gone."""
    status = file_of(path).stat()
    text = f"{path.absolute()}\0{status.st_mtime_ns}\0{status.st_size}\0{SIDE}"
    name = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return f"{name[:2]}/{name[2:]}.jpg"


def _read(file: Path) -> Pixels | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    import numpy as np

    from annotator.core.cv import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    return None if pixels is None else np.ascontiguousarray(pixels, np.uint8)


def _write(file: Path, pixels: Pixels) -> None:
    """A cache may fail: a full or read-only disk only costs time."""
    from annotator.core.cv import cv2

    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    fine, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not fine:
        return
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data.tobytes())
        part.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()


def _trim(folder: Path, limit: int) -> Iterator[None]:
    """Delete the oldest files until no more than the limit is left, one sub-folder per step."""
    files: list[tuple[float, int, str]] = []
    for part in sorted(folder.glob("??")):
        try:
            with os.scandir(part) as entries:
                for entry in entries:
                    status = entry.stat()
                    files.append((status.st_mtime, status.st_size, entry.path))
        except OSError:
            continue
        yield
    excess = sum(size for _, size, _ in files) - limit
    for _, size, name in sorted(files):
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - thousands of names from scandir
        excess -= size
        yield
