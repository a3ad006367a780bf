"""Click to painted mask, hover previews and commits in the real window.

    python benchmarks/click.py [--clicks 40] [--model edgesam]

The default segmenter, or EdgeSAM with random weights that finds discs (`drawn_edgesam.py`).
The same scene at 0.8 and 12 megapixels, alternating; the ratio says how far the time depends on the
size of the image.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import drawn_edgesam
import numpy as np
from PySide6.QtCore import QEvent, QEventLoop, QObject, QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from startup import make_image

from annotator.app import fill, make_application, make_window
from annotator.main_window import MainWindow

MOUSE_MS = 4
"""Between two movements of the pointer."""
SIZES = {"0.8 MP": (1024, 768), "12 MP": (4000, 3000)}


def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until the condition holds; as in the program, it sleeps in between.

    (Polling would take a core away from the model, which computes on both.)
    """
    heart = QTimer()
    heart.start(20)
    while not condition():
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)


def open_image(window: MainWindow, folder: Path) -> None:
    """Show the folder's image with its embedding ready."""
    ready: list[str] = []
    window.workspace.assistant.prepared.connect(ready.append)
    window.start(folder, None)
    until(lambda: bool(ready))
    window.workspace.assistant.prepared.disconnect(ready.append)


class Painting(QObject):
    """Tells whether a widget was painted since its candidates arrived."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__()
        self._workspace = window.workspace
        self.seen = False
        window.canvas.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Look at events that pass."""
        self.seen |= event.type() == QEvent.Type.Paint and bool(self._workspace.candidates)
        return False


def click(window: MainWindow, x: float, y: float, *, rested: bool = False) -> float:
    """Milliseconds from the press of the button to the painted mask.

    Args:
        window: with an image.
        x: where, 0 to 1 of the image's width.
        y: where, 0 to 1 of its height.
        rested: the pointer has been there until the outline of its preview was shown.
    """
    workspace, image = window.workspace, window.workspace.image
    assert image is not None
    workspace.clear_draft()
    QApplication.processEvents()
    where = window.canvas.to_view(x * image.width, y * image.height)
    if rested:
        rest(window, where)
    painting = Painting(window)
    begin = time.perf_counter()
    QTest.mouseClick(window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=where)
    until(lambda: painting.seen)
    return (time.perf_counter() - begin) * 1000


def only(window: MainWindow, windows: Iterable[MainWindow]) -> None:
    """Hide the others: the pointer is over one window only."""
    for other in windows:
        other.setVisible(other is window)


def rest(window: MainWindow, where: QPoint) -> None:
    """Move the pointer there and wait for the preview."""
    previews: list[object] = []
    window.workspace.preview_changed.connect(previews.append)
    QTest.mouseMove(window.canvas.viewport(), where)
    until(lambda: any(one is not None for one in previews))
    window.workspace.preview_changed.disconnect(previews.append)
    QApplication.processEvents()


def accept(window: MainWindow) -> float:
    """Milliseconds from Enter to the object in the document."""
    before = len(window.workspace.annotations)
    begin = time.perf_counter()
    window.workspace.accept()
    until(lambda: len(window.workspace.annotations) > before)
    return (time.perf_counter() - begin) * 1000


def settle(window: MainWindow) -> None:
    """Take the object back and wait until everything is drawn and saved, as between two clicks."""
    document = window.workspace.document
    assert document is not None
    window.workspace.undo()
    document.save()
    until(lambda: not document.save_state.pending and not document.save_state.coco_pending)
    window.canvas.viewport().repaint()
    QApplication.processEvents()


def hover(window: MainWindow, seconds: float = 3.0) -> tuple[float, float]:
    """Previews per second while the pointer wanders, and the 99th percentile GUI tick in ms."""
    previews: list[object] = []
    ticks: list[float] = []
    window.workspace.clear_draft()
    window.workspace.preview_changed.connect(previews.append)
    begin = time.perf_counter()
    viewport, image = window.canvas.viewport(), window.workspace.image
    assert image is not None

    def move() -> None:
        ticks.append(time.perf_counter())
        passed = ticks[-1] - begin
        x = 0.5 + 0.3 * np.sin(passed * 2)
        y = 0.5 + 0.3 * np.cos(passed * 3)
        QTest.mouseMove(viewport, window.canvas.to_view(x * image.width, y * image.height))

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(move)
    timer.start(MOUSE_MS)
    until(lambda: time.perf_counter() - begin > seconds)
    timer.stop()
    window.workspace.preview_changed.disconnect(previews.append)
    found = sum(candidate is not None for candidate in previews)
    return found / seconds, float(np.percentile(np.diff(ticks) * 1000, 99))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--model", choices=("loupe", "basic", drawn_edgesam.MODEL), default="loupe")
    clicks, model = parser.parse_args().clicks, parser.parse_args().model
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = name
        if model == drawn_edgesam.MODEL:
            (Path(name) / "graphs").mkdir()
            drawn_edgesam.export(Path(name) / "graphs")
            drawn_edgesam.install(Path(name) / "graphs")
        application = make_application()
        windows = {}
        for title, size in SIZES.items():
            folder = Path(name) / title
            folder.mkdir()
            make_image(folder, *size)
            windows[title] = make_window(application)
            windows[title].settings.update(model=model)
            windows[title].show()
            fill(windows[title])
            open_image(windows[title], folder)
        times: dict[str, list[float]] = {title: [] for title in windows}
        commits: dict[str, list[float]] = {title: [] for title in windows}
        for _ in range(clicks):
            x, y = rng.uniform(0.1, 0.9, 2)
            for title, window in windows.items():
                times[title].append(click(window, x, y))
                commits[title].append(accept(window))
                settle(window)
        print("| image | click to paint | p90 | after a preview | accept | previews/s | tick p99 |")
        print("|---|---|---|---|---|---|---|")
        for title, window in windows.items():
            only(window, windows.values())
            rate, tick = hover(window)
            rested = [click(window, *rng.uniform(0.1, 0.9, 2), rested=True) for _ in range(clicks)]
            print(
                f"| {title} | {statistics.median(times[title]):.0f} ms "
                f"| {np.percentile(times[title], 90):.0f} ms "
                f"| {statistics.median(rested):.0f} ms "
                f"| {statistics.median(commits[title]):.0f} ms | {rate:.0f} | {tick:.1f} ms |"
            )
        medians = [statistics.median(values) for values in times.values()]
        print(f"\n12 MP / 0.8 MP: x {medians[1] / medians[0]:.2f}")
        for window in windows.values():
            window.close()


if __name__ == "__main__":
    main()
