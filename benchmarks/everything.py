"""Everything mode: points and masks per second, and clicks while it runs.

    python benchmarks/everything.py [--rounds 5] [--clicks 15] [--part clicks]

With the built-in segmenter and with EdgeSAM with random weights that finds discs
(`drawn_edgesam.py`); variants take turns, ratios are those of one run. What it finds:
`everything_quality.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import click
import drawn_edgesam
import numpy as np
from decoder import alternate
from PySide6.QtWidgets import QApplication
from startup import make_image

from annotator.app import fill, make_application, make_window
from annotator.core import images
from annotator.main_window import MainWindow
from annotator.samples import sample_folder
from models import everything
from models.api import BatchSegmenter, Embedding, Point, Prompt, Segmenter
from models.registry import segmenter_spec

BATCHES = (1, 2, 8, 32)


def search(segmenter: Segmenter, embedding: Embedding, side: int, most: int) -> everything.Step:
    """A whole search with this many prompts in a step at most."""
    before = everything.STEP_S, everything.MOST_PROMPTS
    everything.STEP_S, everything.MOST_PROMPTS = 10.0, most
    try:
        *_, last = everything.steps(segmenter, embedding, everything.Options(side))
    finally:
        everything.STEP_S, everything.MOST_PROMPTS = before
    return last


def one_by_one(folder: Path, embedding: Embedding, side: int) -> Callable[[], object]:
    """The decoder exported as it is, asked about the same points; nothing is filtered."""
    from models.onnx_session import open_session

    plain = open_session(folder / "plain.onnx", arena=True)
    image = np.asarray(embedding.arrays["image"], np.float32)[None]
    labels = np.array([[1, -1]], np.float32)

    def ask() -> None:
        for point in everything.grid(1024, 1024, side):
            coords = np.array([[[point.x, point.y], [0, 0]]], np.float32)
            feeds = {"image_embeddings": image, "point_coords": coords, "point_labels": labels}
            plain.run(["scores", "masks"], feeds)

    return ask


def speed(folder: Path, rounds: int) -> None:
    """Points and masks per second, in steps of different size."""
    pixels = images.read_image(sample_folder() / "coffee.jpg")
    print("| model | variant | points/s | masks/s | ratio |\n|---|---|---|---|---|")
    for model, side in (("loupe", 8), ("basic", 5), (drawn_edgesam.MODEL, 8)):
        segmenter = segmenter_spec(model).load()
        embedding = segmenter.encode(pixels)
        answers = segmenter.decode(embedding, click_prompt(embedding))
        ask = partial(search, segmenter, embedding, side)
        batches = BATCHES if isinstance(segmenter, BatchSegmenter) else BATCHES[:1]
        variants: dict[str, Callable[[], object]] = {
            f"at most {most} points in a step": partial(ask, most) for most in batches
        }
        if model == drawn_edgesam.MODEL:
            variants["plain export, one by one"] = one_by_one(folder, embedding, side)
        taken = alternate(variants, rounds)
        first = next(iter(taken.values()))
        for name, seconds in taken.items():
            points = side**2 / np.median(seconds)
            print(
                f"| {model} | {name} | {points:.1f} | {points * len(answers):.1f} "
                f"| x {np.median(seconds / first):.2f} |"
            )


def click_prompt(embedding: Embedding) -> Prompt:
    """A click in the middle."""
    return Prompt((Point(embedding.width / 2, embedding.height / 2),))


def clicks(application: QApplication, folder: Path, rounds: int) -> None:
    """Click to painted mask, idle and while everything mode runs, in turns."""
    make_image(folder, 1024, 768)
    window = make_window(application)
    window.show()
    fill(window)
    window.settings.update(propose_side=64)
    click.open_image(window, folder)
    print("\n| model | click, idle | while proposing | ratio | p90 ratio | longest step |")
    print("|---|---|---|---|---|---|")
    for model in ("loupe", "basic", drawn_edgesam.MODEL):
        window.settings.update(model=model)
        idle, busy, steps = alternating_clicks(window, rounds)
        ratio = statistics.median(busy) / statistics.median(idle)
        p90 = np.percentile(busy, 90) / np.percentile(idle, 90)
        print(
            f"| {model} | {statistics.median(idle):.0f} ms | {statistics.median(busy):.0f} ms "
            f"| x {ratio:.2f} | x {p90:.2f} | {max(steps):.0f} ms |"
        )
    window.close()


def alternating_clicks(
    window: MainWindow, rounds: int
) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of clicks without and with a search, and between its undisturbed steps."""
    rng = np.random.default_rng(0)
    search = window.workspace.everything
    times: tuple[list[float], list[float]] = ([], [])
    steps: list[float] = []
    told: list[float] = []
    search.progressed.connect(lambda _: told.append(time.perf_counter()))
    click.click(window, 0.5, 0.5)  # loads the model
    for _ in range(rounds):
        x, y = rng.uniform(0.1, 0.9, 2)
        for running, taken in enumerate(times):
            if running:
                told.clear()
                window.workspace.propose_everything()
                wait = int(rng.integers(6, 12))
                click.until(lambda wait=wait: len(told) > wait)
                steps.extend(np.diff(told)[1:] * 1000)
            taken.append(click.click(window, x, y))
            search.stop()
    return *times, steps


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=15)
    parser.add_argument("--part", choices=("speed", "clicks"), help="only one part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = name
        graphs, pictures = Path(name) / "graphs", Path(name) / "pictures"
        graphs.mkdir()
        pictures.mkdir()
        drawn_edgesam.export(graphs)
        drawn_edgesam.install(graphs)
        if options.part != "clicks":
            speed(graphs, options.rounds)
        if options.part != "speed":
            clicks(make_application(), pictures, options.clicks)


if __name__ == "__main__":
    main()
