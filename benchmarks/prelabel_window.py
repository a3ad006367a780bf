"""Clicks while a folder is pre-labelled in the window, against the same clicks while it is paused.

    python benchmarks/prelabel_window.py [--clicks 20] [--images 60]

One run with the model that ships, on copies of the sample photographs; clicks take turns, so the
ratio is that of one run. A click may wait for one batch of prompts at most; what that takes is
measured on the same images, alone. The run has a segmenter and threads of its own, so what a click
waits for is only the processor.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import click
import numpy as np

from annotator.app import fill, make_application, make_window
from annotator.core import images
from annotator.main_window import MainWindow
from annotator.services.folder_run import FolderRun
from annotator.services.prelabel_sources import KINDS
from annotator.services.run_preparing import Order
from models import everything
from models.registry import DEFAULT_SEGMENTER, segmenter_spec

SAMPLES = Path(__file__).parents[1] / "resources" / "samples"
SIDE = 6
NAMES = ("cat.jpg", "coffee.jpg", "coins.png")


def batch_step(path: Path) -> tuple[float, float]:
    """Milliseconds of one batch of prompts, and of a whole image, alone."""
    segmenter = segmenter_spec(DEFAULT_SEGMENTER).load()
    pixels = images.read_image(path)
    began = time.perf_counter()
    embedding = segmenter.encode(pixels)
    steps = [time.perf_counter()]
    work = everything.steps(segmenter, embedding, everything.Options(SIDE), everything.MOST_PROMPTS)
    steps.extend(time.perf_counter() for _ in work)
    return float(np.diff(steps)[0]) * 1000, (steps[-1] - began) * 1000


def measure(window: MainWindow, run: FolderRun, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of clicks while the run is paused, and while it works."""
    rng = np.random.default_rng(0)
    idle: list[float] = []
    busy: list[float] = []
    click.click(window, 0.5, 0.5)  # loads the model
    for _ in range(count):
        # Another place each time: an answer for the same one is remembered.
        run.pause()
        time.sleep(1.0)  # what is on its way is finished
        idle.append(click.click(window, *rng.uniform(0.1, 0.9, 2)))
        told: list[object] = []
        run.progressed.connect(told.append)
        run.go_on()
        # In the midst of some image, not at the same place of all.
        click.until(lambda told=told: len(told) > 2)
        time.sleep(float(rng.uniform(0, 0.3)))
        run.progressed.disconnect(told.append)
        assert run.running, "more images are needed"
        busy.append(click.click(window, *rng.uniform(0.1, 0.9, 2)))
    return idle, busy


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--images", type=int, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = name
        folder = Path(name) / "photographs"
        folder.mkdir()
        for number in range(options.images):
            sample = SAMPLES / NAMES[number % len(NAMES)]
            shutil.copy(sample, folder / f"{number:03}{sample.suffix}")
        step, image = batch_step(folder / "000.jpg")
        window = make_window(make_application())
        window.show()
        fill(window)
        click.open_image(window, folder)
        document = window.workspace.document
        assert document is not None
        click.until(lambda: len(document.keys()) == options.images)
        run, kind = window.prelabelling.run, KINDS[0]
        values = {o.name: o.default for o in kind.options(window.settings.settings)}
        values["side"] = SIDE  # more images in less time; the batches are as large
        done: list[int] = []
        run.progressed.connect(lambda progress: done.append(progress.done))
        # The image on the screen is not among them: what is painted there stays the same.
        run.start(Order(kind.id, values, DEFAULT_SEGMENTER), list(document.keys())[1:])
        click.until(lambda: bool(done) and done[-1] > 0)
        idle, busy = measure(window, run, options.clicks)
        run.stop()
        window.close()
    print(f"one batch of {everything.MOST_PROMPTS} prompts alone: {step:.0f} ms; "
          f"a whole image: {image:.0f} ms\n")  # fmt: skip
    print("| click to painted mask | run paused | run working | ratio | added, in batches |")
    print("|---|---|---|---|---|")
    for title, of in (("median", 50), ("p90", 90), ("slowest", 100)):
        one, other = np.percentile(idle, of), np.percentile(busy, of)
        print(f"| {title} | {one:.0f} ms | {other:.0f} ms | x {other / one:.2f} "
              f"| {(other - one) / step:.2f} |")  # fmt: skip
    print(f"\n{len(busy)} clicks each; median ratio "
          f"{statistics.median(b / i for b, i in zip(busy, idle, strict=True)):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
