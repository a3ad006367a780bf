"""Everything mode on exact models and on the built-in one; grids of different extents compared."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from annotator.core import images
from annotator.samples import sample_folder
from models import everything
from models.api import BatchSegmenter, Box, Embedding, MaskCandidate, Prompt, Segmenter
from models.everything import (
    Footprint,
    Options,
    footprint,
    grid,
    overlap,
    propose,
    stability,
    steps,
)
from models.registry import segmenters
from tests.models.toy_segmenter import ToyModel, ToySegmenter

DISKS = ((20, 20, 9), (60, 30, 14), (100, 60, 10), (30, 66, 11))
LOOSE = Options(side=16, min_area=60, max_share=0.5)


def disks() -> NDArray[np.uint8]:
    """Four disks of different brightness on a dark ground, 120 x 90."""
    pixels = np.full((90, 120, 3), 20, np.uint8)
    for number, (x, y, radius) in enumerate(DISKS):
        cv2.circle(pixels, (x, y), radius, (100 + 40 * number,) * 3, -1)
    return pixels


def toy() -> ToySegmenter:
    return ToySegmenter(ToyModel())


class Batched(ToySegmenter):
    """Answers in batches and remembers how many prompts were in each."""

    def __init__(self) -> None:
        super().__init__(ToyModel())
        self.batches: list[int] = []

    def decode_many(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[tuple[MaskCandidate, ...]]:
        self.batches.append(len(prompts))
        return [self.decode(embedding, prompt) for prompt in prompts]


class Listed:
    """Gives prepared candidates, the same for every prompt."""

    def __init__(self, *candidates: MaskCandidate) -> None:
        self.spec = replace(ToyModel().spec, least_score=0.0, least_stability=0.0)
        self._candidates = candidates

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        return Embedding("toy", image.shape[1], image.shape[0], {})

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        return self._candidates

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        raise AssertionError("nothing is rendered at full size")


def rectangle(
    inside: Box, extent: Box, shape: tuple[int, int], score: float = 0.9, high: float = 4.0
) -> MaskCandidate:
    """Cells whose middles lie in a box, on a grid over `extent`."""
    rows, columns = shape
    x = extent.x0 + (np.arange(columns) + 0.5) * extent.width / columns
    y = extent.y0 + (np.arange(rows) + 0.5) * extent.height / rows
    across, down = (x > inside.x0) & (x < inside.x1), (y > inside.y0) & (y < inside.y1)
    logits = np.where(down[:, None] & across, high, -4).astype(np.float32)
    return MaskCandidate(logits, extent, score)


def found_by(*candidates: MaskCandidate, options: Options = LOOSE) -> list[float]:
    """Scores of what is left of some candidates in an image of 100 x 100 pixels."""
    image = np.zeros((100, 100, 3), np.uint8)
    found = propose(Listed(*candidates), image, replace(options, side=1))
    return [proposal.candidate.score for proposal in found]


def test_every_object_is_found_once_and_the_ground_is_not() -> None:
    model, image = toy(), disks()
    embedding = model.encode(image)
    found = propose(model, image, LOOSE)
    assert len(found) == len(DISKS)
    hit = set()
    for proposal in found:
        point = proposal.prompt.points[0]
        (number,) = [
            i for i, (x, y, r) in enumerate(DISKS) if np.hypot(point.x - x, point.y - y) <= r + 1
        ]
        hit.add(number)
        mask = model.render(embedding, proposal.candidate)
        x, y, radius = DISKS[number]
        assert mask[y, x]
        assert proposal.area == pytest.approx(np.pi * radius**2, rel=0.25)
        assert proposal.box.x0 == pytest.approx(x - radius, abs=3)
        assert proposal.box.y1 == pytest.approx(y + radius, abs=3)
        assert proposal.stability == 1.0
    assert hit == set(range(len(DISKS)))


def test_steps_count_points_and_the_last_one_has_everything() -> None:
    model, image = toy(), disks()
    walked = list(steps(model, model.encode(image), LOOSE))
    done = [step.done for step in walked]
    assert done == sorted(set(done))
    assert done[-1] == walked[-1].total == 256
    assert len(walked) > 2
    assert [len(step.found) for step in walked] == sorted(len(step.found) for step in walked)
    assert places(walked[-1].found) == places(propose(model, image, LOOSE))


def places(found: Sequence[everything.Proposal]) -> list[tuple[Box, float]]:
    return [(proposal.box, proposal.candidate.score) for proposal in found]


def test_batches_give_the_same_as_one_by_one() -> None:
    batched, image = Batched(), disks()
    assert isinstance(batched, BatchSegmenter)
    assert not isinstance(toy(), BatchSegmenter)
    assert places(propose(batched, image, LOOSE)) == places(propose(toy(), image, LOOSE))
    assert sum(batched.batches) == 256
    assert max(batched.batches) > 1


@pytest.mark.parametrize(("prompt_s", "most"), [(0.5, 1), (0.004, 5), (0.0001, 32)])
def test_a_step_takes_as_many_prompts_as_fit_into_its_time(
    monkeypatch: pytest.MonkeyPatch, prompt_s: float, most: int
) -> None:
    now = 0.0

    class Slow(Batched):
        def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
            nonlocal now
            now += prompt_s
            return super().decode(embedding, prompt)

    monkeypatch.setattr(everything.time, "perf_counter", lambda: now)
    model = Slow()
    began, walked = now, []
    for step in steps(model, model.encode(disks()), LOOSE):
        walked.append(now - began)
        began = now
        assert step.total == 256
    assert max(model.batches) == most
    assert max(walked) <= max(everything.STEP_S + 1e-6, prompt_s)


def test_the_grid_is_complete_and_spread_from_the_beginning() -> None:
    points = grid(160, 80, 16)
    assert len({(p.x, p.y) for p in points}) == 256
    assert {p.x for p in points} == {5.0 + 10 * i for i in range(16)}
    assert {p.y for p in points} == {2.5 + 5 * i for i in range(16)}
    for count, parts in ((4, 2), (16, 4), (64, 8)):
        first = {(int(p.x * parts / 160), int(p.y * parts / 80)) for p in points[:count]}
        assert len(first) == count, "each part of the image has one of the first points"


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([[-4, -4], [-4, -4]], 0.0),
        ([[4, 4], [-4, -4]], 1.0),
        ([[4, 0.5], [-0.5, -4]], 1 / 3),
        ([[0.5, 0.5], [-4, -4]], 0.0),
    ],
)
def test_stability(logits: list[list[float]], expected: float) -> None:
    assert stability(np.array(logits, np.float32)) == pytest.approx(expected)


def test_stability_looks_at_the_offset() -> None:
    logits = np.array([[2, 0.7, -0.3, -2]], np.float32)
    assert stability(logits, 0.5) == pytest.approx(2 / 3)
    assert stability(logits, 1.0) == pytest.approx(1 / 3)
    assert stability(logits, 3.0) == 0.0


def test_an_empty_mask_is_no_object() -> None:
    whole = Box(0, 0, 100, 100)
    empty = rectangle(Box(0, 0, 0, 0), whole, (50, 50), score=1.0)
    one = rectangle(Box(10, 10, 30, 30), whole, (50, 50), score=0.1)
    assert found_by(empty, one, options=replace(LOOSE, min_area=0)) == [0.1]


def test_filters() -> None:
    whole = Box(0, 0, 100, 100)
    small = rectangle(Box(10, 10, 20, 20), whole, (50, 50), score=0.5)
    shaky = rectangle(Box(40, 40, 60, 60), whole, (50, 50), score=0.6, high=0.5)
    large = rectangle(Box(0, 0, 100, 90), whole, (50, 50), score=0.7)
    assert found_by(small, shaky, large, options=Options(min_area=1)) == [0.7, 0.5, 0.6]
    assert found_by(small, shaky, large) == [0.5, 0.6]
    assert found_by(small, shaky, large, options=replace(LOOSE, min_area=101)) == [0.6]
    assert found_by(small, shaky, options=replace(LOOSE, min_stability=0.1)) == [0.5]
    assert found_by(small, shaky, options=replace(LOOSE, min_score=0.55)) == [0.6]
    assert found_by(small, shaky, options=replace(LOOSE, all_candidates=False)) == [0.5]


def test_the_model_says_what_is_enough_unless_told_otherwise() -> None:
    whole = Box(0, 0, 100, 100)
    listed = [
        rectangle(Box(10, 10, 30, 30), whole, (50, 50), score=0.9),
        rectangle(Box(40, 10, 60, 30), whole, (50, 50), score=0.5),
        rectangle(Box(70, 10, 90, 30), whole, (50, 50), score=0.95, high=0.5),
    ]
    model, image = Listed(*listed), np.zeros((100, 100, 3), np.uint8)
    model.spec = replace(model.spec, least_score=0.88, least_stability=0.9)
    for told, expected in (({}, {0.9}), ({"min_score": 0.5}, {0.9, 0.5}),
                           ({"min_stability": 0.0}, {0.95, 0.9})):  # fmt: skip
        found = propose(model, image, replace(LOOSE, side=1, **told))
        assert {p.candidate.score for p in found} == expected


def test_the_better_of_two_equal_masks_stays_whatever_comes_first() -> None:
    whole = Box(0, 0, 100, 100)
    good = rectangle(Box(10, 10, 50, 50), whole, (50, 50), score=0.9)
    poor = rectangle(Box(10, 10, 52, 52), whole, (50, 50), score=0.8)
    other = rectangle(Box(10, 50, 50, 90), whole, (50, 50), score=0.7)
    for order in itertools.permutations((good, poor, other)):
        assert found_by(*order) == [0.9, 0.7]
    assert found_by(good, poor, options=replace(LOOSE, max_overlap=0.95)) == [0.9, 0.8]


def test_masks_of_a_crop_and_of_the_whole_image_are_compared_where_they_lie() -> None:
    box = Box(20, 30, 60, 50)
    coarse = rectangle(box, Box(0, 0, 128, 128), (64, 64), score=0.8)  # reaches past the image
    fine = rectangle(box, Box(10, 20, 80, 70), (200, 300), score=0.9)
    elsewhere = rectangle(Box(30, 60, 70, 80), Box(20, 50, 90, 100), (200, 300), score=0.7)
    assert found_by(coarse, fine, elsewhere) == [0.9, 0.7]


@pytest.mark.parametrize(
    ("box", "sides"),
    [
        (Box(30, 30, 50, 50), 0),
        (Box(20, 30, 50, 50), 1),
        (Box(20, 20, 50, 50), 2),
        (Box(30, 20, 50, 80), 2),
        (Box(20, 20, 80, 80), 4),
    ],
)
def test_pieces_of_something_larger_are_left_out(box: Box, sides: int) -> None:
    window = rectangle(box, Box(20, 20, 80, 80), (60, 60))
    place = footprint(window, 100, 100)
    assert place is not None
    assert place.cut == sides
    assert bool(found_by(window)) == (sides <= 1)
    whole = footprint(rectangle(box, Box(20, 20, 80, 80), (60, 60)), 80, 80)
    assert whole is not None, "the image ends where the grid ends"
    assert whole.cut == (box.x0 == 20) + (box.y0 == 20)


def test_cells_beyond_the_image_do_not_count() -> None:
    candidate = rectangle(Box(50, 50, 200, 200), Box(0, 0, 200, 200), (100, 100))
    place = footprint(candidate, 100, 80)
    assert place is not None
    assert place.box == Box(50, 50, 100, 80)
    assert place.area == pytest.approx(50 * 30)
    outside = rectangle(Box(120, 120, 180, 180), Box(0, 0, 200, 200), (100, 100))
    assert footprint(outside, 100, 80) is None


corner = st.tuples(*[st.floats(0, 90)] * 2)
extent = st.tuples(*[st.floats(0, 20)] * 2, *[st.floats(95, 140)] * 2)
shape = st.tuples(*[st.integers(60, 180)] * 2)


@settings(max_examples=60, deadline=None)
@given(corner, corner, extent, extent, shape, shape)
def test_overlap_is_that_of_the_pixels(
    first: tuple[float, float],
    second: tuple[float, float],
    one_extent: tuple[float, float, float, float],
    other_extent: tuple[float, float, float, float],
    one_shape: tuple[int, int],
    other_shape: tuple[int, int],
) -> None:
    boxes = [Box(x, y, x + 40, y + 30) for x, y in (first, second)]
    grids = zip(boxes, (one_extent, other_extent), (one_shape, other_shape), strict=True)
    feet = [footprint(rectangle(box, Box(*e), s), 120, 120) for box, e, s in grids]
    if None in feet:
        return
    one, other = (foot for foot in feet if foot is not None)
    fine = (np.arange(1200) + 0.5) / 10
    pixels = [painted(foot, fine) for foot in (one, other)]
    truth = (pixels[0] & pixels[1]).sum() / (pixels[0] | pixels[1]).sum()
    assert overlap(one, other) == pytest.approx(truth, abs=0.04)
    assert overlap(one, one) == pytest.approx(1.0, abs=0.02)


def painted(foot: Footprint, fine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The mask at ten places a pixel, one by one."""
    wide, high = foot.cell
    column, row = (fine - foot.box.x0) // wide, (fine - foot.box.y0) // high
    across = (column >= 0) & (column < foot.cells.shape[1])
    down = (row >= 0) & (row < foot.cells.shape[0])
    result = np.zeros((fine.size, fine.size), bool)
    inner = foot.cells[row[down].astype(int)][:, column[across].astype(int)]
    result[np.ix_(down, across)] = inner
    return result


@pytest.mark.parametrize(
    "wrong", [{"side": 0}, {"min_score": 1.1}, {"max_overlap": -0.1}, {"offset": 0.0}]
)
def test_options_make_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Options"):
        Options(**wrong)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def basic() -> Iterator[Segmenter]:
    return segmenters()["basic"].load()


def test_the_built_in_model_finds_coins(basic: Segmenter) -> None:
    coins = images.read_image(sample_folder() / "coins.png")[:110, :160]
    found = propose(basic, coins, Options(side=6))
    embedding = basic.encode(coins)
    masks = [basic.render(embedding, proposal.candidate) for proposal in found]
    for one, other in itertools.combinations(masks, 2):
        assert (one & other).sum() <= 0.75 * (one | other).sum()
    bright = coins[..., 0] > 110
    for mask in masks[:3]:
        assert bright[mask].mean() > 0.95, "the coins come first"
        assert 900 < mask.sum() < 1600
    ranks = [proposal.rank for proposal in found]
    assert ranks == sorted(ranks, reverse=True)
