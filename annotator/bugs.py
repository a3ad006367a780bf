"""The one handler for errors that are nobody's fault but ours: log, tell, go on."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, QStandardPaths, Qt, Signal

log = logging.getLogger("annotator")


def log_path() -> Path:
    """Where tracebacks are kept."""
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(base) / "annotator" / "annotator.log"


class BugHandler(QObject):
    """Catches exceptions nothing else caught, on any thread, for as long as it is installed.

    Args:
        tell: called on the GUI thread with a one-line summary and the whole traceback.
        parent: Qt parent.
    """

    _caught = Signal(str, str)

    def __init__(self, tell: Callable[[str, str], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._caught.connect(tell, Qt.ConnectionType.QueuedConnection)
        self._before = (sys.excepthook, threading.excepthook)
        self._log: RotatingFileHandler | None = None

    def install(self) -> None:
        """Start catching."""
        sys.excepthook = self._catch
        threading.excepthook = lambda info: self._catch(
            info.exc_type, info.exc_value or info.exc_type(), info.exc_traceback
        )

    def uninstall(self) -> None:
        """Stop catching."""
        sys.excepthook, threading.excepthook = self._before
        if self._log is not None:
            log.removeHandler(self._log)
            self._log.close()

    def _catch(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, Exception):
            self._before[0](kind, error, trace)
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        self._open_log()
        log.error("%s", text)
        sys.stderr.write(text)
        self._caught.emit(f"{kind.__name__}: {error}", text)

    def _open_log(self) -> None:
        if self._log is not None:
            return
        path = log_path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._log = RotatingFileHandler(
                path, maxBytes=1_000_000, backupCount=2, encoding="utf-8"
            )
        except OSError:
            return  # A full or read-only disk must not turn one error into two.
        self._log.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(self._log)
