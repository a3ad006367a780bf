from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.shapes import fitted, moved, restacked
from models.api import Box


def disk(
    width: int = 40, height: int = 30, x: float = 15, y: float = 12, r: float = 6
) -> Annotation:
    yy, xx = np.mgrid[:height, :width] + 0.5
    return Annotation(1, raster.from_array((xx - x) ** 2 + (yy - y) ** 2 < r * r))


@given(st.integers(-60, 60), st.integers(-60, 60))
def test_moving_a_mask_shifts_its_pixels_and_cuts_at_the_border(dx: int, dy: int) -> None:
    before = disk()
    source = raster.to_array(before.shape)
    target = np.zeros_like(source)
    ys, xs = np.nonzero(source)
    keep = (xs + dx >= 0) & (xs + dx < 40) & (ys + dy >= 0) & (ys + dy < 30)
    target[ys[keep] + dy, xs[keep] + dx] = True
    after = moved(before, dx, dy, 40, 30)
    assert (after is None) == (not target.any())
    if after is not None:
        assert np.array_equal(raster.to_array(after.shape), target)


def test_polygons_follow_a_move_and_still_rasterise_to_the_mask() -> None:
    rings = ((3.0, 3.0, 12.5, 4.0, 8.0, 14.0),)
    shape = raster.from_polygons(rings, 40, 30)
    after = moved(Annotation(1, shape, polygons=rings), 5, 7, 40, 30)
    assert after is not None
    assert after.polygons == ((8.0, 10.0, 17.5, 11.0, 13.0, 21.0),)
    assert raster.from_polygons(after.polygons, 40, 30) == after.shape
    cut = moved(Annotation(1, shape, polygons=rings), -6, 0, 40, 30)
    assert cut is not None
    assert cut.polygons is None


def test_boxes_move_and_vanish_outside() -> None:
    box = Annotation(1, Box(5, 5, 10, 9))
    after = moved(box, -7, 0, 40, 30)
    assert after is not None
    assert after.shape == Box(0, 5, 3, 9)
    assert moved(box, 100, 0, 40, 30) is None


def test_a_copy_fits_into_an_image_of_another_size() -> None:
    same = fitted(disk(), 40, 30)
    assert same == disk()
    smaller = fitted(disk(), 16, 30)
    assert smaller is not None
    assert np.array_equal(raster.to_array(smaller.shape), raster.to_array(disk().shape)[:, :16])
    larger = fitted(disk(), 80, 60)
    assert larger is not None
    assert raster.area(larger.shape) == raster.area(disk().shape)
    assert fitted(disk(), 4, 4) is None


def test_layers() -> None:
    stack = tuple(Annotation(number, Box(0, 0, 1, 1)) for number in (1, 2, 3, 4))

    def order(ids: set[int], step: int | None, *, up: bool) -> list[int]:
        return [a.id for a in restacked(stack, frozenset(ids), step, up=up)]

    assert order({2}, 1, up=True) == [1, 3, 2, 4]
    assert order({2}, 1, up=False) == [2, 1, 3, 4]
    assert order({2, 3}, 1, up=True) == [1, 4, 2, 3]
    assert order({3, 4}, 1, up=True) == [1, 2, 3, 4]
    assert order({1, 3}, None, up=True) == [2, 4, 1, 3]
    assert order({4}, None, up=False) == [4, 1, 2, 3]
