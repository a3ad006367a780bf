"""The protocol: every object is asked for in the same ways, and every answer is measured.

The tight box, or the pixel of the mask farthest from its edge, starts; then two corrective points
are drawn uniformly from where the answer and the truth disagree. Points accumulate, the box stays.
This is the protocol published for the SAM family, but at the resolution of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models.api import Prompt, Segmenter
from models.training.evaluation import clicks, masks
from models.training.evaluation.asking import Asking, Clock
from models.training.evaluation.dataset import Dataset, Picture, Truth
from models.training.evaluation.detections import Detection, average_precision, detected_masks
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
        clicks: also count the clicks until the mask is good; takes several times as long.
        click_objects: count them for this many objects only, evenly spread; None for all of at
            least 32² pixels.
        detections: boxes of a detector by image, for COCO AP.
    """

    limit: int | None = None
    min_area: int = 0
    seed: int = 0
    clicks: bool = False
    click_objects: int | None = None
    detections: Mapping[int, Sequence[Detection]] = field(default_factory=dict)


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
    counted = _counted(pictures, options)
    clock = Clock()
    rows: list[Row] = []
    results: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures):
        progress(number, len(pictures))
        targets = _targets(picture, options.min_area)
        boxes = options.detections.get(picture.id, ())
        if not targets and not boxes:
            continue
        image = picture.pixels()
        with clock.timed("encode"):
            embedding = segmenter.encode(image)
        asking = Asking(segmenter, embedding, clock)
        for index, truth in targets:
            rng = np.random.default_rng([options.seed, number, index])
            row = _row(asking, picture.name, dataset.category(truth.category_id), truth, rng)
            if (number, index) in counted:
                row = replace(row, clicks=clicks.clicked_ious(asking, truth.mask()))
            rows.append(row)
        results += detected_masks(asking, picture, boxes)
    progress(len(pictures), len(pictures))
    return Report(
        model=segmenter.spec.title,
        version=segmenter.spec.version,
        dataset=dataset.name,
        images=len(pictures),
        seed=options.seed,
        rows=tuple(rows),
        times=clock.times,
        detections=average_precision(dataset, pictures, results) if options.detections else {},
    )


def _targets(picture: Picture, min_area: int) -> list[tuple[int, Truth]]:
    """The objects to measure, each with the number its random points depend on.

    Small objects are counted last: whether they are measured changes nothing for the others.
    """
    ordered = sorted(picture.objects, key=lambda truth: truth.area < MEDIUM_AREA)
    return [(index, truth) for index, truth in enumerate(ordered) if truth.area >= min_area]


def _counted(pictures: Sequence[Picture], options: Options) -> set[tuple[int, int]]:
    """The objects whose clicks are counted: numbers of image and object."""
    if not options.clicks:
        return set()
    smallest = max(options.min_area, MEDIUM_AREA)
    found = [(n, i) for n, p in enumerate(pictures) for i, _ in _targets(p, smallest)]
    count = len(found) if options.click_objects is None else options.click_objects
    if count >= len(found):
        return set(found)
    return {found[i] for i in np.linspace(0, len(found) - 1, count).round().astype(int)}


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
                prompt = replace(prompt, points=(*prompt.points, click))
    return Row(
        image=image,
        id=truth.id,
        category=category,
        area=truth.area,
        answers=answers,
        box_itself=masks.iou(mask, masks.box_mask(box, *mask.shape)),
        ellipse=masks.iou(mask, masks.ellipse_in(box, *mask.shape)),
    )
