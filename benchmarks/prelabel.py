"""Pre-labelling: the throughput of the whole against that of the encoder alone.

    python benchmarks/prelabel.py [--images 200] [--rounds 3] [--side N] [--model ID] [--device D]

Generated photographs of 12 megapixels (JPEG) with four boxes each go through `annotator prelabel`
into a project and into a file; the encoder alone gets the same pixels, already decoded, one after
the other on one thread. Variants take turns, the ratio is that of one run (1.0: everything but
the encoder is free). The last column is the processor time against the encoder's: what others do
on the machine changes it little. `--side N` asks for everything with N points along each side
instead of boxes. `--device exact` leaves out 16-bit numbers (OpenVINO): the encoder is slower, and
the same other work a smaller share.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import cv2
import drawn_edgesam
import numpy as np
from PySide6.QtCore import QCoreApplication

from annotator.commands import prelabel
from annotator.core import images
from annotator.services.settings import SettingsStore
from models.registry import segmenter_spec
from models.runtimes import Device, using

WIDTH, HEIGHT = 4000, 3000
DISTINCT = 8
"""Pictures that differ; the others are copies under another name."""


def make(folder: Path, count: int) -> list[dict[str, object]]:
    """Images of discs with noise, 4.4 MB as from a camera, and four boxes for each."""
    rng = np.random.default_rng(0)
    boxes: list[dict[str, object]] = []
    drawn: list[tuple[bytes, list[tuple[int, int, int]]]] = []
    for _ in range(min(DISTINCT, count)):
        ground = rng.integers(0, 120, (30, 40, 3), np.uint8)
        pixels = cv2.resize(ground, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        discs = [(int(rng.integers(500, WIDTH - 500)), int(rng.integers(500, HEIGHT - 500)),
                  int(rng.integers(60, 400))) for _ in range(4)]  # fmt: skip
        for x, y, radius in discs:
            cv2.circle(pixels, (x, y), radius, rng.integers(100, 230, 3).tolist(), -1)
        pixels += rng.integers(0, 20, pixels.shape, np.uint8)
        drawn.append((cv2.imencode(".jpg", pixels)[1].tobytes(), discs))
    for number in range(count):
        data, discs = drawn[number % len(drawn)]
        name = f"{number:04d}.jpg"
        (folder / name).write_bytes(data)
        boxes += [
            {"file_name": name, "category": "disc", "score": 0.9,
             "bbox": [x - r, y - r, 2 * r, 2 * r]} for x, y, r in discs
        ]  # fmt: skip
    return boxes


def whole(folder: Path, arguments: list[str]) -> Callable[[], None]:
    """The command from its start to its end, the model's loading included."""

    def run() -> None:
        shutil.rmtree(folder / ".annotator", ignore_errors=True)
        (folder / "annotations.json").unlink(missing_ok=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = prelabel.run([str(folder), *arguments])
        assert code == 0

    return run


def encoder(model: str, folder: Path, count: int, device: Device) -> Callable[[], None]:
    """The encoder alone; loading counts as it does in the command."""
    pixels = [images.read_image(folder / f"{n:04d}.jpg") for n in range(min(DISTINCT, count))]

    def run() -> None:
        with using(device):
            segmenter = segmenter_spec(model).load()
        for number in range(count):
            segmenter.encode(pixels[number % len(pixels)])

    return run


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=0)
    parser.add_argument("--model", default=drawn_edgesam.MODEL)
    parser.add_argument("--device", choices=("auto", "processor", "exact"), default="auto")
    given = parser.parse_args()
    application = QCoreApplication([])
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = name
        graphs, folder = Path(name) / "graphs", Path(name) / "images"
        graphs.mkdir()
        folder.mkdir()
        if given.model == drawn_edgesam.MODEL:
            drawn_edgesam.export(graphs)
            drawn_edgesam.install(graphs)
        SettingsStore().update(device=given.device)
        boxes, out = Path(name) / "boxes.json", Path(name) / "out.json"
        boxes.write_text(json.dumps(make(folder, given.images)))
        asked = ["--side", str(given.side)] if given.side else ["--boxes", str(boxes)]
        arguments = ["--model", given.model, *asked]
        variants = {
            "encoder alone": encoder(given.model, folder, given.images, given.device),
            "prelabel into the project": whole(folder, arguments),
            "prelabel into a file": whole(folder, [*arguments, "--out", str(out)]),
        }
        taken: dict[str, list[float]] = {variant: [] for variant in variants}
        worked: dict[str, list[float]] = {variant: [] for variant in variants}
        for _ in range(given.rounds):
            for variant, run in variants.items():
                began, busy = time.perf_counter(), time.process_time()
                run()
                taken[variant].append(time.perf_counter() - began)
                worked[variant].append(time.process_time() - busy)
    application.processEvents()
    print("| variant | images/s | throughput against the encoder | processor time |")
    print("|---|---|---|---|")
    alone, least = taken["encoder alone"], worked["encoder alone"]
    for variant, seconds in taken.items():
        rate = given.images / statistics.median(seconds)
        ratio = statistics.median(a / b for a, b in zip(alone, seconds, strict=True))
        work = statistics.median(b / a for a, b in zip(least, worked[variant], strict=True))
        print(f"| {variant} | {rate:.2f} | {ratio:.3f} | {work:.2f} |")


if __name__ == "__main__":
    main()
