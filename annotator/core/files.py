"""Writing files so that a good one is never traded for a bad one, and JSON that never refuses."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from annotator.core.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN,
         errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
         errno.ETIMEDOUT}  # fmt: skip
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
"""Error numbers that mean "you may not write here"."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells a file from a changed one.

    Attributes:
        size: bytes.
        mtime_ns: time of the last change, nanoseconds.
        sha256: digest of the content, hexadecimal.
    """

    size: int
    mtime_ns: int
    sha256: str


def fingerprint(path: Path) -> Fingerprint:
    """Read the file once and describe it.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        status = os.fstat(file.fileno())
    return Fingerprint(status.st_size, status.st_mtime_ns, digest)


def write_atomic(path: Path, chunks: Iterable[bytes]) -> Fingerprint:
    """Replace a file by new content, or leave it exactly as it was.

    The content goes to a hidden file in the same folder, reaches the disk, and takes the place of
    the old file in one step. Permission bits are kept; a symbolic link stays one.

    Raises:
        OSError: nothing was changed.
    """
    return put_in_place(write_temporary(path, chunks))


@dataclass(frozen=True, slots=True)
class Temporary:
    """A complete file, safe on the disk, that waits to take the place of another.

    Attributes:
        path: where it is.
        target: the file it will replace, links resolved.
        sha256: digest of its content.
    """

    path: Path
    target: Path
    sha256: str


def write_temporary(path: Path, chunks: Iterable[bytes]) -> Temporary:
    """The first half of `write_atomic`: everything but the replacement.

    Raises:
        OSError: nothing was changed.
    """
    target = Path(os.path.realpath(path))
    # A fixed name: what a killed process left behind is overwritten by the next attempt.
    temporary = target.with_name(f".{target.name}.writing")
    digest = hashlib.sha256()
    try:
        with temporary.open("wb", buffering=1 << 20) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return Temporary(temporary, target, digest.hexdigest())


def put_in_place(temporary: Temporary) -> Fingerprint:
    """The second half of `write_atomic`.

    Raises:
        OSError: nothing was changed.
    """
    try:
        temporary.path.replace(temporary.target)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.path.unlink()
        raise
    sync_folder(temporary.target.parent)
    status = temporary.target.stat()
    return Fingerprint(status.st_size, status.st_mtime_ns, temporary.sha256)


def sync_folder(folder: Path) -> None:
    """Make a renaming durable where the system can (Windows and some network shares cannot)."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def free_name(path: Path) -> Path:
    """The path itself, or the next of "name-2.ext", "name-3.ext" … that does not exist."""
    number, candidate = 1, path
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def time_stamp(moment: datetime | None = None) -> str:
    """Local time as in "2026-11-21 014512": fit for file names on every system, sorts by time."""
    return f"{moment or datetime.now().astimezone():%Y-%m-%d %H%M%S}"


def make_writable_folder(folder: Path) -> None:
    """Create a folder (with parents) and make sure that files can be made in it.

    Raises:
        OSError: they cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f".trial-{os.getpid()}"
    trial.touch()
    trial.unlink()


def explain(error: OSError, path: Path, doing: str = "written") -> UserError:
    """An operating system error as a message that names the file and what to do."""
    name = f"“{path}” cannot be {doing}"
    if error.errno in _FULL:
        return UserError(
            f"{name}: the disk is full.", "Free some space; nothing is lost meanwhile."
        )
    if error.errno in DENIED:
        return UserError(f"{name}: no permission.", "Allow writing there, or choose another place.")
    if error.errno in _GONE:
        return UserError(
            f"{name}: the folder has vanished.", "Connect the drive or put the folder back."
        )
    return UserError(f"{name}: {error.strerror or error}.", "Check the drive and try again.")


def to_json(value: Any) -> bytes:
    """Compact UTF-8 JSON of anything; what JSON cannot hold becomes text, NaN becomes null."""
    import orjson

    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Names with bytes that are no Unicode, and whole numbers beyond 64 bits.
        return json.dumps(value, default=_plain, separators=(",", ":")).encode("ascii")


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return dict(value) if hasattr(value, "keys") else str(value)


def from_json(text: bytes | str) -> Any:
    """The inverse of `to_json`; also reads NaN, Infinity and lone surrogates.

    Raises:
        ValueError: not JSON.
    """
    import orjson

    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error
