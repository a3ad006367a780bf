"""`FolderScan`: the images of a folder and its sub-folders in natural order, in the background."""

from __future__ import annotations

import heapq
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.errors import UserError
from annotator.core.paths import frame_key, is_image_name, is_video_name, natural_key
from annotator.services.task_queue import TaskQueue

_BATCHES = (1, 255, 2048)
"""Sizes of the first, the second and every later batch: the first image shows at once."""
_SLICE = 1024
"""Names sorted at once: sorting holds the interpreter lock."""


class FolderScan(QObject):
    """Walks a folder on its own thread and reports keys as it finds them.

    Keys are relative paths with forward slashes. The order is depth first: the files of a folder in
    natural order (case ignored, numbers by value), then its sub-folders in natural order; a video
    is a sub-folder of its frames. Hidden
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
        self._reports: deque[_Report] = deque()
        self._complete = False
        # One report per turn of the event loop. Qt delivers all posted events, also those posted
        # meanwhile, before it looks at timers and the mouse: reports that arrive faster than they
        # are digested would freeze the window until the end of the walk.
        self._turns = QTimer(self)
        self._turns.setInterval(0)
        self._turns.timeout.connect(self._report_next)

    def start(self, folder: Path) -> None:
        """Walk this folder; a walk that still runs is stopped and forgotten."""
        self._forget()
        if self._queue is None:
            self._queue = TaskQueue("folder scan", self)
        walk = self._walk = _Walk(folder)
        self._queue.stream(
            "scan",
            walk.steps,
            lambda reports: self._take(walk, reports),
            lambda: self._take_end(walk),
            lambda error: self._fail(walk, error),
        )

    def stop(self) -> None:
        """End the walk and its thread; nothing is reported afterwards."""
        self._forget()
        if self._queue is not None:
            self._queue.close()
            self._queue.deleteLater()
            self._queue = None

    @property
    def running(self) -> bool:
        """Whether a walk has been started and not finished."""
        return self._walk is not None

    def _forget(self) -> None:
        if self._walk is not None:
            self._walk.stopped = True
            self._walk = None
        self._turns.stop()
        self._reports.clear()
        self._complete = False

    def _take(self, walk: _Walk, reports: list[_Report]) -> None:
        if self._walk is walk:
            self._reports += reports
            self._turns.start()

    def _take_end(self, walk: _Walk) -> None:
        if self._walk is walk:
            self._complete = True
            self._turns.start()

    def _report_next(self) -> None:
        if self._reports:
            report = self._reports.popleft()
            if isinstance(report, UserError):
                self.skipped.emit(report)
            else:
                self.found.emit(report)
            return
        self._turns.stop()
        if self._complete and self._walk is not None:
            count = self._walk.count
            self._forget()
            self.finished.emit(count)

    def _fail(self, walk: _Walk, error: Exception) -> None:
        if self._walk is not walk:
            return
        self._forget()
        if not isinstance(error, UserError):
            raise error
        self.failed.emit(error)


_Report = list[str] | UserError


def walk(folder: Path) -> Iterator[list[str] | UserError]:
    """The same walk without a thread: keys in order, and what had to be left out.

    Raises:
        UserError: the folder itself is gone or unreadable.
    """
    for reports in _Walk(folder).steps():
        yield from reports


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    prefix: str
    is_video: bool = False


class _Walk:
    """One walk, on the scanning thread; `count` is read and `stopped` set by the GUI thread."""

    def __init__(self, root: Path) -> None:
        self.count = 0
        self.stopped = False
        self._root = root
        self._seen: set[tuple[int, int]] = set()
        self._videos: set[str] = set()
        self._batch: list[str] = []
        self._batches = 0

    def steps(self) -> Iterator[list[_Report]]:
        """Each step ends when there is something to report."""
        stack = [_Folder(str(self._root), "")]
        while stack and not self.stopped:
            folder = stack.pop()
            if folder.is_video:
                yield from self._emit_frames(folder)
                continue
            files: list[str] = []
            folders: list[str] = []
            problems: list[_Report] = []
            try:
                if not self._is_new(folder):
                    continue
                for entries in self._slices(folder.path):
                    problems += self._sort_out(folder, entries, files, folders)
            except OSError as error:
                self._check_root()
                problems.append(_unreadable(folder.path, error))
                files.clear()
                folders.clear()
            if problems:
                yield problems
            yield from self._emit_in_order(folder, files)
            folders.sort(key=natural_key, reverse=True)
            stack += (
                _Folder(f"{folder.path}/{name}", f"{folder.prefix}{name}/", name in self._videos)
                for name in folders
            )
        self._check_root()
        if self._batch:
            yield [self._batch]

    def _slices(self, path: str) -> Iterator[list[os.DirEntry[str]]]:
        with os.scandir(path) as entries:
            while not self.stopped and (part := list(islice(entries, _SLICE))):
                yield part

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
        # Of this folder; its sub-folders are put on the stack before the next one is read.
        self._videos &= set(folders)
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            is_folder = _is_folder(entry)
            is_video = not is_folder and is_video_name(name) and _is_file(entry)
            if not (is_folder or is_video or (is_image_name(name) and _is_file(entry))):
                continue
            if not _is_unicode(name):
                problems.append(_impossible_name(folder.path, name))
            elif is_folder or is_video:
                folders.append(name)
                self._videos |= {name} if is_video else set()
            else:
                files.append(name)
        return problems

    def _emit_frames(self, video: _Folder) -> Iterator[list[_Report]]:
        # Not earlier: most folders have no videos.
        from annotator.core.videos import count_frames

        try:
            count = count_frames(Path(video.path))
        except UserError as error:
            yield [error]
            return
        for number in range(count):
            if self.stopped:
                return
            yield from self._emit(frame_key(video.prefix.removesuffix("/"), number))

    def _emit_in_order(self, folder: _Folder, names: list[str]) -> Iterator[list[_Report]]:
        """Sort in short runs and merge them: one long sort would hold the interpreter lock."""
        runs: list[list[str]] = []
        for start in range(0, len(names), _SLICE):
            if self.stopped:
                return
            runs.append(sorted(map(natural_key, names[start : start + _SLICE])))
        for key in heapq.merge(*runs):
            if self.stopped:
                return
            yield from self._emit(folder.prefix + key[key.rindex("\0") + 1 :])

    def _emit(self, key: str) -> Iterator[list[_Report]]:
        self._batch.append(key)
        self.count += 1
        if len(self._batch) >= _BATCHES[min(self._batches, len(_BATCHES) - 1)]:
            self._batches += 1
            full, self._batch = self._batch, []
            yield [full]


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
