"""Objects that meet: joining them, and giving every pixel to one of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import reduce

from annotator.core import raster
from annotator.core.annotation import Annotation, Annotations
from annotator.core.mask import Mask
from annotator.core.shapes import bounds
from models.api import Box


def as_mask(shape: Mask | Box, width: int, height: int) -> Mask:
    """The pixels of any shape."""
    if isinstance(shape, Mask):
        return shape
    return raster.from_box(shape.clipped(width, height), width, height)


def combined(operation: str, masks: list[Mask]) -> Mask:
    """Several masks as one.

    Args:
        operation: "union", "subtract" (the first without the others), "intersect" or "exclude"
            (pixels of an odd number of them).
        masks: at least one, all of one image.
    """
    if operation == "union":
        return raster.union(masks)
    if operation == "subtract":
        return reduce(raster.difference, masks)
    if operation == "intersect":
        return reduce(raster.intersection, masks)
    return reduce(raster.exclusion, masks)


def separated(annotations: Annotations, fresh: Collection[int]) -> Annotations:
    """With no pixel shared between a new or changed mask and any other: the higher layer has it.

    Locked objects keep what they have, whatever their layer. Boxes, crowds and proposals may
    overlap. Objects of which nothing is left are gone.

    Args:
        annotations: all objects of an image, bottom layer first.
        fresh: ids of the objects that are new or whose shape changed.
    """
    after = list(annotations)
    boxes = {a.id: bounds(a) for a in annotations if _counts(a)}
    for place, annotation in enumerate(annotations):
        if annotation.id not in fresh or annotation.id not in boxes:
            continue
        for other_place, other in enumerate(annotations):
            if other.id == annotation.id or other.id not in boxes:
                continue
            if not _meet(boxes[annotation.id], boxes[other.id]):
                continue
            gives = place if other.locked or other_place > place else other_place
            takes = other_place if gives == place else place
            after[gives] = _without(after[gives], after[takes])
    return tuple(a for a in after if not isinstance(a.shape, Mask) or raster.area(a.shape))


def _counts(annotation: Annotation) -> bool:
    return (
        isinstance(annotation.shape, Mask)
        and not annotation.proposed
        and not annotation.is_crowd
        and raster.area(annotation.shape) > 0
    )


def _meet(one: Box, other: Box) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


def _without(annotation: Annotation, other: Annotation) -> Annotation:
    shape, taken = annotation.shape, other.shape
    if not isinstance(shape, Mask) or not isinstance(taken, Mask):
        return annotation
    if not raster.area(raster.intersection(shape, taken)):
        return annotation
    return replace(annotation, shape=raster.difference(shape, taken), polygons=None)
