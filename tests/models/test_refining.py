"""Going on from a corrected mask: what a click changes, and what stays."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.api import (
    Box,
    Embedding,
    MaskCandidate,
    MaskPrompt,
    MaskPromptable,
    Point,
    Prompt,
)
from models.refining import RefinedCandidate, Refining, changed, corrections
from models.registry import segmenter_spec

WIDTH, HEIGHT = 90, 70


def disk(x: float, y: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.hypot(xx - x, yy - y) < radius


def cropped(mask: np.ndarray) -> MaskPrompt:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    piece = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return MaskPrompt(int(columns[0]), int(rows[0]), piece)


def whole(mask: MaskPrompt) -> np.ndarray:
    return RefinedCandidate(np.zeros((1, 1)), mask.box, 1.0, mask.pixels).drawn(WIDTH, HEIGHT)


class Fixed:
    """Answers every question with one mask and remembers the questions."""

    def __init__(self, mask: np.ndarray) -> None:
        self.mask, self.asked = mask, []

    def decode(self, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        self.asked.append(prompt)
        logits = np.where(self.mask, np.float32(5), np.float32(-5))
        return (MaskCandidate(logits, Box(0, 0, WIDTH, HEIGHT), 0.7),)


EMBEDDING = Embedding("fixed", WIDTH, HEIGHT, {})


def test_only_the_piece_of_the_difference_under_a_click_is_taken() -> None:
    start = disk(40, 35, 20)
    answer = (start | disk(64, 35, 8) | disk(40, 60, 8)) & ~disk(30, 30, 5)
    right = whole(changed(cropped(start), answer, (Point(65.5, 35.5),)))
    gained = answer & ~start
    near = gained & (np.mgrid[:HEIGHT, :WIDTH][1] > 55)
    assert np.array_equal(right, start | near)
    less = whole(changed(cropped(start), answer, (Point(30.5, 30.5, positive=False),)))
    assert np.array_equal(less, start & ~disk(30, 30, 5))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(5, 85), st.floats(5, 65), st.floats(2, 20)), min_size=2),
    st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT), st.booleans()), max_size=3),
)
def test_a_click_only_adds_or_only_removes_what_the_answer_says(disks, clicks) -> None:
    start, answer = disk(*disks[0]), np.zeros((HEIGHT, WIDTH), bool)
    for one in disks[1:]:
        answer |= disk(*one)
    points = tuple(Point(x, y, positive) for x, y, positive in clicks)
    result = whole(changed(cropped(start), answer, points))
    assert not (result & ~(start | answer)).any()
    assert not (start & answer & ~result).any()
    if all(p.positive for p in points):
        assert (result | start).sum() == result.sum()
    if not points:
        assert np.array_equal(result, start)


def test_corrections_are_points_where_the_answer_is_farthest_off() -> None:
    start = disk(40, 35, 20) & ~disk(30, 30, 7)
    model = Fixed(disk(40, 35, 20) & ~disk(52, 40, 5))
    found = corrections(cropped(start), (WIDTH, HEIGHT), Box(20, 15, 60, 55), model.decode)
    assert len(found) == 3
    first = found[0].point
    assert np.array_equal(whole(found[0].place), disk(30, 30, 7))
    assert not first.positive
    assert np.hypot(first.x - 30, first.y - 30) < 2
    assert [len(p.points) for p in model.asked] == [0, 1, 2]
    agreeing = Fixed(start)
    assert corrections(cropped(start), (WIDTH, HEIGHT), Box(20, 15, 60, 55), agreeing.decode) == ()


def test_the_start_is_turned_into_points_once_and_is_the_answer_without_clicks() -> None:
    start = cropped(disk(40, 35, 20))
    model, refining = Fixed(disk(40, 35, 20) | disk(62, 35, 9)), Refining()
    segmenter = segmenter_spec("basic").load()
    assert not isinstance(segmenter, MaskPromptable)
    (same,) = refining.decode(segmenter, EMBEDDING, Prompt(start=start), model.decode)
    assert isinstance(same, RefinedCandidate)
    assert np.array_equal(same.drawn(WIDTH, HEIGHT), disk(40, 35, 20))
    assert model.asked == []
    for count, click in enumerate((Point(66.5, 35.5), Point(65.5, 33.5))):
        prompt = Prompt((click,), start=start)
        (found,) = refining.decode(segmenter, EMBEDDING, prompt, model.decode)
        assert isinstance(found, RefinedCandidate)
        assert found.drawn(WIDTH, HEIGHT)[35, 66]
        assert model.asked[-1].points[-1] == click
        assert len(model.asked) == 3 + count + 1


class Stubborn(Fixed):
    """Believes corrections more than clicks."""

    def decode(self, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        answer = super().decode(prompt)
        if any(not point.positive for point in prompt.points):
            return Fixed(disk(40, 35, 20) & ~disk(30, 30, 7)).decode(prompt)
        return answer


def test_a_click_replaces_a_correction_the_model_believes_more() -> None:
    start = cropped(disk(40, 35, 20) & ~disk(30, 30, 7))
    model, refining = Stubborn(disk(40, 35, 20)), Refining()
    segmenter = segmenter_spec("basic").load()
    for click, points in ((Point(32.5, 28.5), 1), (Point(45.5, 40.5), 2)):
        (found,) = refining.decode(
            segmenter, EMBEDDING, Prompt((click,), start=start), model.decode
        )
        assert isinstance(found, RefinedCandidate)
        assert len(model.asked[-1].points) == points
        assert found.drawn(WIDTH, HEIGHT)[30, 30] == (points == 1)


def test_edgesam_was_not_trained_with_masks() -> None:
    from models.edgesam.segmenter import EdgeSamSegmenter

    assert not hasattr(EdgeSamSegmenter, "decode_from")


def test_loupe_goes_on_from_a_mask() -> None:
    segmenter = segmenter_spec("loupe").load()
    assert isinstance(segmenter, MaskPromptable)
    rng = np.random.default_rng(1)
    truth = np.hypot(*(np.mgrid[:240, :320][::-1] - np.array([160, 120])[:, None, None])) < 60
    image = np.where(truth[..., None], (200, 60, 40), (90, 110, 120)).astype(np.uint8)
    image = np.clip(image + rng.integers(-6, 7, image.shape), 0, 255).astype(np.uint8)
    embedding = segmenter.encode(image)
    begun = truth.copy()
    begun[:100] = False
    rows = np.flatnonzero(begun.any(axis=1))
    columns = np.flatnonzero(begun.any(axis=0))
    start = MaskPrompt(
        int(columns[0]), int(rows[0]),
        begun[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1],
    )  # fmt: skip
    prompt = Prompt((Point(160, 80),), Box(100, 60, 220, 180))
    (answer,) = segmenter.decode_from(embedding, start, prompt)
    found = segmenter.render(embedding, answer)
    assert (found & truth).sum() / (found | truth).sum() > 0.9
