"""Which proposals a filter shows, and what decisions do."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.core import proposals, raster
from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.proposals import EVERY, ProposalFilter, decided, overlaps, shown
from models.api import Box
from tests.core.strategies import HEIGHT, WIDTH, annotations


def mask(x, y, w, h):
    return raster.from_crop(raster.Crop(x, y, np.ones((h, w), bool)), WIDTH, HEIGHT)


def proposal(number, shape, score=None, stability=None, category=None, **flags):
    origin = Origin(Source.MODEL, "m", "1", score, None, stability)
    return Annotation(number, shape, category, origin, proposed=True, **flags)


def seen(objects, **limits):
    which = ProposalFilter(**limits)
    return shown(tuple(objects), which, overlaps(tuple(objects)))


def test_thresholds_hold_back_what_is_below_and_nothing_that_is_unknown():
    far = [mask(6 * i, 0, 2 + i, 4) for i in range(3)]
    objects = [
        proposal(1, far[0], 0.5, 0.9),
        proposal(2, far[1], 0.8, 0.7),
        proposal(3, far[2]),
    ]
    assert seen(objects) == {1, 2, 3}
    assert seen(objects, score=0.8) == {2, 3}, "the limit itself passes; no score is no reason"
    assert seen(objects, stability=0.8) == {1, 3}
    assert seen(objects, smallest=12) == {2, 3}
    assert seen(objects, largest=12) == {1, 2}
    assert seen(objects, smallest=12, largest=12) == {2}


def test_a_class_can_be_singled_out_and_so_can_none():
    objects = [proposal(1, mask(0, 0, 3, 3), category=7), proposal(2, mask(9, 0, 3, 3))]
    assert seen(objects, categories=frozenset({7})) == {1}
    assert seen(objects, categories=frozenset({None})) == {2}
    assert seen(objects, categories=frozenset()) == set()


def test_accepted_objects_are_never_held_back_and_never_among_them():
    assert seen([Annotation(1, mask(0, 0, 3, 3)), proposal(2, mask(9, 0, 3, 3))]) == {2}


def test_the_better_one_of_two_that_overlap_stays():
    # 8 x 4 and 6 x 4 inside it: 24 / 32 = 0.75.
    objects = [proposal(1, mask(0, 0, 8, 4), 0.6), proposal(2, mask(0, 0, 6, 4), 0.9)]
    assert seen(objects, overlap=0.7) == {2}
    assert seen(objects, overlap=0.75) == {1, 2}, "at the limit both are shown"
    assert seen(objects, overlap=1.0) == {1, 2}
    tied = [replace(a, origin=Origin(Source.MODEL)) for a in objects]
    assert seen(tied, overlap=0.7) == {1}, "the earlier one"


def test_an_accepted_object_wins_over_any_score_and_one_held_back_over_none():
    covered = proposal(2, mask(0, 0, 8, 4), 0.99)
    assert seen([Annotation(1, mask(0, 0, 8, 4)), covered], overlap=0.7) == set()
    weak = proposal(3, mask(0, 0, 7, 4), 0.5)
    assert seen([covered, weak], overlap=0.7) == {2}
    # With the better one out of the way for its class, the other is all there is.
    named = replace(covered, category_id=5)
    assert seen([named, weak], overlap=0.7, categories=frozenset({None})) == {3}


def test_a_chain_of_overlaps_keeps_its_ends():
    # Neighbours overlap by 6 / 10, ends by 4 / 12; the middle one is the worst.
    chain = [mask(x, 0, 8, 2) for x in (0, 2, 4)]
    objects = [proposal(1, chain[0], 0.9), proposal(2, chain[1], 0.5), proposal(3, chain[2], 0.8)]
    assert seen(objects, overlap=0.5) == {1, 3}


def test_boxes_are_compared_with_masks_and_boxes():
    objects = (
        proposal(1, Box(0, 0, 8, 4), 0.9),
        proposal(2, mask(0, 0, 8, 4), 0.5),
        proposal(3, Box(0, 0, 4, 4), 0.4),
    )
    found = overlaps(objects).ious
    assert found[1] == pytest.approx({2: 1.0, 3: 0.5})
    assert found[2] == pytest.approx({1: 1.0, 3: 0.5})
    boxes = overlaps((objects[0], objects[2])).ious
    assert boxes == {1: {3: 0.5}, 3: {1: 0.5}}
    assert overlaps(()).ious == {}


few = st.lists(annotations(ids=st.integers(1, 6)), max_size=5, unique_by=lambda a: a.id)


@given(few, few)
def test_comparing_again_after_a_change_gives_the_same(before, after):
    after = tuple(before[:2]) + tuple(a for a in after if a.id not in {b.id for b in before[:2]})
    again, fresh = overlaps(after, overlaps(tuple(before))), overlaps(after)
    assert again.shapes == fresh.shapes
    assert {i: dict(row) for i, row in again.ious.items()} == fresh.ious
    for i, row in fresh.ious.items():
        for j, value in row.items():
            first, second = (next(a for a in after if a.id == n) for n in (i, j))
            pixels = [
                raster.to_array(raster.from_box(s, WIDTH, HEIGHT) if isinstance(s, Box) else s)
                for s in (first.shape, second.shape)
            ]
            expected = (pixels[0] & pixels[1]).sum() / (pixels[0] | pixels[1]).sum()
            assert value == pytest.approx(expected)


def test_a_decision_compares_nothing_again(monkeypatch):
    objects = tuple(proposal(i, mask(i, 0, 6, 4), 0.5) for i in range(1, 5))
    known = overlaps(objects)
    monkeypatch.setattr(proposals, "_coded", lambda *_: pytest.fail("compared again"))
    assert overlaps(decided(objects, [1, 2], accept=True), known) is known
    fewer = overlaps(decided(objects, [1, 2], accept=False), known)
    assert fewer.ious == {3: {4: known.ious[3][4]}, 4: {3: known.ious[4][3]}}


@given(st.lists(annotations(), max_size=5, unique_by=lambda a: a.id), st.booleans())
def test_decisions_touch_nothing_but_open_proposals(objects, accept):
    ids = [a.id for a in objects]
    after = decided(tuple(objects), ids, accept=accept)
    decidable = {a.id for a in objects if a.proposed and not a.locked}
    if accept:
        assert [a.id for a in after] == ids
        for old, new in zip(objects, after, strict=True):
            assert new == (replace(old, proposed=False) if old.id in decidable else old)
    else:
        assert after == tuple(a for a in objects if a.id not in decidable)
    assert decided(tuple(objects), [], accept=accept) == tuple(objects)


def test_a_class_is_given_only_to_what_has_none():
    objects = (proposal(1, mask(0, 0, 3, 3), category=4), proposal(2, mask(9, 0, 3, 3)))
    after = decided(objects, [1, 2], accept=True, category_id=9)
    assert [a.category_id for a in after] == [4, 9]


def test_the_open_filter_shows_every_proposal():
    same = tuple(proposal(i, mask(0, 0, 8, 4), 0.0, 0.0) for i in (1, 2, 3))
    assert shown(same, EVERY, overlaps(())) == {1, 2, 3}
