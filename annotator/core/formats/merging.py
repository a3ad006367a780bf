"""How objects of a file join those of an image: rules people see before they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from annotator.core.annotation import Annotation, Annotations
from annotator.core.mask import Mask
from models.api import Box

CHOICES = ("add", "keep", "replace")
NEW = "new objects"
THERE = "objects that are there already, exactly the same"
OUTCOMES: Mapping[tuple[str, str], str] = {
    ("id", "keep"): "objects with the id of another one, which is kept; left out",
    ("id", "replace"): "objects with the id of another one, which they replace",
    ("overlap", "keep"): "objects that lie on one of the same class, which is kept; left out",
    ("overlap", "replace"): "objects that lie on one of the same class, which they replace",
}
OTHER_SIZE = "masks of another size than their image; left out"


@dataclass(frozen=True, slots=True)
class MergeRules:
    """What happens where an object is already there.

    Attributes:
        same_id: to an object whose id another one of the image has: "add" it under a new id,
            "keep" the old one and leave it out, or "replace" the old one.
        overlap: the same for one that lies on an object of the same class, or of one without.
        iou: from which intersection over union on it lies on it.
        only_existing: leave out objects of images that are not in the folder.
        classes: names of the file to names of the project; "" for no name. Others stay.
    """

    same_id: str = "add"
    overlap: str = "keep"
    iou: float = 0.9
    only_existing: bool = False
    classes: Mapping[str, str] = field(default_factory=dict)

    def class_name(self, name: str) -> str:
        """The name in the project."""
        return self.classes.get(name, name)


def merged(
    present: Annotations,
    coming: Sequence[Annotation],
    rules: MergeRules,
    new_id: Callable[[], int],
    size: tuple[int, int] = (0, 0),
    ids: dict[int, int] | None = None,
) -> tuple[Annotations, Counter[str]]:
    """The objects of one image after an import.

    Args:
        present: what is there; proposals are not looked at.
        coming: from the file, with the categories of the project.
        rules: see `MergeRules`.
        new_id: gives ids of the project.
        size: width and height of the image, (0, 0) where nobody knows.
        ids: is told which object of the project each one of the file has become.

    Returns:
        All objects, and how often what happened.
    """
    result, counts = list(present), Counter[str]()
    ids = {} if ids is None else ids
    old = [a for a in present if not a.proposed]
    exact = {(a.shape, a.category_id): a.id for a in old}
    by_id = {a.id: a for a in old}
    overlaps = _overlaps(old, coming)
    replaced: set[int] = set()
    for row, annotation in enumerate(coming):
        shape = annotation.shape
        if isinstance(shape, Mask) and size[0] and (shape.width, shape.height) != size:
            counts[OTHER_SIZE] += 1
            continue
        if (shape, annotation.category_id) in exact:
            counts[THERE] += 1
            ids[annotation.id] = exact[shape, annotation.category_id]
            continue
        choice, other = "add", by_id.get(annotation.id)
        reason = "id" if other is not None else ""
        if other is not None:
            choice = rules.same_id
        if choice == "add":
            other = _under(annotation, old, overlaps[row], rules.iou)
            choice, reason = (rules.overlap, "overlap") if other is not None else ("add", "")
        if other is None or choice == "add" or (choice == "replace" and other.id in replaced):
            counts[NEW] += 1
            result.append(replace(annotation, id=new_id()))
            ids[annotation.id] = result[-1].id
            continue
        ids[annotation.id] = other.id
        counts[OUTCOMES[reason, choice]] += 1
        if choice == "replace":
            replaced.add(other.id)
            place = next(i for i, a in enumerate(result) if a.id == other.id)
            result[place] = replace(annotation, id=other.id)
    return tuple(result), counts


def _under(
    annotation: Annotation, old: Sequence[Annotation], ious: NDArray[np.float64], least: float
) -> Annotation | None:
    """The object of the same class it covers most, if it is enough."""
    best, found = least, None
    for other, iou in zip(old, ious.tolist(), strict=True):
        names = {annotation.category_id, other.category_id}
        if iou >= best and (len(names) == 1 or None in names):
            best, found = iou, other
    return found


def _overlaps(old: Sequence[Annotation], coming: Sequence[Annotation]) -> NDArray[np.float64]:
    """IoU (coming, old); between a box and a mask it is 0."""
    ious = np.zeros((len(coming), len(old)))
    for kind in (Mask, Box):
        rows = [i for i, a in enumerate(coming) if isinstance(a.shape, kind)]
        columns = [i for i, a in enumerate(old) if isinstance(a.shape, kind)]
        sizes = {
            (a.shape.width, a.shape.height) for a in (*old, *coming) if isinstance(a.shape, Mask)
        }
        if rows and columns and (kind is Box or len(sizes) == 1):
            first: Any = [_value(coming[i]) for i in rows]
            second: Any = [_value(old[i]) for i in columns]
            if kind is Box:
                first, second = np.array(first, float), np.array(second, float)
            ious[np.ix_(rows, columns)] = coco_mask.iou(first, second, [0] * len(columns))
    return ious


def _value(annotation: Annotation) -> object:
    shape = annotation.shape
    if isinstance(shape, Mask):
        return {"size": [shape.height, shape.width], "counts": shape.counts}
    return [shape.x0, shape.y0, shape.width, shape.height]
