"""The protocol on images whose answers are known, and the built-in segmenter on real ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.api import ModelError
from models.registry import segmenter_spec
from models.training.evaluation import STEPS, Dataset, Options, Report, evaluate, read_dataset
from models.training.evaluation.detections import read_detections
from models.training.evaluation.masks import tight_box
from tests.conftest import SHARED
from tests.training.coloured import ColourSegmenter, content, write_folder

DEV = SHARED / "data" / "eval_coco_dev"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return read_dataset(write_folder(tmp_path / "data"))


def ious(report: Report) -> dict[tuple[str, int], list[float]]:
    return {(row.image, row.id): [row.answers[s].iou for s in STEPS] for row in report.rows}


def test_a_perfect_model_scores_one_everywhere(dataset: Dataset) -> None:
    segmenter = ColourSegmenter(flaw=0)

    report = evaluate(segmenter, dataset)

    assert segmenter.encoded == 2  # once per image
    assert len(report.rows) == 6  # no crowds
    assert report.headline() == dict.fromkeys(STEPS, 1.0)
    assert all(a.boundary == 1 for row in report.rows for a in row.answers.values())
    # Nothing is wrong, so nothing is corrected.
    assert all(len(p.points) == (0 if p.box else 1) for p in segmenter.prompts)
    assert {row.category for row in report.rows} == {"box", "dot"}


def test_answers_are_measured_exactly(dataset: Dataset) -> None:
    report = evaluate(ColourSegmenter(flaw=3), dataset)

    row = next(row for row in report.rows if row.id == 1040)  # 60 × 50 pixels
    whole = 60 * 50
    without = [60 - 2 * n for n in range(4)], [50 - 2 * n for n in range(4)]
    eroded = [w * h / whole for w, h in zip(*without, strict=True)]
    # A box is no point; a click is one. Each correction takes away one pixel of the flaw.
    expected = [eroded[3], eroded[2], eroded[1], eroded[2], eroded[1], eroded[0]]
    assert [row.answers[step].iou for step in STEPS] == pytest.approx(expected)
    assert all(answer.oracle == 1 for answer in row.answers.values())
    assert all(a.boundary < a.iou for a in row.answers.values() if a.iou < 1)
    assert row.answers["box"].stability == 1
    assert row.box_itself == 1
    assert row.ellipse == pytest.approx(math.pi / 4, abs=0.01)


def test_prompts_are_the_tight_box_and_the_centre_with_corrections_added(
    dataset: Dataset,
) -> None:
    segmenter = ColourSegmenter(flaw=3)
    evaluate(segmenter, dataset, Options(limit=1, min_area=5000))  # one object

    truth = dataset.pictures[0].truths[1].mask()
    boxed, clicked = segmenter.prompts[:3], segmenter.prompts[3:]
    assert [prompt.box for prompt in boxed] == [tight_box(truth)] * 3
    assert [len(prompt.points) for prompt in boxed] == [0, 1, 2]
    assert boxed[2].points[:1] == boxed[1].points
    assert [len(prompt.points) for prompt in clicked] == [1, 2, 3]
    assert clicked[0].points[0].x == pytest.approx(115, abs=10)
    # What was missing lies along the edge.
    corrections = [*boxed[2].points, *clicked[2].points[1:]]
    assert all(point.positive for point in corrections)
    assert all(truth[int(p.y), int(p.x)] for p in corrections)


def test_the_same_seed_gives_the_same_points_whatever_else_is_measured(dataset: Dataset) -> None:
    def prompts(**options: Any) -> list[str]:
        segmenter = ColourSegmenter(flaw=3)
        evaluate(segmenter, dataset, Options(**options))
        return [repr(prompt) for prompt in segmenter.prompts]

    everything = prompts()
    assert prompts() == everything
    assert prompts(seed=1) != everything
    assert set(prompts(min_area=1024)) < set(everything)
    assert prompts(limit=1) == everything[: len(everything) // 2]


def test_small_objects_are_not_in_the_headline(dataset: Dataset) -> None:
    report = evaluate(ColourSegmenter(flaw=3), dataset)

    sizes = {size: len(report.group(size)) for size in ("32² and more", "small", "all")}
    assert sizes == {"32² and more": 4, "small": 2, "all": 6}
    assert report.headline()["box"] == pytest.approx(
        np.mean([row.answers["box"].iou for row in report.rows if row.area >= 1024])
    )


def test_clicks_are_counted_until_the_mask_is_good(dataset: Dataset) -> None:
    report = evaluate(ColourSegmenter(flaw=4), dataset, Options(clicks=True))

    row = next(row for row in report.rows if row.id == 1040)
    expected = [(60 - 2 * n) * (50 - 2 * n) / 3000 for n in (3, 2, 1)]
    assert row.clicks == pytest.approx(expected[: len(row.clicks)])
    assert row.clicks[-1] >= 0.9 > row.clicks[-2]
    assert all(bool(row.clicks) == (row.area >= 1024) for row in report.rows)


def test_clicks_may_be_counted_for_some_objects_spread_over_the_data(dataset: Dataset) -> None:
    report = evaluate(ColourSegmenter(), dataset, Options(clicks=True, click_objects=2))

    counted = [(row.image, row.id) for row in report.rows if row.clicks]
    assert counted == [("a.png", 1040), ("b.png", 2090)]


def test_progress_reaches_the_end(dataset: Dataset) -> None:
    said: list[tuple[int, int]] = []

    evaluate(ColourSegmenter(), dataset, Options(), lambda *numbers: said.append(numbers))

    assert said == [(0, 2), (1, 2), (2, 2)]


# --- Boxes of a detector ---


def detections(dataset: Dataset, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "image_id": picture.id,
            "category_id": truth.category_id,
            "bbox": [box.x0, box.y0, box.width, box.height],
            "score": 0.5,
        }
        | changes
        for picture in dataset.pictures
        for truth in picture.objects
        for box in [tight_box(truth.mask())]
    ]


def precision(dataset: Dataset, tmp_path: Path, results: Any, flaw: int = 0) -> dict[str, float]:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    options = Options(detections=read_detections(path, dataset))
    return dict(evaluate(ColourSegmenter(flaw), dataset, options).detections)


def test_perfect_boxes_and_masks_have_an_ap_of_one(dataset: Dataset, tmp_path: Path) -> None:
    found = precision(dataset, tmp_path, detections(dataset))

    assert found["AP"] == pytest.approx(1)
    assert found["AP small"] == pytest.approx(1)
    assert found["box AP"] == pytest.approx(1)
    assert math.isnan(found["AP large"])  # there are none


def test_masks_decide_ap_and_boxes_the_box_ap(dataset: Dataset, tmp_path: Path) -> None:
    found = precision(dataset, tmp_path, detections(dataset), flaw=5)

    assert found["box AP"] == pytest.approx(1)
    assert found["AP50"] > found["AP75"]
    assert found["AP"] < 0.8


def test_the_class_of_the_detector_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    found = precision(dataset, tmp_path, detections(dataset, category_id=7))

    assert found["AP"] < 0.6


def test_boxes_outside_the_image_are_false_alarms(dataset: Dataset, tmp_path: Path) -> None:
    outside = detections(dataset, bbox=[500, 500, 10, 10], score=0.9)

    found = precision(dataset, tmp_path, [*detections(dataset), *outside])

    assert 0 < found["AP"] < 0.9


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "empty"),
        ({"annotations": []}, "not a list"),
        ([{"image_id": 1}], "Detection 0 .* incomplete.*bbox"),
        (
            [{"image_id": 1, "category_id": 3, "bbox": [0, 0, -1, 5], "score": 1}],
            "Detection 0 .* bbox must be",
        ),
        (
            [{"image_id": 1, "category_id": 99, "bbox": [0, 0, 5, 5], "score": 1}],
            "class 99, which “data” does not have",
        ),
        (
            [{"image_id": 77, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 1}],
            "detections for 1 images that “data” does not have .*77",
        ),
    ],
)
def test_bad_detections_are_refused(
    dataset: Dataset, tmp_path: Path, results: Any, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        precision(dataset, tmp_path, results)


def test_detections_beyond_the_limit_are_known_images(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", content())
    results = detections(read_dataset(folder))

    limited = read_dataset(folder, limit=1)

    assert precision(limited, tmp_path, results)["AP"] == pytest.approx(1)


# --- Real images ---


@pytest.mark.skipif(not DEV.is_dir(), reason="needs ../shared/data/eval_coco_dev")
def test_masks_of_coco_agree_with_the_areas_in_the_file() -> None:
    dataset = read_dataset(DEV)

    areas = [truth.area for picture in dataset.pictures for truth in picture.objects]
    assert (len(dataset.pictures), len(areas)) == (106, 881)
    assert sum(area >= 1024 for area in areas) == 507


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not DEV.is_dir(), reason="needs ../shared/data/eval_coco_dev")
def test_the_published_numbers_of_the_basic_segmenter() -> None:
    report = evaluate(segmenter_spec("basic").load(), read_dataset(DEV), Options(min_area=1024))

    found = [round(value, 3) for value in report.headline().values()]
    assert found == pytest.approx([0.692, 0.716, 0.730, 0.454, 0.524, 0.561], abs=0.002)
