"""Masks moved by optical flow on machine-made sequences whose masks are known."""

from __future__ import annotations

import numpy as np
import pytest

from models import motion
from models.api import Box, Point
from tests.models.moving import HEIGHT, WIDTH, Disk, disk_mask, scene
from tests.models.toy_segmenter import ToyModel, ToySegmenter

GLIDING = Disk(120, 110, 40, dx=7, dy=4)


def moves(disks: tuple[Disk, ...], first: int = 0, second: int = 1) -> motion.Motion:
    before = motion.frame(scene(disks, first))
    return motion.between(before, motion.frame(scene(disks, second), before))


@pytest.mark.parametrize(
    "disk",
    [
        GLIDING,
        Disk(150, 120, 40, growth=1.06),
        Disk(150, 120, 45, growth=0.94),
        Disk(150, 120, 45, turn=6),
        Disk(100, 100, 14, dx=5, dy=-3),
        Disk(150, 120, 40, dx=-6, growth=1.03, turn=4),
    ],
)
def test_a_moved_mask_lies_on_the_object(disk: Disk) -> None:
    mask = disk_mask(disk, 0)
    there = motion.moved(mask, moves((disk,)))
    assert motion.overlap(there.mask, disk_mask(disk, 1)) > 0.93
    assert there.confidence > 0.7
    assert not there.left


def test_ten_images_later_it_still_does() -> None:
    mask, truth = disk_mask(GLIDING, 0), disk_mask(GLIDING, 10)
    for time in range(10):
        mask = motion.moved(mask, moves((GLIDING,), time, time + 1)).mask
    assert motion.overlap(mask, truth) > 0.85
    assert motion.overlap(disk_mask(GLIDING, 0), truth) < 0.2, "it would be there anyway"


def test_what_comes_in_front_is_cut_out_and_lowers_the_confidence() -> None:
    behind = Disk(160, 120, 45, dx=1)
    front = Disk(60, 120, 40, dx=22, seed=7)
    both = (behind, front)
    free = motion.moved(disk_mask(behind, 0), moves(both, 0, 1))
    seen = disk_mask(behind, 2) & ~disk_mask(front, 2)
    covered = motion.moved(seen, moves(both, 2, 3))
    assert covered.confidence < free.confidence - 0.2
    hidden = disk_mask(behind, 3) & disk_mask(front, 3)
    assert hidden.sum() > 2000
    assert (covered.mask & hidden).sum() < 0.2 * hidden.sum()


@pytest.mark.parametrize(
    "leaving",
    [
        Disk(300, 120, 16, dx=12),
        Disk(280, 120, 25, dx=14),
        Disk(290, 120, 20, dx=6),
        Disk(150, 30, 25, dy=-9),
    ],
)
def test_an_object_that_goes_out_of_the_image_has_left(leaving: Disk) -> None:
    mask = disk_mask(leaving, 0)
    largest, toy = int(mask.sum()), ToySegmenter(ToyModel())
    embedding = toy.encode(scene((leaving,), 0))
    for time in range(9):
        motions = moves((leaving,), time, time + 1)
        there = motion.follow(toy, embedding, mask, motions, largest=largest)
        if there.left:
            break
        assert there.sure
        mask = there.mask
    assert there.left
    assert disk_mask(leaving, time + 1).sum() < 0.05 * largest


def test_another_scene_is_not_believed() -> None:
    before = motion.frame(scene((GLIDING,), 0))
    after = motion.frame(scene((Disk(220, 60, 50, seed=9),), 0, ground=55), before)
    toy = ToySegmenter(ToyModel())
    embedding = toy.encode(scene((Disk(220, 60, 50, seed=9),), 0, ground=55))
    found = motion.follow(toy, embedding, disk_mask(GLIDING, 0), motion.between(before, after))
    assert not found.sure


def test_images_of_another_size_are_compared_on_one_grid() -> None:
    before = motion.frame(scene((GLIDING,), 0))
    later = scene((GLIDING,), 1).repeat(2, axis=0).repeat(2, axis=1)
    after = motion.frame(later, before)
    there = motion.moved(disk_mask(GLIDING, 0), motion.between(before, after))
    assert there.mask.shape == (2 * HEIGHT, 2 * WIDTH)
    truth = disk_mask(GLIDING, 1).repeat(2, axis=0).repeat(2, axis=1)
    assert motion.overlap(there.mask, truth) > 0.93


def test_large_images_are_reduced() -> None:
    big = np.zeros((1500, 2000, 3), np.uint8)
    assert max(motion.frame(big).pixels.shape) == motion.SIDE
    assert (motion.frame(big).width, motion.frame(big).height) == (2000, 1500)


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (15, 15)])
def test_tiny_images_and_empty_masks_are_no_error(size: tuple[int, int]) -> None:
    pixels = np.zeros((*size, 3), np.uint8)
    before = motion.frame(pixels)
    between = motion.between(before, motion.frame(pixels, before))
    for mask in (np.zeros(size, bool), np.ones(size, bool)):
        there = motion.moved(mask, between)
        assert there.mask.shape == size
        assert 0 <= there.confidence <= 1


def test_the_prompt_is_a_loose_box_and_the_thickest_place() -> None:
    mask = np.zeros((100, 200), bool)
    mask[40:60, 20:120] = True  # a handle
    mask[20:80, 120:180] = True  # and a head
    prompt = motion.prompt_for(mask)
    assert prompt.box is not None
    assert prompt.box.contains(20, 20)
    assert prompt.box.contains(180, 80)
    assert prompt.box.width < 1.1 * 160
    (point,) = prompt.points
    assert point.positive
    assert (point.x, point.y) == pytest.approx((150, 50), abs=3)


def test_the_prompt_stays_inside_the_image_and_in_the_object() -> None:
    mask = np.zeros((10, 12), bool)
    mask[9, 11] = True
    assert motion.prompt_for(mask).points == (Point(11.5, 9.5),)
    whole = motion.prompt_for(np.ones((10, 12), bool))
    assert whole.box == Box(0, 0, 12, 10)


def test_an_ellipse_fills_its_box() -> None:
    mask = motion.ellipse(Box(10, 20, 50, 40), 100, 80)
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (10, 50, 20, 40)
    assert mask.sum() == pytest.approx(np.pi * 20 * 10, rel=0.03)


class Oracle(ToySegmenter):
    """Answers every prompt with one mask."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__(ToyModel())
        self.mask = mask

    def decode(self, embedding, prompt):
        from models.api import MaskCandidate

        height, width = self.mask.shape
        logits = np.where(self.mask, 4, -4).astype(np.float32)
        return (MaskCandidate(logits, Box(0, 0, width, height), 0.9),)


def test_a_model_that_knows_better_is_believed() -> None:
    truth, image = disk_mask(GLIDING, 1), scene((GLIDING,), 1)
    oracle = Oracle(truth)
    # Drifted in earlier images: that is known from how much of it is believed.
    drifted = np.roll(disk_mask(GLIDING, 0), 8, axis=1)
    found = motion.follow(oracle, oracle.encode(image), drifted, moves((GLIDING,)), 0.7, 0.98)
    assert found.refined
    assert motion.overlap(found.mask, truth) == 1.0
    assert found.believed > 0.7, "the model has confirmed it"


def test_a_model_that_failed_on_the_known_mask_is_not_taken() -> None:
    truth, image = disk_mask(GLIDING, 1), scene((GLIDING,), 1)
    oracle = Oracle(np.ones_like(truth))
    mask = disk_mask(GLIDING, 0)
    trusted = motion.trust(oracle, oracle.encode(image), mask)
    assert trusted < 0.1
    found = motion.follow(oracle, oracle.encode(image), mask, moves((GLIDING,)), 1.0, trusted)
    assert not found.refined
    assert found.agreement is None, "its answer says nothing about this object"
    assert found.sure
    assert motion.overlap(found.mask, truth) > 0.93


def test_a_model_that_was_right_and_disagrees_lowers_the_confidence() -> None:
    image, mask = scene((GLIDING,), 1), disk_mask(GLIDING, 0)
    elsewhere = np.zeros_like(mask)
    elsewhere[:40, :40] = True
    oracle = Oracle(elsewhere)
    alone = motion.follow(oracle, oracle.encode(image), mask, moves((GLIDING,)), 1.0, None)
    found = motion.follow(oracle, oracle.encode(image), mask, moves((GLIDING,)), 1.0, 0.95)
    assert alone.sure
    assert alone.agreement is None
    assert found.agreement == 0.0
    assert not found.sure


def test_a_model_that_finds_nothing_is_no_error() -> None:
    class Silent(Oracle):
        def decode(self, embedding, prompt):
            return ()

    image, mask = scene((GLIDING,), 1), disk_mask(GLIDING, 0)
    silent = Silent(mask)
    assert motion.trust(silent, silent.encode(image), mask) == 0.0
    found = motion.follow(silent, silent.encode(image), mask, moves((GLIDING,)), 1.0, 0.0)
    assert found.sure
    # One that did give it back before makes a person look.
    found = motion.follow(silent, silent.encode(image), mask, moves((GLIDING,)), 1.0, 0.9)
    assert not found.sure
    assert motion.overlap(found.mask, disk_mask(GLIDING, 1)) > 0.9
