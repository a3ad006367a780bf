"""From queries to what people see: one map of segments, single objects, classes of pixels.

C is the number of classes; classes come things first, then stuff, and logits (N, C + 1) have "no
object" last. Everything here holds a few maps of the image's size at once, never one per query: of
300 queries on 12 megapixels that would be 14 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.networks.omgseg.found import STRIDE, Framing

OFFSET = 1000
"""What a panoptic value counts instances in, as data sets write it."""
_AT_ONCE = 1 << 25
"""Logits at full size that are held at once."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How segments are chosen; as in the published configurations.

    Attributes:
        score: a segment needs more than this.
        visible: share of a mask that must be left where it wins over others.
        inside: pixels belong to a segment only where its own mask says so.
        objects: pairs of query and class that single objects are made of.
    """

    score: float = 0.0
    visible: float = 0.8
    inside: bool = True
    objects: int = 100


PUBLISHED_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a panoptic map.

    Attributes:
        label: its class.
        score: probability of that class.
        query: which query found it; of stuff the first of several.
        area: pixels.
    """

    label: int
    score: float
    query: int
    area: int


@dataclass(frozen=True, slots=True, eq=False)
class Panoptic:
    """Every pixel belongs to one segment or to none.

    Attributes:
        map: (H, W) int32; 0 is nothing, i the segment `segments[i - 1]`.
        segments: things and stuff; one for all stuff of a class.
        things: how many of the classes are things.
        classes: C.
    """

    map: Tensor
    segments: tuple[Segment, ...]
    things: int
    classes: int

    def labels(self) -> Tensor:
        """The class of every pixel (H, W) int64, C where there is none: semantic segmentation."""
        table = [self.classes, *(segment.label for segment in self.segments)]
        return torch.tensor(table, device=self.map.device)[self.map.long()]

    def values(self) -> Tensor:
        """Class + 1000 * number of the thing, as data sets write it; C where there is nothing.

        For fewer than 1000 classes.
        """
        table, count = [self.classes], 0
        for segment in self.segments:
            count += segment.label < self.things
            table.append(segment.label + OFFSET * count * (segment.label < self.things))
        return torch.tensor(table, dtype=torch.int32, device=self.map.device)[self.map.long()]


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One object with one class.

    Attributes:
        label: its class, a thing.
        score: probability of the class times the mean certainty of the mask.
        query: which query found it.
        box: x0, y0, x1, y1 in whole pixels of the image, x1 and y1 excluded; zeros if empty.
        mask: (y1 - y0, x1 - x0) bool, what is inside the box.
        area: pixels.
    """

    label: int
    score: float
    query: int
    box: tuple[int, int, int, int]
    mask: Tensor
    area: int


def fuse_panoptic(
    logits: Tensor, masks: Tensor, framing: Framing, things: int, rules: Rules = PUBLISHED_RULES
) -> Panoptic:
    """All queries in one map: every pixel goes to the query that is surest of it.

    Args:
        logits: (N, C + 1) of classes.
        masks: (N, h, w) logits of one frame at stride 4 of the padded frame.
        framing: where the image lies.
        things: how many of the classes are things.
        rules: what is kept.
    """
    classes = logits.shape[1] - 1
    scores, labels = logits.softmax(1).max(1)
    kept = torch.nonzero((labels != classes) & (scores > rules.score))[:, 0]
    best = masks.new_full(framing.original, -1.0)
    own = masks.new_zeros(framing.original)
    winner = torch.full(framing.original, -1, dtype=torch.int32, device=masks.device)
    areas = []
    for number, (query, large) in enumerate(_full_sized(masks, framing, kept)):
        certain = large.sigmoid()
        areas.append(int((certain >= 0.5).sum()))
        sure = scores[query] * certain
        wins = sure > best
        best, own = torch.maximum(best, sure), torch.where(wins, certain, own)
        winner = torch.where(wins, number, winner)
    won = torch.bincount(winner.flatten() + 1, minlength=len(kept) + 1)[1:].tolist()
    table, segments = _chosen_segments(kept.tolist(), labels, scores, won, areas, things, rules)
    lookup = torch.tensor([0, *table], dtype=torch.int32, device=masks.device)
    found = lookup[(winner + 1).long()]
    if rules.inside:
        found = torch.where(own >= 0.5, found, 0)
    sizes = torch.bincount(found.flatten(), minlength=len(segments) + 1)[1:].tolist()
    counted = tuple(
        Segment(one.label, one.score, one.query, size)
        for one, size in zip(segments, sizes, strict=True)
    )
    return Panoptic(found, counted, things, classes)


def _chosen_segments(
    queries: Sequence[int],
    labels: Tensor,
    scores: Tensor,
    won: Sequence[int],
    areas: Sequence[int],
    things: int,
    rules: Rules,
) -> tuple[list[int], list[Segment]]:
    """For each kept query the number of its segment or 0, and the segments."""
    table, segments = [], []
    stuff: dict[int, int] = {}
    for query, seen, area in zip(queries, won, areas, strict=True):
        label = int(labels[query])
        if not seen or not area or seen / area < rules.visible:
            table.append(0)
            continue
        if label in stuff:
            table.append(stuff[label])
            continue
        segments.append(Segment(label, float(scores[query]), query, 0))
        table.append(len(segments))
        if label >= things:
            stuff[label] = len(segments)
    return table, segments


def fuse_instances(
    logits: Tensor,
    masks: Tensor,
    framing: Framing,
    things: int,
    rules: Rules = PUBLISHED_RULES,
    once: bool = False,
) -> list[Instance]:
    """The surest objects, best class first; for the arguments see `fuse_panoptic`.

    Args:
        logits: as there.
        masks: as there.
        framing: as there.
        things: as there.
        rules: how many.
        once: no query appears under several classes; the published code lets them.
    """
    classes = logits.shape[1] - 1
    probabilities = logits.softmax(1)[:, :-1]
    if once:
        best = probabilities.max(1, keepdim=True)
        probabilities = torch.zeros_like(probabilities).scatter_(1, best.indices, best.values)
    count = min(rules.objects, probabilities.numel())
    scores, places = probabilities.flatten().topk(count)
    pairs = [
        (place // classes, place % classes, score)
        for place, score in zip(places.tolist(), scores.tolist(), strict=True)
        if place % classes < things and score > 0
    ]
    wanted = torch.tensor(sorted({query for query, _, _ in pairs}), dtype=torch.long)
    shapes = {query: _cut_out(large) for query, large in _full_sized(masks, framing, wanted)}
    found = []
    for query, label, score in pairs:
        box, mask, area, certainty = shapes[query]
        found.append(Instance(label, score * certainty, query, box, mask, area))
    return found


Shape = tuple[tuple[int, int, int, int], Tensor, int, float]


def _cut_out(large: Tensor) -> Shape:
    """Box, mask inside it, area and mean certainty of logits (H, W)."""
    inside = large > 0
    rows, columns = (torch.nonzero(inside.any(axis))[:, 0] for axis in (1, 0))
    if not len(rows):
        return (0, 0, 0, 0), inside[:0, :0], 0, 0.0
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    x0, x1 = int(columns[0]), int(columns[-1]) + 1
    mask = inside[y0:y1, x0:x1]
    area = mask.sum()
    certain = (large[y0:y1, x0:x1].sigmoid() * mask).sum() / (area + 1e-6)
    return (x0, y0, x1, y1), mask.clone(), int(area), float(certain)


def covering(masks: Tensor, framing: Framing, x: float, y: float) -> list[int]:
    """The queries whose mask holds a point, the smallest first: part, object, whole.

    Args:
        masks: (N, h, w) logits of one frame at stride 4 of the padded frame.
        framing: where the image lies.
        x: of the point, pixels of the image.
        y: of the point.
    """
    height, width = framing.resized
    row = min(max(int(y * height / framing.original[0]), 0), height - 1) // STRIDE
    column = min(max(int(x * width / framing.original[1]), 0), width - 1) // STRIDE
    there = torch.nonzero(masks[:, row, column] > 0)[:, 0]
    inside = masks[there, : -(-height // STRIDE), : -(-width // STRIDE)] > 0
    return [int(query) for query in there[inside.sum((1, 2)).argsort(stable=True)]]


def _full_sized(masks: Tensor, framing: Framing, queries: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The logits (H, W) of some queries at the size of the image, few of them in memory at once."""
    largest = max(framing.original[0] * framing.original[1], framing.padded[0] * framing.padded[1])
    for some in torch.split(queries, max(1, _AT_ONCE // largest)):
        yield from zip(some.tolist(), framing.full_size(masks[some]), strict=True)


def render(masks: Tensor, framing: Framing, queries: Sequence[int]) -> Iterator[Tensor]:
    """The masks (H, W) bool of some queries at the size of the image, one after the other."""
    for _, large in _full_sized(masks, framing, torch.tensor(queries, dtype=torch.long)):
        yield large > 0
