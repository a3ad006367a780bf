"""Opening a folder of 100,000 files: when does the first image show, and does the window freeze?

    python benchmarks/open_folder.py [--files 100000] [--folders 1]

Prints, in milliseconds: the first key, all keys, and the worst lateness of a 5-ms timer in the GUI
thread while the scan runs, first for the scan alone, then with document and image list filling up,
then per keystroke in the filter.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QEventLoop, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication

from annotator.services.document import Document
from annotator.services.folder_scan import FolderScan
from annotator.ui.image_list import ImageList

TICK_MS = 5


class Ticks:
    """Lateness of a regular timer: what a person would feel as a freeze."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def __enter__(self) -> Ticks:
        self._last = time.perf_counter()
        self._timer.start(TICK_MS)
        return self

    def __exit__(self, *_: object) -> None:
        self._tick()
        self._timer.stop()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append((now - self._last) * 1000 - TICK_MS)
        self._last = now

    def __str__(self) -> str:
        ranked = sorted(self.late)
        return f"worst tick {ranked[-1]:.1f} late, p99 {ranked[int(len(ranked) * 0.99)]:.1f}"


class Stage(QObject):
    """What the image list asks of a workspace."""

    project_opened = Signal(object)
    project_closed = Signal()
    image_shown = Signal(str)
    image_ready = Signal(object)
    image_failed = Signal(str, object)

    def show(self, key: str) -> None:
        """Every widget follows."""
        self.image_shown.emit(key)


def fill(folder: Path, files: int, folders: int) -> None:
    """Small files whose names are not in the order in which the disk returns them."""
    for number in range(files):
        place = folder / f"part {number % folders}" if folders > 1 else folder
        place.mkdir(exist_ok=True)
        with open(place / f"IMG_{number * 7919 % files}.JPG", "wb") as file:  # noqa: PTH123
            file.write(b"\xff\xd8")


def scan(folder: Path, take: Callable[[list[str]], None]) -> None:
    """Scan once and print what it took."""
    loop, scanner, first = QEventLoop(), FolderScan(), [0.0]
    start = time.perf_counter()

    def found(keys: list[str]) -> None:
        first[0] = first[0] or time.perf_counter() - start
        take(keys)

    scanner.found.connect(found)
    scanner.finished.connect(loop.quit)
    scanner.failed.connect(sys.exit)
    with Ticks() as ticks:
        scanner.start(folder)
        loop.exec()
        took = time.perf_counter() - start
        QCoreApplication.processEvents()
    scanner.stop()
    print(f"  first key {first[0] * 1000:.0f} ms, all {took * 1000:.0f} ms, {ticks}")


def main() -> None:
    """Run both scans and the filter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folders", type=int, default=1)
    options = parser.parse_args()
    application = QApplication([])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, options.files, options.folders)
        print("scan alone")
        scan(folder, lambda keys: None)
        print("scan with document and image list")
        # Loading OpenCV blocks every thread once, at the program's start; it is not the list's.
        importlib.import_module("annotator.core.images")
        stage, document = Stage(), Document.open(folder)
        images = ImageList(stage)  # type: ignore[arg-type]
        images.resize(280, 700)
        images.show()
        stage.project_opened.emit(document)
        settle(300)
        scan(folder, document.add_images)
        with Ticks() as ticks:
            settle(1000)
        print(f"  states counted: {ticks}")
        print("filter, ms per keystroke")
        for text in ("i", "im", "img_9", "img_99", "9 5 jpg", ""):
            start = time.perf_counter()
            images.set_filter(text)
            application.processEvents()
            took = (time.perf_counter() - start) * 1000
            print(f"  {text!r}: {took:.1f} ({len(images.visible_keys()):,} images)")
        stage.project_closed.emit()
        document.close()


def settle(milliseconds: int) -> None:
    """Let the event loop run."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == "__main__":
    main()
