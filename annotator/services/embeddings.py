"""`Embeddings`: in memory, else on disk, else made; once, whichever thread asks first."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.paths import file_of, frame_of
from models.api import CachedSegmenter, Embedding, Segmenter
from models.encoding import check

if TYPE_CHECKING:
    from models.embedding_cache import DiskCache, MemoryCache

_CONTENTS = 4096
"""Files whose hash is remembered."""

_Name = tuple["ImageFile", str, str, str, str]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """These very bytes of a file.

    Attributes:
        path: where it is.
        size: bytes.
        mtime_ns: time of the last change, nanoseconds.
    """

    path: Path
    size: int
    mtime_ns: int

    @classmethod
    def now(cls, path: Path) -> ImageFile:
        """The file as it is at this moment.

        Raises:
            OSError: it cannot be read.
        """
        status = file_of(path).stat()
        return cls(path, status.st_size, status.st_mtime_ns)


class Embeddings:
    """The embeddings of one program; for all threads.

    Args:
        memory: by default a cache of the usual size.
        disk: by default the one all programs of this user share.
    """

    def __init__(self, memory: MemoryCache | None = None, disk: DiskCache | None = None) -> None:
        self._memory = memory
        self._disk = disk
        self._contents: OrderedDict[ImageFile, str] = OrderedDict()
        self._making: set[_Name] = set()
        self._state = threading.Condition()

    def find(self, file: ImageFile, segmenter: Segmenter, part: str = "") -> Embedding | None:
        """The embedding of a file (or of a part of its image) if it was made before."""
        name = _name(file, segmenter, part)
        known = self._caches[0].get(name)
        return known if known is not None else self._read(name, segmenter)

    def obtain(
        self,
        file: ImageFile,
        segmenter: Segmenter,
        encode: Callable[[], Embedding],
        part: str = "",
    ) -> Embedding:
        """The same, made by `encode` if need be; a thread that already makes it is waited for.

        Raises:
            ModelError: the model made no usable embedding.
        """
        name = _name(file, segmenter, part)
        memory = self._caches[0]
        while (known := memory.get(name)) is None:
            with self._state:
                if name in self._making:
                    self._state.wait()
                    continue
                self._making.add(name)
            try:
                return self._read(name, segmenter) or self._make(name, segmenter, encode)
            finally:
                with self._state:
                    self._making.remove(name)
                    self._state.notify_all()
        return known

    @property
    def _caches(self) -> tuple[MemoryCache, DiskCache]:
        if self._memory is None or self._disk is None:
            # Not earlier: it takes NumPy.
            from models.embedding_cache import DiskCache, MemoryCache

            with self._state:
                self._memory = self._memory or MemoryCache()
                self._disk = self._disk or DiskCache()
        return self._memory, self._disk

    def _read(self, name: _Name, segmenter: Segmenter) -> Embedding | None:
        memory, disk = self._caches
        spec = segmenter.spec
        content = self._content(name[0]) if spec.cache_on_disk else None
        if content is None:
            return None
        from models.embedding_cache import EmbeddingKey

        known = disk.get(EmbeddingKey.of(segmenter, content, name[-1]))
        if known is None:
            return None
        if spec.stored_arrays and isinstance(segmenter, CachedSegmenter):
            known = segmenter.complete(known)
        memory.put(name, known)
        return known

    def _make(
        self, name: _Name, segmenter: Segmenter, encode: Callable[[], Embedding]
    ) -> Embedding:
        memory, disk = self._caches
        made = encode()
        check(made, segmenter)
        memory.put(name, made)
        spec = segmenter.spec
        content = self._content(name[0]) if spec.cache_on_disk else None
        if content is not None:
            from models.embedding_cache import EmbeddingKey

            disk.put(EmbeddingKey.of(segmenter, content, name[-1]), made, spec.stored_arrays)
        return made

    def _content(self, file: ImageFile) -> str | None:
        """Names the bytes of the file; None when it is no longer the same file."""
        from models.embedding_cache import file_content

        try:
            if ImageFile.now(file.path) != file:
                return None
            with self._state:
                known = self._contents.get(file)
            if known is not None:
                return known
            content = _frame_content(file) or file_content(file.path)
            if ImageFile.now(file.path) != file:
                return None
        except OSError:
            return None
        with self._state:
            self._contents[file] = content
            while len(self._contents) > _CONTENTS:
                self._contents.popitem(last=False)
        return content


def _frame_content(file: ImageFile) -> str | None:
    """Names a frame of a video, which nobody wants to read as a whole for it; else None."""
    if frame_of(file.path) is None:
        return None
    text = f"{file.path.absolute()}\0{file.size}\0{file.mtime_ns}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _name(file: ImageFile, segmenter: Segmenter, part: str) -> _Name:
    spec = segmenter.spec
    return file, spec.id, spec.version, str(getattr(segmenter, "fingerprint", "")), part
