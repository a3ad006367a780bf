"""Editing masks through the real canvas: 12 megapixels, 500 objects.

    python -m benchmarks.editing [--size 1600x1000] [--objects 500] [--moves 400] [--only tools]

Mouse events are sent to the canvas of a real project, offscreen; a move is timed until what it
changed is painted, a commit until the edit is made and handed to the journal's thread (the release
of the button), and the frames that follow until the object is drawn again are timed one by one.
The reference is painting the whole viewport once: a stroke that repaints only what it touched costs
a fraction of it on any machine.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PIL import Image
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.cv import cv2
from annotator.services.settings import SettingsStore
from annotator.services.workspace import Workspace
from annotator.ui.canvas import Canvas
from benchmarks import editing_tools

WIDTH, HEIGHT = 4000, 3000
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def blob(rng: np.random.Generator, side: int) -> np.ndarray:
    """An irregular object."""
    noise = cv2.resize(rng.random((7, 7)).astype(np.float32), (side, side), interpolation=2)
    y, x = np.mgrid[:side, :side] / (side / 2) - 1
    return np.hypot(x, y) < 0.5 + 0.45 * noise


class Bench:
    """A canvas on a project with one large image."""

    def __init__(self, folder: Path, size: tuple[int, int], objects: int) -> None:
        images = folder / "images"
        images.mkdir()
        rng = np.random.default_rng(1)
        small = rng.integers(0, 255, (HEIGHT // 40, WIDTH // 40, 3), np.uint8)
        photo = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(photo).save(images / "a.jpg", quality=90)
        self.settings = SettingsStore(folder / "annotator.ini")
        self.workspace = Workspace(self.settings)
        self.canvas = Canvas(self.workspace, self.settings)
        self.canvas.resize(*size)
        self.canvas.show()
        self.workspace.open_folder(images)
        while self.workspace.image is None or not self.workspace.image.complete:
            QApplication.processEvents()
        document = self.workspace.document
        assert document is not None
        category = document.add_category("thing").id
        made = []
        for number in range(objects):
            # The last two are edited: a small one and one over most of the image.
            side = {objects - 1: 2900, objects - 2: 160}.get(
                number, int(np.clip(rng.lognormal(4.6, 0.7), 16, 900))
            )
            x, y = int(rng.integers(0, WIDTH - side)), int(rng.integers(0, HEIGHT - side))
            if number >= objects - 2:
                x, y = (WIDTH - side) // 2, (HEIGHT - side) // 2
            mask = raster.from_crop(raster.Crop(x, y, blob(rng, side)), WIDTH, HEIGHT)
            made.append(Annotation(document.new_id(), mask, category))
        document.edit("a.jpg", tuple(made), "Add")
        self.small, self.large = made[-2].id, made[-1].id
        self.workspace.set_tool("brush")
        self.settle()

    def settle(self) -> list[float]:
        """Paint until everything is drawn; seconds of every round."""
        rounds = []
        while True:
            start = editing_tools.clock()
            QApplication.processEvents()
            rounds.append(editing_tools.clock() - start)
            painting = self.canvas.painting
            if not self.canvas._masks.pending and painting._live is None and len(rounds) > 3:
                return rounds

    def whole_frame(self) -> float:
        """Milliseconds of painting the whole viewport once (median)."""
        times = []
        for _ in range(15):
            start = editing_tools.clock()
            self.canvas.viewport().repaint()
            times.append(editing_tools.clock() - start)
        return float(np.median(times)) * 1e3

    def send(self, kind: QEvent.Type, x: float, y: float) -> None:
        """A mouse event at a place of the viewport."""
        at = QPointF(x, y)
        event = QMouseEvent(
            kind, at, QPointF(self.canvas.viewport().mapToGlobal(at)), LEFT, LEFT, NONE
        )
        QApplication.sendEvent(self.canvas.viewport(), event)

    def stroke(self, moves: int) -> tuple[list[float], list[float], float, list[float]]:
        """One long stroke; seconds of presses, moves, the commit, and the frames after it."""
        middle = self.canvas.viewport().rect().center()
        gc.collect()
        start = editing_tools.clock()
        self.send(QEvent.Type.MouseButtonPress, middle.x(), middle.y())
        QApplication.processEvents()
        pressed = [editing_tools.clock() - start]
        self._until_lifted()
        times = []
        for number in range(moves):
            angle = number / moves * 2 * np.pi
            x = middle.x() + 380 * np.sin(3 * angle)
            y = middle.y() + 260 * np.sin(4 * angle + 0.4)
            start = editing_tools.clock()
            self.send(QEvent.Type.MouseMove, x, y)
            QApplication.processEvents()
            times.append(editing_tools.clock() - start)
        start = editing_tools.clock()
        self.send(QEvent.Type.MouseButtonRelease, x, y)
        commit = editing_tools.clock() - start
        return pressed, times, commit, self.settle()

    def _until_lifted(self) -> None:
        """The frames in which the object leaves the picture of all objects."""
        while self.canvas._masks.pending:
            QApplication.processEvents()


def text(times: list[float]) -> str:
    """Median, 99th percentile and worst in milliseconds."""
    ms = np.array(times) * 1e3
    return f"{np.median(ms):6.2f} {np.percentile(ms, 99):6.2f} {ms.max():6.2f}"


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1600x1000")
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--moves", type=int, default=400)
    parser.add_argument("--only", choices=("brush", "tools"), help="the brush, or all other tools")
    parser.add_argument(
        "--processor", action="store_true", help="time of the GUI thread only, on a busy machine"
    )
    options = parser.parse_args()
    if options.processor:
        editing_tools.clock = time.thread_time
    width, height = (int(part) for part in options.size.split("x"))
    app = QApplication([])
    print("ms: median, 99th percentile, worst; the move also in units of one whole frame")
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), (width, height), options.objects)
        worst_move = worst_commit = tool_move = tool_commit = 0.0
        for view, state in (
            ("fitted", {"fit": True}),
            ("100 %", {"zoom": 1.0, "x": WIDTH / 2, "y": HEIGHT / 2}),
            ("600 %", {"zoom": 6.0, "x": WIDTH / 2, "y": HEIGHT / 2}),
        ):
            bench.canvas.restore_view(state)
            if options.only != "brush":
                move, commit = editing_tools.run(bench, view, options.moves)
                tool_move, tool_commit = max(tool_move, move), max(tool_commit, commit)
            if options.only == "tools":
                continue
            for what, number in (
                ("new", None), ("small", bench.small), ("large", bench.large)
            ):  # fmt: skip
                for brush in (12, 200):
                    bench.settings.update(brush_size=float(brush))
                    bench.workspace.select(() if number is None else (number,))
                    bench.settle()
                    frame = bench.whole_frame()
                    pressed, moves, commit, after = bench.stroke(options.moves)
                    p99 = float(np.percentile(moves, 99)) * 1e3
                    worst_move, worst_commit = max(worst_move, p99), max(worst_commit, commit * 1e3)
                    print(
                        f"{view:<7} {what:<6} brush {brush:>3}  press {pressed[0] * 1e3:6.1f}   "
                        f"move {text(moves)}  x{np.median(moves) * 1e3 / frame:5.2f}   "
                        f"commit {commit * 1e3:6.1f}   frames after {text(after)}",
                        flush=True,
                    )
                    bench.workspace.undo()
        print("goals: moves under 16 ms (99th percentile), commits and turns under 50 ms")
        print(f"brush: worst move {worst_move:.1f} ms, worst commit {worst_commit:.1f} ms")
        print(f"other tools: worst move {tool_move:.1f} ms, commit or turn {tool_commit:.1f} ms")
        bench.canvas.close()
        bench.workspace.close()
    del app


if __name__ == "__main__":
    main()
