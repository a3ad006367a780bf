"""Folders on a disk or on object storage, through fsspec: what a cluster reads and writes.

Everything on a disk takes the way of `annotator.core.files`; object stores put whole objects in
place by themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.core.errors import UserError
from annotator.core.files import explain, write_atomic
from annotator.core.paths import is_image_name, natural_key

_REMEDY = "Check the address, the network and your credentials, and try again."
_OTHER_ERRORS = (
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
)
"""What backends raise beside OSError, if they are loaded."""
PIECE = 1 << 20
"""Bytes read at once."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder; can be sent to other machines.

    Attributes:
        url: of fsspec (s3://bucket/folder, file:///folder), or a path on the disk.
    """

    url: str

    @classmethod
    def at(cls, place: str | Path) -> Storage:
        """A folder; paths become absolute, because a worker runs elsewhere.

        Raises:
            UserError: nobody knows this kind of address.
        """
        text = str(place)
        with _explained(text):
            system, path = _split(text)
        return cls(str(Path(path).resolve()) if _is_local(system) else text)

    @property
    def local(self) -> Path | None:
        """The folder, if it is on a disk."""
        system, path = _split(self.url)
        return Path(path) if _is_local(system) else None

    def named(self, name: str) -> str:
        """A file in it, for people."""
        return f"{self.url.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether there is such a file.

        Raises:
            UserError: nobody knows.
        """
        with _explained(self.named(name)):
            system, path = _split(self.url)
            return bool(system.exists(f"{path}/{name}"))

    def names(self) -> list[str]:
        """The names of the files in it; none if it does not exist.

        Raises:
            UserError: it cannot be read.
        """
        with _explained(self.url):
            system, path = _split(self.url)
            try:
                entries = system.ls(path, detail=True, refresh=True)
            except FileNotFoundError:
                return []
            return [_name(entry) for entry in entries if entry["type"] != "directory"]

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of a file, or a part of them.

        Raises:
            UserError: it cannot be read.
        """
        with _explained(self.named(name)):
            system, path = _split(self.url)
            return bytes(system.cat_file(f"{path}/{name}", start=start, end=end))

    def read_many(self, names: Sequence[str]) -> list[bytes]:
        """Some small files, at the same time where the storage can.

        Raises:
            UserError: one cannot be read.
        """
        if not names:
            return []
        with _explained(self.named(names[0])):
            system, path = _split(self.url)
            paths = [system._strip_protocol(f"{path}/{name}") for name in names]
            found = system.cat(paths)
            return [bytes(found[one]) for one in paths]

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, little by little.

        Raises:
            UserError: it cannot be read.
        """
        with _explained(self.named(name)):
            system, path = _split(self.url)
            with system.open(f"{path}/{name}", "rb") as file:
                while piece := file.read(PIECE):
                    yield piece

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Put a file in place, all of it or nothing.

        Raises:
            UserError: it cannot be written.
        """
        with _explained(self.named(name), "written"):
            system, path = _split(self.url)
            if _is_local(system):
                Path(path).mkdir(parents=True, exist_ok=True)
                write_atomic(Path(path) / name, chunks)
            else:
                system.makedirs(path, exist_ok=True)
                system.pipe_file(f"{path}/{name}", b"".join(chunks))

    def fetch(self, key: str, to: Path) -> None:
        """Copy a file to the disk of this machine.

        Raises:
            OSError: it cannot be read or written.
            UserError: the storage does not answer.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        system, path = _split(self.url)
        try:
            system.get_file(f"{path}/{key}", str(to))
        except _others() as error:
            raise UserError(
                f"“{self.named(key)}” cannot be read ({_why(error)}).", _REMEDY
            ) from error

    def image_keys(self) -> Iterator[str]:
        """The images in it and in its sub-folders, in the order of `folder_scan.walk`.

        Raises:
            UserError: it cannot be read.
        """
        with _explained(self.url):
            system, root = _split(self.url)
            stack = [""]
            while stack:
                prefix = stack.pop()
                entries = system.ls(f"{root}/{prefix}".rstrip("/"), detail=True)
                # Object stores list a folder in itself; hidden ones and “..” are not for us.
                found = {_name(one): one["type"] == "directory" for one in entries}
                names = [name for name in found if name and not name.startswith(".")]
                files = [name for name in names if not found[name] and is_image_name(name)]
                yield from (prefix + name for name in sorted(files, key=natural_key))
                folders = sorted(filter(found.get, names), key=natural_key, reverse=True)
                stack += (f"{prefix}{name}/" for name in folders)


def is_address(text: str) -> bool:
    """Whether this is an address of fsspec, and no path."""
    return "://" in text


def _split(url: str) -> tuple[Any, str]:
    """The file system, one for each thread, and the path in it."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    return system, path.rstrip("/")


def _is_local(system: Any) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _others() -> tuple[type[Exception], ...]:
    modules = ((sys.modules.get(module), name) for module, name in _OTHER_ERRORS)
    found = (getattr(module, name) for module, name in modules if module is not None)
    return (ValueError, *found)


@contextmanager
def _explained(name: str, doing: str = "read") -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        message = f"“{name}” cannot be {doing}: {error}."
        raise UserError(message, "Install what is missing.") from error
    except OSError as error:
        if not is_address(name):
            raise explain(error, Path(name), doing) from error
        raise UserError(f"“{name}” cannot be {doing} ({_why(error)}).", _REMEDY) from error
    except _others() as error:
        raise UserError(f"“{name}” cannot be {doing} ({_why(error)}).", _REMEDY) from error


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
