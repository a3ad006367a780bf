"""Region similarity J of objects that are followed through machine-made sequences.

    python benchmarks/propagation.py DATA [--model loupe] [--sequences 20] [--frames 10]
    python benchmarks/propagation.py FRAMES --masks FOLDER [--model loupe]

The second form measures a sequence you have: FRAMES is a video or a folder of images, FOLDER has a
PNG for each frame in the same order, in which every object is a number (as in DAVIS). All objects
of the first one are followed.

Real objects of labelled photographs glide, turn and grow over another photograph that drifts as if
the camera moved; in every second sequence another real object passes in front of them. So the mask
of every frame is known. J is intersection over union. Three ways to come to the mask of a frame:

copy: the mask of the first frame stays where it is;
moved: every mask is the one before, moved by optical flow;
followed: what the program proposes: moved, then judged and refined by the model. The last columns
    say how many of the objects it would still follow without having asked, and how well.

20 sequences take about a minute with the built-in segmenter on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models import motion
from models.api import Segmenter
from models.registry import segmenter_spec
from models.training.evaluation.dataset import Picture, read_dataset

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SIZE = 640, 480
"""Width and height of a frame, pixels."""
LEAST_SEEN = 0.1
"""Frames in which less of the object is to be seen, as a share of the first one, do not count."""
HEAD = """| frames later | copy | moved | followed | not asked | J of those | below 0.5 |
|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Sprite:
    """An object cut out of a photograph: (h, w, 3) uint8 and (h, w) float32, 0 to 1."""

    pixels: Pixels
    alpha: NDArray[np.float32]


@dataclass(frozen=True)
class Course:
    """How a sprite goes: centre, speed (pixels a frame), bend, growth and turn a frame."""

    start: NDArray[np.float64]
    speed: NDArray[np.float64]
    bend: NDArray[np.float64]
    size: float
    growth: float
    turn: float

    def matrix(self, time: int, sprite: Sprite) -> NDArray[np.float64]:
        """The affine map (2, 3) from the sprite to the frame."""
        height, width = sprite.alpha.shape
        centre = self.start + self.speed * time + self.bend * time**2
        scale = self.size * self.growth**time
        found = cv2.getRotationMatrix2D((width / 2, height / 2), self.turn * time, scale)
        found[:, 2] += centre - (width / 2, height / 2)
        return np.asarray(found)


@dataclass(frozen=True)
class Sequence:
    """Frames with the mask of what is to be seen of the object in each."""

    frames: tuple[Pixels, ...]
    masks: tuple[Mask, ...]
    occluded: bool


def sprite(picture: Picture, number: int) -> Sprite:
    """One object of a picture."""
    mask = picture.objects[number].mask()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    alpha = np.pad(mask[part].astype(np.float32), 2)
    pixels = np.pad(picture.pixels()[part], ((2, 2), (2, 2), (0, 0)), mode="edge")
    return Sprite(pixels, np.asarray(cv2.GaussianBlur(alpha, (3, 3), 0), np.float32))


def paste(below: Pixels, what: Sprite, matrix: NDArray[np.float64]) -> tuple[Pixels, Mask]:
    """The frame with a sprite on it, and where the sprite is."""
    pixels = cv2.warpAffine(what.pixels, matrix, SIZE, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(what.alpha, matrix, SIZE)
    mixed = below * (1 - alpha[..., None]) + pixels * alpha[..., None]
    return np.asarray(np.clip(mixed, 0, 255), np.uint8), np.asarray(alpha > 0.5)


def sequence(rng: np.random.Generator, pictures: list[Picture], frames: int, occluded: bool,
             least: int = 48**2) -> Sequence:  # fmt: skip
    """A sequence made by chance from objects of at least so many pixels."""
    chosen = [
        (picture, number)
        for picture in pictures
        for number, truth in enumerate(picture.objects)
        if least <= truth.area < 0.3 * picture.width * picture.height
    ]
    one, other = (chosen[i] for i in rng.choice(len(chosen), 2, replace=False))
    ground = cv2.resize(pictures[rng.integers(len(pictures))].pixels(), (800, 600))
    what, cover = sprite(*one), sprite(*other)
    course = course_of(rng, what)
    # The other one crosses the middle of the way.
    middle = course.start + course.speed * frames / 2 + course.bend * (frames / 2) ** 2
    way = rng.normal(0, 1, 2)
    way *= rng.uniform(10, 25) / np.linalg.norm(way)
    size = 0.7 * np.sqrt(what.alpha.size / cover.alpha.size) * course.size
    passing = Course(middle - way * frames / 2, way, np.zeros(2), float(size), 1.0, 0.0)
    pan, light = rng.normal(0, 2.5, 2), rng.normal(0, 0.006)
    images, masks = [], []
    for time in range(frames):
        drift = np.array([[1, 0, -80 + pan[0] * time], [0, 1, -60 + pan[1] * time]])
        below = cv2.warpAffine(ground, drift, SIZE, borderMode=cv2.BORDER_REFLECT)
        image, mask = paste(np.asarray(below, np.uint8), what, course.matrix(time, what))
        if occluded:
            image, hidden = paste(image, cover, passing.matrix(time, cover))
            mask &= ~hidden
        noisy = image * (1 + light * time) + rng.normal(0, 2, image.shape)
        images.append(np.asarray(np.clip(noisy, 0, 255), np.uint8))
        masks.append(mask)
    return Sequence(tuple(images), tuple(masks), occluded)


def course_of(rng: np.random.Generator, what: Sprite) -> Course:
    """A way through the image made by chance."""
    side = rng.uniform(90, 220)
    angle, pace = rng.uniform(0, 2 * np.pi), rng.uniform(3, 18)
    heading = np.array([np.cos(angle), np.sin(angle)])
    start = np.array([SIZE[0] / 2, SIZE[1] / 2]) - heading * rng.uniform(40, 120)
    return Course(
        start, heading * pace, rng.normal(0, 0.4, 2), side / max(what.alpha.shape),
        rng.uniform(0.97, 1.03), rng.uniform(-4, 4),
    )  # fmt: skip


def recorded(frames: Path, masks: Path, most: int) -> Iterator[Sequence]:
    """A sequence with masks from files, once for every object of its first frame."""
    from PIL import Image

    from annotator.core.images import read_image
    from annotator.core.paths import natural_key
    from annotator.services.folder_scan import walk

    root = frames if frames.is_dir() else frames.parent
    keys = [key for found in walk(root) if isinstance(found, list) for key in found]
    if not frames.is_dir():
        keys = [key for key in keys if key.startswith(f"{frames.name}/")]
    files = sorted(masks.glob("*.png"), key=lambda path: natural_key(path.name))
    pairs = list(zip(keys, files, strict=False))[:most]
    pixels = tuple(read_image(root / key) for key, _ in pairs)
    numbers = [np.asarray(Image.open(file)) for _, file in pairs]
    for number in np.unique(numbers[0][numbers[0] > 0]):
        yield Sequence(pixels, tuple(one == number for one in numbers), occluded=False)


@dataclass(frozen=True)
class Row:
    """One object in one frame: its distance from the first one, and J of every way."""

    distance: int
    occluded: bool
    copy: float
    moved: float
    followed: float
    confidence: float
    asked: bool


def follow(segmenter: Segmenter, made: Sequence) -> Iterator[Row]:
    """Follow the object of a sequence by all ways; `asked`: the program would have stopped."""
    first = made.masks[0]
    trusted = motion.trust(segmenter, segmenter.encode(made.frames[0]), first)
    moved, followed, believed, largest, asked = first, first, 1.0, 0, False
    before = motion.frame(made.frames[0])
    for distance, (image, truth) in enumerate(zip(made.frames, made.masks, strict=True)):
        if not distance:
            continue
        after = motion.frame(image, before)
        moves = motion.between(before, after)
        before, moved = after, motion.moved(moved, moves).mask
        largest = max(largest, int(followed.sum()))
        found = motion.follow(
            segmenter, segmenter.encode(image), followed, moves, believed, trusted, largest
        )
        followed, believed = found.mask, found.believed
        asked |= not found.sure
        if truth.sum() < LEAST_SEEN * first.sum():
            continue
        each = [motion.overlap(mask, truth) for mask in (first, moved, followed)]
        yield Row(distance, made.occluded, *each, found.confidence, asked)


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="loupe")
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng, segmenter = np.random.default_rng(options.seed), segmenter_spec(options.model).load()
    if options.masks is not None:
        made = list(recorded(options.data, options.masks, options.frames))
    else:
        every = read_dataset(options.data).pictures
        pictures = [picture for picture in every if picture.objects]
        made = [
            sequence(rng, pictures, options.frames, number % 2 == 1)
            for number in range(options.sequences)
        ]
    rows = [row for one in made for row in follow(segmenter, one)]
    print(f"{len(made)} sequences of at most {options.frames} frames, {options.model}\n")
    print(HEAD)
    for distance in sorted({row.distance for row in rows}):
        _print(f"{distance}", [row for row in rows if row.distance == distance])
    _print("not occluded", [row for row in rows if not row.occluded])
    _print("occluded", [row for row in rows if row.occluded])
    _print("all", rows)
    both = np.array([(row.confidence, row.followed) for row in rows]).T
    print(f"\ncorrelation of confidence and J: {np.corrcoef(both)[0, 1]:.2f}")


def _print(name: str, rows: list[Row]) -> None:
    if not rows:
        return
    means = [np.mean([getattr(row, way) for row in rows]) for way in ("copy", "moved", "followed")]
    kept = [row.followed for row in rows if not row.asked]
    bad = np.mean([value < 0.5 for value in kept]) if kept else 0.0
    cells = [f"{mean:.3f}" for mean in means]
    kept_text = f"{len(kept) / len(rows):.0%} | {np.mean(kept) if kept else 0:.3f} | {bad:.0%}"
    print(f"| {name} | " + " | ".join(cells) + f" | {kept_text} |")


if __name__ == "__main__":
    main()
