"""From "next image" to its pixels in the GUI thread, compared with decoding its reduced JPEG.

    python benchmarks/image_change.py [FILE] [--rounds 15]

Without a file a 12-megapixel JPEG of about 4 MB is made. The two are timed in turns, so that a busy
machine slows both. Three ways to arrive at an image: nothing is known of it; its neighbour was
shown long enough for it to be loaded ahead; keys are held down (every image differs, no pause).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QCoreApplication, QEventLoop, QTimer

from annotator.core import images
from annotator.core.cv import cv2
from annotator.services.image_loader import ImageLoader


def make_photo(path: Path) -> None:
    """A 4000 × 3000 JPEG with soft shapes and sensor noise."""
    random = np.random.default_rng(7)
    coarse = random.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    soft = cv2.resize(coarse, (4000, 3000), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    noisy = soft + random.integers(-12, 12, soft.shape, dtype=np.int16)
    cv2.imwrite(str(path), np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def milliseconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


class Change:
    """Requests an image and waits for what comes."""

    def __init__(self) -> None:
        self.loader = ImageLoader()
        self.loader.loaded.connect(self._take)
        self._loop = QEventLoop()
        self._until_complete = False

    def _take(self, image: images.LoadedImage) -> None:
        if image.complete or not self._until_complete:
            self._loop.quit()

    def visible(self, path: Path) -> float:
        """Milliseconds until anything of the image can be drawn."""
        self._until_complete = False
        return milliseconds(lambda: self._wait(path))

    def complete(self, path: Path) -> float:
        """Milliseconds until its full pixels can be drawn."""
        self._until_complete = True
        return milliseconds(lambda: self._wait(path))

    def _wait(self, path: Path) -> None:
        self.loader.request(str(path), path)
        self._loop.exec()

    def look_ahead(self, path: Path) -> None:
        """Give prefetching a second."""
        self.loader.prefetch([(str(path), path)])
        QTimer.singleShot(1000, self._loop.quit)
        self._loop.exec()


def report(name: str, times: list[float], basis: list[float]) -> None:
    """One line: median, least, and the ratio to the reduced decode."""
    ratio = statistics.median(times) / statistics.median(basis)
    print(f"{name:34} {statistics.median(times):7.1f} {min(times):7.1f} {ratio:8.2f}")


def measure(paths: list[Path]) -> None:
    """All rows of the table."""
    change = Change()
    change.complete(paths.pop())
    basis, first, full, ahead, held = [], [], [], [], []
    for number, path in enumerate(paths):
        basis.append(milliseconds(lambda path=path: images.load_preview("", path)))  # type: ignore[misc]
        if number % 3 == 0:
            first.append(change.visible(path))
            full.append(change.complete(path))
        elif number % 3 == 1:
            change.look_ahead(path)
            ahead.append(change.visible(path))
        else:
            held.append(change.visible(path))
    change.loader.close()
    print(f"{'ms':34} {'median':>7} {'least':>7} {'ratio':>8}")
    report("reduced decode (the basis)", basis, basis)
    report("visible, nothing known", first, basis)
    report("  then complete", full, basis)
    report("visible, loaded ahead", ahead, basis)
    report("visible, right after another one", held, basis)


def main() -> None:
    """Copy the photo, so that every change is to another file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    application = QCoreApplication([])
    with tempfile.TemporaryDirectory() as name:
        photo = options.file or Path(name) / "photo.jpg"
        if options.file is None:
            make_photo(photo)
        paths = [Path(name) / f"{number}{photo.suffix}" for number in range(options.rounds * 3 + 1)]
        for path in paths:
            shutil.copy(photo, path)
        print(images.probe(photo), f"{photo.stat().st_size / 1e6:.1f} MB")
        measure(paths)
    del application


if __name__ == "__main__":
    main()
