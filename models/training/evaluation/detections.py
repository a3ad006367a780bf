"""COCO AP of a detector whose boxes become prompts: its score and class are kept."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.api import Box, ModelError, Prompt
from models.training.evaluation.asking import Asking
from models.training.evaluation.dataset import Dataset, Picture

NUMBERS = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")
"""The first numbers of COCOeval, in its order."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One box of a detector.

    Attributes:
        category_id: its class.
        box: image pixels; may reach past the image.
        score: what the detector believes of it.
    """

    category_id: int
    box: Box
    score: float


def read_detections(path: Path, dataset: Dataset) -> dict[int, list[Detection]]:
    """The boxes of a COCO results file by image.

    Raises:
        ModelError: the file cannot be read, is no results file, or is about other images.
    """
    remedy = "Give a COCO results file: a list of objects with image_id, category_id, bbox, score."
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"The detections “{path}” cannot be read ({error.strerror or error}). Check the path."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"“{path}” is not readable JSON ({error}). {remedy}") from error
    if not isinstance(content, list) or not content:
        raise ModelError(f"“{path}” is not a list of detections, or an empty one. {remedy}")
    ids = set(dataset.listed_ids)
    if len(ids) < len(dataset.listed_ids):
        raise ModelError(
            f"“{dataset.name}” uses image numbers twice, so “{path}” cannot be matched to it. "
            "Evaluate its parts one by one."
        )
    found: dict[int, list[Detection]] = {}
    for number, entry in enumerate(content):
        try:
            image_id, detection = _detection(entry)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"Detection {number} in “{path}” is incomplete ({type(error).__name__}: {error}). "
                f"{remedy}"
            ) from error
        if detection.category_id not in dataset.categories:
            raise ModelError(
                f"Detection {number} in “{path}” has class {detection.category_id}, which "
                f"“{dataset.name}” does not have. Use the data set the detector was made for."
            )
        found.setdefault(image_id, []).append(detection)
    unknown = found.keys() - ids
    if unknown:
        examples = ", ".join(map(str, sorted(unknown)[:5]))
        raise ModelError(
            f"“{path}” has detections for {len(unknown)} images that “{dataset.name}” does not "
            f"have (for example {examples}). Give the results for these images."
        )
    return found


def _detection(entry: Any) -> tuple[int, Detection]:
    x, y, width, height = (float(value) for value in entry["bbox"])
    score = float(entry["score"])
    if not all(map(math.isfinite, (x, y, width, height, score))) or min(width, height) < 0:
        raise ValueError("bbox must be x, y, width, height and score a number")
    box = Box(x, y, x + width, y + height)
    return int(entry["image_id"]), Detection(int(entry["category_id"]), box, score)


def detected_masks(
    asking: Asking, picture: Picture, detections: Sequence[Detection]
) -> list[dict[str, Any]]:
    """The detections of one image as COCO results with masks.

    A box without a pixel inside the image keeps an empty mask: it is still a false alarm.
    """
    results = []
    for detection in detections:
        box = detection.box.clipped(picture.width, picture.height)
        if box.width > 0 and box.height > 0:
            _, mask = asking.first(Prompt(box=box), "box")
        else:
            mask = np.zeros((picture.height, picture.width), np.bool_)
        results.append(
            {
                "image_id": picture.id,
                "category_id": detection.category_id,
                "segmentation": coco_mask.encode(np.asfortranarray(mask, np.uint8)),
                "bbox": [detection.box.x0, detection.box.y0, detection.box.width,
                         detection.box.height],
                "score": detection.score,
            }
        )  # fmt: skip
    return results


def average_precision(
    dataset: Dataset, pictures: Sequence[Picture], results: list[dict[str, Any]]
) -> dict[str, float]:
    """COCO's numbers for masks, and the AP of the boxes themselves; NaN where undefined.

    Sizes are those of the masks in pixels, also where the labels file states another area.
    """
    if not results:
        return dict.fromkeys((*NUMBERS, "box AP"), float("nan"))
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        truth = COCO()
        truth.dataset = _as_coco(dataset, pictures)
        truth.createIndex()
        segm = _evaluated(truth, results, "segm")
        bbox = _evaluated(truth, results, "bbox")
    values = dict(zip(NUMBERS, segm[: len(NUMBERS)], strict=True)) | {"box AP": bbox[0]}
    # COCOeval says -1 where there is nothing to find.
    return {name: float("nan") if value < 0 else float(value) for name, value in values.items()}


def _evaluated(truth: COCO, results: list[dict[str, Any]], kind: str) -> Sequence[float]:
    """The twelve numbers of COCOeval; `loadRes` takes areas from boxes unless they are left out."""
    left_out = "bbox" if kind == "segm" else "segmentation"
    entries = [{k: v for k, v in result.items() if k != left_out} for result in results]
    run = COCOeval(truth, truth.loadRes(entries), kind)
    run.evaluate()
    run.accumulate()
    run.summarize()
    return [float(value) for value in run.stats]


def _as_coco(dataset: Dataset, pictures: Sequence[Picture]) -> dict[str, Any]:
    annotations: list[Mapping[str, Any]] = [
        {
            "id": number,
            "image_id": picture.id,
            "category_id": truth.category_id,
            "segmentation": truth.rle,
            "area": truth.area,
            "bbox": coco_mask.toBbox(truth.rle).tolist(),
            "iscrowd": int(truth.crowd),
        }
        for number, (picture, truth) in enumerate(
            ((picture, truth) for picture in pictures for truth in picture.truths), 1
        )
    ]
    images = [{"id": p.id, "width": p.width, "height": p.height} for p in pictures]
    categories = [{"id": i, "name": name} for i, name in dataset.categories.items()]
    return {"images": images, "annotations": annotations, "categories": categories}
