"""The same object again: named proposals in later images of a series, by two ways.

    python benchmarks/again.py DATA [--model loupe] [--series 10] [--images]

In every series four objects of labelled photographs are accepted and named in one image; they are
to be found, and named, in three others. In the first half of the series they glide and turn before
a ground that drifts, as in a film; in the second half they lie somewhere else, larger or smaller,
on another photograph each time, as on a table or a shelf. A proposal is right if it overlaps an
object of its name by half.

everything: everything mode, named by looks where that leaves no doubt: the plain way;
again: `annotator.core.prelabel.again`.

With --images no series are made: every second photograph of DATA is accepted, the others are
searched. They are different scenes, where an object hardly ever comes again: recall is low.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from annotator.core import raster
from annotator.core.annotation import Category
from annotator.core.prelabel.again import Again, AgainOptions, Example, examples_of
from annotator.core.prelabel.everything_mode import EverythingMode
from annotator.core.prelabel.joining import Namer
from annotator.core.prelabel.proposing import ProposalSource, complete, encode
from benchmarks.propagation import SIZE, Course, course_of, paste, sprite
from models.api import Segmenter
from models.everything import Options
from models.registry import segmenter_spec
from models.training.evaluation.dataset import Picture, read_dataset

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
LEAST, SEEN = 40**2, 400
"""Pixels of an object in its photograph, and of what is seen of it in an image that counts."""


@dataclass(frozen=True)
class Image:
    """Pixels, and the objects in them: name and mask."""

    pixels: Pixels
    objects: tuple[tuple[str, Mask], ...]


@dataclass
class Count:
    """What was proposed with a name, how much of it was right, and what was found of the truth."""

    proposed: int = 0
    right: int = 0
    found: int = 0
    truths: int = 0
    seconds: float = 0.0
    ious: list[float] = field(default_factory=list)


def series(rng: np.random.Generator, pictures: Sequence[Picture], places: bool) -> list[Image]:
    """An image to accept and three others."""
    chosen = [
        (picture, number)
        for picture in pictures
        for number, truth in enumerate(picture.objects)
        if LEAST <= truth.area < 0.3 * picture.width * picture.height
    ]
    picks = [chosen[i] for i in rng.choice(len(chosen), 4, replace=False)]
    names = [str(picture.objects[number].category_id) for picture, number in picks]
    sprites = [sprite(*pick) for pick in picks]
    corners = np.array([(0.28, 0.3), (0.72, 0.3), (0.28, 0.72), (0.72, 0.72)]) * SIZE
    courses = [
        _quiet(course_of(rng, one), corner + rng.normal(0, 25, 2))
        for one, corner in zip(sprites, corners, strict=True)
    ]
    pan, grounds = rng.normal(0, 2.5, 2), rng.integers(len(pictures), size=4)
    made = []
    for number, moment in enumerate((0, 1, 4, 8)):
        ground = pictures[grounds[number if places else 0]].pixels()
        drift = np.array([[1, 0, -80 + pan[0] * moment], [0, 1, -60 + pan[1] * moment]])
        big = cv2.resize(ground, (800, 600))
        image = np.asarray(cv2.warpAffine(big, drift, SIZE, borderMode=cv2.BORDER_REFLECT))
        masks: list[Mask] = []
        for one, way in zip(sprites, courses, strict=True):
            if places and number:
                middle = np.array([rng.uniform(120, 520), rng.uniform(100, 380)])
                way = replace(way, start=middle, size=way.size * rng.uniform(0.85, 1.2))
                matrix = way.matrix(0, one)
            else:
                matrix = way.matrix(moment, one)
            image, mask = paste(np.asarray(image, np.uint8), one, matrix)
            masks = [*(other & ~mask for other in masks), mask]
        noisy = np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
        seen = [pair for pair in zip(names, masks, strict=True) if pair[1].sum() >= SEEN]
        made.append(Image(noisy, tuple(seen)))
    return made


def _quiet(way: Course, start: NDArray[np.float64]) -> Course:
    return replace(way, start=start, speed=way.speed / 2, size=way.size * 0.8)


def examples(images: Sequence[tuple[str, Image]]) -> list[Example]:
    """The objects of accepted images."""
    found: list[Example] = []
    for key, image in images:
        rows = [
            (len(found) + place, name, raster.from_array(mask))
            for place, (name, mask) in enumerate(image.objects)
        ]
        found += examples_of(key, image.pixels, rows)
    return found


def measure(
    segmenter: Segmenter, known: Sequence[Example], key: str, image: Image, again: Again,
    counts: dict[str, Count],
) -> None:  # fmt: skip
    """Ask both ways about an image."""
    embedding = encode(image.pixels, segmenter)
    labels = sorted({one.label for one in known})
    categories = [Category(number, label, "") for number, label in enumerate(labels)]
    ids = np.array([labels.index(one.label) for one in known], np.int64)
    namer = Namer(categories, ids, np.stack([one.looks for one in known]))
    ways: dict[str, ProposalSource] = {"everything": EverythingMode(Options()), "again": again}
    for way, source in ways.items():
        began = time.perf_counter()
        outcome = complete(image.pixels, key, segmenter, source, embedding)
        named: list[tuple[str, Mask]] = []
        for one in outcome.found:
            number = None if one.origin.label else namer.by_looks(one)
            name = one.origin.label or ("" if number is None else labels[number])
            if name:
                named.append((name, raster.to_array(one.mask)))
        count = counts[way]
        count.seconds += time.perf_counter() - began
        _judge(count, named, image)


def _judge(count: Count, named: Sequence[tuple[str, Mask]], image: Image) -> None:
    best = dict.fromkeys(range(len(image.objects)), 0.0)
    for name, mask in named:
        fits = [
            (float((mask & truth).sum() / max((mask | truth).sum(), 1)), place)
            for place, (other, truth) in enumerate(image.objects)
            if other == name
        ]
        iou, place = max(fits, default=(0.0, -1))
        count.right += iou >= 0.5
        if iou >= 0.5:
            best[place] = max(best[place], iou)
    count.proposed += len(named)
    count.truths += len(best)
    count.found += sum(iou >= 0.5 for iou in best.values())
    count.ious += [iou for iou in best.values() if iou >= 0.5]


def photographs(pictures: Sequence[Picture]) -> Iterator[Image]:
    """Labelled photographs as they are."""
    for picture in pictures:
        objects = [(str(t.category_id), t.mask()) for t in picture.objects if t.area >= SEEN]
        yield Image(picture.pixels(), tuple(objects))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="loupe")
    parser.add_argument("--series", type=int, default=10)
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = read_dataset(options.data, limit=options.limit).pictures
    pictures = [picture for picture in pictures if picture.objects]
    segmenter = segmenter_spec(options.model).load()
    counts: dict[str, dict[str, Count]] = {}
    if options.images:
        every = [(f"{place:05d}.jpg", one) for place, one in enumerate(photographs(pictures))]
        known = examples(every[::2])
        again = Again(known, AgainOptions())
        counts["photographs"] = {"everything": Count(), "again": Count()}
        for key, image in every[1::2]:
            measure(segmenter, known, key, image, again, counts["photographs"])
    for number in range(0 if options.images else options.series):
        kind = "places" if number % 2 else "film"
        made = series(np.random.default_rng(number), pictures, kind == "places")
        known = examples([("0.jpg", made[0])])
        table = counts.setdefault(kind, {"everything": Count(), "again": Count()})
        again = Again(known, AgainOptions())
        for place, image in enumerate(made[1:], 1):
            measure(segmenter, known, f"{place}.jpg", image, again, table)
    print(
        "| images | way | named | right | found | mean IoU | time |\n|---|---|---|---|---|---|---|"
    )
    for kind, table in counts.items():
        for way, count in table.items():
            print(
                f"| {kind} | {way} | {count.proposed} | {count.right / max(count.proposed, 1):.2f} "
                f"| {count.found / max(count.truths, 1):.2f} of {count.truths} "
                f"| {np.mean(count.ious) if count.ious else 0:.2f} "
                f"| {count.seconds / table['everything'].seconds:.2f} |"
            )


if __name__ == "__main__":
    main()
