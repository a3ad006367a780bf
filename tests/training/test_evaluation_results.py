"""Panoptic quality and J&F against cases computed by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from models.api import ModelError
from models.training.evaluation.command import run
from models.training.evaluation.panoptic import PanopticQuality, Part
from models.training.evaluation.video import (
    boundary,
    boundary_accuracy,
    region_similarity,
    sequence_scores,
)


def quality(truth, true_parts, found, found_parts, things=()) -> dict[str, float]:
    collected = PanopticQuality()
    collected.add(np.array(truth), true_parts, np.array(found), found_parts)
    return collected.numbers(things)


class TestPanoptic:
    def test_one_found_one_missed_one_invented(self):
        truth = [[1, 1, 1, 1, 2, 2]]
        found = [[5, 5, 5, 6, 6, 6]]
        numbers = quality(truth, [Part(1, 7), Part(2, 7)], found, [Part(5, 7), Part(6, 8)], [7])
        # Class 7: one pair with IoU 3/4, one missed: 0.75 / 1.5. Class 8: one invented: 0.
        assert numbers["PQ"] == pytest.approx((0.5 + 0) / 2)
        assert numbers["SQ"] == pytest.approx((0.75 + 0) / 2)
        assert numbers["RQ"] == pytest.approx((1 / 1.5 + 0) / 2)
        assert numbers["PQ things"] == pytest.approx(0.5)
        assert numbers["PQ stuff"] == 0

    def test_exactly_half_is_not_found(self):
        numbers = quality([[1, 1, 0, 0]], [Part(1, 3)], [[4, 0, 0, 0]], [Part(4, 3)])
        assert numbers["PQ"] == 0

    def test_what_nobody_knows_is_not_held_against_a_segment(self):
        # Two of five predicted pixels are unknown: IoU is 3 / (4 + 5 - 3 - 2).
        truth, found = [[1, 1, 1, 1, 0, 0]], [[0, 4, 4, 4, 4, 4]]
        assert quality(truth, [Part(1, 3)], found, [Part(4, 3)])["PQ"] == pytest.approx(3 / 4)
        # A prediction mostly in the unknown is not invented.
        truth, found = [[1, 1, 0, 0, 0]], [[2, 2, 4, 4, 4]]
        parts = [Part(2, 3), Part(4, 3)]
        assert quality(truth, [Part(1, 3)], found, parts)["PQ"] == 1

    def test_crowds_are_neither_missed_nor_do_they_make_inventions(self):
        truth, found = [[1, 1, 2, 2, 2]], [[1, 1, 4, 4, 4]]
        crowd = [Part(1, 3), Part(2, 3, crowd=True)]
        assert quality(truth, crowd, found, [Part(1, 3), Part(4, 3)])["PQ"] == 1
        other = quality(truth, crowd, found, [Part(1, 3), Part(4, 9)])
        assert other["PQ"] == pytest.approx((1 + 0) / 2)

    def test_images_are_counted_together(self):
        collected = PanopticQuality()
        for found in ([[1, 1]], [[0, 0]]):
            collected.add(np.array([[1, 1]]), [Part(1, 3)], np.array(found), [Part(1, 3)])
        assert collected.numbers()["PQ"] == pytest.approx(1 / 1.5)
        assert math.isnan(PanopticQuality().numbers()["PQ"])
        with pytest.raises(ValueError, match="maps of"):
            collected.add(np.zeros((2, 2), int), [], np.zeros((2, 3), int), [])


def square(x: int, side: int = 10, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[10 : 10 + side, x : x + side] = True
    return mask


class TestVideo:
    def test_regions(self):
        assert region_similarity(square(10), square(15)) == pytest.approx(50 / 150)
        assert region_similarity(square(10, 0), square(10, 0)) == 1

    def test_the_boundary_lies_between_pixels(self):
        edge = boundary(square(10))
        # Left of and above the square, and its own last row and column.
        assert edge.sum() == 2 * 11 + 2 * 9
        assert edge[9, 9]
        assert edge[19, 19]
        assert not edge[20, 20]
        assert not boundary(np.ones((5, 5), bool)).any()

    def test_boundaries_within_reach_are_right(self):
        # 40 x 40: 0.008 of the diagonal is less than a pixel, so one pixel.
        assert boundary_accuracy(square(10), square(11)) == 1
        # Two pixels away both upright sides are wrong: of 40 pixels 2 x (11 + 9) / 2 lie apart.
        moved = boundary_accuracy(square(10), square(12))
        own, right = boundary(square(12)), boundary(square(10))
        rows, columns = np.nonzero(right)
        near = [
            ((rows - y) ** 2 + (columns - x) ** 2).min() <= 1
            for y, x in zip(*np.nonzero(own), strict=True)
        ]
        assert moved == pytest.approx(np.mean(near))
        assert 0 < moved < 1

    def test_empty_masks(self):
        nothing = np.zeros((40, 40), bool)
        assert boundary_accuracy(nothing, nothing) == 1
        assert boundary_accuracy(nothing, square(3)) == 0
        assert boundary_accuracy(square(3), nothing) == 0

    def test_first_and_last_frames_do_not_count(self):
        right = [3 * square(10).astype(int)] * 4
        wrong = np.zeros((40, 40), int)
        found = [wrong, right[0], wrong, wrong]
        assert sequence_scores(right, found) == {3: (0.5, 0.5)}
        with pytest.raises(ValueError, match="3 are needed"):
            sequence_scores(right[:2], right[:2])


def save_panoptic(path, values: np.ndarray, parts: list[dict]) -> None:
    path.with_suffix("").mkdir()
    rgb = np.stack([values % 256, values // 256 % 256, values // 65536], -1).astype(np.uint8)
    Image.fromarray(rgb).save(path.with_suffix("") / "a.png")
    entry = {"image_id": 1, "file_name": "a.png", "segments_info": parts}
    categories = [{"id": 3, "isthing": 1}, {"id": 4, "isthing": 0}]
    path.write_text(json.dumps({"annotations": [entry], "categories": categories}))


class TestCommand:
    def test_panoptic(self, tmp_path, capsys):
        truth = np.where(square(10), 70_000, 5)
        found = np.where(square(11), 9, 300)
        save_panoptic(tmp_path / "truth.json", truth,
                      [{"id": 70_000, "category_id": 3}, {"id": 5, "category_id": 4}])  # fmt: skip
        save_panoptic(tmp_path / "found.json", found,
                      [{"id": 9, "category_id": 3}, {"id": 300, "category_id": 4}])  # fmt: skip
        assert run([str(tmp_path / "truth.json"), "--panoptic", str(tmp_path / "found.json")]) == 0
        thing, stuff = 90 / 110, 1490 / 1510
        row = capsys.readouterr().out.splitlines()[-1]
        numbers = [float(text) for text in row.split("|") if text.strip()]
        assert numbers == pytest.approx(
            [(thing + stuff) / 2, (thing + stuff) / 2, 1, thing, stuff], abs=1e-4
        )

    def test_panoptic_files_that_do_not_fit(self, tmp_path):
        save_panoptic(tmp_path / "truth.json", np.ones((4, 4), int), [])
        (tmp_path / "bad.json").write_text('{"annotations": [{"image_id": 1}]}')
        with pytest.raises(ModelError, match="not in COCO's panoptic format"):
            run([str(tmp_path / "truth.json"), "--panoptic", str(tmp_path / "bad.json")])
        (tmp_path / "none.json").write_text('{"annotations": []}')
        with pytest.raises(ModelError, match="nothing for image 1"):
            run([str(tmp_path / "truth.json"), "--panoptic", str(tmp_path / "none.json")])
        with pytest.raises(ModelError, match="cannot be read"):
            run([str(tmp_path / "truth.json"), "--panoptic", str(tmp_path / "gone.json")])

    def test_video(self, tmp_path, capsys):
        for folder, shift in (("truth", 0), ("found", 1)):
            (tmp_path / folder / "cat").mkdir(parents=True)
            for frame in range(4):
                ids = square(10 + shift * frame).astype(np.uint8)
                Image.fromarray(ids).save(tmp_path / folder / "cat" / f"{frame:05d}.png")
        assert run([str(tmp_path / "truth"), "--video", str(tmp_path / "found")]) == 0
        row = capsys.readouterr().out.splitlines()[-1]
        numbers = [float(text) for text in row.split("|") if text.strip()]
        assert numbers[1] == pytest.approx((90 / 110 + 80 / 120) / 2, abs=1e-4)
        assert numbers[3] == 1
        (tmp_path / "found" / "cat" / "00002.png").unlink()
        with pytest.raises(ModelError, match=r"00002\.png” is missing"):
            run([str(tmp_path / "truth"), "--video", str(tmp_path / "found")])
