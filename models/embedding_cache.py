"""Embeddings kept in memory and on disk, for every thread and every process.

Decisions:

* An entry is found by the bytes of the image file, not by its pixels: 12 megapixels take 3 ms to
  hash as a JPEG file, 27 ms as pixels, and the pixels would have to be decoded first. A renamed
  or moved file is found again; the same picture saved anew is not.
* One file for each entry, written under another name and renamed. No fsync: after a power failure
  the length and the checksum of an entry tell, and a damaged one is deleted and made again.
* No index: an entry's modification time is when it was last used. Nothing can be out of step with
  the files, whichever process wrote or deleted them, and there is nothing to lock.
* 16 folders of 16 folders: 10,000 entries are listed in tens of milliseconds, which they would not
  be in 65,536 folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import struct
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.api import Embedding, ModelError, Segmenter, Storage

MEMORY_BYTES = 96 << 20
DISK_BYTES = 12_000_000_000
"""Room for 10,000 embeddings of one megabyte; the user may want another limit."""
DISK_SHARE = 0.25
"""Of what is free (cache included), at most this much is used."""
FREE_BYTES = 1 << 30
"""Nothing is written to a disk with less than this to spare."""

PIXELS = "1"
"""Raise it whenever other pixels are read from the same file than before."""

_MAGIC = b"ANEMBED1"
_HEAD = struct.Struct("<8sIIQ")
"""Magic, CRC-32 of all that follows this head, length of the description, length of the arrays."""
_ALIGN = 64
_LIMIT = "limit"
"""The file in the folder that holds the user's limit, so that all programs keep to it."""
_SUFFIX = ".embedding"
_WRITING = ".writing"
_FULL_TO = 0.9
"""Eviction goes on down to this part of the limit, so that it is not needed at every write."""
_FRESH_SECONDS = 600.0
"""An entry used again within this time is not touched on disk again."""
_STALE_SECONDS = 3600.0
"""A file still being written after this time belongs to a process that was killed."""
_RECOUNT = 256
"""Writes after which other processes' writes are counted, too."""


class DamagedEntryError(ValueError):
    """The bytes are not the complete entry that was written."""


@dataclass(frozen=True, slots=True)
class EmbeddingKey:
    """What decides the numbers of an embedding.

    Attributes:
        content: names the image, see `file_content`.
        model: `SegmenterSpec.id`.
        version: `SegmenterSpec.version`.
        fingerprint: weights, preprocessing and arithmetic, see `CachedSegmenter.fingerprint`.
        storage: how exactly the entry is kept.
        part: the piece of the image that was encoded, "" for all of it.
    """

    content: str
    model: str
    version: str
    fingerprint: str = ""
    storage: Storage = "exact"
    part: str = ""

    @classmethod
    def of(cls, segmenter: Segmenter, content: str, part: str = "") -> EmbeddingKey:
        """The key of what a segmenter makes of a file."""
        spec, fingerprint = segmenter.spec, str(getattr(segmenter, "fingerprint", ""))
        return cls(content, spec.id, spec.version, fingerprint, spec.storage, part)

    @property
    def fields(self) -> list[str]:
        """All of it, in a fixed order."""
        return [
            PIXELS,
            self.content,
            self.model,
            self.version,
            self.fingerprint,
            self.storage,
            self.part,
        ]

    @property
    def name(self) -> str:
        """40 hexadecimal digits."""
        return hashlib.blake2b(json.dumps(self.fields).encode(), digest_size=20).hexdigest()


def file_content(path: Path) -> str:
    """Names the bytes of a file: their number and their BLAKE2b hash (1.4 GB/s everywhere).

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20))
        return f"{file.tell()}-{digest.hexdigest()}"


# --- One entry ---


def pack(embedding: Embedding, key: EmbeddingKey, names: tuple[str, ...] = ()) -> bytes:
    """The entry: head, description (JSON), arrays.

    Args:
        embedding: with finite numbers.
        key: what it is; `key.storage` says how exactly its floating point arrays are kept.
        names: the arrays to keep, () for all.

    Raises:
        ValueError: values that are not numbers, or arrays of no plain type.
    """
    pieces: list[bytes] = []
    arrays: list[dict[str, Any]] = []
    offset = 0
    for name in names or tuple(embedding.arrays):
        array = np.asarray(embedding.arrays[name])
        coded, scale = _encode(array, key.storage)
        entry = {"name": name, "dtype": array.dtype.str, "coded": coded.dtype.str, "at": offset}
        shapes = {"shape": array.shape, "scale": None if scale is None else scale.shape}
        arrays.append({**entry, **shapes})
        for part in (coded,) if scale is None else (coded, scale):
            gap = -part.nbytes % _ALIGN
            pieces += [part.tobytes(), bytes(gap)]
            offset += part.nbytes + gap
    facts = {"key": key.fields, "width": embedding.width, "height": embedding.height}
    about = json.dumps({**facts, "arrays": arrays}).encode()
    about += b" " * (-(len(about) + _HEAD.size) % _ALIGN)
    body = b"".join([about, *pieces])
    return _HEAD.pack(_MAGIC, zlib.crc32(body), len(about), offset) + body


def unpack(data: bytes, key: EmbeddingKey) -> Embedding:
    """The inverse of `pack`; the arrays are read-only.

    Raises:
        DamagedEntryError: the bytes are not the complete entry of this key.
    """
    about, start = _opened(data, key)
    try:
        arrays = {entry["name"]: _decode(data, start, entry) for entry in about["arrays"]}
        return Embedding(key.model, int(about["width"]), int(about["height"]), arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedEntryError(str(error)) from error


def _opened(data: bytes, key: EmbeddingKey) -> tuple[dict[str, Any], int]:
    if len(data) < _HEAD.size:
        raise DamagedEntryError("too short")
    magic, checksum, described, length = _HEAD.unpack_from(data)
    if magic != _MAGIC or len(data) != _HEAD.size + described + length:
        raise DamagedEntryError("not complete")
    body = memoryview(data)[_HEAD.size :]
    if zlib.crc32(body) != checksum:
        raise DamagedEntryError("wrong checksum")
    about = json.loads(bytes(body[:described]))
    if about["key"] != key.fields:
        raise DamagedEntryError("another entry")
    return about, _HEAD.size + described


def _encode(
    array: NDArray[np.generic], storage: Storage
) -> tuple[NDArray[np.generic], NDArray[np.float32] | None]:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"arrays of {array.dtype} cannot be kept")
    if array.dtype.kind != "f":
        return array, None
    if not np.isfinite(array).all():
        raise ValueError("values that are not numbers cannot be kept")
    if storage == "int8" and array.ndim and array.size:
        return _quantised(array.astype(np.float32, copy=False))
    if storage == "float16" and array.size and np.abs(array).max() < np.finfo(np.float16).max:
        return array.astype(np.float16), None
    return array, None


def _quantised(array: NDArray[np.float32]) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
    """int8 and the scale of every channel; channels come before rows and columns."""
    plane = tuple(range(max(array.ndim - 2, 0), array.ndim))
    top = np.maximum(array.max(axis=plane, keepdims=True), -array.min(axis=plane, keepdims=True))
    scale = np.where(top > 0, top / 127, 1).astype(np.float32)
    coded = array * (1 / scale)
    return np.rint(coded, out=coded).astype(np.int8), scale


def _decode(data: bytes, start: int, entry: Mapping[str, Any]) -> NDArray[np.generic]:
    kinds = np.dtype(entry["dtype"]), np.dtype(entry["coded"])
    if any(kind.kind not in "biuf" for kind in kinds):
        raise DamagedEntryError(f"arrays of {kinds} are not kept")
    shape, scale_shape = tuple(entry["shape"]), entry["scale"]
    count, at = int(np.prod(shape, dtype=np.int64)), start + int(entry["at"])
    array = np.frombuffer(data, kinds[1], count, at).reshape(shape)
    if scale_shape is not None:
        at += array.nbytes + -array.nbytes % _ALIGN
        count = int(np.prod(scale_shape, dtype=np.int64))
        scale = np.frombuffer(data, np.float32, count, at).reshape(scale_shape)
        array = np.multiply(array, scale, dtype=np.float32)
    array = array.astype(kinds[0], copy=False)
    array.flags.writeable = False
    return array


# --- Memory ---


class MemoryCache:
    """The least recently used embeddings go first; the newest always stays. For all threads.

    Args:
        max_bytes: of all arrays together.
    """

    def __init__(self, max_bytes: int = MEMORY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[object, Embedding] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return self._nbytes

    def get(self, name: object) -> Embedding | None:
        """The embedding kept under a name, which thereby becomes the newest."""
        with self._lock:
            found = self._entries.get(name)
            if found is not None:
                self._entries.move_to_end(name)
            return found

    def put(self, name: object, embedding: Embedding) -> None:
        """Keep an embedding as the newest."""
        with self._lock:
            self._drop(name)
            self._entries[name] = embedding
            self._nbytes += embedding.nbytes
            while self._nbytes > self._max_bytes and len(self._entries) > 1:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._nbytes = 0

    def _drop(self, name: object) -> None:
        old = self._entries.pop(name, None)
        if old is not None:
            self._nbytes -= old.nbytes


# --- Disk ---


def default_folder() -> Path:
    """Where all programs of this user keep their embeddings."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("annotator")) / "embeddings"


@dataclass(frozen=True, slots=True)
class _File:
    used: float
    nbytes: int
    path: str


class DiskCache:
    """One file for each embedding, bounded in bytes, for all threads and processes.

    Nothing here raises `OSError`: a cache that cannot be read is empty, and one that cannot be
    written stays as it is.

    Args:
        folder: created when the first entry is written.
        max_bytes: of all entries together; by default what the user wants. Less where the disk
            has little room.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int | None = None) -> None:
        self.folder = folder or default_folder()
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._nbytes: int | None = None
        self._writes = 0

    def path(self, key: EmbeddingKey) -> Path:
        """Where the entry of a key lies, whether it exists or not."""
        name = key.name
        return self.folder / name[0] / name[1] / f"{name}{_SUFFIX}"

    def contains(self, key: EmbeddingKey) -> int:
        """The size of the entry in bytes, 0 when there is none; it counts as used.

        Only the length is checked, so that a folder of 10,000 images takes no time.
        """
        path = self.path(key)
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD.size)
                status = os.fstat(file.fileno())
        except OSError:
            return 0
        if len(head) < _HEAD.size:
            return 0
        magic, _, described, length = _HEAD.unpack(head)
        if magic != _MAGIC or status.st_size != _HEAD.size + described + length:
            return 0
        _touch(path, status)
        return status.st_size

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """The embedding, or None; a damaged entry is deleted."""
        path = self.path(key)
        try:
            with path.open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                data = file.readall()
        except OSError:
            return None
        try:
            embedding = unpack(data, key)
        except DamagedEntryError:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        _touch(path, status)
        return embedding

    def put(self, key: EmbeddingKey, embedding: Embedding, names: tuple[str, ...] = ()) -> int:
        """Keep an embedding; the bytes written, 0 when it could not be kept.

        Args:
            key: what it is.
            embedding: what is kept.
            names: the arrays to keep, () for all.
        """
        try:
            data = pack(embedding, key, names)
        except ValueError:
            return 0
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data))
            if shutil.disk_usage(path.parent).free < FREE_BYTES + len(data):
                return 0
            _write(path, data)
        except OSError:
            return 0
        with self._lock:
            self._nbytes = (self._nbytes or 0) + len(data)
        return len(data)

    @property
    def max_bytes(self) -> int:
        """The most bytes the user grants all entries together."""
        if self._max_bytes is not None:
            return self._max_bytes
        try:
            return max(0, int((self.folder / _LIMIT).read_text("ascii")))
        except (OSError, ValueError):
            return DISK_BYTES

    def set_max_bytes(self, max_bytes: int) -> None:
        """Grant this much, in all programs from now on; see `trim`.

        Raises:
            ModelError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(self.folder / _LIMIT, str(max_bytes).encode("ascii"))
        except OSError as error:
            raise ModelError(f"“{self.folder}” cannot be written: {error.strerror}.") from error
        self._max_bytes = None

    def trim(self) -> None:
        """Delete what is over the limit now; otherwise the next write does it."""
        self._make_room(0)

    def clear(self) -> None:
        """Delete all entries, as far as that is possible."""
        with self._lock:
            for file in self._files():
                with contextlib.suppress(OSError):
                    Path(file.path).unlink(missing_ok=True)
            self._nbytes = None

    def limit(self) -> int:
        """The most bytes all entries together may take on this disk."""
        place = next((p for p in (self.folder, *self.folder.parents) if p.is_dir()), None)
        try:
            free = shutil.disk_usage(place or ".").free
        except OSError:
            return self.max_bytes
        return min(self.max_bytes, int(DISK_SHARE * (free + self.nbytes())))

    def nbytes(self) -> int:
        """The bytes of all entries, as far as this process knows."""
        with self._lock:
            if self._nbytes is None:
                self._nbytes = sum(file.nbytes for file in self._files())
            return self._nbytes

    def _make_room(self, nbytes: int) -> None:
        self._writes += 1
        if self._writes % _RECOUNT == 0:
            with self._lock:
                self._nbytes = None
        limit = self.limit()
        if self.nbytes() + nbytes <= limit:
            return
        with self._lock:
            files = sorted(self._files(), key=lambda file: file.used)
            kept = sum(file.nbytes for file in files)
            for file in files:
                if kept + nbytes <= _FULL_TO * limit:
                    break
                with contextlib.suppress(OSError):
                    Path(file.path).unlink(missing_ok=True)
                    kept -= file.nbytes
            self._nbytes = kept

    def _files(self) -> Iterator[_File]:
        """All entries; what killed processes left half-written is deleted."""
        oldest = time.time() - _STALE_SECONDS
        for entry in _entries(str(self.folder), depth=2):
            try:
                status = entry.stat()
            except OSError:
                continue
            if entry.name.endswith(_SUFFIX):
                yield _File(status.st_mtime, status.st_size, entry.path)
            elif entry.name.endswith(_WRITING) and status.st_mtime < oldest:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _entries(folder: str, depth: int) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return
    for entry in entries:
        if depth == 0:
            yield entry
        else:
            yield from _entries(entry.path, depth - 1)


def _write(path: Path, data: bytes) -> None:
    """Complete under its name, or not there at all."""
    writer = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f"{path.stem}.{writer}{_WRITING}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _touch(path: Path, status: os.stat_result) -> None:
    if time.time() - status.st_mtime > _FRESH_SECONDS:
        with contextlib.suppress(OSError):
            os.utime(path)
