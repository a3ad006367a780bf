"""The protocol: every object is asked for in the same ways, and every answer is measured.

The tight box, or the pixel of the mask farthest from its edge, starts; then two corrective points
are drawn uniformly from where the answer and the truth disagree. Points accumulate, the box stays.
This is the protocol published for the SAM family, but at the resolution of the image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from models.api import Embedding, Prompt, Segmenter
from models.training.evaluation import masks
from models.training.evaluation.dataset import Dataset, Picture, Truth
from models.training.evaluation.masks import Mask
from models.training.evaluation.report import MEDIUM_AREA, Answer, Report, Row

Progress = Callable[[int, int], None]
"""Told how many images are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure.

    Attributes:
        limit: number of images, None for all.
        min_area: smallest mask that is asked for, pixels.
        seed: of the corrective points.
    """

    limit: int | None = None
    min_area: int = 0
    seed: int = 0


class Clock:
    """Milliseconds of each step of a model."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Adds what the block takes."""
        began = time.perf_counter()
        yield
        self.times.setdefault(step, []).append(1e3 * (time.perf_counter() - began))


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    options: Options = Options(),
    progress: Progress = lambda done, total: None,
) -> Report:
    """Measure a model; each image is encoded once.

    The same seed gives the same points, whatever `limit` and `min_area` are.

    Raises:
        ModelError: an image cannot be read, or the model fails.
    """
    pictures = dataset.pictures[: options.limit]
    clock = Clock()
    rows: list[Row] = []
    for number, picture in enumerate(pictures):
        progress(number, len(pictures))
        chosen = _chosen(picture, options.min_area)
        if not chosen:
            continue
        image = picture.pixels()
        with clock.timed("encode"):
            embedding = segmenter.encode(image)
        asking = Asking(segmenter, embedding, clock)
        for index, truth in chosen:
            rng = np.random.default_rng([options.seed, number, index])
            category = dataset.category(truth.category_id)
            rows.append(_row(asking, picture.name, category, truth, rng))
    progress(len(pictures), len(pictures))
    spec, times = segmenter.spec, clock.times
    return Report(
        spec.title, spec.version, dataset.name, len(pictures), options.seed, tuple(rows), times
    )


def _chosen(picture: Picture, min_area: int) -> list[tuple[int, Truth]]:
    """The objects to measure, each with the number its random points depend on.

    Small objects are counted last: whether they are measured changes nothing for the others.
    """
    ordered = sorted(picture.objects, key=lambda truth: truth.area < MEDIUM_AREA)
    return [(index, truth) for index, truth in enumerate(ordered) if truth.area >= min_area]


@dataclass(frozen=True, slots=True)
class Asking:
    """One encoded image that can be asked for objects."""

    segmenter: Segmenter
    embedding: Embedding
    clock: Clock

    def answer(self, truth: Mask, prompt: Prompt, kind: str) -> tuple[Answer, Mask]:
        """The answer to a prompt measured against the truth, and its mask."""
        with self.clock.timed(f"decode, {kind}"):
            candidates = self.segmenter.decode(self.embedding, prompt)
        with self.clock.timed("render"):
            first = np.asarray(self.segmenter.render(self.embedding, candidates[0]))
        others = (self.segmenter.render(self.embedding, other) for other in candidates[1:])
        iou = masks.iou(truth, first)
        answer = Answer(
            iou=iou,
            oracle=max(iou, *(masks.iou(truth, np.asarray(other)) for other in others), 0.0),
            boundary=masks.iou(masks.boundary(truth), masks.boundary(first)),
            score=float(candidates[0].score),
            stability=masks.stability(candidates[0].logits),
        )
        return answer, first


def _row(asking: Asking, image: str, category: str, truth: Truth, rng: np.random.Generator) -> Row:
    mask = truth.mask()
    box = masks.tight_box(mask)
    answers: dict[str, Answer] = {}
    for kind, start in (("box", Prompt(box=box)), ("point", Prompt((masks.centre_point(mask),)))):
        prompt = start
        for extra in range(3):
            answer, predicted = asking.answer(mask, prompt, kind)
            answers[kind + (f" +{extra}" if extra else "")] = answer
            click = masks.random_correction(mask, predicted, rng)
            if click is not None:
                prompt = Prompt((*prompt.points, click), prompt.box)
    return Row(
        image,
        truth.id,
        category,
        truth.area,
        answers,
        masks.iou(mask, masks.box_mask(box, *mask.shape)),
        masks.iou(mask, masks.ellipse_in(box, *mask.shape)),
    )
