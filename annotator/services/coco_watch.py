"""`CocoWatch`: notices while a project is open that another program changed its COCO file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from annotator.core.files import fingerprint
from annotator.services.coco_backups import ChangedOutside, base_of
from annotator.services.coco_export import is_foreign
from annotator.services.task_queue import TaskQueue

if TYPE_CHECKING:
    from annotator.services.document import Document

QUIET_MS = 700
"""The other program may write in pieces."""


class CocoWatch(QObject):
    """Looks at the file on a thread of its own, some moments after it or its folder changed.

    Args:
        document: the project.
        parent: Qt parent.
    """

    changed_outside = Signal(object)
    """`ChangedOutside`; once for each content."""

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._queue: TaskQueue | None = None
        self._told = ""
        self._watcher = QFileSystemWatcher(self)
        self._soon = QTimer(self, singleShot=True, interval=QUIET_MS)
        self._soon.timeout.connect(self._look)
        self._watcher.fileChanged.connect(self._soon.start)
        self._watcher.directoryChanged.connect(self._soon.start)
        self._watch()

    def close(self) -> None:
        """Look no more."""
        # Changes that the system has yet to tell would start it again.
        self._soon.timeout.disconnect(self._look)
        self._soon.stop()
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    def _watch(self) -> None:
        # A file that was replaced is not watched any more.
        path = self._document.coco_path
        for one in (path, path.parent):
            if str(one) not in (*self._watcher.files(), *self._watcher.directories()):
                self._watcher.addPath(str(one))

    def _look(self) -> None:
        self._watch()
        if self._queue is None:
            self._queue = TaskQueue("watch", self)
        self._queue.submit("look", self._compare, self._take, self._fail)

    def _compare(self) -> tuple[str, ChangedOutside] | None:
        """On the thread: what there is to tell."""
        path, exporter = self._document.coco_path, self._document.exporter
        if not exporter.known.hashes or not is_foreign(path, exporter.known):
            return None
        digest = fingerprint(path).sha256
        if digest in exporter.known.hashes:
            return None
        base = base_of(exporter.backups, exporter.known.hashes)
        return digest, ChangedOutside(
            path,
            base,
            f"“{path.name}” was changed by another program.",
            "Merge what it changed into this project, or keep its version beside when the project"
            " is next saved.",
        )

    def _take(self, found: tuple[str, ChangedOutside] | None) -> None:
        if found is not None and found[0] != self._told:
            self._told = found[0]
            self.changed_outside.emit(found[1])

    def _fail(self, error: Exception) -> None:
        # A file that is gone or locked for a moment is looked at again when it changes.
        if not isinstance(error, OSError):
            raise error
