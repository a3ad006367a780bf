"""Parts of large images: which one is chosen, and that its answers fit into the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import crops
from models.api import Box, Embedding, MaskCandidate, Point, Prompt
from models.crops import Crop, CropCandidate
from tests.models.toy_segmenter import ToyModel

WIDTH, HEIGHT, INPUT = 4000, 3000, 1024


def seen(x: float, y: float, width: float, height: float) -> Box:
    return Box(x, y, x + width, y + height)


def choose(visible: Box, current: Crop | None = None) -> Crop | None:
    return crops.choose(visible, WIDTH, HEIGHT, INPUT, current)


def test_zoomed_in_the_part_has_the_size_of_the_input() -> None:
    crop = choose(seen(2000, 1000, 700, 500))
    assert crop is not None
    assert (crop.width, crop.height, crop.side) == (INPUT, INPUT, INPUT)
    assert crops.resolution(WIDTH, HEIGHT, INPUT, crop) == "detail 1:1"


def test_less_zoomed_in_the_part_is_larger_and_coarser() -> None:
    crop = choose(seen(2000, 1000, 1400, 1000))
    assert crop is not None
    assert crop.side == 2 * INPUT
    assert crops.resolution(WIDTH, HEIGHT, INPUT, crop) == "detail 1:2"


@pytest.mark.parametrize(
    ("visible", "size"),
    [
        (seen(0, 0, WIDTH, HEIGHT), (WIDTH, HEIGHT)),  # all of it
        (seen(0, 0, 2500, 1500), (WIDTH, HEIGHT)),  # nearly
        (seen(0, 0, 300, 300), (2000, 1500)),  # not large enough an image
        (seen(-500, -500, 400, 400), (WIDTH, HEIGHT)),  # nothing
    ],
)
def test_no_part_where_it_gains_nothing(visible: Box, size: tuple[int, int]) -> None:
    assert crops.choose(visible, *size, INPUT) is None


def test_the_whole_image_says_how_much_smaller_it_is_seen() -> None:
    assert crops.resolution(WIDTH, HEIGHT, INPUT, None) == "whole image 1:3.9"
    assert crops.resolution(800, 600, INPUT, None) == "whole image 1:1"


@given(
    x=st.floats(-200, WIDTH),
    y=st.floats(-200, HEIGHT),
    part=st.floats(0.01, 0.74),
    ratio=st.floats(0.3, 1),
)
def test_three_quarters_of_a_side_fit_inside_anywhere(
    x: float, y: float, part: float, ratio: float
) -> None:
    visible = seen(x, y, part * INPUT, part * INPUT * ratio)
    inside = visible.clipped(WIDTH, HEIGHT)
    crop = choose(visible)
    if not inside.width or not inside.height:
        assert crop is None
        return
    assert crop is not None
    assert crop.side == INPUT
    assert crop.holds(inside)
    assert 0 <= crop.x <= WIDTH - crop.width
    assert 0 <= crop.y <= HEIGHT - crop.height


def test_a_narrow_image_has_narrow_parts() -> None:
    crop = crops.choose(seen(3000, 0, 500, 400), 6000, 400, INPUT)
    assert crop is not None
    assert (crop.y, crop.width, crop.height) == (0, INPUT, 400)


def test_a_moving_view_finds_few_parts_and_keeps_the_one_it_has() -> None:
    parts: set[Crop] = set()
    current: Crop | None = None
    for x in range(0, 3000, 10):
        current = choose(seen(x, 700, 600, 400), current)
        assert current is not None
        assert current.side == INPUT
        parts.add(current)
    assert len(parts) <= 12
    assert choose(seen(1005, 700, 600, 400), choose(seen(1000, 700, 600, 400))) in parts


def test_zooming_in_further_gets_the_finer_part() -> None:
    coarse = choose(seen(2000, 1000, 1400, 1000))
    fine = choose(seen(2300, 1200, 500, 400), coarse)
    assert coarse is not None
    assert fine is not None
    assert fine.side < coarse.side


def test_names_differ() -> None:
    names = {Crop(x, y, 64, 64, 64, 512, 512).name for x in (0, 16) for y in (0, 16)}
    assert len(names) == 4


# --- Answers: the toy model sees 64 x 64 ---

IMAGE = np.full((384, 512, 3), 20, np.uint8)
IMAGE[81:84, 101:104] = 220  # tiny
IMAGE[90:96] = 120  # across
IMAGE[66:70, 64:70] = 180  # touches the left edge of the crop without going on
IMAGE[66:70, 40:64] = 180  # goes on
CROP = Crop(64, 48, 64, 64, 64, 512, 384)


@pytest.fixture
def answers():
    segmenter = ToyModel().spec.load()
    whole, part = segmenter.encode(IMAGE), segmenter.encode(CROP.cut(IMAGE))

    def ask(*points: tuple[float, float]) -> tuple[MaskCandidate, ...]:
        prompt = Prompt(tuple(Point(x, y) for x, y in points))
        return crops.decode(segmenter, part, CROP, prompt, lambda: segmenter.decode(whole, prompt))

    def render(candidate: MaskCandidate) -> np.ndarray:
        if isinstance(candidate, CropCandidate):
            return crops.render(segmenter, part, candidate)
        return segmenter.render(whole, candidate)

    ask.render = render  # type: ignore[attr-defined]
    return ask


def test_an_answer_lies_where_the_object_is(answers) -> None:
    (candidate, *_) = answers((102.5, 82.5))
    assert isinstance(candidate, CropCandidate)
    assert candidate.extent == Box(64, 48, 128, 112)
    mask = answers.render(candidate)
    truth = np.zeros((384, 512), bool)
    truth[81:84, 101:104] = True
    np.testing.assert_array_equal(mask, truth)
    assert mask.flags.f_contiguous


@pytest.mark.parametrize("point", [(105.5, 92.5), (66.5, 68.5), (110.5, 60.5)])
def test_what_goes_on_beyond_the_part_is_answered_by_the_whole_image(answers, point) -> None:
    candidates = answers(point)
    assert not any(isinstance(candidate, CropCandidate) for candidate in candidates)


def test_a_larger_candidate_that_would_be_cut_comes_from_the_whole_image() -> None:
    """The best one lies inside the crop, the other one reaches beyond it."""

    class Two:
        def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
            inner = np.full((8, 8), -1.0, np.float32)
            inner[3:5, 3:5] = 1
            outer = np.full((8, 8), -1.0, np.float32)
            outer[:, 3:5] = 1
            extent = Box(0, 0, 64, 64)
            return MaskCandidate(inner, extent, 0.9), MaskCandidate(outer, extent, 0.8)

    small = MaskCandidate(np.ones((1, 1), np.float32), Box(90, 70, 100, 80), 0.7)
    large = MaskCandidate(np.ones((1, 1), np.float32), Box(50, 0, 200, 300), 0.6)
    embedding = Embedding("toy", 64, 64, {})
    prompt = Prompt((Point(96, 80),))
    found = crops.decode(Two(), embedding, CROP, prompt, lambda: (small, large))  # type: ignore[arg-type]
    assert [candidate.score for candidate in found] == [0.9, 0.6]
    at_the_edge = Crop(0, 0, 64, 64, 64, 64, 64)  # nothing goes on: both are complete
    found = crops.decode(Two(), embedding, at_the_edge, prompt, lambda: (small, large))  # type: ignore[arg-type]
    assert [candidate.score for candidate in found] == [0.9, 0.8]


def test_a_box_is_asked_in_pixels_of_the_part() -> None:
    asked: list[Prompt] = []

    class Ear:
        def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
            asked.append(prompt)
            return ()

    embedding = Embedding("toy", 64, 64, {})
    prompt = Prompt((Point(70, 50, False),), Box(70, 50, 90, 80))
    assert crops.decode(Ear(), embedding, CROP, prompt, lambda: ()) == ()  # type: ignore[arg-type]
    assert asked == [Prompt((Point(6, 2, False),), Box(6, 2, 26, 32))]


@pytest.mark.parametrize(
    ("prompt", "inside"),
    [
        (Prompt((Point(64, 48),)), True),
        (Prompt((Point(63.9, 48),)), False),
        (Prompt(box=Box(70, 50, 128, 112)), True),
        (Prompt(box=Box(70, 50, 129, 112)), False),
        (Prompt((Point(70, 60), Point(200, 60, False))), False),
    ],
)
def test_only_prompts_inside_are_answered(prompt: Prompt, inside: bool) -> None:
    assert CROP.answers(prompt) is inside
