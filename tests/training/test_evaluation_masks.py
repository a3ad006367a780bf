"""Prompts and comparisons of masks against plain definitions."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from models.api import Point
from models.training.evaluation import clicks, masks
from models.training.evaluation.report import Answer
from models.training.evaluation.statistics import calibration, click_counts, click_curve
from tests.training.rows import row


def blob(seed: int, shape: tuple[int, int] = (90, 140)) -> masks.Mask:
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 7) > 0)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> masks.Mask:
    mask = np.zeros((60, 80), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize("seed", range(4))
def test_boundary_is_what_the_authors_code_computes(seed: int) -> None:
    mask = blob(seed)
    reach = max(1, round(0.02 * math.hypot(*mask.shape)))
    padded = np.pad(mask.astype(np.uint8), 1)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=reach)[1:-1, 1:-1]

    assert np.array_equal(masks.boundary(mask), mask & (eroded == 0))
    assert masks.boundary(mask).any()


def test_the_boundary_of_nothing_is_nothing() -> None:
    assert not masks.boundary(rectangle(0, 0, 0, 0)).any()


def test_the_centre_is_the_pixel_farthest_from_the_edge() -> None:
    mask = rectangle(10, 10, 60, 15) | rectangle(40, 10, 61, 31)

    assert masks.centre_point(mask) == Point(50.5, 20.5)


def test_outside_the_image_counts_as_outside_the_mask() -> None:
    assert masks.centre_point(rectangle(0, 0, 21, 21)) == Point(10.5, 10.5)


def test_the_tight_box_includes_the_last_pixel() -> None:
    box = masks.tight_box(rectangle(3, 5, 11, 6))

    assert (box.x0, box.y0, box.x1, box.y1) == (3, 5, 11, 6)


def test_corrections_are_drawn_from_all_of_the_disagreement_and_labelled() -> None:
    truth, predicted = rectangle(10, 10, 13, 12), rectangle(12, 10, 15, 12)
    rng = np.random.default_rng(1)

    drawn = {masks.random_correction(truth, predicted, rng) for _ in range(200)}

    missing = {Point(x + 0.5, y + 0.5, True) for x in (10, 11) for y in (10, 11)}
    wrong = {Point(x + 0.5, y + 0.5, False) for x in (13, 14) for y in (10, 11)}
    assert drawn == missing | wrong


def test_no_correction_where_all_is_right() -> None:
    truth = rectangle(10, 10, 20, 20)

    assert masks.random_correction(truth, truth.copy(), np.random.default_rng(0)) is None


def test_iou_of_two_empty_masks_is_zero() -> None:
    assert masks.iou(rectangle(0, 0, 0, 0), rectangle(0, 0, 0, 0)) == 0
    assert masks.iou(rectangle(0, 0, 10, 10), rectangle(0, 5, 10, 15)) == pytest.approx(1 / 3)


def test_stability_compares_two_thresholds() -> None:
    logits = np.array([[3, 1.5, 0.5, -0.5, -2]], np.float32)

    assert masks.stability(logits) == 0.5
    assert masks.stability(np.full((2, 2), -3, np.float32)) == 0


def test_the_next_click_goes_to_the_centre_of_the_largest_error() -> None:
    truth = rectangle(10, 10, 41, 41)

    first = clicks.next_click(truth, np.zeros_like(truth), ())
    assert first == Point(25.5, 25.5, True)
    too_much = truth | rectangle(50, 10, 71, 31)
    assert clicks.next_click(truth, too_much, (first,)) == Point(60.5, 20.5, False)


def test_no_pixel_is_clicked_twice_and_the_clicks_end() -> None:
    truth, nothing = rectangle(10, 10, 12, 11), rectangle(0, 0, 0, 0)
    points: tuple[Point, ...] = ()
    while (point := clicks.next_click(truth, nothing, points)) is not None:
        points = (*points, point)

    assert set(points) == {Point(10.5, 10.5), Point(11.5, 10.5)}
    assert len(points) == 2


def answer(score: float, iou: float) -> Answer:
    return Answer(iou, iou, iou, score, 1.0)


def test_calibration_of_scores_that_are_right() -> None:
    found = calibration([answer(v, v) for v in (0.05, 0.35, 0.75, 1.0)])

    assert found.error == pytest.approx(0)
    assert found.pearson == pytest.approx(1)
    assert found.spearman == pytest.approx(1)
    assert [b.count for b in found.bins] == [1, 1, 1, 1]


def test_calibration_error_is_weighted_by_the_bins() -> None:
    # Three answers in one bin: mean score 0.95, mean IoU 0.65; one in another: 0.15 against 0.55.
    answers = [answer(0.93, 0.5), answer(0.95, 0.7), answer(0.97, 0.75), answer(0.15, 0.55)]

    found = calibration(answers)

    assert found.error == pytest.approx((3 * 0.3 + 0.4) / 4)


def test_ranks_of_equal_scores_are_shared() -> None:
    # Ranks of the scores 1, 2.5, 2.5, 4; of the IoUs 1, 2, 3, 4.
    answers = [answer(0.1, 0.1), answer(0.5, 0.2), answer(0.5, 0.3), answer(0.9, 0.9)]

    assert calibration(answers).spearman == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_scores_that_never_change_have_no_correlation() -> None:
    found = calibration([answer(0.5, 0.1), answer(0.5, 0.9)])

    assert math.isnan(found.pearson)
    assert found.error == pytest.approx(0)
    assert math.isnan(calibration([]).error)


def test_objects_that_are_never_good_enough_count_twenty_clicks() -> None:
    rows = [row(clicks=(0.5, 0.86, 0.91)), row(clicks=(0.95,)), row(clicks=(0.6,) * 20), row()]

    at_85, at_90 = click_counts(rows)

    assert (at_85.target, at_85.mean) == (0.85, pytest.approx((2 + 1 + 20) / 3))
    assert (at_90.target, at_90.mean) == (0.90, pytest.approx((3 + 1 + 20) / 3))
    assert at_90.failed == pytest.approx(1 / 3)
    curve = click_curve(rows)
    assert curve[0] == pytest.approx((0.5 + 0.95 + 0.6) / 3)
    assert curve[19] == pytest.approx((0.91 + 0.95 + 0.6) / 3)
