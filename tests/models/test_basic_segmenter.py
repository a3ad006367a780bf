"""The segmenter without weights: what it promises, on images made here and on a few real ones."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.api import Box, Embedding, Point, Prompt, Segmenter
from models.registry import segmenters

EVALUATION = Path(__file__).parents[3] / "shared" / "data" / "eval_coco_dev"
Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return segmenters()["basic"].load()


def iou(one: Mask, two: Mask) -> float:
    return float((one & two).sum() / max(int((one | two).sum()), 1))


def noisy(colours: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 12, colours.shape)
    return np.clip(colours + noise, 0, 255).astype(np.uint8)


def disk(height: int, width: int, x: float, y: float, radius: float) -> Mask:
    yy, xx = np.mgrid[0:height, 0:width] + 0.5
    return np.asarray((xx - x) ** 2 + (yy - y) ** 2 <= radius**2)


def painted(shape: tuple[int, int], layers: list[tuple[Mask, tuple[int, int, int]]]) -> Mask:
    image = np.full((*shape, 3), (110, 120, 100), np.uint8)
    for mask, colour in layers:
        image[mask] = colour
    return noisy(image)


def rendered(segmenter: Segmenter, embedding: Embedding, prompt: Prompt) -> list[Mask]:
    return [segmenter.render(embedding, c) for c in segmenter.decode(embedding, prompt)]


def tight(mask: Mask) -> Box:
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))


@pytest.fixture(scope="module")
def disk_scene(segmenter: Segmenter) -> tuple[Embedding, Mask]:
    truth = disk(240, 320, 170, 110, 55)
    return segmenter.encode(painted((240, 320), [(truth, (200, 60, 50))])), truth


def test_registry_knows_it() -> None:
    spec = segmenters()["basic"]
    assert (spec.title, spec.licence) == ("Basic (no weights)", "Apache-2.0")
    assert spec.available() is None
    assert isinstance(spec.load(), Segmenter)


def test_importing_the_module_is_cheap() -> None:
    code = (
        "import sys, models.segmenters.basic;"
        "print([m for m in ('numpy', 'cv2', 'scipy', 'torch') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, check=True)
    assert done.stdout.strip() == b"[]"


def test_box_around_a_disk(segmenter: Segmenter, disk_scene: tuple[Embedding, Mask]) -> None:
    embedding, truth = disk_scene
    best = rendered(segmenter, embedding, Prompt(box=tight(truth)))[0]
    assert iou(best, truth) > 0.95


def test_loose_box_around_a_disk(segmenter: Segmenter, disk_scene: tuple[Embedding, Mask]) -> None:
    embedding, truth = disk_scene
    assert iou(rendered(segmenter, embedding, Prompt(box=Box(100, 40, 240, 180)))[0], truth) > 0.9


def test_point_on_a_disk(segmenter: Segmenter, disk_scene: tuple[Embedding, Mask]) -> None:
    embedding, truth = disk_scene
    masks = rendered(segmenter, embedding, Prompt((Point(165, 115),)))
    assert max(iou(mask, truth) for mask in masks) > 0.9
    assert iou(masks[0], truth) > 0.8


def test_two_squares_are_told_apart(segmenter: Segmenter) -> None:
    left, right = np.zeros((2, 200, 300), bool)
    left[60:140, 60:140] = right[60:140, 160:240] = True
    image = painted((200, 300), [(left, (40, 60, 200)), (right, (210, 190, 40))])
    embedding = segmenter.encode(image)
    for truth, x in ((left, 100), (right, 200)):
        masks = rendered(segmenter, embedding, Prompt((Point(x, 100),)))
        assert max(iou(mask, truth) for mask in masks) > 0.85
    both = Prompt((Point(100, 100), Point(200, 100, positive=False)), Box(55, 55, 245, 145))
    best = rendered(segmenter, embedding, both)[0]
    assert iou(best, left) > 0.8
    assert (best & right).sum() < 0.2 * right.sum()


def test_corrective_click_opens_a_ring(segmenter: Segmenter) -> None:
    hole = disk(240, 320, 160, 120, 40)
    ring = disk(240, 320, 160, 120, 80) & ~hole
    embedding = segmenter.encode(painted((240, 320), [(ring, (220, 200, 60))]))
    prompt = Prompt((Point(160, 120, positive=False), Point(160, 60)), tight(ring))
    best = rendered(segmenter, embedding, prompt)[0]
    assert iou(best, ring) > 0.85
    assert (best & hole).mean() < 0.1 * hole.mean()


def test_more_clicks_help(segmenter: Segmenter, disk_scene: tuple[Embedding, Mask]) -> None:
    embedding, truth = disk_scene
    clicks = (Point(170, 110), Point(170, 62), Point(170, 158), Point(300, 30, positive=False))
    assert iou(rendered(segmenter, embedding, Prompt(clicks))[0], truth) > 0.85


def test_candidates_best_first_then_small_to_large(
    segmenter: Segmenter, disk_scene: tuple[Embedding, Mask]
) -> None:
    embedding, truth = disk_scene
    for prompt in (Prompt(box=tight(truth)), Prompt((Point(170, 110),))):
        candidates = segmenter.decode(embedding, prompt)
        assert len(candidates) >= 2
        assert all(0 <= candidate.score <= 1 for candidate in candidates)
        assert candidates[0].score == max(candidate.score for candidate in candidates)
        areas = [int(segmenter.render(embedding, c).sum()) for c in candidates[1:]]
        assert areas == sorted(areas)


def test_same_question_same_answer_on_any_thread(
    segmenter: Segmenter, disk_scene: tuple[Embedding, Mask]
) -> None:
    embedding, truth = disk_scene
    prompt = Prompt((Point(170, 110), Point(20, 20, positive=False)), tight(truth))
    expected = segmenter.decode(embedding, prompt)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(segmenter.decode(embedding, prompt)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for answer in answers:
        for one, two in zip(expected, answer, strict=True):
            assert np.array_equal(one.logits, two.logits)
            assert (one.extent, one.score) == (two.extent, two.score)


def test_the_embedding_does_not_change_with_the_image(segmenter: Segmenter) -> None:
    image = noisy(np.full((60, 80, 3), 120, np.uint8))
    embedding = segmenter.encode(image)
    before = {name: array.copy() for name, array in embedding.arrays.items()}
    image[:] = 0
    assert all(np.array_equal(before[name], embedding.arrays[name]) for name in before)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (20, 4000), (4000, 20), (120, 160)])
@pytest.mark.parametrize("even", [True, False])
def test_any_size_and_any_prompt(segmenter: Segmenter, shape: tuple[int, int], even: bool) -> None:
    height, width = shape
    image = np.full((height, width, 3), 90, np.uint8)
    embedding = segmenter.encode(image if even else noisy(image))
    prompts = [
        Prompt((Point(width / 2, height / 2),)),
        Prompt((Point(-50, 1e6),)),
        Prompt(box=Box(0, 0, width, height)),
        Prompt(box=Box(width / 3, height / 3, width / 2, height / 2)),
        Prompt(box=Box(width / 2, height / 2, width / 2, height / 2)),
        Prompt(box=Box(width + 5, -9, width + 7, -3)),
        Prompt((Point(width + 3, -3),), Box(0, 0, 1, 1)),
    ]
    for prompt in prompts:
        candidates = segmenter.decode(embedding, prompt)
        assert candidates
        assert np.isfinite(candidates[0].logits).all()
        mask = segmenter.render(embedding, candidates[0])
        assert mask.shape == shape
        assert mask.dtype == np.bool_
        assert mask.any()


def test_only_negative_points_have_no_answer(segmenter: Segmenter) -> None:
    embedding = segmenter.encode(np.zeros((20, 20, 3), np.uint8))
    assert segmenter.decode(embedding, Prompt((Point(5, 5, positive=False),))) == ()
    assert segmenter.decode(embedding, Prompt()) == ()


points = st.lists(
    st.builds(Point, st.integers(-10, 170), st.integers(-10, 130), st.booleans()),
    min_size=1,
    max_size=12,
    unique_by=lambda point: (min(max(point.x, 0), 159), min(max(point.y, 0), 119)),
)
boxes = st.none() | st.builds(
    Box.spanning,
    *(st.integers(0, 160), st.integers(0, 120), st.integers(0, 160)),
    st.integers(0, 120),
)


@settings(
    max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(points=points, box=boxes)
def test_clicks_are_obeyed(points: list[Point], box: Box | None) -> None:
    segmenter = segmenters()["basic"].load()
    truth = disk(120, 160, 80, 60, 40)
    embedding = segmenter.encode(painted((120, 160), [(truth, (190, 60, 60))]))
    candidates = segmenter.decode(embedding, Prompt(tuple(points), box))
    if not candidates:
        assert not any(point.positive for point in points)
        return
    mask = segmenter.render(embedding, candidates[0])
    for point in points:
        x, y = min(max(int(point.x), 0), 159), min(max(int(point.y), 0), 119)
        if box is None or (box.width and box.height) or point.positive:
            assert mask[y, x] == point.positive


def test_a_hundred_clicks_close_together(segmenter: Segmenter) -> None:
    rng = np.random.default_rng(1)
    xy = np.unique(rng.integers(40, 80, (140, 2)), axis=0)[:100]
    clicks = tuple(Point(x + 0.5, y + 0.5, bool(rng.random() < 0.5)) for x, y in xy)
    embedding = segmenter.encode(noisy(np.full((300, 400, 3), 120, np.uint8)))
    mask = rendered(segmenter, embedding, Prompt(clicks))[0]
    assert all(mask[int(p.y), int(p.x)] == p.positive for p in clicks)


def test_a_mask_stays_in_its_box(segmenter: Segmenter) -> None:
    embedding = segmenter.encode(noisy(np.full((300, 400, 3), 120, np.uint8), seed=3))
    for mask in rendered(segmenter, embedding, Prompt(box=Box(100.4, 80.2, 180.7, 200.9))):
        mask[79:203, 99:183] = False
        assert not mask.any()


def test_a_large_image_takes_little_memory(segmenter: Segmenter) -> None:
    image = np.zeros((4000, 5000, 3), np.uint8)
    cv2.circle(image, (3000, 2500), 900, (200, 180, 40), -1)
    truth = image[..., 0] > 0
    embedding = segmenter.encode(image)
    assert embedding.nbytes < 8_000_000
    candidates = segmenter.decode(embedding, Prompt(box=Box(2100, 1600, 3900, 3400)))
    assert all(candidate.logits.size <= 1_000_000 for candidate in candidates)
    mask = segmenter.render(embedding, candidates[0])
    assert iou(mask, truth) > 0.95


def test_real_objects_beat_the_ellipse(segmenter: Segmenter) -> None:
    if not EVALUATION.is_dir():
        pytest.skip(f"needs {EVALUATION}")
    from pycocotools import mask as coco_mask

    coco = json.loads((EVALUATION / "instances.json").read_text())
    ours, ellipses = [], []
    for record in coco["images"][:8]:
        picture = cv2.imread(str(EVALUATION / "images" / record["file_name"]), cv2.IMREAD_COLOR)
        embedding = segmenter.encode(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8))
        for annotation in coco["annotations"]:
            if annotation["image_id"] != record["id"] or annotation["area"] < 1024:
                continue
            height, width = int(record["height"]), int(record["width"])
            rle = annotation["segmentation"]
            if isinstance(rle, list):
                rle = coco_mask.merge(coco_mask.frPyObjects(rle, height, width))
            elif isinstance(rle["counts"], list):
                rle = coco_mask.frPyObjects(rle, height, width)
            truth = coco_mask.decode(rle).astype(bool)
            box = tight(truth)
            ours.append(iou(rendered(segmenter, embedding, Prompt(box=box))[0], truth))
            yy, xx = np.mgrid[0:height, 0:width] + 0.5
            u = (2 * xx - box.x0 - box.x1) / box.width
            v = (2 * yy - box.y0 - box.y1) / box.height
            ellipses.append(iou(u**2 + v**2 <= 1, truth))
    assert len(ours) > 10
    assert np.mean(ours) > np.mean(ellipses) + 0.03
