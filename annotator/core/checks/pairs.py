"""Checks of two objects of an image: the same one twice, and pixels that belong to both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pycocotools import mask as coco_mask

from annotator.core import raster
from annotator.core.annotation import Annotation, Annotations, Source
from annotator.core.checks.api import Labelled, Limits, replaced
from annotator.core.editing.layers import separated
from annotator.core.mask import Mask
from models.api import Box

Found = Iterator[tuple[tuple[int, ...], str]]


def duplicates(image: Labelled, limits: Limits) -> Found:
    """Two masks, or two boxes, that are nearly the same; the one that would go comes first."""
    for one, other, iou, _ in _pairs(image):
        if iou > limits.iou:
            less, more = sorted((one, other), key=_worth)
            yield (less.id, more.id), f"the same object twice (IoU {iou:.2f})"


def _worth(annotation: Annotation) -> tuple[bool, bool, bool, int]:
    """Which of two equal objects stays: locked, named, made by a person, the older one."""
    by_person = annotation.origin.source is Source.PERSON or annotation.origin.edited
    named = annotation.category_id is not None
    return annotation.locked, named, by_person, -annotation.id


def without_the_first(image: Labelled, ids: tuple[int, ...], limits: Limits) -> Annotations:
    """The less worthy one is gone."""
    return replaced(image, {ids[0]: None})


def overlaps(image: Labelled, limits: Limits) -> Found:
    """Two masks that share pixels; groups (crowds) may."""
    for one, other, iou, shared in _pairs(image):
        masks = isinstance(one.shape, Mask) and isinstance(other.shape, Mask)
        crowd = one.is_crowd or other.is_crowd
        if masks and not crowd and shared >= limits.pixels and iou <= limits.iou:
            yield (one.id, other.id), f"{shared:,} pixels of two objects"


def apart(image: Labelled, ids: tuple[int, ...], limits: Limits) -> Annotations:
    """The higher layer has the pixels of both; locked objects keep theirs."""
    both = tuple(a for a in image.annotations if a.id in ids)
    after = {a.id: a for a in separated(both, ids)}
    return replaced(image, {number: after.get(number) for number in ids})


def _pairs(image: Labelled) -> Iterator[tuple[Annotation, Annotation, float, int]]:
    """All pairs that meet, lower layer first: IoU and shared pixels."""
    masks = [a for a in image.accepted if isinstance(a.shape, Mask)]
    boxes = [a for a in image.accepted if isinstance(a.shape, Box)]
    for group in _by_size(masks):
        rles = [a.shape.to_coco() for a in group]  # type: ignore[union-attr]
        areas = raster.areas([a.shape for a in group]).astype(np.float64)  # type: ignore[misc]
        yield from _meeting(group, coco_mask.iou(rles, rles, [0] * len(rles)), areas)
    if len(boxes) > 1:
        sides = np.array([(a.shape.x0, a.shape.y0, a.shape.width, a.shape.height)  # type: ignore[union-attr]
                          for a in boxes], np.float64)  # fmt: skip
        ious = coco_mask.iou(sides, sides, [0] * len(boxes))
        yield from _meeting(boxes, ious, sides[:, 2] * sides[:, 3])


def _by_size(masks: list[Annotation]) -> list[list[Annotation]]:
    """Masks of one size together, where there are several."""
    groups: dict[tuple[int, int], list[Annotation]] = {}
    for one in masks:
        assert isinstance(one.shape, Mask)
        groups.setdefault((one.shape.width, one.shape.height), []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def _meeting(
    group: list[Annotation], ious: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    areas: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Iterator[tuple[Annotation, Annotation, float, int]]:  # fmt: skip
    for low, high in zip(*np.nonzero(np.triu(ious, 1) > 0), strict=True):
        iou = float(ious[low, high])
        shared = round(iou * (areas[low] + areas[high]) / (1 + iou))
        yield group[low], group[high], iou, shared
