"""A project with 1,000,000 annotations on 100,000 images in the real window, offscreen.

The project is that of `million.py`, with 100,000 files of a few kilobytes. The window is started as
a user does, and then used: walking through images, the history, a query, checks, statistics. Each
line says how long something took until it was on the screen, and how long the window did not answer
meanwhile (the lateness of a timer of 5 ms).

    python benchmarks/million_window.py
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from annotator.core.memory import resident
from benchmarks.million import IMAGES, PER_IMAGE, build, report

if TYPE_CHECKING:
    from annotator.main_window import MainWindow

PICTURES = 20
"""Different pictures; the others are hard links to them."""
WALKED = 60
QUERIES = (
    ("first query", 'class:"class 7" area:<2000'),
    ("next query", "count:>5 area:>9000"),
    ("query for a date", "date:today"),
    ("words", "part 07"),
)
LIMITS = {
    "opening": 2.0,
    "next image, median": 0.1,
    "memory after walking": 500e6,
    "memory after queries": 500e6,
}
"""Seconds, seconds, bytes."""


def forget_last_run(folder: Path) -> None:
    """Begin without anything to write to the COCO file, whatever a run before has done."""
    db = sqlite3.connect(folder / ".annotator" / "journal.sqlite")
    db.execute("DELETE FROM counters WHERE name='generation'")
    db.commit()
    db.close()
    (folder / ".annotator" / "coco.json").unlink(missing_ok=True)


def link_images(folder: Path, images: int) -> None:
    """As many files as the journal names."""
    import numpy as np

    from annotator.core.cv import cv2

    rng = np.random.default_rng(1)
    pictures = []
    for number in range(PICTURES):
        coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        pictures.append(folder / f".{number}.jpg")
        cv2.imwrite(str(pictures[-1]), picture)
    for number in range(1, images + 1):
        part = folder / f"part {number // 1000:03}"
        part.mkdir(exist_ok=True)
        (part / f"{number:06}.jpg").hardlink_to(pictures[number % PICTURES])


class Session:
    """Times what a person waits for, and how long the window does not answer meanwhile."""

    def __init__(self, window: MainWindow) -> None:
        from PySide6.QtCore import Qt, QTimer

        self.window = window
        self.result: dict[str, float] = {}
        self._last = time.perf_counter()
        self._late = 0.0
        self._timer = QTimer(timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(5)

    def _tick(self) -> None:
        now = time.perf_counter()
        self._late = max(self._late, now - self._last - 0.005)
        self._last = now

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time what happens meanwhile."""
        self._late, self._last = 0.0, time.perf_counter()
        began = time.perf_counter()
        yield
        self.result[name] = time.perf_counter() - began
        self._tick()
        self.result[f"  {name}: silent"] = self._late
        self.remember(f"  {name}: memory")

    def remember(self, name: str) -> None:
        """What is held now, and the most so far, bytes."""
        self.result[name] = float(resident())
        self.result[f"{name}, most"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the program run."""
        from annotator.session import wait_until

        wait_until(condition, f"what is timed after {list(self.result)[-1:]}")

    def rest(self, seconds: float) -> None:
        """Let it do what it does by itself."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)


def has_pixels(window: MainWindow, key: str | None = None) -> bool:
    """Whether an image is on the screen in full."""
    image = window.workspace.image
    return image is not None and image.complete and key in (None, image.key)


def measure(folder: Path) -> None:
    """Start the program, use it; prints the numbers as JSON."""
    began = time.perf_counter()
    from annotator.app import fill, make_application, make_window

    window = make_window(make_application())
    window.show()
    fill(window)
    session = Session(window)
    started = time.perf_counter()
    with session.timed("opening"):
        window.start(folder, None)
        session.until(lambda: has_pixels(window))
        window.grab()
    session.result["start of the program"] = started - began
    with session.timed("all that comes after"):
        session.rest(8.0)
    _walk(session)
    session.rest(4.0)
    session.remember("memory after walking")
    _look(session)
    print(json.dumps(session.result), flush=True)
    # The COCO file of a million objects is not part of it.
    os._exit(0)


def _walk(session: Session) -> None:
    """The next image by its key, sometimes far away."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    window, workspace, chance = session.window, session.window.workspace, random.Random(1)
    document = workspace.document
    assert document is not None
    times = []
    with session.timed("walking"):
        for number in range(WALKED):
            if number % 6 == 5:
                workspace.show(document.keys()[chance.randrange(len(document.keys()))])
                session.until(lambda: has_pixels(window, workspace.key))
                session.rest(0.5)
                continue
            began = time.perf_counter()
            before = workspace.key
            QTest.keyClick(window.canvas, Qt.Key.Key_D)
            session.until(
                lambda before=before: (
                    workspace.key != before  # type: ignore[misc]
                    and has_pixels(window, workspace.key)
                )
            )
            window.canvas.viewport().repaint()
            times.append(time.perf_counter() - began)
            assert len(workspace.annotations) == PER_IMAGE
            session.rest(0.15)
    times.sort()
    session.result["next image, median"] = times[len(times) // 2]
    session.result["next image, worst"] = times[-1]


def _look(session: Session) -> None:
    """History, a query, checks, statistics."""
    window, workspace = session.window, session.window.workspace
    document = workspace.document
    assert document is not None
    with session.timed("history panel"):
        window.actions_by_id["view.history_panel"].trigger()
        session.until(lambda: window.history_panel.steps.rowCount() > 0)
    images = window.image_list
    images.focus_filter()
    answers: list[object] = []
    images._query.found.connect(lambda *found: answers.append(found))
    for name, text in QUERIES:
        answers.clear()
        with session.timed(name):
            images.set_filter(text)
            session.until(lambda: bool(answers))
    with session.timed("all images again"):
        images.set_filter("")
        session.until(lambda: len(images.visible_keys()) == len(document.keys()))
    session.rest(4.0)
    session.remember("memory after queries")
    with session.timed("edit, durable"):
        key = workspace.key
        assert key is not None
        document.edit(key, document.annotations(key)[1:], "Delete")
        session.until(lambda: document.save_state.pending == 0)


def main() -> int:
    """The command line; 1 if something takes longer than promised."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--folder", type=Path, help="keep the project here and use it again")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options.measure)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)) / f"million-{options.images}"
        if not (folder / ".annotator" / "journal.sqlite").exists():
            build(folder, options.images)
        if not (folder / ".0.jpg").exists():
            link_images(folder, options.images)
        forget_last_run(folder)
        command = [sys.executable, __file__, "--measure", str(folder)]
        environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": temporary,
                                    "XDG_CACHE_HOME": temporary}  # fmt: skip
        out = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
        result: dict[str, float] = json.loads(out.stdout)
    print(f"{options.images:,} images, {options.images * PER_IMAGE:,} annotations in the window,"
          f" load {os.getloadavg()[0]:.1f}")  # fmt: skip
    return report(result, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
