"""`FolderScan`: the images of a folder and its sub-folders in natural order, in the background."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.paths import is_image_name, natural_key
from annotator.services.task_queue import TaskQueue

_BATCHES = (1, 255, 4096)
"""Sizes of the first, the second and every later batch: the first image shows at once."""
_SLICE = 1024
"""Names handled between two steps: stop() waits for one, and sorting holds the interpreter lock."""


class FolderScan(QObject):
    """Walks a folder on its own thread and reports keys as it finds them.

    Keys are relative paths with forward slashes. The order is depth first: the files of a folder in
    natural order (case ignored, numbers by value), then its sub-folders in natural order. Hidden
    folders (such as `.annotator`) and files are skipped; a linked folder is followed unless its
    target was already walked.
    """

    found = Signal(object)
    """list[str]: the next keys in order; the first batch holds one key."""
    finished = Signal(int)
    """The walk is complete; how many images there are."""
    failed = Signal(object)
    """UserError: the folder itself is gone or unreadable; the walk ended."""
    skipped = Signal(object)
    """UserError: something inside was left out (unreadable sub-folder, impossible name)."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue: TaskQueue | None = None
        self._walk: _Walk | None = None

    def start(self, folder: Path) -> None:
        """Walk this folder; a walk that still runs is stopped and forgotten."""
        if self._queue is None:
            self._queue = TaskQueue("folder scan", self)
        walk = self._walk = _Walk(folder)

        def step(reports: list[_Report]) -> None:
            self._report(walk, reports)

        def done() -> None:
            if self._walk is walk:
                self._walk = None
                self.finished.emit(walk.count)

        def failed(error: Exception) -> None:
            self._fail(walk, error)

        self._queue.stream("scan", walk.steps, step, done, failed)

    def stop(self) -> None:
        """End the walk and its thread; nothing is reported afterwards."""
        self._walk = None
        if self._queue is not None:
            self._queue.close()
            self._queue.deleteLater()
            self._queue = None

    @property
    def running(self) -> bool:
        """Whether a walk has been started and not finished."""
        return self._walk is not None

    def _report(self, walk: _Walk, reports: list[_Report]) -> None:
        for report in reports:
            if self._walk is not walk:
                return
            if isinstance(report, UserError):
                self.skipped.emit(report)
            else:
                self.found.emit(report)

    def _fail(self, walk: _Walk, error: Exception) -> None:
        if self._walk is not walk:
            return
        self._walk = None
        if not isinstance(error, UserError):
            raise error
        self.failed.emit(error)


_Report = list[str] | UserError


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    prefix: str


class _Walk:
    """One walk; everything but `count` is touched by the scanning thread only."""

    def __init__(self, root: Path) -> None:
        self.count = 0
        self._root = root
        self._seen: set[tuple[int, int]] = set()
        self._batch: list[str] = []
        self._batches = 0

    def steps(self) -> Iterator[list[_Report]]:
        """Short steps; each gives what there is to report so far, often nothing."""
        stack = [_Folder(str(self._root), "")]
        while stack:
            folder = stack.pop()
            files: list[str] = []
            folders: list[str] = []
            try:
                if not self._is_new(folder):
                    continue
                for entries in _slices(folder.path):
                    yield self._sort_out(folder, entries, files, folders)
            except OSError as error:
                self._check_root()
                yield [_unreadable(folder.path, error)]
                continue
            yield from self._emit_in_order(folder, files)
            folders.sort(key=natural_key, reverse=True)
            stack += (_Folder(f"{folder.path}/{n}", f"{folder.prefix}{n}/") for n in folders)
        self._check_root()
        if self._batch:
            yield [self._batch]

    def _check_root(self) -> None:
        try:
            with os.scandir(self._root):
                pass
        except OSError as error:
            raise _unreadable(str(self._root), error) from error

    def _is_new(self, folder: _Folder) -> bool:
        status = os.stat(folder.path)  # noqa: PTH116
        identity = (status.st_dev, status.st_ino)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    def _sort_out(
        self, folder: _Folder, entries: list[os.DirEntry[str]], files: list[str], folders: list[str]
    ) -> list[_Report]:
        problems: list[_Report] = []
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            is_folder = _is_folder(entry)
            if not (is_folder or (is_image_name(name) and _is_file(entry))):
                continue
            if not _is_unicode(name):
                problems.append(_impossible_name(folder.path, name))
            elif is_folder:
                folders.append(name)
            else:
                files.append(name)
        return problems

    def _emit_in_order(self, folder: _Folder, names: list[str]) -> Iterator[list[_Report]]:
        """Sort in short runs and merge them: one long sort would hold the interpreter lock."""
        runs: list[list[str]] = []
        for start in range(0, len(names), _SLICE):
            runs.append(sorted(map(natural_key, names[start : start + _SLICE])))
            yield []
        for position, key in enumerate(heapq.merge(*runs)):
            self._batch.append(folder.prefix + key[key.rindex("\0") + 1 :])
            self.count += 1
            if len(self._batch) >= _BATCHES[min(self._batches, len(_BATCHES) - 1)]:
                self._batches += 1
                full, self._batch = self._batch, []
                yield [full]
            elif position % _SLICE == 0:
                yield []


def _slices(path: str) -> Iterator[list[os.DirEntry[str]]]:
    with os.scandir(path) as entries:
        part: list[os.DirEntry[str]] = []
        for entry in entries:
            part.append(entry)
            if len(part) == _SLICE:
                yield part
                part = []
        yield part


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _impossible_name(folder: str, name: str) -> UserError:
    shown = name.encode(errors="surrogateescape").decode(errors="replace")
    return UserError(
        f"“{shown}” in “{folder}” was left out: its name is not valid Unicode.",
        "Rename it and open the folder again.",
    )


def _unreadable(path: str, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UserError(
            f"The folder “{path}” is no longer there.",
            "Put it back or reconnect its drive, and open it again.",
        )
    if isinstance(error, PermissionError):
        return UserError(
            f"The folder “{path}” may not be read.",
            "Give yourself permission to read it, and open it again.",
        )
    return UserError(
        f"The folder “{path}” cannot be read ({error.strerror or error}).",
        "Check the drive and open it again.",
    )
