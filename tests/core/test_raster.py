"""Masks against pycocotools, the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from scipy import ndimage

from annotator.core import raster
from annotator.core.mask import Mask
from annotator.core.outlining import is_hole
from models.api import Box

images = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@st.composite
def blobs(draw):
    """Images made of rectangles: holes, pieces, corners that touch, borders."""
    h, w = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    image = np.zeros((h, w), bool)
    for _ in range(draw(st.integers(0, 6))):
        x, y = draw(st.integers(0, w - 1)), draw(st.integers(0, h - 1))
        x1, y1 = draw(st.integers(x, w)), draw(st.integers(y, h))
        image[y:y1, x:x1] ^= True
    return image


any_image = st.one_of(images, blobs())


def reference(image):
    return coco_mask.encode(np.asfortranarray(image.astype(np.uint8)))


@given(any_image)
def test_an_array_becomes_the_reference_encoding_and_comes_back(image):
    mask = raster.from_array(image)
    assert mask.counts == reference(image)["counts"]
    assert (mask.height, mask.width) == image.shape
    assert np.array_equal(raster.to_array(mask), image)


@given(any_image)
def test_runs_describe_the_column_major_sequence(image):
    mask = raster.from_array(image)
    runs = raster.runs(mask)
    values = np.arange(runs.size) % 2 == 1
    assert np.array_equal(np.repeat(values, runs).reshape(image.shape, order="F"), image)
    assert raster.from_runs(runs, mask.width, mask.height) == mask


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=40))
def test_long_runs_survive_the_text_form(lengths):
    runs = np.array([lengths[0], *(max(v, 1) for v in lengths[1:])], np.int64)
    total = int(runs.sum())
    if total:
        assert np.array_equal(raster.runs(raster.from_runs(runs, 1, total)), runs)


@given(any_image)
def test_area_and_box_are_those_of_the_pixels(image):
    mask = raster.from_array(image)
    assert raster.area(mask) == image.sum()
    bounds = raster.box(mask)
    ys, xs = np.nonzero(image)
    if ys.size:
        assert bounds == Box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    else:
        assert (bounds.width, bounds.height) == (0, 0)


@given(any_image, st.data())
def test_a_crop_shows_its_pixels(image, data):
    h, w = image.shape
    x0, y0 = data.draw(st.integers(0, w)), data.draw(st.integers(0, h))
    x1, y1 = data.draw(st.integers(x0, w)), data.draw(st.integers(y0, h))
    piece = raster.crop_at(raster.from_array(image), x0, y0, x1, y1)
    assert np.array_equal(piece.pixels, image[y0:y1, x0:x1])


@given(any_image)
def test_the_tight_crop_is_lossless(image):
    mask = raster.from_array(image)
    assert raster.from_crop(raster.crop(mask), mask.width, mask.height) == mask


@given(any_image)
def test_exact_polygons_are_exact_or_absent(image):
    mask = raster.from_array(image)
    rings = raster.exact_polygons(mask)
    if rings is None:
        return
    h, w = image.shape
    again = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(list(map(list, rings)), h, w)))
    assert np.array_equal(again.astype(bool), image)
    assert all(len(ring) >= 6 and len(ring) % 2 == 0 for ring in rings)


def test_simple_shapes_have_polygons_and_holes_do_not():
    image = np.zeros((20, 30), bool)
    image[3:9, 4:20] = True
    assert raster.exact_polygons(raster.from_array(image)) is not None
    image[5, 6] = False
    assert raster.exact_polygons(raster.from_array(image)) is None
    assert raster.exact_polygons(raster.empty(30, 20)) is None


@given(blobs())
def test_outlines_enclose_exactly_the_area(image):
    rings = raster.outline(raster.from_array(image))
    total = 0.0
    for ring in rings:
        xs, ys = np.array(ring[0::2]), np.array(ring[1::2])
        total += np.sum(xs * np.roll(ys, -1) - np.roll(xs, -1) * ys) / 2
        steps = np.abs(np.diff(np.append(xs, xs[0]))) > 0, np.abs(np.diff(np.append(ys, ys[0]))) > 0
        assert np.all(steps[0] != steps[1]), "every edge is horizontal or vertical"
    assert total == image.sum()


def test_outlines_part_where_pixels_touch_by_a_corner():
    image = np.zeros((4, 4), bool)
    image[0, 0] = image[1, 1] = image[3, 2] = image[2, 3] = True
    rings = raster.outline(raster.from_array(image))
    # From the top and the left, each clockwise from its upper left corner.
    assert rings == (
        (0, 0, 1, 0, 1, 1, 0, 1), (1, 1, 2, 1, 2, 2, 1, 2), (3, 2, 4, 2, 4, 3, 3, 3),
        (2, 3, 3, 3, 3, 4, 2, 4),
    )  # fmt: skip


@given(any_image)
def test_the_background_of_a_piece_may_touch_by_corners(image):
    """A hole is a ring of its own that begins with an upper side that is not its highest."""
    rings = raster.outline(raster.from_array(image))
    xs, ys = ([np.array(ring[i::2]) for ring in rings] for i in (0, 1))
    areas = [np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) for x, y in zip(xs, ys, strict=True)]
    assert [is_hole(ring) for ring in rings] == [area < 0 for area in areas]
    # Pieces and holes: pixels belong together at sides, the background at corners too.
    pieces = ndimage.label(image)[1]
    around = ndimage.label(~np.pad(image, 1), np.ones((3, 3)))[1]
    assert (len(rings), sum(map(is_hole, rings))) == (pieces + around - 1, around - 1)


@given(any_image, st.data())
def test_set_operations_agree_with_arrays(image, data):
    other = data.draw(arrays(bool, image.shape))
    a, b = raster.from_array(image), raster.from_array(other)
    assert np.array_equal(raster.to_array(raster.union([a, b])), image | other)
    both, either = (image & other).sum(), (image | other).sum()
    if either:
        assert raster.iou(a, b) == pytest.approx(both / either)


@given(any_image, st.integers(-30, 30), st.integers(-30, 30))
def test_moving_cuts_off_at_the_border(image, dx, dy):
    h, w = image.shape
    expected = np.zeros_like(image)
    for y, x in zip(*np.nonzero(image), strict=True):
        if 0 <= y + dy < h and 0 <= x + dx < w:
            expected[y + dy, x + dx] = True
    assert np.array_equal(raster.to_array(raster.move(raster.from_array(image), dx, dy)), expected)


@given(st.data())
def test_a_box_covers_the_pixels_inside(data):
    w, h = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30))
    x0, y0 = data.draw(st.integers(0, w)), data.draw(st.integers(0, h))
    x1, y1 = data.draw(st.integers(x0, w)), data.draw(st.integers(y0, h))
    image = raster.to_array(raster.from_box(Box(x0, y0, x1, y1), w, h))
    expected = np.zeros((h, w), bool)
    expected[y0:y1, x0:x1] = True
    assert np.array_equal(image, expected)


@settings(max_examples=40)
@given(any_image, st.floats(-2, 26), st.floats(-2, 26))
def test_contains_asks_the_pixel(image, x, y):
    h, w = image.shape
    inside = 0 <= x < w and 0 <= y < h and bool(image[int(y), int(x)])
    assert raster.contains(raster.from_array(image), x, y) == inside


@given(blobs())
def test_polygons_rasterise_as_in_pycocotools(image):
    rings = raster.outline(raster.from_array(image))
    if rings:
        h, w = image.shape
        expected = coco_mask.merge(coco_mask.frPyObjects([list(r) for r in rings], h, w))
        assert raster.from_polygons(rings, w, h) == Mask(w, h, expected["counts"])
