"""Editing masks: exact where something is touched, bit for bit the same elsewhere."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.editing import drawing, layers, outlines, regions
from annotator.core.raster import Crop
from tests.core.strategies import HEIGHT, WIDTH, masks

places = st.tuples(st.floats(-8, WIDTH + 8), st.floats(-8, HEIGHT + 8))
paths = st.lists(places, min_size=2, max_size=7)
radii = st.floats(0.75, 9)


def whole(crop):
    image = np.zeros((HEIGHT, WIDTH), bool)
    if crop is not None:
        h, w = crop.pixels.shape
        image[crop.y : crop.y + h, crop.x : crop.x + w] = crop.pixels
    return image


def centres():
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return x, y


def drawn(text):
    """A mask from rows of text, # inside."""
    rows = [line.strip() for line in text.split()]
    return raster.from_array(np.array([[c == "#" for c in row] for row in rows]))


def disk(x, y, radius, size=64):
    yy, xx = np.mgrid[:size, :size] + 0.5
    return raster.from_array(np.hypot(xx - x, yy - y) < radius)


@st.composite
def crops(draw):
    x, y = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    w, h = draw(st.integers(0, WIDTH - x)), draw(st.integers(0, HEIGHT - y))
    bits = draw(st.lists(st.booleans(), min_size=w * h, max_size=w * h))
    return Crop(x, y, np.array(bits, bool).reshape(h, w))


# --- Pieces of masks ---


@settings(deadline=None)
@given(masks(), crops())
def test_a_patch_changes_its_pixels_and_no_other(mask, piece):
    wanted = raster.to_array(mask).copy()
    h, w = piece.pixels.shape
    wanted[piece.y : piece.y + h, piece.x : piece.x + w] = piece.pixels
    assert raster.patched(mask, piece) == raster.from_array(wanted)


@settings(deadline=None)
@given(masks(), masks())
def test_masks_are_combined_as_sets_of_pixels(one, two):
    a, b = raster.to_array(one), raster.to_array(two)
    for operation, pixels in (
        ("union", a | b), ("subtract", a & ~b), ("intersect", a & b), ("exclude", a ^ b),
    ):  # fmt: skip
        assert layers.combined(operation, [one, two]) == raster.from_array(pixels)


# --- Drawing ---


@settings(deadline=None)
@given(places, places, radii)
def test_a_stroke_covers_the_pixels_within_its_radius(start, end, radius):
    x, y = centres()
    a, b = np.array(start), np.array(end)
    along = b - a
    share = ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / max(float(along @ along), 1e-12)
    share = np.clip(share, 0, 1)
    distance = np.hypot(x - a[0] - share * along[0], y - a[1] - share * along[1])
    found = whole(drawing.stroke(start, end, (radius, radius), WIDTH, HEIGHT))
    assert found[distance < radius - 1e-6].all()
    assert not found[distance > radius + 1e-6].any()


@settings(deadline=None)
@given(places, places, radii, radii)
def test_a_stroke_that_gets_wider_covers_every_disk_on_its_way(start, end, first, last):
    x, y = centres()
    found = whole(drawing.stroke(start, end, (first, last), WIDTH, HEIGHT))
    every = np.zeros_like(found)
    for share in np.linspace(0, 1, 80):
        at = np.array(start) * (1 - share) + np.array(end) * share
        radius = first * (1 - share) + last * share
        disk_here = np.hypot(x - at[0], y - at[1])
        assert found[disk_here < radius - 1e-6].all()
        every |= disk_here < radius + 0.35
    assert not (found & ~every).any()


@settings(deadline=None)
@given(paths)
def test_a_line_is_one_chain_of_pixels_without_diagonal_gaps(path):
    crop = drawing.line(path, WIDTH + 20, HEIGHT + 20)
    assume(all(x >= 0 and y >= 0 for x, y in path))
    assert regions.labels(crop.pixels, 4)[1].size == 2
    for x, y in path:
        assert crop.pixels[math.floor(y) - crop.y, math.floor(x) - crop.x]


def test_a_thin_stroke_never_misses():
    for x in np.linspace(3, 5, 9):
        crop = drawing.stroke((x, 4.1), (x, 4.1), (0.5, 0.5), WIDTH, HEIGHT)
        assert whole(crop).sum() == 1


@settings(deadline=None)
@given(st.lists(places, min_size=3, max_size=8))
def test_a_polygon_has_the_pixels_whose_centres_it_goes_around(path):
    x, y = centres()
    turns = np.zeros((HEIGHT, WIDTH))
    for (xa, ya), (xb, yb) in zip(path, path[1:] + path[:1], strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = xa + (y - ya) * (xb - xa) / (yb - ya)
        turns += ((ya <= y) & (y < yb) & (crossing <= x)).astype(int)
        turns -= ((yb <= y) & (y < ya) & (crossing <= x)).astype(int)
        assume(not np.isclose(crossing, x, atol=1e-9).any())
    assert np.array_equal(whole(drawing.polygon(path, WIDTH, HEIGHT)), turns != 0)
    odd = drawing.polygon(path, WIDTH, HEIGHT, parity=True)
    assert np.array_equal(whole(odd), turns % 2 != 0)


# --- Regions ---


@settings(deadline=None)
@given(masks())
def test_filling_holes_adds_what_cannot_be_reached_from_outside(mask):
    before, after = raster.to_array(mask), raster.to_array(regions.without_holes(mask))
    assert after[before].all()
    found, _ = regions.labels(np.pad(~after, 1, constant_values=True), 4)
    assert found.max() == 1
    for y, x in np.argwhere(~before):
        assert (regions.hole_at(mask, int(x), int(y)) is not None) == after[y, x]


@settings(deadline=None)
@given(masks(), st.integers(1, 60))
def test_specks_go_and_everything_else_stays(mask, smallest):
    before, after = raster.to_array(mask), raster.to_array(regions.without_specks(mask, smallest))
    found, areas = regions.labels(before, 8)
    largest = areas[1:].max()
    for number in range(1, areas.size):
        stays = after[found == number]
        assert stays.all() or not stays.any()
        assert stays.all() or areas[number] < smallest
        assert stays.any() == (areas[number] >= smallest) or areas[number] == largest
    assert not after[~before].any()


@settings(deadline=None)
@given(masks(), st.floats(0.5, 5))
def test_growing_and_shrinking_go_by_distance(mask, reach):
    image = raster.to_array(mask)
    ys, xs = np.nonzero(image)
    x, y = centres()
    near = np.min(np.hypot(x[..., None] - 0.5 - xs, y[..., None] - 0.5 - ys), axis=-1)
    assume(not np.isclose(near, reach, atol=2e-3).any())
    assert np.array_equal(raster.to_array(regions.grown(mask, reach)), near <= reach)
    outside = np.argwhere(~image)
    shrunk = raster.to_array(regions.grown(mask, -reach))
    if not len(outside):
        assert shrunk.all()
        return
    far = np.min(
        np.hypot(x[..., None] - 0.5 - outside[:, 1], y[..., None] - 0.5 - outside[:, 0]), axis=-1
    )
    assume(not np.isclose(far, reach, atol=2e-3).any())
    # Where the box of the mask is the box of the image the border is no side.
    assert np.array_equal(shrunk, far > reach)


@settings(deadline=None)
@given(masks(), st.sampled_from([4, 8]))
def test_pieces_are_the_mask_taken_apart(mask, connectivity):
    parts = regions.pieces(mask, connectivity)
    assert layers.combined("exclude", list(parts)) == mask
    assert layers.combined("union", list(parts)) == mask
    sizes = [raster.area(part) for part in parts]
    assert sizes == sorted(sizes, reverse=True)


def test_corners_join_pieces_with_8_and_not_with_4():
    mask = drawn("##.. ##.. ..## ..##")
    assert len(regions.pieces(mask, 8)) == 1
    assert len(regions.pieces(mask, 4)) == 2


@pytest.mark.parametrize("strength", [1.0, 2.5, 5.0])
def test_smoothing_keeps_the_area_and_straightens_the_outline(strength):
    rough = raster.to_array(disk(64, 64, 40, 128)).copy()
    rng = np.random.default_rng(0)
    for angle in rng.random(60) * 2 * np.pi:
        x, y = int(64 + 40 * np.cos(angle)), int(64 + 40 * np.sin(angle))
        rough[y - 1 : y + 2, x - 1 : x + 2] ^= True
    before = raster.from_array(rough)
    after = regions.smoothed(before, strength)
    assert abs(raster.area(after) - raster.area(before)) < 0.01 * raster.area(before)
    length = [sum(map(len, raster.outline(m))) for m in (before, after)]
    assert length[1] < length[0] * 0.8
    clean = disk(64, 64, 40, 128)
    assert raster.iou(after, clean) > 0.97


def test_smoothing_does_not_pull_a_mask_off_the_border_of_the_image():
    image = np.zeros((40, 60), bool)
    image[:, :30] = True
    mask = raster.from_array(image)
    assert regions.smoothed(mask, 4.0) == mask


@settings(deadline=None)
@given(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(0, 80))
def test_a_flood_is_connected_and_keeps_to_the_colour(x, y, tolerance):
    rng = np.random.default_rng(7)
    image = rng.integers(0, 120, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    found = whole(regions.flood(image, x, y, tolerance))
    difference = np.abs(image.astype(int) - image[y, x].astype(int)).max(axis=-1)
    near, _ = regions.labels(difference <= tolerance, 4)
    assert np.array_equal(found, near == near[y, x])


def test_a_flood_stays_inside_what_it_is_given():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    inside = Crop(4, 3, np.ones((5, 6), bool))
    assert np.array_equal(whole(regions.flood(image, 6, 5, 10, inside)), whole(inside))


# --- Outlines ---


def test_a_stretch_outside_adds_and_one_inside_removes():
    mask = disk(32, 32, 16)
    bump = [(48, 28), (54, 28), (54, 36), (48, 36)]
    added = raster.patched(mask, outlines.redrawn(mask, bump, 3))
    assert raster.area(raster.difference(mask, added)) == 0
    assert raster.contains(added, 53, 32)
    dent = [(48, 28), (40, 28), (40, 36), (48, 36)]
    removed = raster.patched(mask, outlines.redrawn(mask, dent, 3))
    assert raster.area(raster.difference(removed, mask)) < 8
    assert not raster.contains(removed, 44, 32)
    assert raster.contains(removed, 38, 32)


def test_a_stretch_can_do_both_and_touches_nothing_else():
    mask = raster.union([disk(32, 32, 16), disk(6, 6, 4)])
    path = [(48, 24), (56, 28), (42, 32), (40, 38), (47, 38)]
    after = raster.patched(mask, outlines.redrawn(mask, path, 3))
    assert raster.contains(after, 51, 27)
    assert not raster.contains(after, 45, 35)
    before, now = raster.to_array(mask), raster.to_array(after)
    near = np.zeros_like(before)
    near[22:40, 38:58] = True
    assert np.array_equal(before[~near], now[~near])


def test_the_outline_of_a_hole_can_be_redrawn():
    ring = raster.difference(disk(32, 32, 20), disk(32, 32, 10))
    wider = raster.patched(ring, outlines.redrawn(ring, [(42, 28), (46, 32), (42, 36)], 2))
    assert raster.contains(ring, 44, 32)
    assert not raster.contains(wider, 44, 32)
    assert raster.area(raster.difference(wider, ring)) == 0


def test_a_stretch_removed_takes_no_hole_for_background():
    ring = raster.difference(disk(32, 32, 20), disk(44, 32, 3))
    path = [(48, 20), (36, 32), (48, 44)]
    after = raster.patched(ring, outlines.redrawn(ring, path, 3))
    assert not raster.contains(after, 44, 32)
    assert raster.area(raster.difference(after, ring)) == 0


def test_a_stretch_far_from_the_outline_is_none():
    assert outlines.redrawn(disk(32, 32, 16), [(2, 2), (60, 2)], 3) is None


def test_a_stretch_within_one_side_is_the_short_one():
    square = raster.from_array(np.pad(np.ones((30, 30), bool), 10))
    after = raster.patched(square, outlines.redrawn(square, [(20, 10), (24, 6), (28, 10)], 2))
    assert raster.area(square) < raster.area(after) < raster.area(square) + 40
    back = raster.patched(square, outlines.redrawn(square, [(28, 10), (24, 6), (20, 10)], 2))
    assert back == after


@settings(deadline=None, max_examples=60)
@given(masks(), paths)
def test_a_cut_loses_and_gains_nothing(mask, path):
    halves = outlines.cut(mask, path)
    if halves is not None:
        assert layers.combined("union", list(halves)) == mask
        assert layers.combined("exclude", list(halves)) == mask
        assert min(map(raster.area, halves)) > 0


def test_a_straight_cut_makes_two_halves():
    first, second = outlines.cut(disk(32, 32, 16), [(32, 4), (32, 60)])
    assert abs(raster.area(first) - raster.area(second)) < 40
    assert raster.box(first).x0 in (16, 32)


def test_a_cut_that_ends_inside_divides_nothing():
    assert outlines.cut(disk(32, 32, 16), [(32, 4), (32, 30)]) is None
    assert outlines.cut(disk(32, 32, 16), [(2, 4), (2, 60)]) is None


def test_pieces_a_cut_does_not_divide_stay_together():
    mask = raster.union([disk(20, 32, 10), disk(50, 50, 5), disk(50, 10, 5)])
    larger, smaller = outlines.cut(mask, [(16, 4), (16, 60)])
    assert raster.contains(larger, 50, 50)
    assert raster.contains(larger, 50, 10)
    assert raster.box(smaller).x1 <= 17


def test_a_cut_through_three_parts_makes_two_objects():
    image = np.zeros((40, 40), bool)
    image[5:35, 5:35] = True
    image[15:25, 5:25] = False
    larger, smaller = outlines.cut(raster.from_array(image), [(15, 2), (15, 38)])
    assert len(regions.pieces(smaller)) == 2
    assert len(regions.pieces(larger)) == 1


# --- Layers ---


def annotation(number, mask, **flags):
    return Annotation(number, mask, **flags)


def test_the_higher_layer_has_the_pixels():
    low, high = disk(28, 32, 12), disk(38, 32, 12)
    below, above = annotation(1, low), annotation(2, high)
    after = {a.id: a.shape for a in layers.separated((below, above), {2})}
    assert after == {1: raster.difference(low, high), 2: high}
    after = {a.id: a.shape for a in layers.separated((below, above), {1})}
    assert after == {1: raster.difference(low, high), 2: high}


def test_locked_objects_keep_their_pixels():
    low, high = disk(28, 32, 12), disk(38, 32, 12)
    locked = annotation(1, low, locked=True)
    after = {a.id: a.shape for a in layers.separated((locked, annotation(2, high)), {2})}
    assert after == {1: low, 2: raster.difference(high, low)}


def test_what_is_covered_whole_is_gone_and_others_are_left_alone():
    small, large = disk(32, 32, 4), disk(32, 32, 12)
    old = (annotation(1, small), annotation(3, large), annotation(4, small, is_crowd=True))
    new = annotation(2, large)
    assert layers.separated((*old[:1], new, old[2]), {2}) == (new, old[2])
    assert layers.separated(old, {9}) == old


@settings(deadline=None)
@given(st.lists(masks(), min_size=1, max_size=5))
def test_after_separating_all_no_pixel_has_two_owners(shapes):
    objects = tuple(annotation(number, shape) for number, shape in enumerate(shapes, 1))
    after = layers.separated(objects, {a.id for a in objects})
    total = sum((raster.to_array(a.shape).astype(int) for a in after), np.zeros((HEIGHT, WIDTH)))
    assert total.max() <= 1
    union = raster.union(shapes)
    assert np.array_equal(total > 0, raster.to_array(union))
