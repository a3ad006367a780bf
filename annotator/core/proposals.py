"""Proposals: which of them a filter shows, and what accepting or rejecting does. Pure functions.

A proposal is an `Annotation` with `proposed` set: it lies in the same tuple as the others, so undo,
journal and hit tests treat it alike. A filter only looks: moving it changes nothing and runs
nothing again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from annotator.core.annotation import Annotation, Annotations
from annotator.core.mask import Mask
from models.api import Box


@dataclass(frozen=True, slots=True)
class ProposalFilter:
    """Which proposals are shown. A value that nobody measured holds nothing back.

    Attributes:
        score: least score, 0 to 1.
        stability: least stability, 0 to 1.
        smallest: least area in pixels.
        largest: greatest area in pixels, None for any.
        overlap: greatest intersection over union with an accepted object or a better proposal that
            is shown; 1 shows all.
        categories: only these classes (None among them: without a name), None for all.
    """

    score: float = 0.0
    stability: float = 0.0
    smallest: int = 0
    largest: int | None = None
    overlap: float = 0.7
    categories: frozenset[int | None] | None = None

    def passes(self, annotation: Annotation) -> bool:
        """Whether a proposal is good enough by itself, whatever lies beneath it."""
        origin = annotation.origin
        if origin.score is not None and origin.score < self.score:
            return False
        if origin.stability is not None and origin.stability < self.stability:
            return False
        if self.categories is not None and annotation.category_id not in self.categories:
            return False
        if not self.smallest and self.largest is None:
            return True
        area = area_of(annotation.shape)
        return self.smallest <= area and (self.largest is None or area <= self.largest)


EVERY = ProposalFilter(overlap=1.0)
"""Holds nothing back."""


@lru_cache(maxsize=16384)
def area_of(shape: Mask | Box) -> int:
    """Pixels inside a shape."""
    if isinstance(shape, Box):
        return round(shape.width * shape.height)
    from annotator.core import raster

    return raster.area(shape)


@dataclass(frozen=True, slots=True)
class Overlaps:
    """How much the objects of one image overlap.

    Attributes:
        shapes: what was compared, by annotation id.
        ious: intersection over union by id and id of the other; pairs that do not touch are left
            out.
    """

    shapes: Mapping[int, Mask | Box] = field(default_factory=dict)
    ious: Mapping[int, Mapping[int, float]] = field(default_factory=dict)


NO_OVERLAPS = Overlaps()


def overlaps(annotations: Annotations, known: Overlaps = NO_OVERLAPS) -> Overlaps:
    """Compare all objects of an image.

    Args:
        annotations: the objects.
        known: an earlier result; pairs it has are not compared again, so that a decision or the
            change of one object costs next to nothing.
    """
    shapes = {a.id: a.shape for a in annotations}
    if shapes == known.shapes:
        return known
    kept = {i for i, shape in shapes.items() if known.shapes.get(i) == shape}
    fresh = [a for a in annotations if a.id not in kept]
    ious: dict[int, dict[int, float]] = {
        i: {j: v for j, v in known.ious.get(i, {}).items() if j in kept} for i in kept
    }
    ious |= {a.id: {} for a in fresh}
    for first, second, value in _compare(fresh, annotations):
        ious[first][second] = ious[second][first] = value
    return Overlaps(shapes, ious)


def _compare(some: Iterable[Annotation], every: Annotations) -> list[tuple[int, int, float]]:
    """Ids and intersection over union of all touching pairs of one of `some` and any other."""
    from pycocotools import mask as coco_mask

    first, size = list(some), _size(every)
    if not first:
        return []
    coded = {a.id: _coded(a.shape, *size) for a in every}
    second = [a.id for a in every]
    table = coco_mask.iou(
        [coded[a.id] for a in first], [coded[i] for i in second], [0] * len(second)
    )
    rows, columns = (table > 0).nonzero()
    return [
        (first[row].id, second[column], float(table[row, column]))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if first[row].id != second[column]
    ]


def _size(annotations: Annotations) -> tuple[int, int]:
    """Width and height of an image in which all boxes have room."""
    masks = [a.shape for a in annotations if isinstance(a.shape, Mask)]
    if masks:
        return masks[0].width, masks[0].height
    boxes = [a.shape for a in annotations if isinstance(a.shape, Box)]
    return (
        max((round(b.x1) for b in boxes), default=1),
        max((round(b.y1) for b in boxes), default=1),
    )


def _coded(shape: Mask | Box, width: int, height: int) -> dict[str, object]:
    from annotator.core import raster

    if isinstance(shape, Box):
        shape = raster.from_box(shape.clipped(width, height), width, height)
    return {"size": [shape.height, shape.width], "counts": shape.counts}


def shown(annotations: Annotations, which: ProposalFilter, known: Overlaps) -> frozenset[int]:
    """Ids of the proposals a filter shows.

    Of proposals that overlap, the one with the higher score stays (then the more stable one, then
    the earlier one); accepted objects always win.

    Args:
        annotations: all objects of the image.
        which: the filter.
        known: from `overlaps` for these objects; not needed where the filter's `overlap` is 1.
    """
    passing = [a for a in annotations if a.proposed and which.passes(a)]
    if which.overlap >= 1:
        return frozenset(a.id for a in passing)
    passing.sort(key=lambda a: (-(a.origin.score or 0.0), -(a.origin.stability or 0.0)))
    standing = {a.id for a in annotations if not a.proposed}
    found: set[int] = set()
    for proposal in passing:
        rivals = known.ious.get(proposal.id, {})
        if not any(value > which.overlap and i in standing for i, value in rivals.items()):
            standing.add(proposal.id)
            found.add(proposal.id)
    return frozenset(found)


def undecided(annotations: Annotations, ids: Iterable[int]) -> Annotations:
    """Those of the ids that are proposals and may be decided on: locked ones are left alone."""
    chosen = frozenset(ids)
    return tuple(a for a in annotations if a.id in chosen and a.proposed and not a.locked)


def accepted(annotation: Annotation, category_id: int | None = None) -> Annotation:
    """The same object as an accepted one: id, shape, place and origin stay.

    Args:
        annotation: the proposal.
        category_id: the class of a proposal that has none.
    """
    name = category_id if annotation.category_id is None else annotation.category_id
    return replace(annotation, proposed=False, category_id=name)


def decided(
    annotations: Annotations,
    ids: Iterable[int],
    *,
    accept: bool,
    category_id: int | None = None,
) -> Annotations:
    """All objects after a decision on some proposals; accepted ones keep their layer.

    Args:
        annotations: all objects of the image.
        ids: the proposals meant; anything else among them is left alone.
        accept: whether they become objects or go away.
        category_id: class for accepted ones without one.
    """
    chosen = {a.id for a in undecided(annotations, ids)}
    if not accept:
        return tuple(a for a in annotations if a.id not in chosen)
    return tuple(accepted(a, category_id) if a.id in chosen else a for a in annotations)
