"""Pre-labelling a folder of 100,000 images: how long does the window stand still at a time?

    python benchmarks/prelabel_steps.py [--images 100000] [--masks 1000]

Prints the longest single steps of the GUI thread, in milliseconds: opening the dialog, counting
images, changing an option, starting a run, the run, asking whether one was interrupted, going on
with it, taking it back.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import cv2
import numpy as np
from PySide6.QtCore import QEvent, QObject, QThread, Signal
from PySide6.QtWidgets import QApplication

from annotator.core import raster
from annotator.services.document import Document
from annotator.services.folder_run import FolderRun
from annotator.services.run_preparing import Order
from annotator.services.settings import SettingsStore
from annotator.ui.prelabel_dialog import Listed, PrelabelDialog
from models.api import Box

VALUES = {"names": "", "classes": "add", "min_score": 0.0, "min_area": 1}


class Timed(QApplication):
    """Knows how long events took."""

    def __init__(self) -> None:
        super().__init__([])
        self.steps: list[float] = []
        self._depth = 0

    def notify(self, receiver: QObject, event: QEvent) -> bool:
        """As always, with a clock."""
        if QThread.currentThread() != self.thread() or self._depth:
            return super().notify(receiver, event)
        self._depth, began = 1, time.perf_counter()
        try:
            return super().notify(receiver, event)
        finally:
            self._depth = 0
            self.steps.append((time.perf_counter() - began) * 1000)

    def tell(self, what: str, act: Callable[[], object], until: Callable[[], bool]) -> None:
        """Do something and print the longest steps until something has happened."""
        self.steps = []
        began = time.perf_counter()
        act()
        direct = (time.perf_counter() - began) * 1000
        while not until():
            self.processEvents()
        longest = ", ".join(f"{one:.1f}" for one in sorted(self.steps)[:-4:-1])
        print(f"  {what}: {direct:.1f} at once; longest events {longest or 0}")


class Desk(QObject):
    """What a run asks of a workspace."""

    project_closing = Signal()

    def __init__(self, document: Document) -> None:
        super().__init__()
        self.document = document


def fill(folder: Path, count: int) -> Path:
    """Small images, and a file with a mask for each."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    mask = raster.from_box(Box(5, 5, 20, 20), 64, 48).to_coco()
    entries = []
    for number in range(count):
        assert cv2.imwrite(str(folder / f"{number:06}.png"), pixels)
        entries.append({"file_name": f"{number:06}.png", "category": "a", "segmentation": mask})
    results = folder.parent / "results.json"
    results.write_text(json.dumps(entries))
    return results


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--masks", type=int, default=1000)
    given = parser.parse_args()
    application = Timed()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        results = fill(folder, given.masks)
        first = Document.open(folder)
        first.add_images([f"{number:06}.png" for number in range(given.images)])
        first.close()
        document = Document.open(folder)
        settings = SettingsStore(Path(name) / "settings.ini")
        keys = list(document.keys())
        print(f"{given.images:,} images, load {os.getloadavg()[0]:.1f}; milliseconds")
        dialogs: list[PrelabelDialog] = []

        def opens() -> None:
            listed = Listed(keys, ())
            made = PrelabelDialog(document, listed, settings.settings, "basic")
            made.show()
            dialogs.append(made)

        application.tell("first dialog (with imports)", opens,
                         lambda: len(dialogs[-1].keys) == given.images)  # fmt: skip
        dialogs.pop().close()
        application.tell("dialog", opens, lambda: len(dialogs[-1].keys) == given.images)
        dialog = dialogs[-1]
        form = dialog.form("everything")
        application.tell("an option", form.changed.emit, lambda: True)
        application.tell("another condition", lambda: dialog.condition.setCurrentIndex(0),
                         lambda: len(dialog.keys) == given.images)  # fmt: skip
        run = FolderRun(Desk(document), settings)  # type: ignore[arg-type]
        ended: list[object] = []
        run.finished.connect(ended.append)
        order = Order("masks", {**VALUES, "path": str(results)}, "basic")
        application.tell("start and run", lambda: run.start(order, keys), lambda: bool(ended))
        ids = [document.record(key).id for key in keys]
        for place in range(0, given.images - 1000, 1000):
            document.set_note(f"prelabel {place // 1000}", ids[place : place + 1000])
        note = document.note("prelabel")
        window = {**note["window"], "ids": [[ids[0], ids[-1]]], "finished": False}
        document.set_note("prelabel", {**note, "window": window})
        application.tell("was one interrupted?", run.unfinished, lambda: True)
        application.tell("go on", run.resume, lambda: len(ended) == 2)
        group = document.note("prelabel")["group"]
        application.tell("take back", lambda: document.history.take_back(group),
                         lambda: not document.history.running)  # fmt: skip
        run.close()
        dialog.close()
        document.close()


if __name__ == "__main__":
    main()
