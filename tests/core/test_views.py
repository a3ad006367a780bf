"""What a describer sees of an object."""

from __future__ import annotations

import numpy as np

from annotator.core import raster, views
from models.api import Box, CropFrame


def square() -> tuple[np.ndarray, np.ndarray]:
    """A bright square at 20 … 40 of a dark image, and its mask."""
    mask = np.zeros((100, 100), bool)
    mask[20:40, 20:40] = True
    return np.repeat(np.where(mask, 200, 10).astype(np.uint8)[..., None], 3, 2), mask


def test_without_a_margin_the_object_fills_the_view() -> None:
    pixels, mask = square()
    seen, inside, box = views.of_mask(pixels, raster.from_array(mask))
    assert box == Box(20, 20, 40, 40)
    assert inside.all()
    assert (seen == 200).all()


def test_a_margin_shows_what_is_around_with_the_mask_in_its_place() -> None:
    pixels, mask = square()
    frame = CropFrame(side=200, margin=0.5)
    seen, inside, box = views.of_mask(pixels, raster.from_array(mask), frame)
    assert box == Box(10, 10, 50, 50)
    np.testing.assert_array_equal(inside, mask[10:50, 10:50])
    np.testing.assert_array_equal(seen, pixels[10:50, 10:50])


def test_a_margin_ends_at_the_edge_and_the_view_shrinks() -> None:
    pixels, mask = square()
    frame = CropFrame(side=35, margin=1.5)
    seen, inside, box = views.of_mask(pixels, raster.from_array(mask), frame)
    assert box == Box(0, 0, 70, 70)
    assert seen.shape == (35, 35, 3)
    np.testing.assert_array_equal(inside, mask[:70:2, :70:2])
