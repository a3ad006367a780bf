"""Finding similar objects and wrong names: how long it takes, and with objects, how well it works.

With a COCO folder one name of twenty is replaced by another one of the data set, in proportion to
how often names occur; told is in which part of the review list the wrong ones stand.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program does
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from annotator.core import images, raster, views
from annotator.core.annotation import Category
from annotator.core.disagreement import disagreements
from annotator.core.neighbours import Neighbours
from annotator.core.similar import closest
from models.describe import BasicDescriber

SIZE = 256
WRONG = 0.05
ROUNDS = 10


def milliseconds(action: Callable[[], object], rounds: int = 5) -> float:
    """The best of some rounds."""
    best = np.inf
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - began)
    return float(1e3 * best)


def measure_speed(many: int) -> None:
    """Print a table: ranking for one object, comparing all, and following one more."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(many, SIZE)).astype(np.float32)
    ids = np.arange(1, many + 1)
    classes = [Category(i + 1, str(i), "") for i in range(80)]
    given = rng.integers(1, 81, many)
    neighbours = Neighbours()
    print(f"{many:,} objects, {SIZE} numbers each\n\n| what | ms |\n|---|---|")
    ranking = milliseconds(lambda: closest(vectors, vectors[7], 200, 0.0))
    print(f"| the 200 most similar to one | {ranking:.1f} |")
    first = milliseconds(lambda: list(neighbours.update(ids[:-1], vectors[:-1])), 1)
    print(f"| every object compared with every other, once | {first:.0f} |")
    more = milliseconds(lambda: list(neighbours.update(ids, vectors)), 1)
    print(f"| one more object | {more:.1f} |")
    judging = milliseconds(lambda: disagreements(neighbours, classes, ids, given), 2)
    print(f"| all names judged again | {judging:.1f} |\n")


def read_objects(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors and category ids of all objects of a COCO folder."""
    coco = json.loads((folder / "instances.json").read_text())
    describer, vectors, names = BasicDescriber(), [], []
    for image in coco["images"]:
        pixels = images.load("", folder / "images" / image["file_name"]).pixels
        size = int(image["height"]), int(image["width"])
        for annotation in (a for a in coco["annotations"] if a["image_id"] == image["id"]):
            shape = annotation["segmentation"]
            if annotation.get("iscrowd"):
                continue
            if isinstance(shape, list):
                shape = coco_mask.merge(coco_mask.frPyObjects(shape, *size))
            elif isinstance(shape["counts"], list):
                shape = coco_mask.frPyObjects(shape, *size)
            mask = raster.from_array(coco_mask.decode(shape).astype(bool))
            view = views.of_mask(pixels, mask, describer.frame)
            if view is not None:
                vectors.append(describer.describe(*view))
                names.append(annotation["category_id"])
    return np.array(vectors), np.array(names)


def measure_review(folder: Path) -> None:
    """Print where wrong names stand in the list."""
    vectors, names = read_objects(folder)
    ids = np.arange(1, names.size + 1)
    classes = [Category(int(i), str(i), "") for i in np.unique(names)]
    neighbours, rng = Neighbours(), np.random.default_rng(0)
    list(neighbours.update(ids, vectors))
    found = []
    for _ in range(ROUNDS):
        wrong = rng.choice(names.size, max(round(WRONG * names.size), 1), replace=False)
        given = names.copy()
        for place in wrong:
            given[place] = rng.choice(names[names != names[place]])
        judged = disagreements(neighbours, classes, ids, given)
        is_wrong = np.isin(judged.ids - 1, wrong)[np.argsort(-judged.amount)]
        ranks, right = np.flatnonzero(is_wrong), np.count_nonzero(~is_wrong)
        passed = (ranks - np.arange(ranks.size)).sum()
        shares = [is_wrong[: round(is_wrong.size * part)].sum() / ranks.size
                  for part in (0.05, 0.1, 0.2)]  # fmt: skip
        found.append([1 - passed / (ranks.size * right), *shares])
    area, *shares = np.mean(found, axis=0)
    print(f"{names.size} objects, {len(classes)} names, {WRONG:.0%} of them wrong\n")
    print("| area under the curve | in the first 5 % | 10 % | 20 % |\n|---|---|---|---|")
    print(f"| {area:.3f} | " + " | ".join(f"{share:.0%}" for share in shares) + " |")


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--many", type=int, default=10_000, help="objects for the speed")
    parser.add_argument("--data", type=Path, help="folder with instances.json and images")
    args = parser.parse_args()
    measure_speed(args.many)
    if args.data is not None:
        measure_review(args.data)


if __name__ == "__main__":
    main()
