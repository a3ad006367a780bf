"""Canvas: pan and zoom of 12 and 100 megapixels, 2,000 masks, contours, memory.

    python -m benchmarks.canvas [--size 1600x1000] [--masks 2000]

Frames are painted offscreen into a picture of the viewport's size. The reference is copying such a
picture twice, which is the least any canvas can do; ratios to it are what to compare on a busy
machine.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.cv import cv2
from annotator.core.images import LoadedImage
from annotator.services.settings import SettingsStore
from annotator.services.workspace import Workspace
from annotator.ui.canvas import Canvas
from annotator.ui.items import AnnotationItem, CandidateItem
from models.api import Box, MaskCandidate

COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def resident() -> float:
    """Resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def picture(width: int, height: int) -> np.ndarray:
    """A smooth photograph-like image."""
    rng = np.random.default_rng(1)
    small = rng.integers(0, 255, (height // 40, width // 40, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def blob(rng: np.random.Generator, side: int) -> np.ndarray:
    """An irregular object with a hole now and then."""
    noise = cv2.resize(rng.random((5, 5)).astype(np.float32), (side, side), interpolation=2)
    y, x = np.mgrid[:side, :side] / (side / 2) - 1
    return np.hypot(x, y) < 0.55 + 0.45 * noise


def report(name: str, times: list[float], reference: float) -> None:
    """One line: median, 99th percentile, worst, and the median in units of the reference."""
    ms = np.array(times) * 1e3
    print(
        f"{name:<44} median {np.median(ms):7.2f}  p99 {np.percentile(ms, 99):7.2f}  "
        f"max {ms.max():7.2f} ms   x{np.median(ms) / reference:6.1f}"
    )


class Bench:
    """One canvas, and a picture that stands for the screen."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self.settings = SettingsStore(folder / "annotator.ini")
        self.workspace = Workspace(self.settings)
        self.canvas = Canvas(self.workspace, self.settings)
        self.canvas.resize(width, height)
        self.canvas.show()
        self.screen = QImage(width, height, QImage.Format.Format_RGB32)
        self.reference = self._copying(width, height)

    def _copying(self, width: int, height: int) -> float:
        under = QImage(width, height, QImage.Format.Format_RGB32)
        over = QImage(width, height, QImage.Format.Format_ARGB32_Premultiplied)
        under.fill(0), over.fill(0)
        times = []
        for _ in range(30):
            start = time.perf_counter()
            painter = QPainter(self.screen)
            painter.drawImage(0, 0, under)
            painter.drawImage(0, 0, over)
            painter.end()
            times.append(time.perf_counter() - start)
        print(f"reference (two copies of the viewport)       {np.median(times) * 1e3:7.2f} ms")
        return float(np.median(times)) * 1e3

    def frame(self) -> float:
        """Paint the viewport once; seconds."""
        start = time.perf_counter()
        self.canvas.viewport().render(self.screen)
        return time.perf_counter() - start

    def show(self, key: str, pixels: np.ndarray) -> None:
        """Show an image as the loader would."""
        height, width = pixels.shape[:2]
        self.workspace.image_shown.emit(key)
        self.workspace.image_ready.emit(LoadedImage(key, pixels, width, height))

    def settle(self, seconds: float = 0.6) -> list[float]:
        """Run the event loop; returns how long each round took."""
        rounds, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            QApplication.processEvents()
            rounds.append(time.perf_counter() - start)
            time.sleep(0.001)
        return rounds

    def run(self, name: str, act: Callable[[int], None], frames: int) -> None:
        """Act and paint, many times."""
        times = []
        for number in range(frames):
            start = time.perf_counter()
            act(number)
            times.append(time.perf_counter() - start + self.frame())
        report(name, times, self.reference)

    def pan(self, name: str, frames: int = 240) -> None:
        """A quick drag to and fro."""
        self.run(name, lambda n: self.canvas.pan(9 if n % 80 < 40 else -9, 4), frames)

    def zoom(self, name: str, frames: int = 60) -> None:
        """Turn the wheel in and out."""
        at = QPointF(500, 400)
        step = 2 ** (1 / 6)

        def act(number: int) -> None:
            factor = step if number % 20 < 10 else 1 / step
            self.canvas._zoom_to(self.canvas.zoom() * factor, at)

        self.run(name, act, frames)


def images(bench: Bench) -> None:
    """12 and 100 megapixels without objects."""
    for title, width, height in (("12 MP", 4000, 3000), ("100 MP", 12000, 8334)):
        gc.collect()
        pixels = picture(width, height)
        before = resident()
        start = time.perf_counter()
        bench.show(title, pixels)
        bench.frame()
        print(f"{title + ' shown after':<44} {(time.perf_counter() - start) * 1e3:14.2f} ms")
        report(f"{title}, event loop while levels are made", bench.settle(), bench.reference)
        grown = resident() - before
        print(f"{title + ' memory beside its own pixels':<44} {grown:14.0f} MiB")
        bench.pan(f"{title}, pan, fitted")
        bench.zoom(f"{title}, zoom, fitted")
        bench.canvas.actual_size()
        bench.pan(f"{title}, pan, 100 %")
        bench.canvas.restore_view({"zoom": 6.0, "x": width / 2, "y": height / 2})
        bench.pan(f"{title}, pan, 600 %")
        bench.zoom(f"{title}, zoom, 600 %")


def annotations(count: int, width: int, height: int) -> list[Annotation]:
    """Many objects of all sizes, some named."""
    rng = np.random.default_rng(2)
    made = []
    for number in range(count):
        side = int(np.clip(rng.lognormal(4.2, 0.6), 12, 900))
        x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        mask = raster.from_crop(raster.Crop(x, y, blob(rng, side)), width, height)
        made.append(Annotation(number + 1, mask, number % 7 or None))
    return made


def masks(bench: Bench, count: int) -> None:
    """Many masks on one 12-megapixel image, accepted, then as proposals."""
    width, height = 4000, 3000
    made = annotations(count, width, height)
    bench.show("masks", picture(width, height))
    bench.settle(0.1)
    before = resident()
    start = time.perf_counter()
    items = [_item(annotation) for annotation in made]
    bench.canvas._masks.replace_all(items)
    print(f"{f'{count} masks, items made':<44} {(time.perf_counter() - start) * 1e3:14.2f} ms")
    _draw(bench, f"{count} masks")
    _change(bench, f"{count} masks", items)
    print(f"{f'{count} masks, memory':<44} {resident() - before:14.0f} MiB")
    items = [_item(replace(a, proposed=True), item) for a, item in zip(made, items, strict=True)]
    bench.canvas._masks.replace_all(items)
    _draw(bench, f"{count} proposals")
    bench.canvas.fit()
    _all_drawn(bench)
    times = []
    for shown in (items[::2], items) * 10:  # a filter that is moved to and fro
        start = time.perf_counter()
        bench.canvas._masks.set_items(shown)
        _all_drawn(bench)
        times.append(time.perf_counter() - start)
    report(f"{count} proposals, filter moved, all drawn", times, bench.reference)


def _item(annotation: Annotation, before: AnnotationItem | None = None) -> AnnotationItem:
    color = COLORS[annotation.id % 7] if annotation.category_id else ""
    return AnnotationItem(annotation, color, before)


def _draw(bench: Bench, what: str) -> None:
    for title, state in (
        ("fitted", {"fit": True}),
        ("100 %", {"zoom": 1.0, "x": 2000, "y": 1500}),
        ("600 %", {"zoom": 6.0, "x": 2000, "y": 1500}),
    ):
        bench.canvas.restore_view(state)
        start = time.perf_counter()
        frames = _all_drawn(bench)
        settled = (time.perf_counter() - start) * 1e3
        print(f"{f'{what}, {title}, all drawn after':<44} {settled:14.2f} ms")
        report(f"{what}, {title}, frames until then", frames, bench.reference)
        bench.pan(f"{what}, {title}, pan")
        bench.zoom(f"{what}, {title}, zoom")


def _all_drawn(bench: Bench) -> list[float]:
    """Seconds of every frame until no tile is missing."""
    frames = [bench.frame()]
    while bench.canvas._masks.pending:
        frames.append(bench.frame())
    return frames


def _change(bench: Bench, what: str, items: list[AnnotationItem]) -> None:
    bench.canvas.fit()
    _all_drawn(bench)
    changed = list(items)

    def change(number: int) -> None:
        new = replace(changed[number].annotation, category_id=3)
        changed[number] = AnnotationItem(new, COLORS[3])
        bench.canvas._masks.set_items(changed)

    bench.run(f"{what}, one changes", change, 100)
    where = [(float(x), float(y)) for x, y in np.random.default_rng(3).random((200, 2)) * 3000]
    bench.run(f"{what}, hit test and frame", lambda n: _hit(bench, where[n]), 200)


def _hit(bench: Bench, at: tuple[float, float]) -> None:
    bench.canvas.objects_at(*at)


def contours(bench: Bench) -> None:
    """What one answer of the model costs the GUI thread."""
    for side in (64, 256, 1024):
        grid = np.mgrid[:side, :side] / side - 0.5
        logits = (0.3 - np.hypot(*grid)) * 20 + np.random.default_rng(4).normal(
            0, 0.4, (side, side)
        )
        candidate = MaskCandidate(logits.astype(np.float32), Box(0, 0, 4000, 3000), 0.9)
        times = []
        for _ in range(30):
            start = time.perf_counter()
            CandidateItem(candidate)
            times.append(time.perf_counter() - start)
        report(f"contour of {side} x {side} noisy logits", times, bench.reference)


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1600x1000")
    parser.add_argument("--masks", type=int, default=2000)
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    app = QApplication([])
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), width, height)
        images(bench)
        masks(bench, options.masks)
        contours(bench)
        bench.workspace.close()
    del app


if __name__ == "__main__":
    main()
