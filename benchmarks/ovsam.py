"""Open-Vocabulary SAM at its full size: encoding, clicks, vectors, and ranking names.

    python benchmarks/ovsam.py [--threads 2]

Weights are random: times do not depend on them. The network takes 1.3 GB of memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch  # noqa: TID253

from models.api import Box, Point, Prompt
from models.encoding import Passed, watched
from models.naming.classifier import Names, logits, probabilities
from models.networks.ovsam import OpenVocabularySam
from models.ovsam.runtime import TorchOvsam
from models.ovsam.segmenter import OvsamSegmenter
from models.registry import segmenter_spec
from models.sam_family.torch_runtime import best_device


def seconds(action: Callable[[], object], times: int = 5) -> float:
    """The median of some runs, after one that is not counted."""
    action()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return median(found)


def encode(segmenter: OvsamSegmenter, image: np.ndarray) -> None:
    """Encode once; how long each part of the network took."""
    spent: dict[str, float] = {}
    last = start = time.perf_counter()

    def took(passed: Passed) -> None:
        nonlocal last
        now = time.perf_counter()
        spent[passed.part] = spent.get(passed.part, 0.0) + now - last
        last = now

    with watched(took, lambda: False):
        embedding = segmenter.encode(image)
    parts = ", ".join(f"{part} {share:.1f} s" for part, share in spent.items())
    total = time.perf_counter() - start
    print(f"encode {total:.1f} s ({parts}), {embedding.nbytes / 1e6:.0f} MB, {segmenter.device}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (768, 1024, 3), np.uint8)
    runtime = TorchOvsam(OpenVocabularySam(), best_device())
    segmenter = OvsamSegmenter(segmenter_spec("ovsam"), runtime, "benchmark")
    encode(segmenter, image)
    encode(segmenter, image)
    embedding = segmenter.encode(image)
    clicks = [Prompt((Point(60 * i + 30, 400),)) for i in range(16)]
    boxes = [Box(5 * i, 3 * i, 5 * i + 90, 3 * i + 120) for i in range(100)]
    rows: list[tuple[str, Callable[[], object]]] = [
        ("one click", lambda: segmenter.decode(embedding, clicks[0])),
        ("16 clicks in batches", lambda: segmenter.decode_many(embedding, clicks)),
        ("vector of one box", lambda: segmenter.vector(embedding, boxes[0])),
        ("vectors of 100 boxes", lambda: segmenter.vectors(embedding, boxes)),
    ]
    table = rng.normal(size=(1203, 2, 768)).astype(np.float32)
    table[:, 1] = np.where(np.arange(1203)[:, None] == 7, table[:, 1], table[:, 0])
    lvis, coco = Names.of(table), Names.of(rng.normal(size=(80, 3, 768)).astype(np.float32))
    objects = rng.normal(size=(10_000, 768)).astype(np.float32)
    rows += [
        ("1,203 names for one vector", lambda: probabilities(objects[:1], lvis)),
        ("10,000 vectors, 80 classes of 3 names", lambda: logits(objects, coco)),
    ]
    for title, action in rows:
        print(f"{title}: {1000 * seconds(action):.2f} ms")


if __name__ == "__main__":
    main()
