"""Models that label images by themselves, judged by COCO's mask AP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from models.api import ModelError
from models.labelling import Labeller, Name, Unasked, labelled
from models.training.evaluation.dataset import Dataset
from models.training.evaluation.detections import average_precision

MOST = 100
"""Answers for an image that COCO counts."""


def labeller_numbers(
    labeller: Labeller, dataset: Dataset, tell: Callable[[int, int], None] = lambda _, __: None
) -> dict[str, float]:
    """Mask AP of a model over labelled images, with the names of the data set.

    Args:
        labeller: takes any names, or has names of its own that are those of the data set.
        dataset: the images.
        tell: called with how many images of how many are done.

    Raises:
        ModelError: the data set has no names, the model none of them, or the model cannot run.
    """
    numbers = {name: number for number, name in dataset.categories.items()}
    names = tuple(Name(name) for name in numbers)
    spec = labeller.spec
    if not names:
        raise ModelError("The data set names no classes: nothing can be looked for.")
    if not spec.takes_names and not any(one.name in numbers for one in spec.names):
        raise ModelError(f"“{spec.id}” gives none of the names of the data set.")
    model, results = Unasked(labeller, names), []
    for done, picture in enumerate(dataset.pictures, 1):
        embedding = model.encode(picture.pixels())
        found = [one for one in labelled(embedding) if one.label in numbers]
        found.sort(key=lambda one: -one.candidate.score)
        for one in found[:MOST]:
            mask = model.render(embedding, one.candidate)
            rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
            result: dict[str, Any] = {
                "image_id": picture.id,
                "category_id": numbers[one.label],
                "segmentation": rle,
                "bbox": coco_mask.toBbox(rle).tolist(),
                "score": one.candidate.score,
            }
            results.append(result)
        tell(done, len(dataset.pictures))
    return average_precision(dataset, dataset.pictures, results)
