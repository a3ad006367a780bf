"""Our whole click against what X-AnyLabeling does for the same one (spec/performance.md, 5).

    python benchmarks/click_rival.py [--clicks 20]

Ours: from the press of the button in the real window (offscreen) to the repainted canvas, threads
included. Theirs is re-created from its source (`edge_sam.py`, `model_manager.py`, `canvas.py`): a
thread started for the click reads the image file again, runs the plain decoder with onnxruntime's
defaults, compares the stability of four masks, enlarges the chosen one over 1024 to full size and
traces contours to polygon points; then the canvas, as large as ours, paints image and polygon
anew. "Without Qt" is the part of the thread alone. What its window does besides (marks, lists,
labels, buttons) is left out. Both use EdgeSAM with the same random weights; masks are drawn
(`drawn_edgesam.py`). The two take turns; ratios are medians over the rounds. A click where the
pointer had rested repeats what its preview showed; it is given beside the unannounced one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import cv2
import drawn_edgesam
import numpy as np
from click import SIZES, accept, click, only, open_image, settle, until
from PySide6.QtCore import QPointF, QSize, QThread, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QWidget
from startup import make_image

from annotator.app import fill, make_application, make_window

PAUSE_S = 0.2
"""Between two clicks; onnxruntime's threads, as the rival uses it, spin after their work."""
GOALS = {"0.8 MP": 2.0, "12 MP": 6.0}


class Rival:
    """A click as X-AnyLabeling answers it, with its embedding cached."""

    def __init__(self, decoder: Path) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(
            str(decoder), providers=["CPUExecutionProvider"]
        )
        self._embedding = np.random.default_rng(0).random((1, 256, 64, 64), np.float32)
        self._drawn = drawn_edgesam.disc(drawn_edgesam.SHARE, 256, 2.0)

    def answer(self, image: Path, x: float, y: float) -> list[QPointF]:
        """The polygon for a click at this place, 0 to 1."""
        data = np.fromfile(image, np.uint8)
        pixels = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return _polygon(self._mask(pixels.shape[0], pixels.shape[1], x, y))

    def _mask(self, height: int, width: int, x: float, y: float) -> np.ndarray:
        scale = 1024 / max(height, width)
        resized = int(height * scale + 0.5), int(width * scale + 0.5)
        feeds = {
            "image_embeddings": self._embedding,
            "point_coords": np.array([[[x * resized[1], y * resized[0]]]], np.float32),
            "point_labels": np.ones((1, 1), np.float32),
        }
        _, masks = self._session.run(None, feeds)
        masks[:] = self._drawn
        high, low = masks[0] > 1, masks[0] > -1
        areas = [np.sum(pair, axis=(-1, -2), dtype=np.int32) for pair in (high & low, high | low)]
        chosen = masks[0, int(np.argmax(areas[0] / areas[1]))]
        large = cv2.resize(chosen, (1024, 1024))[: resized[0], : resized[1]]
        return cv2.resize(large, (width, height)) > 0


class RivalThread(QThread):
    """One for every click."""

    answered = Signal(object)

    def __init__(self, rival: Rival, image: Path, x: float, y: float) -> None:
        super().__init__()
        self._work = lambda: rival.answer(image, x, y)
        self.milliseconds = 0.0

    def run(self) -> None:
        """Work in the new thread."""
        begin = time.perf_counter()
        points = self._work()
        self.milliseconds = (time.perf_counter() - begin) * 1000
        self.answered.emit(points)


class RivalCanvas(QWidget):
    """Paints the whole image smoothly, then the shape, whatever has changed."""

    def __init__(self, rival: Rival, image: Path, size: QSize) -> None:
        super().__init__()
        self._rival, self._image = rival, image
        self._pixmap = QPixmap(str(image))
        self._points: list[QPointF] = []
        self._painted = False
        self.resize(size)
        self.show()

    def click(self, x: float, y: float) -> tuple[float, float]:
        """Milliseconds to the painted polygon, and those of the thread alone."""
        begin = time.perf_counter()
        self._painted = False
        thread = RivalThread(self._rival, self._image, x, y)
        thread.answered.connect(self._take)
        thread.start()
        until(lambda: self._painted)
        taken = (time.perf_counter() - begin) * 1000
        thread.wait()
        return taken, thread.milliseconds

    def _take(self, points: list[QPointF]) -> None:
        assert points
        self._points = points
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint."""
        scale = min(self.width() / self._pixmap.width(), self.height() / self._pixmap.height())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.scale(scale, scale)
        painter.drawPixmap(0, 0, self._pixmap)
        painter.setPen(QPen(QColor(0, 255, 0), 2 / scale))
        painter.setBrush(QColor(0, 255, 0, 80))
        painter.drawPolygon(QPolygonF(self._points))
        painter.end()
        self._painted = bool(self._points)


def _polygon(mask: np.ndarray) -> list[QPointF]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(c, 0.001 * cv2.arcLength(c, True), True) for c in contours]
    areas = [cv2.contourArea(contour) for contour in simple]
    kept = [c for c, area in zip(simple, areas, strict=True) if area > 0.2 * np.mean(areas)]
    return [QPointF(int(x), int(y)) for contour in kept for x, y in contour.reshape(-1, 2)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=20)
    clicks = parser.parse_args().clicks
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = name
        graphs = Path(name) / "graphs"
        graphs.mkdir()
        drawn_edgesam.export(graphs)
        drawn_edgesam.install(graphs)
        application, rival = make_application(), Rival(graphs / "plain.onnx")
        windows = {}
        for title, size in SIZES.items():
            folder = Path(name) / title
            folder.mkdir()
            make_image(folder, *size, noise=26)
            windows[title] = make_window(application)
            windows[title].settings.update(model=drawn_edgesam.MODEL)
            windows[title].show()
            fill(windows[title])
            open_image(windows[title], folder)
        canvases = {
            title: RivalCanvas(
                rival, Path(name) / title / "picture.jpg", window.canvas.viewport().size()
            )
            for title, window in windows.items()
        }
        ours: dict[str, list[float]] = {title: [] for title in SIZES}
        theirs: dict[str, list[float]] = {title: [] for title in SIZES}
        bare: dict[str, list[float]] = {title: [] for title in SIZES}
        rested: dict[str, list[float]] = {title: [] for title in SIZES}
        for number in range(clicks + 1):
            x, y = rng.uniform(0.3, 0.7, 2)
            for title, window in windows.items():
                time.sleep(PAUSE_S)
                there, part = canvases[title].click(x, y)
                time.sleep(PAUSE_S)
                here = click(window, x, y)
                accept(window)
                settle(window)
                if number:
                    ours[title].append(here)
                    theirs[title].append(there)
                    bare[title].append(part)
        for title, window in windows.items():
            only(window, windows.values())
            for _ in range(clicks):
                time.sleep(PAUSE_S)
                rested[title].append(click(window, *rng.uniform(0.3, 0.7, 2), rested=True))
        for window in (*windows.values(), *canvases.values()):
            window.close()
    print(
        "| image | ours, whole | X-AnyLabeling, painted | ratio | goal | without Qt | ratio "
        "| ours where the pointer rested | ratio |\n|---|---|---|---|---|---|---|---|---|"
    )
    for title in SIZES:
        own, part = statistics.median(ours[title]), statistics.median(bare[title])
        whole, quick = statistics.median(theirs[title]), statistics.median(rested[title])
        ratio = statistics.median(np.divide(theirs[title], ours[title]))
        least = statistics.median(np.divide(bare[title], ours[title]))
        print(
            f"| {title} | {own:.0f} ms | {whole:.0f} ms | x {ratio:.1f} | x {GOALS[title]:.0f} "
            f"| {part:.0f} ms | x {least:.1f} | {quick:.0f} ms | x {whole / quick:.1f} |"
        )
    small, large = (statistics.median(ours[title]) for title in SIZES)
    print(f"\nours, 12 MP / 0.8 MP: x {large / small:.2f} (goal: at most 1.10)")


if __name__ == "__main__":
    main()
