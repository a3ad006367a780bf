"""An export of the open project on a thread of its own, with progress and a way to stop it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services.store import Courier

if TYPE_CHECKING:
    from annotator.core.formats.api import FormatSpec
    from annotator.core.formats.exporting import ExportOptions
    from annotator.services.document import Document

PAUSE = 0.05
"""Seconds between two reports of progress."""


class _StoppedError(Exception):
    """Somebody asked for it."""


class ExportRun(QObject):
    """Exports once.

    Args:
        document: the project; its edits are durable before anything is read.
        parent: Qt parent.
    """

    advanced = Signal(int, int)
    """Image of the present pass, and number of images."""
    finished = Signal(object)
    """The `Report`."""
    failed = Signal(object)
    """A `UserError`; nothing was written."""
    stopped = Signal()
    """As asked; nothing was written."""

    def __init__(self, document: Document, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document = document
        self._courier = Courier(self)
        self._asked = threading.Event()
        self._thread: threading.Thread | None = None
        self._shown = 0.0

    def start(self, spec: FormatSpec, out: Path, options: ExportOptions) -> None:
        """Begin; one of the signals tells the end."""
        arguments = (spec, out, options, self._document.folder, self._document.project_dir)
        self._thread = threading.Thread(target=self._run, args=arguments, name="export")
        self._thread.start()

    def stop(self) -> None:
        """Stop after the image it is at."""
        self._asked.set()

    def close(self) -> None:
        """Stop and wait for the thread."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    # --- On the thread ---

    def _run(
        self, spec: FormatSpec, out: Path, options: ExportOptions, folder: Path, project: Path
    ) -> None:
        from annotator.core.formats.exporting import export
        from annotator.services.project_content import check_place, project_content

        try:
            check_place(folder, out, options.images)
            self._document.flush(10)
            with project_content(folder, project, rejected=options.rejected) as content:
                report = export(content, spec, out, options, self._advance)
        except UserError as error:
            self._courier.post(lambda error=error: self.failed.emit(error))  # type: ignore[misc]
        except _StoppedError:
            self._courier.post(self.stopped.emit)
        else:
            self._courier.post(lambda: self.finished.emit(report))

    def _advance(self, done: int, count: int) -> None:
        if self._asked.is_set():
            raise _StoppedError
        if time.monotonic() - self._shown > PAUSE:
            self._shown = time.monotonic()
            self._courier.post(lambda: self.advanced.emit(done, count))
