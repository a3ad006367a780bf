"""J&F of trackers on machine-made sequences, or on one you have.

    python benchmarks/tracking.py DATA [--tracker motion] [--model loupe] [--sequences 10]
    python benchmarks/tracking.py FRAMES --masks FOLDER [--tracker omgseg]

Sequences and arguments are those of `benchmarks/propagation.py`. Each object is given in the first
frame; J and F are DAVIS' (means over the frames between the first and the last one). “kept” leaves
the first mask where it is. “until asked” counts only frames before the tracker would have asked a
person; in the window the rest is for the person.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.propagation import Sequence, recorded, sequence
from models.motion import overlap
from models.registry import segmenter_spec
from models.tracking import Tracker, TrackerSpec, tracker_spec
from models.training.evaluation.dataset import read_dataset
from models.training.evaluation.video import sequence_scores


@dataclass(frozen=True)
class Row:
    """One sequence: J and F, the same of the first mask, and how far it went without asking."""

    found: tuple[float, float]
    kept: tuple[float, float]
    sure: tuple[float, ...]
    frames: int
    seconds: float


def run(spec: TrackerSpec, tracker: Tracker, made: Sequence) -> Row:
    """Give the first mask, take what comes."""
    began = time.monotonic()
    tracker.begin(made.frames[0], {1: made.masks[0]})
    masks, sure, asked = [made.masks[0]], list[float](), False
    for start in range(1, len(made.frames), spec.clip):
        for seen in tracker.step(made.frames[start : start + spec.clip]):
            one = next(iter(seen), None)
            masks.append(np.zeros_like(made.masks[0]) if one is None else one.mask)
            asked |= one is None or not one.is_sure
            if not asked:
                sure.append(overlap(masks[-1], made.masks[len(masks) - 1]))
    seconds = time.monotonic() - began
    truth = [mask.astype(np.int64) for mask in made.masks]
    scores = [
        sequence_scores(truth, [mask.astype(np.int64) for mask in some])[1]
        for some in (masks, [made.masks[0]] * len(truth))
    ]
    return Row(scores[0], scores[1], tuple(sure), len(truth) - 1, seconds)


def sequences(options: argparse.Namespace) -> Iterator[Sequence]:
    """Those that were asked for."""
    if options.masks is not None:
        yield from recorded(options.data, options.masks, options.frames)
        return
    rng = np.random.default_rng(options.seed)
    pictures = [picture for picture in read_dataset(options.data).pictures if picture.objects]
    for number in range(options.sequences):
        yield sequence(rng, pictures, options.frames, number % 2 == 1)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tracker", default="motion")
    parser.add_argument("--model", default="loupe")
    parser.add_argument("--sequences", type=int, default=10)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    spec = tracker_spec(options.tracker)
    if (missing := spec.available()) is not None:
        sys.exit(missing)
    segmenter = segmenter_spec(options.model).load() if spec.asks else None
    rows = [run(spec, spec.load(segmenter), made) for made in sequences(options)]
    print(f"{len(rows)} sequences of at most {options.frames} frames, {spec.title}\n")
    print("| | J&F | J | F |\n|---|---|---|---|")
    for name in ("found", "kept"):
        regions, edges = np.mean([getattr(row, name) for row in rows], axis=0)
        print(f"| {name} | {(regions + edges) / 2:.3f} | {regions:.3f} | {edges:.3f} |")
    frames, sure = sum(row.frames for row in rows), [j for row in rows for j in row.sure]
    mean = np.mean(sure) if sure else 0.0
    print(f"\nuntil asked: {len(sure) / frames:.0%} of {frames} frames, mean J {mean:.3f}")
    print(f"{frames / sum(row.seconds for row in rows):.2f} frames a second")


if __name__ == "__main__":
    main()
