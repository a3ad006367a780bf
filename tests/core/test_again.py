"""Accepted objects are found again in other images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.prelabel.again import (
    LIMITS,
    MOST_OF_NAME,
    USUAL,
    Again,
    AgainOptions,
    Example,
    examples_of,
    learned_limit,
)
from annotator.core.prelabel.proposing import propose
from annotator.core.prelabel.run import Run
from models import likeness
from models.api import Box, Segmenter
from models.registry import segmenter_spec
from tests.models import moving
from tests.models.moving import Disk, disk_mask, scene
from tests.models.toy_segmenter import ToyModel

DISKS = (Disk(80, 80, 32, 14, 6, seed=1), Disk(230, 150, 40, -8, 4, growth=1.03, seed=5))
NAMES = ("coin", "button")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return segmenter_spec("loupe").load()


def accepted(time: int = 0, key: str = "0.png", first_id: int = 1) -> list[Example]:
    masks = [raster.from_array(disk_mask(disk, time)) for disk in DISKS]
    rows = [(first_id + n, name, mask) for n, (name, mask) in enumerate(zip(NAMES, masks))]  # noqa: B905
    return examples_of(key, scene(DISKS, time), rows)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_objects_are_found_where_they_went(segmenter: Segmenter) -> None:
    source = Again(accepted(), AgainOptions())
    outcome = propose(scene(DISKS, 3, ground=7), "3.png", segmenter, source)
    found = {one.origin.label: one for one in outcome.found}
    assert sorted(found) == sorted(NAMES)
    assert len(outcome.found) == 2
    for number, (name, disk) in enumerate(zip(NAMES, DISKS, strict=True), 1):
        one = found[name]
        assert iou(raster.to_array(one.mask), disk_mask(disk, 3)) > 0.7
        assert one.origin.resembles == number
        assert one.origin.follows is None
        assert one.origin.score is not None
        assert one.origin.score >= USUAL
        assert one.origin.prompt is not None
        assert one.origin.prompt.box is not None


def test_an_image_without_them_has_no_proposals(segmenter: Segmenter) -> None:
    source = Again(accepted(), AgainOptions())
    assert propose(scene((), 0, ground=3), "x.png", segmenter, source).found == ()


def test_the_same_image_gives_the_same_proposals(segmenter: Segmenter) -> None:
    first, second = (
        propose(scene(DISKS, 2), "2.png", segmenter, Again(accepted(), AgainOptions()))
        for _ in range(2)
    )
    assert [(f.mask, f.origin) for f in first.found] == [(f.mask, f.origin) for f in second.found]


def test_objects_of_one_colour_are_found_too() -> None:
    pixels = np.full((48, 64, 3), 20, np.uint8)
    pixels[6:18, 6:18] = 200
    mask = np.zeros((48, 64), bool)
    mask[6:18, 6:18] = True
    known = examples_of("a.png", pixels, [(4, "square", raster.from_array(mask))])
    other = np.full((48, 64, 3), 20, np.uint8)
    other[30:42, 40:52] = 200
    found = propose(other, "b.png", ToyModel().spec.load(), Again(known, AgainOptions())).found
    assert [(raster.box(f.mask), f.origin.label) for f in found] == [
        (Box(40, 30, 52, 42), "square")
    ]


def test_an_image_is_not_searched_for_its_own_objects() -> None:
    source = Again(accepted(), AgainOptions())
    assert not source.wants("0.png")
    assert source.wants("1.png")
    assert source.known("0.png") == []


def test_nearest_images_come_first_and_no_name_takes_all() -> None:
    plain = accepted()
    every = [
        replace(one, id=10 * number + place, key=f"{number}.png")
        for number in range(20)
        for place, one in enumerate(plain, 1)
    ]
    known = Again(every, AgainOptions()).known("10.png")
    assert [one.key for one in known[:4]] == ["9.png", "9.png", "8.png", "8.png"]
    assert len(known) == 2 * MOST_OF_NAME


def test_the_settings_say_which_objects(segmenter: Segmenter) -> None:
    every = accepted()
    one = Run.of(segmenter, Again(every, AgainOptions()))
    assert Run.of(segmenter, Again(every[::-1], AgainOptions())).id == one.id
    others = (every[:1], accepted(first_id=5), [replace(every[0], label="x"), every[1]])
    assert all(Run.of(segmenter, Again(other, AgainOptions())).id != one.id for other in others)


def vectors(names: str, spread: float, images: int = 30) -> list[Example]:
    """Objects around one direction for each name, in many images."""
    rng = np.random.default_rng(1)
    middles = np.eye(16, dtype=np.float32)
    found = []
    for image in range(images):
        for place, name in enumerate(names):
            looks = middles[place] + rng.normal(0, spread, 16).astype(np.float32)
            number = image * len(names) + place
            found.append(Example(number, f"{image}", name, looks / np.linalg.norm(looks), None))
    return found


def test_the_limit_is_learned_from_other_images() -> None:
    assert learned_limit(vectors("ab", 0.05, images=1)) == USUAL
    assert learned_limit(vectors("ab", 0.05, images=3)) == USUAL  # too few to tell
    # Names that never look alike: whatever is close enough is right.
    assert learned_limit(vectors("abcd", 0.1)) == pytest.approx(LIMITS[0], abs=0.1)
    # The same looks under two names: nothing is close enough.
    mixed = [replace(one, looks=vectors("a", 0.01)[0].looks) for one in vectors("ab", 0.01)]
    assert learned_limit(mixed) == LIMITS[1]


def test_templates_that_are_too_small_or_too_large_are_not_looked_for() -> None:
    small = np.zeros((100, 100, 3), np.uint8)
    assert likeness.template(small, np.ones((5, 40), bool), Box(0, 0, 40, 5), 1.0) is None
    large = likeness.template(small, np.ones((98, 98), bool), Box(0, 0, 98, 98), 1.0)
    assert large is not None
    assert all(place.box.width <= 100 for place in likeness.places(small, large, 1.0, 3))


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3)])
def test_images_of_any_shape_can_be_searched(size: tuple[int, int]) -> None:
    pixels = np.zeros((*size, 3), np.uint8)
    source = Again(accepted(), AgainOptions())
    assert propose(pixels, "thin.png", ToyModel().spec.load(), source).found == ()


def test_places_are_image_pixels_whatever_the_working_size() -> None:
    disk = Disk(100, 100, 30, 60, 40)
    first = np.repeat(np.repeat(scene((disk,), 0), 3, 0), 3, 1)
    second = np.repeat(np.repeat(scene((disk,), 1), 3, 0), 3, 1)
    share = likeness.factor(3 * moving.WIDTH, 3 * moving.HEIGHT)
    box = Box(210, 210, 390, 390)
    mask = np.repeat(np.repeat(disk_mask(disk, 0)[70:130, 70:130], 3, 0), 3, 1)
    known = likeness.template(likeness.working(first), mask, box, share)
    assert known is not None
    best = likeness.places(likeness.working(second), known, share, 3)[0]
    assert likeness.overlap(best.box, Box(390, 330, 570, 510)) > 0.85
