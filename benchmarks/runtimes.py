"""Runtimes of EdgeSAM: encoder, 64 boxes on one image, a click beside a background encode; masks.

    python benchmarks/runtimes.py [--rounds 10] [--checkpoint edge_sam_3x.pth --images FOLDER]

Variants take turns; ratios are medians over rounds in which other programs took less than 6 % of
the machine. Weights decide nothing about time but how many cells have to be exact: a disc of 5 %.
How far masks with 16-bit numbers are from exact ones is told for the given checkpoint and images;
without them for generated weights (`../shared/fixtures`) and the bundled sample images, which
shows only that the same function is computed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from drawn_edgesam import disc, export

from annotator.core import images
from annotator.services.priority import lower_priority
from models import onnx_decoder, openvino_runtime
from models.api import Box, Embedding, Point, Prompt
from models.edgesam.graphs import Graphs, from_checkpoint
from models.edgesam.segmenter import EdgeSamSegmenter
from models.onnx_decoder import FoldedDecoder
from models.onnx_session import open_session
from models.runtimes import Device, Network, using
from models.segmenters.edgesam import SPECS

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT.parent / "shared" / "fixtures"
GRID = 64

QUIET = 0.06
"""Share of the machine other programs may take in a round that counts."""

Variants = dict[str, Callable[[], object]]
Encode = Callable[[dict[str, np.ndarray]], object]
Made = TypeVar("Made")


def usage() -> tuple[float, float, float]:
    """Seconds since the start of the machine: of all cores, busy, and busy with this program."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:8]]
    second = os.sysconf("SC_CLK_TCK")
    return sum(ticks) / second, (sum(ticks) - ticks[3] - ticks[4]) / second, sum(os.times()[:2])


def busy_with_others(before: tuple[float, float, float]) -> float:
    """Share of the machine that other programs took since then."""
    whole, busy, own = (b - a for a, b in zip(before, usage(), strict=True))
    return (busy - own) / whole


def alternate(variants: Variants, rounds: int, seconds: float = 30) -> dict[str, np.ndarray]:
    """Seconds of every variant, one after the other in every round that was not disturbed.

    A variant may return the seconds itself.
    Undisturbed: other programs took at most 6 % of the machine. On a machine that is never so
    idle all rounds count, and ratios mean less.
    """
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        variant()
    disturbances: list[float] = []
    end = time.monotonic() + seconds
    while sum(one <= QUIET for one in disturbances) < rounds and time.monotonic() < end:
        before = usage()
        for name, variant in variants.items():
            start = time.perf_counter()
            measured = variant()
            passed = time.perf_counter() - start
            taken[name].append(measured if isinstance(measured, float) else passed)
        disturbances.append(busy_with_others(before))
    counts = np.array(disturbances) <= QUIET
    if counts.any():
        print(f"  ({counts.sum()} rounds, {(~counts).sum()} disturbed ones left out)")
    else:
        counts[:] = True
        print(f"  ({len(counts)} rounds, others took {statistics.median(disturbances):.0%})")
    return {name: np.array(values)[counts] for name, values in taken.items()}


def report(taken: dict[str, np.ndarray]) -> None:
    """Print milliseconds, and ratios to the first variant in the same round."""
    reference = next(iter(taken.values()))
    for name, values in taken.items():
        median, least = statistics.median(values) * 1e3, values.min() * 1e3
        ratio = statistics.median(values / reference)
        print(f"  {name:44s} {median:8.1f} ms (min {least:.1f})  x {ratio:.2f}")


def encoders(folder: Path, rounds: int) -> None:
    """One image through the encoder."""
    print("\nEncoder (target: OpenVINO at most 0.55)")
    pixels = np.random.default_rng(0).normal(size=(1, 3, 1024, 1024)).astype(np.float32)
    networks = {"onnxruntime, 32 bit": network(folder, "exact")}
    if openvino_runtime.lack() is None:
        networks["OpenVINO, 16 bit"] = network(folder, "processor")
        networks["OpenVINO, 16 bit, thread that gives way"] = in_background(
            lambda: network(folder, "processor")
        )
    variants: Variants = {
        name: (lambda one=one: one.run({"image": pixels})) for name, one in networks.items()
    }
    report(alternate(variants, rounds))


def network(folder: Path, device: Device) -> Network:
    """The encoder, opened."""
    with using(device):
        found = Network(folder / "encoder.onnx", lossy=True)
    print(f"  {device}: {found.device} input {found.input_shape}")
    return found


def in_background(work: Callable[[], Made]) -> Made:
    """What a thread with low priority makes."""
    made: list[Made] = []

    def run() -> None:
        lower_priority()
        made.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return made[0]


@contextmanager
def drawn(cells: np.ndarray) -> Iterator[None]:
    """Let these cells be the undecided ones; what decides is computed all the same."""
    usual = onnx_decoder.undecided

    def undecided(coarse: np.ndarray) -> np.ndarray:
        usual(coarse)
        return cells

    onnx_decoder.undecided = undecided
    try:
        yield
    finally:
        onnx_decoder.undecided = usual


def boxes(folder: Path, rounds: int, count: int = 64) -> None:
    """Many boxes on one image, each with the mask of token 0."""
    import onnxruntime

    print(f"\n{count} boxes on one image (target: at most 0.25)")
    random = np.random.default_rng(1)
    image = random.normal(size=(256, GRID, GRID)).astype(np.float32)
    corners = np.sort(random.uniform(0, 1000, (count, 2, 2)), axis=1).astype(np.float32)
    labels = np.tile(np.array([2, 3], np.float32), (count, 1))
    nowhere = np.zeros((count, GRID, GRID), bool)
    plain = onnxruntime.InferenceSession(
        str(folder / "plain.onnx"), providers=["CPUExecutionProvider"]
    )
    quiet = open_session(folder / "plain.onnx", arena=True)
    decoders = {"folded, one by one": decoder(folder, "exact")}
    arrays = {"image": image, **decoders["folded, one by one"].prepare(image)}
    decoders["folded, at once, 32 bit"] = decoder(folder, "exact")
    if openvino_runtime.lack() is None:
        decoders["folded, at once, OpenVINO 16 bit"] = decoder(folder, "processor")

    def one_by_one(session: onnxruntime.InferenceSession) -> None:
        for corner, label in zip(corners, labels, strict=True):
            feeds = {"image_embeddings": image[None], "point_coords": corner[None]}
            session.run(None, {**feeds, "point_labels": label[None]})

    def ask(one: FoldedDecoder, step: int) -> None:
        for first in range(0, count, step):
            part = slice(first, first + step)
            one.decode(arrays, corners[part], labels[part], (0,), nowhere[part])

    variants: Variants = {
        "plain export, one by one": lambda: one_by_one(plain),
        "plain export, our session options": lambda: one_by_one(quiet),
    }
    for name, one in decoders.items():
        step = 1 if "by" in name else count
        variants[name] = lambda one=one, step=step: ask(one, step)
    with drawn(disc(0.05, GRID, 1.0) > -1.5):
        report(alternate(variants, max(3, rounds // 2)))


def decoder(folder: Path, device: Device) -> FoldedDecoder:
    """The folded decoder."""
    with using(device):
        return FoldedDecoder(folder)


def beside(folder: Path, rounds: int) -> None:
    """A click while another thread, which gives way, encodes."""
    print("\nA click beside a background encode (target: at most 1.5)")
    random = np.random.default_rng(1)
    one = decoder(folder, "exact")
    image = random.normal(size=(256, GRID, GRID)).astype(np.float32)
    pixels = random.normal(size=(1, 3, 1024, 1024)).astype(np.float32)
    arrays = {"image": image, **one.prepare(image)}
    coords, labels = np.array([[[500, 500], [0, 0]]], np.float32), np.array([[1, -1]], np.float32)
    nowhere = np.zeros((1, GRID, GRID), bool)

    def clicks() -> None:
        for _ in range(20):
            one.decode(arrays, coords, labels, (0, 1, 2, 3), nowhere)

    def with_encoder(make: Callable[[], Encode]) -> Callable[[], float]:
        encode = in_background(make)

        def run() -> float:
            stop = threading.Event()

            def work() -> None:
                lower_priority()
                while not stop.is_set():
                    encode({"image": pixels})

            thread = threading.Thread(target=work)
            thread.start()
            try:
                start = time.perf_counter()
                clicks()
                return time.perf_counter() - start
            finally:
                stop.set()
                thread.join()

        return run

    def one_thread() -> Encode:
        session = open_session(folder / "encoder.onnx", threads=1)
        return lambda feeds: session.run(None, feeds)

    variants: Variants = {
        "20 clicks": clicks,
        "beside onnxruntime 32 bit": with_encoder(lambda: network(folder, "exact").run),
        "beside the same with one thread": with_encoder(one_thread),
    }
    if openvino_runtime.lack() is None:
        variants["beside OpenVINO 16 bit"] = with_encoder(lambda: network(folder, "processor").run)
    with drawn(disc(0.05, GRID, 1.0) > -1.5):
        report(alternate(variants, max(3, rounds // 2)))


def accuracy(graphs: Graphs, folder: Path, most: int = 8) -> None:
    """How far masks with 16-bit numbers are from exact ones: 64 boxes and 16 clicks an image."""
    with using("exact"):
        exact = EdgeSamSegmenter(SPECS[0], graphs)
    with using("processor"):
        rounded = EdgeSamSegmenter(SPECS[0], graphs)
    print(f"\nMasks: {rounded.device}")
    rows: dict[str, list[tuple[float, float]]] = {}
    cosines = []
    for path in sorted(folder.iterdir())[:most]:
        if path.suffix.lower() not in images.EXTENSIONS:
            continue
        pixels = images.read_image(path)
        here, there = exact.encode(pixels), rounded.encode(pixels)
        cosines.append(cosine(here, there))
        prompts = grid_of_boxes(here.width, here.height)
        clicks = [Prompt((Point(b.box.x0, b.box.y0),)) for b in prompts[:16] if b.box is not None]
        for name, asked, one, embedding in (
            ("encoder in 16 bit, boxes", prompts, exact, there),
            ("encoder in 16 bit, clicks", clicks, exact, there),
            ("both in 16 bit, boxes", prompts, rounded, there),
        ):
            truth, found = exact.decode_many(here, asked), one.decode_many(embedding, asked)
            rows.setdefault(name, []).extend(
                agreement(a[0].logits, b[0].logits) for a, b in zip(truth, found, strict=True)
            )
    print(f"  cosine of embeddings: {min(cosines):.6f} at least, {len(cosines)} images")
    for name, pairs in rows.items():
        bits, ious = np.array(pairs).T
        print(
            f"  {name:28s} {bits.mean():.3%} of bits equal, mean IoU {np.nanmean(ious):.4f} "
            f"(5th percentile {np.nanpercentile(ious, 5):.3f}), {len(ious)} prompts"
        )


def cosine(one: Embedding, other: Embedding) -> float:
    """Of the angle between two embeddings."""
    a, b = one.arrays["image"].ravel(), other.arrays["image"].ravel()
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def agreement(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Share of equal mask bits, and the IoU; not a number when both masks are empty."""
    a, b = one > 0, other > 0
    union = np.count_nonzero(a | b)
    return float(np.mean(a == b)), np.count_nonzero(a & b) / union if union else np.nan


def grid_of_boxes(width: int, height: int) -> list[Prompt]:
    """64 boxes all over an image."""
    random = np.random.default_rng(5)
    corners = np.sort(random.uniform(0, 1, (64, 2, 2)), axis=1) * (width, height)
    return [Prompt(box=Box(*map(float, pair.ravel()))) for pair in corners]


def generated(folder: Path) -> Path | None:
    """A checkpoint with the fixtures' weights."""
    if not (FIXTURES / "edgesam" / "keys.json").exists():
        return None
    import sys

    sys.path.insert(0, str(ROOT))
    import torch

    from tests.models import edgesam_fixture

    path = folder / "edge_sam.pth"
    state = {name: torch.from_numpy(value) for name, value in edgesam_fixture.arrays().items()}
    torch.save(state, path)
    return path


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--parts", default="encoders,boxes,beside,masks")
    parser.add_argument("--checkpoint", type=Path, help="EdgeSAM with trained weights")
    parser.add_argument("--images", type=Path, default=ROOT / "resources" / "samples")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = name
        export(folder)
        for part in (encoders, boxes, beside):
            if part.__name__ in given.parts:
                part(folder, given.rounds)
        checkpoint = given.checkpoint or generated(folder)
        if "masks" in given.parts and checkpoint is not None and openvino_runtime.lack() is None:
            accuracy(from_checkpoint(checkpoint, folder / "graphs"), given.images)


if __name__ == "__main__":
    main()
