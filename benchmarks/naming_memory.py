"""Does remembering what was named help? Simulates naming object after object.

Images in order; the rank of each object's true name is recorded before it is named. Compared are
the most frequent name so far, the names used last, and a memory of labelled vectors: a vote of the
nearest by cosine, weighted by similarity and recency. Names never seen before count as misses.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from annotator.core import suggestions
from annotator.core.annotation import Category
from models.api import Box
from models.describe import BasicDescriber


@dataclass(frozen=True)
class Named:
    """One object in the order of the simulation."""

    name: str
    vector: NDArray[np.float32]


def read_objects(
    folder: Path, min_area: int, rng: np.random.Generator | None
) -> tuple[list[Named], list[float]]:
    """All non-crowd objects of a COCO folder, and the milliseconds each description took.

    COCO lists the objects of an image by category; with `rng` they are shuffled per image.
    """
    coco = json.loads((folder / "instances.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    describer, objects, times = BasicDescriber(), [], []
    for image in coco["images"]:
        path = folder / "images" / image["file_name"]
        pixels = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        mine = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        for place in rng.permutation(len(mine)) if rng else range(len(mine)):
            annotation = mine[place]
            if annotation.get("iscrowd"):
                continue
            mask = decode(annotation["segmentation"], int(image["height"]), int(image["width"]))
            if mask.sum() < min_area:
                continue
            rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            crop = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
            box = Box(float(cols[0]), float(rows[0]), float(cols[-1] + 1), float(rows[-1] + 1))
            began = time.perf_counter()
            vector = describer.describe(np.asarray(pixels[crop], np.uint8), mask[crop], box)
            times.append(1e3 * (time.perf_counter() - began))
            objects.append(Named(names[annotation["category_id"]], vector))
    return objects, times


def decode(segmentation: object, height: int, width: int) -> NDArray[np.bool_]:
    """COCO polygons or RLE to an (H, W) mask."""
    if isinstance(segmentation, list):
        segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation, dict) and isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, height, width)
    return np.asarray(coco_mask.decode(segmentation), bool)


def by_frequency(named: list[Named], query: NDArray[np.float32]) -> list[str]:
    """Most frequent names first."""
    del query
    return [name for name, _ in Counter(item.name for item in named).most_common()]


def by_last_use(named: list[Named], query: NDArray[np.float32]) -> list[str]:
    """Names used last first."""
    del query
    return list(dict.fromkeys(item.name for item in reversed(named)))


def by_memory(named: list[Named], query: NDArray[np.float32]) -> list[str]:
    """The ranking of the name panel."""
    if not named:
        return []
    names = list(dict.fromkeys(item.name for item in named))
    categories = [Category(number, name, "") for number, name in enumerate(names)]
    ranked = suggestions.rank(
        categories,
        np.arange(len(named)),
        np.array([names.index(item.name) for item in named]),
        np.stack([item.vector for item in named]),
        query,
    )
    return [suggestion.name for suggestion in ranked]


METHODS = {"most frequent": by_frequency, "last used": by_last_use, "memory": by_memory}


def simulate(objects: list[Named]) -> dict[str, tuple[float, float]]:
    """Top-1 and top-5 rates per method."""
    hits = {method: np.zeros(2) for method in METHODS}
    for index, item in enumerate(objects):
        for method, rank in METHODS.items():
            ranked = rank(objects[:index], item.vector)
            hits[method] += [item.name in ranked[:1], item.name in ranked[:5]]
    return {k: (float(v[0] / len(objects)), float(v[1] / len(objects))) for k, v in hits.items()}


def main() -> None:
    """Parse the command line, simulate, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with instances.json")
    parser.add_argument("--min-area", type=int, default=0, help="smallest mask, pixels")
    parser.add_argument("--shuffle", action="store_true", help="objects of an image in any order")
    args = parser.parse_args()
    rng = np.random.default_rng(0) if args.shuffle else None
    objects, times = read_objects(args.data, args.min_area, rng)
    print(f"{len(objects)} objects, {len({item.name for item in objects})} names\n")
    print("| ranking | top-1 | top-5 |\n|---|---|---|")
    for method, (top1, top5) in simulate(objects).items():
        print(f"| {method} | {top1:.3f} | {top5:.3f} |")
    p50, p95 = np.percentile(times, [50, 95])
    print(f"\ndescribe: median {p50:.2f} ms, p95 {p95:.2f} ms")


if __name__ == "__main__":
    main()
