"""Everything mode: a grid of points, each decoded and filtered, to the objects of an image.

The spirit is that of segment-anything's mask generator; what differs is that masks are compared
at the model's own resolution in image coordinates, whatever rectangle each of them covers, and
that the work comes in short steps, so that the caller can show progress, stop, or do something
more urgent in between. Every point is asked: leaving out those inside a good mask saved 8 % of
the points where it lost no more than 2 % of the objects, and 60 % where it lost 40 % of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.api import BatchSegmenter, Box, Embedding, MaskCandidate, Point, Prompt, Segmenter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cells = NDArray[np.bool_]

STEP_S = 0.02
"""How long a step should take; only a single slow prompt takes longer, seconds. Longer ones would
make clicks wait and are not faster: two cores answer points one by one at least as fast."""
MOST_PROMPTS = 32
"""Prompts in one step at most."""
SAMPLES = 128
"""Masks on different grids are compared at this many places along each axis at most."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked and what is kept.

    Attributes:
        side: points along each side of the image.
        min_score: the least `MaskCandidate.score`; None as suits the model.
        min_stability: the least `stability`; None as suits the model.
        offset: of the logits, for stability.
        max_overlap: two masks with a higher intersection over union are the same object; the
            one with the higher `Proposal.rank` stays.
        min_area: image pixels.
        max_share: of the image; larger masks are background.
        max_cut: sides of its grid that a mask may touch inside the image; one that touches more
            is taken for a piece of something larger.
        all_candidates: take all candidates of a point; else only the first one.

    Raises:
        ValueError: a value makes no sense.
    """

    side: int = 16
    min_score: float | None = None
    min_stability: float | None = None
    offset: float = 1.0
    max_overlap: float = 0.6
    min_area: float = 64.0
    max_share: float = 0.9
    max_cut: int = 1
    all_candidates: bool = True

    def __post_init__(self) -> None:
        shares = (self.min_score or 0.0, self.min_stability or 0.0, self.max_overlap,
                  self.max_share)  # fmt: skip
        if self.side < 1 or self.min_area < 0 or self.offset <= 0:
            raise ValueError(f"Not a grid with filters: {self}.")
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"Thresholds lie between 0 and 1: {self}.")


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """One object that was found.

    Attributes:
        candidate: the mask, for `Segmenter.render`.
        prompt: the point that gave it.
        stability: see `stability`.
        box: around the mask, image pixels.
        area: image pixels, at the model's resolution.
    """

    candidate: MaskCandidate
    prompt: Prompt
    stability: float
    box: Box
    area: float

    @property
    def rank(self) -> float:
        """Score times stability: a score alone compares candidates of one prompt only."""
        return self.candidate.score * self.stability


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """How far the search has come.

    Attributes:
        done: points that were asked.
        total: points of the grid.
        found: what was found so far, best first.
    """

    done: int
    total: int
    found: tuple[Proposal, ...]


def steps(
    segmenter: Segmenter,
    embedding: Embedding,
    options: Options | None = None,
    batch: int | None = None,
) -> Iterator[Step]:
    """Search an image, one short step at a time; the last step has everything.

    How fast the machine is decides only how many points are in a step; models may round
    differently in larger batches.

    Args:
        segmenter: answers.
        embedding: of the image.
        options: what is asked and what is kept.
        batch: points in every step, where the same image has to give the same result on any
            machine at any time; None for as many as are quick.

    Raises:
        ModelError: the model cannot answer.
    """
    options = options or Options()
    search = _Search(segmenter, embedding, options)
    points = grid(embedding.width, embedding.height, options.side)
    done, count = 0, batch or 1
    while done < len(points):
        began = time.perf_counter()
        prompts = [Prompt((point,)) for point in points[done : done + count]]
        for prompt, candidates in zip(prompts, _decode(segmenter, embedding, prompts), strict=True):
            for candidate in candidates if options.all_candidates else candidates[:1]:
                search.take(prompt, candidate)
        done += len(prompts)
        if batch is None:
            took = max(time.perf_counter() - began, 1e-6)
            count = min(max(1, int(STEP_S * len(prompts) / took)), 2 * count, MOST_PROMPTS)
        yield Step(done, len(points), search.best())


def propose(
    segmenter: Segmenter, image: NDArray[np.uint8], options: Options | None = None
) -> tuple[Proposal, ...]:
    """All objects of an image (H, W, 3) uint8 RGB, best first.

    Raises:
        ModelError: the model cannot answer.
    """
    found: tuple[Proposal, ...] = ()
    for step in steps(segmenter, segmenter.encode(image), options):
        found = step.found
    return found


def grid(width: int, height: int, side: int) -> tuple[Point, ...]:
    """`side` x `side` points, each in the middle of its part of the image.

    They come in an order that is spread over the image from the beginning, so that early steps
    tell how long the others will take, and stopping early leaves no part of the image out.
    """
    places = [(row, column) for row in range(side) for column in range(side)]
    places.sort(key=lambda place: (_spread(*place), place))
    return tuple(
        Point((column + 0.5) * width / side, (row + 0.5) * height / side) for row, column in places
    )


def _spread(row: int, column: int) -> int:
    """Coarse to fine: the bits of both numbers, lowest first, as the highest of the result."""
    key = 0
    for bit in range(8):
        r, c = row >> bit & 1, column >> bit & 1
        # Of each 2 x 2 places the diagonal comes first, as in ordered dithering.
        key = key << 2 | (r ^ c) << 1 | c
    return key


def stability(logits: NDArray[np.float32], offset: float = 1.0) -> float:
    """Overlap of the masks above `offset` and above -`offset`, 0 to 1; 0 for an empty mask."""
    low = int(np.count_nonzero(logits > -offset))
    return int(np.count_nonzero(logits > offset)) / low if low else 0.0


def _decode(
    segmenter: Segmenter, embedding: Embedding, prompts: Sequence[Prompt]
) -> Sequence[tuple[MaskCandidate, ...]]:
    if isinstance(segmenter, BatchSegmenter):
        return segmenter.decode_many(embedding, prompts)
    return [segmenter.decode(embedding, prompt) for prompt in prompts]


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """The cells of a mask inside the image, cut to its tight box.

    Attributes:
        cells: (h, w) bool.
        box: what they cover, image pixels.
        area: image pixels.
        cut: sides of its grid that the mask touches while the image goes on beyond them.
    """

    cells: Cells
    box: Box
    area: float
    cut: int = 0

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a cell in image pixels."""
        rows, columns = self.cells.shape
        return self.box.width / columns, self.box.height / rows

    def at(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Cells:
        """Whether the places (x, y) belong to the mask, (len(ys), len(xs)); all in `box`."""
        (wide, high), (rows, columns) = self.cell, self.cells.shape
        # A place on the very edge of the box may be rounded into the cell beyond.
        column = np.minimum((xs - self.box.x0) // wide, columns - 1).astype(int)
        row = np.minimum((ys - self.box.y0) // high, rows - 1).astype(int)
        return np.asarray(self.cells[row[:, None], column])


def footprint(candidate: MaskCandidate, width: int, height: int) -> Footprint | None:
    """The footprint of a mask in an image of this size; None when it has no cell inside it."""
    extent, (rows, columns) = candidate.extent, candidate.logits.shape
    wide, high = extent.width / columns, extent.height / rows
    # Cells count whose middle lies in the image; the grid may reach past it.
    x = np.flatnonzero(_inside(extent.x0, wide, columns, width))
    y = np.flatnonzero(_inside(extent.y0, high, rows, height))
    if not x.size or not y.size:
        return None
    cells = candidate.logits[y[0] : y[-1] + 1, x[0] : x[-1] + 1] > 0
    used_x, used_y = np.flatnonzero(cells.any(axis=0)), np.flatnonzero(cells.any(axis=1))
    if not used_x.size:
        return None
    left, right = int(used_x[0]), int(used_x[-1]) + 1
    top, bottom = int(used_y[0]), int(used_y[-1]) + 1
    cells = cells[top:bottom, left:right].copy()
    x0, y0 = extent.x0 + wide * (int(x[0]) + left), extent.y0 + high * (int(y[0]) + top)
    box = Box(x0, y0, x0 + wide * (right - left), y0 + high * (bottom - top))
    cut = _cut_sides(box, extent, (wide, high), width, height)
    return Footprint(cells, box, float(np.count_nonzero(cells)) * wide * high, cut)


def _cut_sides(box: Box, extent: Box, cell: tuple[float, float], width: int, height: int) -> int:
    """Sides of a grid that a mask touches, but for the outermost row, inside the image."""
    near_x, near_y = 1.5 * cell[0], 1.5 * cell[1]
    sides = (
        extent.x0 >= 1 and box.x0 - extent.x0 < near_x,
        extent.y0 >= 1 and box.y0 - extent.y0 < near_y,
        extent.x1 <= width - 1 and extent.x1 - box.x1 < near_x,
        extent.y1 <= height - 1 and extent.y1 - box.y1 < near_y,
    )
    return sum(sides)


def _inside(start: float, cell: float, count: int, size: int) -> Cells:
    middles = start + cell * (np.arange(count) + 0.5)
    return np.asarray((middles >= 0) & (middles <= size))


def overlap(one: Footprint, other: Footprint) -> float:
    """Intersection over union in image coordinates, on the finer of the two grids."""
    x0, x1 = max(one.box.x0, other.box.x0), min(one.box.x1, other.box.x1)
    y0, y1 = max(one.box.y0, other.box.y0), min(one.box.y1, other.box.y1)
    if x0 >= x1 or y0 >= y1:
        return 0.0
    (wide, high), (other_wide, other_high) = one.cell, other.cell
    xs, ys = _places(x0, x1, min(wide, other_wide)), _places(y0, y1, min(high, other_high))
    both = np.count_nonzero(one.at(xs, ys) & other.at(xs, ys)) / (xs.size * ys.size)
    shared = both * (x1 - x0) * (y1 - y0)
    return float(shared / max(one.area + other.area - shared, 1e-9))


def _places(start: float, stop: float, cell: float) -> NDArray[np.float64]:
    """The middles of equal parts of about the size of a cell."""
    count = min(max(round((stop - start) / cell), 1), SAMPLES)
    return start + (np.arange(count) + 0.5) * (stop - start) / count


class _Search:
    """The best objects so far: filters one mask after the other, keeps the better of equals.

    A mask that lost against a better one stays lost when that one loses later, so only the
    winners are kept in memory; all three are much alike then.
    """

    def __init__(self, segmenter: Segmenter, embedding: Embedding, options: Options) -> None:
        spec = segmenter.spec
        self._size = embedding.width, embedding.height
        self._options = options
        self._min_score = spec.least_score if options.min_score is None else options.min_score
        given = options.min_stability
        self._min_stability = spec.least_stability if given is None else given
        self._kept: list[tuple[Proposal, Footprint]] = []

    def take(self, prompt: Prompt, candidate: MaskCandidate) -> None:
        """Keep a mask, unless it is filtered out or the same as a better one."""
        if candidate.score < self._min_score:
            return
        stable = stability(candidate.logits, self._options.offset)
        if stable < self._min_stability:
            return
        place = footprint(candidate, *self._size)
        if place is None or not self._fits(place):
            return
        same = [entry for entry in self._kept if self._is_same(place, entry[1])]
        found = Proposal(candidate, prompt, stable, place.box, place.area)
        if any(kept.rank >= found.rank for kept, _ in same):
            return
        # A copy, because these logits may be a view of those of several masks.
        own = replace(candidate, logits=candidate.logits.copy())
        self._kept = [entry for entry in self._kept if entry not in same]
        self._kept.append((replace(found, candidate=own), place))

    def best(self) -> tuple[Proposal, ...]:
        """What is kept, best first."""
        found = [proposal for proposal, _ in self._kept]
        found.sort(key=lambda one: one.rank, reverse=True)
        return tuple(found)

    def _fits(self, place: Footprint) -> bool:
        width, height = self._size
        options = self._options
        largest = options.max_share * width * height
        return options.min_area <= place.area <= largest and place.cut <= options.max_cut

    def _is_same(self, one: Footprint, other: Footprint) -> bool:
        most, limit = max(one.area, other.area), self._options.max_overlap
        # What is shared can be no more than the smaller mask and the common box.
        if min(one.area, other.area) <= limit * most or _common(one.box, other.box) <= limit * most:
            return False
        return overlap(one, other) > limit


def _common(one: Box, other: Box) -> float:
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(wide, 0.0) * max(high, 0.0)
