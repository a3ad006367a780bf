"""The mask decoder: folded against the plain export, boxes in batches, masks at full size.

    python benchmarks/decoder.py [--rounds 30]

Weights are random: they decide nothing about time but how many cells have to be exact, so the
objects are drawn (discs of 1.5, 15 and 53 % of the image) and the worst case, every cell, is
shown too. Variants take turns; ratios are medians over the rounds, so that other load on the
machine cancels. The plain side runs the way X-AnyLabeling runs it, with onnxruntime's defaults,
whose spinning threads suffer most from other load; so it is shown with our options as well. Boxes
run as the program runs them: with OpenVINO's 16-bit numbers where that is installed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from drawn_edgesam import disc, export

SHARES = (0.015, 0.15, 0.53)
GRID = 64
PAUSE_S = 0.1


def alternate(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each variant, one after the other in every round."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        variant()
    for _ in range(rounds):
        for name, variant in variants.items():
            # As between clicks; onnxruntime's threads, as the plain side uses it, spin that long.
            time.sleep(PAUSE_S)
            start = time.perf_counter()
            variant()
            taken[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in taken.items()}


def report(title: str, taken: dict[str, np.ndarray], reference: str) -> None:
    """Print milliseconds and ratios to the reference of the same round."""
    print(f"\n{title}")
    for name, values in taken.items():
        ratio = np.median(values / taken[reference])
        milliseconds = np.median(values) * 1e3, values.min() * 1e3
        print(f"  {name:44s} {milliseconds[0]:8.1f} ms (min {milliseconds[1]:.1f})  x {ratio:.2f}")


class Decoders:
    """The plain and the folded decoder on one random embedding."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        from models.onnx_decoder import FoldedDecoder
        from models.onnx_session import open_session
        from models.runtimes import using

        self.image = np.random.default_rng(0).normal(size=(256, GRID, GRID)).astype(np.float32)
        self.plain = onnxruntime.InferenceSession(
            str(folder / "plain.onnx"), providers=["CPUExecutionProvider"]
        )
        self.plain_quiet = open_session(folder / "plain.onnx", arena=True)
        self.folded = FoldedDecoder(folder)
        with using("exact"):
            self.folded_exact = FoldedDecoder(folder)
        self.arrays = {"image": self.image, **self.folded.prepare(self.image)}

    def ask_plain(self, coords: np.ndarray, labels: np.ndarray, *, quiet: bool = False) -> object:
        """One prompt through the plain export: scores and logits."""
        session = self.plain_quiet if quiet else self.plain
        feeds = {"image_embeddings": self.image[None], "point_coords": coords[None]}
        return session.run(None, {**feeds, "point_labels": labels[None]})

    def ask(
        self, coords: np.ndarray, labels: np.ndarray, tokens: tuple[int, ...], cells: np.ndarray
    ) -> object:
        """B prompts through the folded decoder, exact in the given cells; candidates."""
        from models.api import Box
        from models.edgesam.segmenter import ranked
        from models.onnx_decoder import undecided
        from models.processors import apart

        answers = []
        with apart():
            for where, kinds in zip(coords, labels, strict=True):
                (trunk,) = self.folded.trunks(self.arrays, where[None], kinds[None], tokens)
                undecided(trunk.coarse[0])
                logits = trunk.logits(0, cells)
                answers.append(ranked(logits, Box(0, 0, 1024, 1024)))
        return answers

    def ask_many(
        self, corners: np.ndarray, labels: np.ndarray, cells: np.ndarray, *, exact: bool = False
    ) -> object:
        """Boxes as the program asks them, exact in the given cells; a candidate for each."""
        from models import onnx_decoder
        from models.api import Box
        from models.edgesam.segmenter import ranked

        def drawn(coarse: np.ndarray) -> np.ndarray:
            edge(coarse)
            return cells

        edge = onnx_decoder.undecided
        nowhere = np.zeros((len(corners), GRID, GRID), bool)
        decoder = self.folded_exact if exact else self.folded
        with mock.patch.object(onnx_decoder, "undecided", drawn):
            found = decoder.decode(self.arrays, corners, labels, (0,), nowhere)
        return [ranked(logits, Box(0, 0, 1024, 1024)) for logits, _ in found]


def clicks(decoders: Decoders, rounds: int) -> None:
    """One click: four candidates with their scores."""
    coords = np.array([[512, 512], [0, 0]], np.float32)
    labels = np.array([1, -1], np.float32)
    tokens = (0, 1, 2, 3)
    variants: dict[str, Callable[[], object]] = {
        "plain export": lambda: decoders.ask_plain(coords, labels),
        "plain export, our session options": lambda: decoders.ask_plain(coords, labels, quiet=True),
    }
    for share in SHARES:
        edge = np.abs(disc(share, GRID, 1.0)) < 3
        variants[f"folded, edges of {share:.1%} ({edge.sum()} cells)"] = lambda edge=edge: (
            decoders.ask(coords[None], labels[None], tokens, edge)
        )
    inside = disc(0.15, GRID, 1.0) > -1.5
    variants[f"folded, all of 15 % ({inside.sum()} cells)"] = lambda: decoders.ask(
        coords[None], labels[None], tokens, inside
    )
    everything = np.ones((GRID, GRID), bool)
    variants["folded, every cell (worst case)"] = lambda: decoders.ask(
        coords[None], labels[None], tokens, everything
    )
    variants["image side, once per image"] = lambda: decoders.folded.prepare(decoders.image)
    report("A click (target: at most 0.5)", alternate(variants, rounds), "plain export")


def boxes(decoders: Decoders, rounds: int, count: int = 64) -> None:
    """Many box prompts on one image, each with the mask of token 0."""
    random = np.random.default_rng(1)
    corners = np.sort(random.uniform(0, 1000, (count, 2, 2)), axis=1).astype(np.float32)
    labels = np.tile(np.array([2, 3], np.float32), (count, 1))
    everything = np.ones((GRID, GRID), bool)
    inside = disc(0.05, GRID, 1.0) > -1.5
    variants: dict[str, Callable[[], object]] = {
        "plain export, one by one": lambda: [
            decoders.ask_plain(*pair) for pair in zip(corners, labels, strict=True)
        ],
        "plain export, our session options": lambda: [
            decoders.ask_plain(*pair, quiet=True) for pair in zip(corners, labels, strict=True)
        ],
        f"folded, objects of 5 % ({inside.sum()} cells)": lambda: decoders.ask_many(
            corners, labels, inside
        ),
        "folded, every cell (worst case)": lambda: decoders.ask_many(corners, labels, everything),
        "folded with 32 bits, objects of 5 %": lambda: decoders.ask_many(
            corners, labels, inside, exact=True
        ),
    }
    for ask in variants.values():
        ask()
    taken = alternate(variants, max(2, rounds // 10))
    report(f"{count} boxes (target: at most 0.25)", taken, "plain export, one by one")


def straightforward(logits: np.ndarray, width: int, height: int) -> object:
    """EdgeSAM's own predictor: every candidate to full size, then the chosen one encoded."""
    from pycocotools import mask as coco

    scale = 1024 / max(width, height)
    resized = int(height * scale + 0.5), int(width * scale + 0.5)
    large = cv2.resize(logits, (1024, 1024), interpolation=cv2.INTER_LINEAR)
    large = large[: resized[0], : resized[1]]
    full = cv2.resize(large, (width, height), interpolation=cv2.INTER_LINEAR) > 0
    chosen = full if full.ndim == 2 else full[..., 0]
    return coco.encode(np.asfortranarray(chosen.astype(np.uint8)))


def commits(rounds: int) -> None:
    """Logits to a full-size mask and its run lengths at 12 megapixels."""
    from annotator.core import raster
    from models.transforms import Frame, full_mask

    frame = Frame(4000, 3000)
    for share in SHARES:
        logits = disc(share, 256, 2.0)
        four = np.ascontiguousarray(np.stack([logits] * 4, axis=-1))
        taken = alternate(
            {
                "straightforward, four masks": lambda four=four: straightforward(four, 4000, 3000),
                "straightforward, one mask": lambda one=logits: straightforward(one, 4000, 3000),
                "mask only": lambda one=logits: full_mask(one, frame),
                "mask and run lengths": lambda one=logits: raster.from_array(full_mask(one, frame)),
            },
            rounds,
        )
        report(f"Commit at 12 MP, {share:.1%} (target: 0.5)", taken, "straightforward, four masks")


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder))
        decoders = Decoders(Path(folder))
        clicks(decoders, rounds)
        boxes(decoders, rounds)
    commits(rounds)


if __name__ == "__main__":
    main()
