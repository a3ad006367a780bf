"""Vertices of outlines: showing them changes nothing, moving them changes only what is between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.core import raster
from annotator.core.editing import drawing
from annotator.core.editing.vertices import (
    Ring,
    changed,
    inserted,
    renewed,
    reshaped,
    ringed,
)
from annotator.core.mask import Mask

WIDTH, HEIGHT = 60, 44


def disk(x: float, y: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.hypot(xx - x, yy - y) < radius


def masked(pixels: np.ndarray) -> Mask:
    return raster.from_array(pixels)


@st.composite
def shapes(draw) -> np.ndarray:
    """Disks united, with holes."""
    spot = st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT), st.floats(1, 16))
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    for x, y, radius in draw(st.lists(spot, min_size=1, max_size=4)):
        pixels |= disk(x, y, radius)
    for x, y, radius in draw(st.lists(spot, max_size=3)):
        pixels &= ~disk(x, y, radius / 2)
    return pixels


def after(mask: Mask, ring: Ring, what: dict) -> np.ndarray:
    piece = changed(mask, ring, what)
    return raster.to_array(mask if piece is None else raster.patched(mask, piece))


@settings(max_examples=60, deadline=None)
@given(shapes(), st.sampled_from([0.0, 0.8, 2.0, 6.0, 30.0]))
def test_few_vertices_are_corners_of_the_exact_outline(pixels: np.ndarray, tolerance: float):
    mask = masked(pixels)
    rings = ringed(mask, tolerance)
    exact = raster.outline(mask)
    assert len(rings) == len(exact)
    for ring, flat in zip(rings, exact, strict=True):
        assert np.array_equal(ring.corners.ravel(), flat)
        assert len(ring.shown) >= 3
        assert (np.diff(ring.shown) > 0).all()
        if tolerance == 0:
            assert len(ring.shown) == len(ring.corners)
        assert changed(mask, ring, {}) is None


@settings(max_examples=80, deadline=None)
@given(shapes(), st.sampled_from([0.0, 1.2, 4.0]), st.data())
def test_only_what_lies_between_the_old_and_the_new_stretch_changes(
    pixels: np.ndarray, tolerance: float, data
):
    mask = masked(pixels)
    rings = ringed(mask, tolerance)
    if not rings:
        return
    ring = data.draw(st.sampled_from(rings))
    count = len(ring.shown)
    number = data.draw(st.integers(0, count - 1))
    spot = data.draw(st.none() | st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)))
    if spot is None and count == 3:
        return
    result = after(mask, ring, {number: spot})
    new = reshaped(ring, {number: spot})
    frame = drawing.room(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT)
    assert frame is not None
    between = (drawing.turns(ring.corners, frame) + drawing.turns(new, frame)) % 2 == 1
    assert np.array_equal(result[~between], pixels[~between])
    # Where it changes, the new outline decides.
    inside = drawing.turns(new, frame) % 2 == 1
    assert np.array_equal(result[between], (inside ^ ring.hole)[between])
    # The loop of both stretches holds every change.
    before, following = (number - 1) % count, (number + 1) % count
    first, last = int(ring.shown[before]), int(ring.shown[following])
    places = np.arange(first, last + (len(ring.corners) if last <= first else 0) + 1)
    old = ring.corners[places % len(ring.corners)]
    loop = np.concatenate((old, *([np.array([spot])] if spot is not None else [])))
    rows, columns = np.nonzero(result != pixels)
    if rows.size:
        low, high = loop.min(axis=0), loop.max(axis=0)
        assert columns.min() >= np.floor(low[0])
        assert rows.min() >= np.floor(low[1])
        assert columns.max() < np.ceil(high[0])
        assert rows.max() < np.ceil(high[1])


@settings(max_examples=60, deadline=None)
@given(shapes(), st.floats(0, WIDTH), st.floats(0, HEIGHT), st.data())
def test_putting_a_vertex_in_changes_no_pixel(pixels: np.ndarray, x: float, y: float, data):
    mask = masked(pixels)
    for ring in ringed(mask, 2.0):
        more, number = inserted(ring, (x, y))
        assert len(more.shown) in (len(ring.shown), len(ring.shown) + 1)
        known = {tuple(v) for v in ring.vertices.tolist()}
        assert known <= {tuple(v) for v in more.vertices.tolist()}
        assert changed(mask, more, {}) is None
        # It can be taken hold of: to move it is to move this place.
        here = tuple(more.vertices[number].tolist())
        exact = Ring(more.corners, np.arange(len(more.corners)), more.hole)
        place = int(more.shown[number])
        assert np.array_equal(after(mask, exact, {place: here}), pixels)


def test_moving_all_vertices_of_a_hole_moves_the_hole() -> None:
    pixels = disk(30, 22, 18) & ~disk(26, 22, 4)
    mask = masked(pixels)
    (hole,) = [ring for ring in ringed(mask, 0.0) if ring.hole]
    moved = {number: (x + 6, y) for number, (x, y) in enumerate(hole.vertices.tolist())}
    expected = disk(30, 22, 18)
    expected[:, 6:] &= ~(disk(30, 22, 18) & ~pixels)[:, :-6]
    assert np.array_equal(after(mask, hole, moved), expected)


@pytest.mark.parametrize("is_hole", [True, False])
def test_a_ring_with_fewer_than_three_vertices_is_gone(*, is_hole: bool) -> None:
    pixels = disk(20, 22, 12) & ~disk(20, 22, 5) | disk(50, 22, 6)
    mask = masked(pixels)
    ring = next(r for r in ringed(mask, 1.0) if r.hole == is_hole)
    result = after(mask, ring, dict.fromkeys(range(len(ring.shown) - 2)))
    if is_hole:
        assert np.array_equal(result, disk(20, 22, 12) | disk(50, 22, 6))
    else:
        x, _ = ring.corners[0]
        gone = disk(20, 22, 12) if x < 40 else disk(50, 22, 6)
        assert np.array_equal(result, pixels & ~gone)


def test_after_an_edit_the_other_vertices_are_where_they_were() -> None:
    mask = masked(disk(30, 22, 18))
    (ring,) = ringed(mask, 2.0)
    x, y = ring.vertices[1].tolist()
    spot = (30 + (x - 30) * 1.2, 22 + (y - 22) * 1.2)
    piece = changed(mask, ring, {1: spot})
    assert piece is not None
    others = [tuple(v) for n, v in enumerate(ring.vertices.tolist()) if n != 1]
    rings, moved = renewed(raster.patched(mask, piece), 2.0, others, [spot])
    ((place, number),) = moved
    x, y = rings[place].vertices[number]
    assert np.hypot(x - spot[0], y - spot[1]) < 2
    now = {tuple(v) for v in rings[place].vertices.tolist()}
    # Next to the one that moved a corner may have become part of a line.
    beside = {tuple(ring.vertices[0].tolist()), tuple(ring.vertices[2].tolist())}
    assert set(others) - beside <= now
    assert all(min(np.hypot(a - x, b - y) for a, b in now) < 2 for x, y in beside)


def test_a_line_follows_an_edge() -> None:
    from annotator.core.editing.livewire import Wire

    yy, xx = np.mgrid[:200, :240] + 0.5
    inside = np.hypot(xx - 120, yy - 100) < 60
    image = np.where(inside[..., None], (200, 60, 40), (90, 110, 120)).astype(np.uint8)
    for unit in (0.25, 1.0, 2.0):
        wire = Wire(image, (63.0, 101.0), unit)
        assert abs(np.hypot(wire.start[0] - 120, wire.start[1] - 100) - 60) < 1.6 * max(unit, 1)
        line = np.array(wire.path(wire.snapped((122.0, 42.0))))
        assert len(line) > 4
        off = np.abs(np.hypot(*(line - (120, 100)).T) - 60)
        assert off.max() < 1.6 * max(unit, 1)
    assert wire.path((1e6, 5.0)) == (wire.start, (1e6, 5.0))


def test_nothing_pulls_a_click_on_an_even_ground() -> None:
    from annotator.core.editing.livewire import Wire

    wire = Wire(np.full((50, 50, 3), 90, np.uint8), (20.5, 20.5), 1.0)
    assert wire.start == (20.5, 20.5)
    assert wire.snapped((30.2, 31.7)) == (30.2, 31.7)


def test_a_line_may_begin_beside_the_image() -> None:
    from annotator.core.editing.livewire import Wire

    image = np.full((50, 60, 3), 90, np.uint8)
    for start in ((-900.0, 20.0), (30.0, 5000.0), (60.0, 50.0), (-0.2, -0.2)):
        wire = Wire(image, start, 1.0)
        line = wire.path((30.0, 25.0))
        assert (line[0], line[-1]) == (start, (30.0, 25.0))
