"""What everything mode finds: the share of labelled objects that a proposal overlaps by half.

    python benchmarks/everything_quality.py DATA [--model loupe] [--side 16] [--limit 20] [--jobs 2]

Proposals of things that nobody labelled are no mistakes, so the share of proposals that are
labelled objects is only a lower bound of their worth. Takes 15 s an image and core with the
built-in segmenter.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models import everything
from models.registry import segmenter_spec
from models.training.evaluation.dataset import read_dataset

MEDIUM_AREA, BIG_AREA = 32**2, 96**2
"""COCO's borders between small, medium and large objects, pixels."""
FIRST = (10, 20, 50)


@dataclass(frozen=True)
class Found:
    """What was found in one image.

    Attributes:
        areas: (n,) pixels of every object.
        ious: (m, n) intersection over union of proposals, best first, and objects.
    """

    areas: NDArray[np.int64]
    ious: NDArray[np.float64]

    def hit(self, first: int | None = None) -> NDArray[np.bool_]:
        """(n,) which objects one of the first proposals overlaps by half."""
        best = self.ious[:first].max(axis=0, initial=0.0)
        return np.asarray(best >= 0.5)


def find(part: int, parts: int, data: Path, model: str, side: int, limit: int) -> list[Found]:
    """Every `parts`th image, beginning with number `part`."""
    cv2.setNumThreads(1)
    segmenter, found = segmenter_spec(model).load(), []
    for picture in read_dataset(data, limit=limit).pictures[part::parts]:
        pixels = picture.pixels()
        embedding = segmenter.encode(pixels)
        *_, last = everything.steps(segmenter, embedding, everything.Options(side))
        masks = [
            coco.encode(np.asfortranarray(segmenter.render(embedding, one.candidate), np.uint8))
            for one in last.found
        ]
        truths = [dict(truth.rle) for truth in picture.objects]
        ious = coco.iou(masks, truths, [0] * len(truths)) if masks and truths else []
        areas = np.array([truth.area for truth in picture.objects], np.int64)
        table = np.asarray(ious, np.float64).reshape(len(masks), len(truths))
        found.append(Found(areas, table))
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="loupe")
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    work = partial(
        find, parts=options.jobs, data=options.data, model=options.model, side=options.side,
        limit=options.limit,
    )  # fmt: skip
    with ProcessPoolExecutor(options.jobs) as pool:
        found = [one for part in pool.map(work, range(options.jobs)) for one in part]
    areas = np.concatenate([one.areas for one in found])
    counts = np.array([len(one.ious) for one in found])
    good = sum(int((one.ious.max(axis=1, initial=0.0) >= 0.5).sum()) for one in found)
    print(f"{len(found)} images, {counts.mean():.0f} proposals each ({counts.min()} to "
          f"{counts.max()}), {good / counts.sum():.3f} of them labelled objects\n")  # fmt: skip
    groups = {
        "32² and more": areas >= MEDIUM_AREA,
        "below 96²": (areas >= MEDIUM_AREA) & (areas < BIG_AREA),
        "96² and more": areas >= BIG_AREA,
        "below 32²": areas < MEDIUM_AREA,
    }
    names = [f"{name} ({chosen.sum()})" for name, chosen in groups.items()]
    print("| recall at IoU 0.5 | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for first in (None, *FIRST):
        hit = np.concatenate([one.hit(first) for one in found])
        cells = [f"{hit[chosen].mean():.3f}" for chosen in groups.values() if chosen.any()]
        print(f"| {'all' if first is None else f'first {first}'} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
