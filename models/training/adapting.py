"""A finished Loupe adapted to a person's own images, measured on some it did not learn from.

The images are divided by their names, so that a growing project keeps what it is measured on: some
teach, some say when to stop, some are only measured. The model is offered if the measured ones say
that it got better by more than chance.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from models.adapted import (
    MEASURED,
    MIN_GAIN,
    MIN_IMAGES,
    MIN_OBJECTS,
    STEPS,
    WEIGHTS,
    AdaptedModel,
    AdaptedStore,
    Card,
    Comparison,
    Parts,
    Refused,
    trainable_folder,
)
from models.api import ModelError, SegmenterSpec
from models.loupe.segmenter import LoupeSegmenter
from models.networks.loupe import Loupe
from models.registry import segmenter_spec
from models.training.data import Image, LabelledImage
from models.training.evaluation import Options, evaluate
from models.training.evaluation.report import Row
from models.training.examining import as_dataset
from models.training.export import export, load_weights, save_weights
from models.training.tuning import Tuned, Tuning, fine_tune
from models.weight_files import Cancelled, Flag, disk_error, never

MEASURED_SHARE, WATCHED_SHARE = 0.25, 0.15
MEASURED_IMAGES = 3, 40
"""Fewest and most images that are measured."""
WATCHED_IMAGES = 1, 24
"""Fewest and most images that say when to stop."""
LOOKS = 12
"""How often, about, the images that say when to stop are looked at."""
MOST_IMAGES = 600
"""More are not looked at: every step of the training shows four."""
MEASURED_OBJECTS = 30
"""Most objects of one image that are measured."""
MIN_AREA = 64
"""Pixels; smaller masks are neither counted nor measured."""
RESAMPLES = 2000
CONFIDENCE = 0.95
COPY_SIDE = 1536
"""Longest side of the copies that are worked with; the network sees 768 of a whole image."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How far the whole work is.

    Attributes:
        doing: what is being done, for people.
        share: of everything, 0 to 1.
    """

    doing: str
    share: float


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came out.

    Attributes:
        model: the registry knows it from now on.
        comparison: what it is worth.
        problems: why some images were left out, one sentence each.
    """

    model: AdaptedModel
    comparison: Comparison
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Division:
    """Images by what they are for."""

    learned: tuple[LabelledImage, ...]
    watched: tuple[LabelledImage, ...]
    measured: tuple[LabelledImage, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What to adapt, and how.

    Attributes:
        project: name of the project, for people.
        origin: id of the model to begin with.
        parts: what is trained.
        steps: training steps at most.
        rate: of learning; None for one that suits the model that ships.
        seed: of the division and of everything drawn.
        device: "cpu" or "cuda".
    """

    project: str
    origin: str = "loupe"
    parts: Parts = "decoder"
    steps: int = STEPS
    rate: float | None = None
    seed: int = 0
    device: str = "cpu"


def adapt(
    images: Sequence[LabelledImage],
    job: Job,
    store: AdaptedStore | None = None,
    told: Callable[[Stage], None] = lambda stage: None,
    stopped: Flag = never,
) -> Adapted:
    """Adapt a model, and offer it if that helps.

    Args:
        images: with accepted masks.
        job: what to do.
        store: where the model goes; the user's own by default.
        told: called often.
        stopped: asked often; True ends it and leaves nothing behind.

    Raises:
        Refused: too little data, or it does not help.
        Cancelled: stopped.
        ModelError: an image cannot be read, the disk is full, or the original is damaged.
    """
    store = store or AdaptedStore()
    spec = segmenter_spec(job.origin)
    network = load_weights(trainable_folder(job.origin) / WEIGHTS)
    chosen = _chosen(images, job.seed)
    with store.work() as work:
        tell = _Teller(told, stopped)
        copies, problems = _copies(chosen, work, tell)
        division = divide(copies, job.seed)
        tuned = _tuned(network, division, job, tell)
        if not tuned.helped:
            raise Refused(
                "It does not help: at no point of the training were the images that were set "
                f"aside answered better than by {spec.title} as it is. More accepted masks, or "
                "masks corrected by hand, may change that."
            )
        made = work / "model"
        export(tuned.network, made)
        save_weights(tuned.network, made / WEIGHTS)
        comparison, fingerprint = _compared(spec, made, division.measured, tell)
        if not comparison.helps:
            raise Refused(_no_help(spec, comparison), comparison)
        card = _card(job, spec, division, tuned, comparison, fingerprint)
        return Adapted(store.put(made, card), comparison, tuple(problems))


class _Teller:
    """Turns the steps of each part of the work into a share of the whole."""

    PARTS: Mapping[str, tuple[float, float]] = {
        "Preparing": (0.0, 0.05),
        "Training": (0.05, 0.8),
        "Measuring before": (0.8, 0.9),
        "Measuring after": (0.9, 1.0),
    }

    def __init__(self, told: Callable[[Stage], None], stopped: Flag) -> None:
        self._told, self._stopped = told, stopped

    def __call__(self, doing: str, done: int, total: int) -> None:
        if self._stopped():
            raise Cancelled("Stopped.")
        low, high = self.PARTS[doing]
        self._told(Stage(doing, low + (high - low) * done / max(total, 1)))


def _tuned(network: Loupe, division: Division, job: Job, tell: _Teller) -> Tuned:
    plain = Tuning()
    settings = replace(
        plain.settings,
        steps=job.steps,
        rate=job.rate or plain.settings.rate,
        decay=max(job.steps // 2, 1),
        warm_up=min(plain.settings.warm_up, max(job.steps // 10, 1)),
        seed=job.seed,
    )
    every = min(plain.check_every, -(-job.steps // LOOKS))
    tuning = replace(plain, settings=settings, trained=job.parts, check_every=every)
    steps = itertools.count(1)

    def after_step() -> bool:
        tell("Training", next(steps), job.steps)
        return False

    return fine_tune(
        network, division.learned, division.watched, tuning, device=job.device, stopped=after_step
    )


# --- What is learned from ---


def _chosen(images: Sequence[LabelledImage], seed: int) -> list[LabelledImage]:
    """The images to work with, in an order that depends on their names alone.

    Raises:
        Refused: there are too few.
    """
    usable = [kept for image in images if (kept := _without_specks(image)).masks]
    _check_enough(usable)
    # By name and not by place: what is measured stays so when images are added.
    usable.sort(key=lambda image: hashlib.sha256(f"{seed} {image.name}".encode()).digest())
    return usable[:MOST_IMAGES]


def _check_enough(images: Sequence[LabelledImage]) -> None:
    count = sum(len(image.masks) for image in images)
    if count < MIN_OBJECTS or len(images) < MIN_IMAGES:
        raise Refused(
            f"There is too little to learn from: {_number(count, 'accepted mask')} in "
            f"{_number(len(images), 'image')}. At least {MIN_OBJECTS} masks in {MIN_IMAGES} "
            "images are needed: some teach, the others show whether it helps. Plain boxes, "
            "crowds and proposals do not count."
        )


def divide(images: Sequence[LabelledImage], seed: int) -> Division:
    """Which images teach, which say when to stop, and which are measured: the first ones.

    Raises:
        Refused: there are too few.
    """
    _check_enough(images)
    measured = _share(len(images), MEASURED_SHARE, *MEASURED_IMAGES)
    watched = measured + _share(len(images), WATCHED_SHARE, *WATCHED_IMAGES)
    rng = np.random.default_rng(seed)
    return Division(
        tuple(images[watched:]),
        tuple(images[measured:watched]),
        tuple(_some(image, rng) for image in images[:measured]),
    )


def _share(count: int, share: float, least: int, most: int) -> int:
    return min(max(round(count * share), least), most)


def _without_specks(image: LabelledImage) -> LabelledImage:
    return _with(image, [i for i, r in enumerate(image.masks) if coco_mask.area(r) >= MIN_AREA])


def _some(image: LabelledImage, rng: np.random.Generator) -> LabelledImage:
    return _with(image, sorted(rng.permutation(len(image.masks))[:MEASURED_OBJECTS]))


def _with(image: LabelledImage, chosen: list[int]) -> LabelledImage:
    """The image with these objects only."""
    masks = tuple(image.masks[i] for i in chosen)
    return replace(image, masks=masks, boxes=image.boxes[chosen])


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _copies(
    images: Sequence[LabelledImage], folder: Path, tell: _Teller
) -> tuple[list[LabelledImage], list[str]]:
    """The images small enough to be read again and again, and why some are left out."""
    found, problems = [], []
    for number, image in enumerate(images):
        tell("Preparing", number, len(images))
        try:
            image = reduced(image, folder / f"{number}.jpg", COPY_SIDE)
        except OSError as error:
            raise disk_error(error, folder) from error
        except ModelError as error:
            problems.append(str(error))
            continue
        if image.masks:
            found.append(image)
    return found, problems


def reduced(image: LabelledImage, path: Path, side: int) -> LabelledImage:
    """An image that was read once, as a smaller copy if it is large.

    Args:
        image: with its masks.
        path: the JPEG file of the copy.
        side: the longest side that is not large.

    Raises:
        OSError: the file cannot be written.
        ModelError: the image cannot be read.
    """
    pixels = image.pixels()
    if max(image.size) <= side:
        return image
    scale = side / max(image.size)
    height, width = (max(1, round(length * scale)) for length in image.size)

    def small(picture: Image) -> Image:
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))

    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    coded = cv2.imencode(".jpg", cv2.cvtColor(small(pixels), cv2.COLOR_RGB2BGR), quality)[1]
    path.write_bytes(coded.tobytes())
    masks: list[Mapping[str, Any]] = []
    for index in range(len(image.masks)):
        rle = coco_mask.encode(np.asfortranarray(small(image.mask(index) * 255) > 127))
        if coco_mask.area(rle):
            masks.append(rle)
    boxes = np.array([coco_mask.toBbox(rle) for rle in masks], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return LabelledImage(
        image.name, image.source, (height, width), tuple(masks), boxes, path.read_bytes
    )


# --- Whether it helps ---


def _compared(
    spec: SegmenterSpec, made: Path, images: Sequence[LabelledImage], tell: _Teller
) -> tuple[Comparison, str]:
    """Before and after as the program runs them, and the fingerprint of the new graphs."""
    dataset = as_dataset(images)
    options = Options()
    adapted = LoupeSegmenter(spec, made)
    rows = [
        evaluate(
            segmenter,
            dataset,
            options,
            lambda done, total, when=when: tell(f"Measuring {when}", done, total),  # type: ignore[misc]
        ).rows
        for segmenter, when in ((spec.load(), "before"), (adapted, "after"))
    ]
    return compare(*rows), adapted.fingerprint


def compare(before: Sequence[Row], after: Sequence[Row]) -> Comparison:
    """Two measurements of the same objects.

    The objects of one image resemble each other, so whole images are resampled (paired bootstrap).
    """
    gains: dict[str, list[float]] = {}
    for old, new in zip(before, after, strict=True):
        gain = fmean(new.answers[step].iou - old.answers[step].iou for step in MEASURED)
        gains.setdefault(old.image, []).append(gain)
    sums = np.array([sum(values) for values in gains.values()])
    counts = np.array([len(values) for values in gains.values()])
    drawn = np.random.default_rng(0).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return Comparison(
        {step: fmean(row.answers[step].iou for row in before) for step in MEASURED},
        {step: fmean(row.answers[step].iou for row in after) for step in MEASURED},
        len(gains),
        len(before),
        float(np.quantile(means, 1 - CONFIDENCE)),
    )


def _no_help(spec: SegmenterSpec, found: Comparison) -> str:
    numbers = ", ".join(
        f"{step} {found.before[step]:.3f} → {found.after[step]:.3f}" for step in MEASURED
    )
    head = (
        f"It does not help: on {_number(found.objects, 'object')} in "
        f"{_number(found.images, 'image')} it did not learn from, the mean IoU goes {numbers}."
    )
    if fmean(found.before.values()) > 0.9:
        return f"{head} {spec.title} answers nearly as you do already."
    if found.gain >= MIN_GAIN:
        return f"{head} That may be chance; more accepted images would tell."
    return f"{head} More accepted masks, or masks corrected by hand, may change that."


def _card(
    job: Job,
    spec: SegmenterSpec,
    division: Division,
    tuned: Tuned,
    found: Comparison,
    fingerprint: str,
) -> Card:
    teaching = (*division.learned, *division.watched)
    family = spec.title.split(" (")[0].split(", adapted to ")[0]
    return Card(
        title=f"{family}, adapted to {job.project}",
        origin=job.origin,
        project=job.project,
        date=f"{datetime.now().astimezone():%Y-%m-%d}",
        parts=job.parts,
        learned_images=len(teaching),
        learned_objects=sum(len(image.masks) for image in teaching),
        held_images=found.images,
        held_objects=found.objects,
        step=tuned.after.step,
        before={step: round(found.before[step], 4) for step in MEASURED},
        after={step: round(found.after[step], 4) for step in MEASURED},
        fingerprint=fingerprint,
    )
