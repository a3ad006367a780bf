"""Weight files on disk: hashing, copying, locking, small records, errors people understand."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

from models.api import ModelError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

T = TypeVar("T")

CHUNK = 1 << 20
TICK = 0.1
"""Seconds between two reports of progress; also how late a cancel may be noticed."""


class Cancelled(ModelError):
    """The user stopped it; what was received so far is kept."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download, copy or check is.

    Attributes:
        phase: "waiting" (another process has the file), "connecting", "downloading", "retrying",
            "verifying" or "copying".
        done: bytes so far, those of earlier sessions included.
        total: bytes in the end; 0 when nobody knows.
        speed: bytes per second over the last seconds; 0 when unknown.
        note: a short sentence about what just happened; may be empty.
    """

    phase: str
    done: int
    total: int
    speed: float = 0.0
    note: str = ""

    @property
    def fraction(self) -> float | None:
        """0 to 1, or None when the total is unknown."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def seconds_left(self) -> float | None:
        """How long it takes at this speed, or None when that is unknown."""
        if not self.total or self.speed <= 0:
            return None
        return max(0.0, (self.total - self.done) / self.speed)


Steps: TypeAlias = Generator[Progress, None, T]
"""Work in short steps: each lasts about `TICK`, so that a queue can go on between two."""

Flag: TypeAlias = Callable[[], bool]
"""Asked often; True means stop."""


def never() -> bool:
    """Never cancelled."""
    return False


def finish(steps: Steps[T], progress: Callable[[Progress], None] | None = None) -> T:
    """Do all steps in a row and give their result."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        if progress is not None:
            progress(step)


def size_text(count: int) -> str:
    """Bytes for people, decimal as file managers show them: "38.8 MB"."""
    if count < 1000:
        return f"{count} B"
    value, units = count / 1000, ["MB", "GB"]
    unit = "kB"
    while value >= 999.5 and units:
        value, unit = value / 1000, units.pop(0)
    return f"{value:.0f} {unit}" if value >= 100 or unit == "kB" else f"{value:.1f} {unit}"


def hashing(path: Path, stopped: Flag = never, phase: str = "verifying") -> Steps[str]:
    """The SHA-256 of a file in hexadecimal.

    Raises:
        Cancelled: stopped.
        OSError: the file cannot be read.
    """
    digest, done, told = hashlib.sha256(), 0, time.monotonic()
    with path.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if stopped():
                raise Cancelled("Stopped.")
            if time.monotonic() - told >= TICK:
                told = time.monotonic()
                yield Progress(phase, done, total)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal, at once.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        return finish(hashing(path))
    except OSError as error:
        raise disk_error(error, path) from error


def copying(source: Path, target: Path, stopped: Flag = never) -> Steps[str]:
    """Copy a file durably; the result is the SHA-256 of what was written.

    Raises:
        Cancelled: stopped; the target is removed.
        OSError: reading or writing failed; the target is removed.
    """
    digest, done, told = hashlib.sha256(), 0, time.monotonic()
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            total = os.fstat(reader.fileno()).st_size
            while chunk := reader.read(CHUNK):
                writer.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if stopped():
                    raise Cancelled("Stopped.")
                if time.monotonic() - told >= TICK:
                    told = time.monotonic()
                    yield Progress("copying", done, total)
            writer.flush()
            os.fsync(writer.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def put_in_place(ready: Path, target: Path) -> None:
    """Rename a complete file to its final name; afterwards the old or the new one is there.

    Raises:
        OSError: the folder does not allow it.
    """
    with ready.open("rb") as file:
        os.fsync(file.fileno())
    ready.replace(target)
    if sys.platform != "win32":
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_record(path: Path) -> dict[str, Any]:
    """A small JSON object; empty when it is missing or damaged, as it can be made again."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def write_record(path: Path, value: dict[str, Any]) -> None:
    """Write a small JSON object so that a reader finds the old one or the new one.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may write at once: each renames its own file.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=1), "utf-8")
    temporary.replace(path)


class FileLock:
    """A lock between processes that the system frees when its owner dies.

    Args:
        path: an empty file that stays (removing it would let two owners in).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody has it.

        Raises:
            OSError: the lock file cannot be made.
        """
        file = self._path.open("a+b")
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            return False
        except OSError:
            # Some network file systems have no locks: working without one beats not working.
            pass
        self._file = file
        return True

    def waiting(self, total: int, stopped: Flag = never) -> Steps[None]:
        """Wait until the lock is ours.

        Raises:
            Cancelled: stopped.
        """
        while not self.acquire():
            if stopped():
                raise Cancelled("Stopped.")
            yield Progress("waiting", 0, total, note="Another Annotator is at work on this file.")
            time.sleep(TICK)

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def disk_error(error: OSError, path: Path) -> ModelError:
    """What a failed read or write means to a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError(
            f"The disk of “{path.parent}” is full. Free some space and try again; "
            "what was received so far is kept."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ModelError(
            f"“{path}” cannot be accessed. Check the permissions, or choose another folder with "
            "the environment variable ANNOTATOR_MODELS."
        )
    return ModelError(f"“{path}”: {error.strerror or error}.")
