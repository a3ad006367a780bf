"""Proposals of everything mode beside what an image has already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from annotator.core import raster
from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.everything import is_replaceable, merged
from annotator.core.mask import Mask
from models.api import Box, Point, Prompt

WIDTH, HEIGHT = 40, 30
BY_POINT = Origin(Source.MODEL, "toy", "1", 0.9, Prompt((Point(3, 4),)), stability=0.9)


def mask(x: int, y: int, size: int = 10) -> Mask:
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[y : y + size, x : x + size] = True
    return raster.from_array(pixels)


def proposal(number: int, x: int, y: int, size: int = 10) -> Annotation:
    return Annotation(number, mask(x, y, size), origin=BY_POINT, proposed=True)


PROPOSAL = proposal(1, 5, 5)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (PROPOSAL, True),
        (replace(PROPOSAL, category_id=3), False),
        (replace(PROPOSAL, hidden=True), False),
        (replace(PROPOSAL, proposed=False), False),
        (replace(PROPOSAL, locked=True), False),
        (replace(PROPOSAL, attributes={"seen": True}), False),
        (replace(PROPOSAL, origin=replace(BY_POINT, source=Source.IMPORT)), False),
        (replace(PROPOSAL, origin=replace(BY_POINT, prompt=None)), False),
        (replace(PROPOSAL, origin=replace(BY_POINT, prompt=Prompt(box=Box(0, 0, 9, 9)))), False),
    ],
)
def test_what_may_be_replaced(annotation: Annotation, expected: bool) -> None:
    assert is_replaceable(annotation) == expected


def test_small_ones_lie_on_top_of_large_ones() -> None:
    new = [proposal(1, 2, 2, 4), proposal(2, 10, 2, 20), proposal(3, 12, 4, 8)]
    after, fresh = merged((), new, 0.6)
    assert [a.id for a in after] == [2, 3, 1]
    assert fresh == after


def test_older_proposals_go_and_objects_stay_where_they_are() -> None:
    person = Annotation(1, mask(0, 0))
    old, batch = proposal(2, 20, 0), replace(proposal(3, 0, 20), origin=Origin(Source.MODEL))
    after, fresh = merged((person, old, batch), [proposal(4, 20, 0)], 0.6)
    assert [a.id for a in after] == [1, 3, 4]
    assert [a.id for a in fresh] == [4]
    assert merged((person, old), [], 0.6) == ((person,), ())


@pytest.mark.parametrize(("shift", "kept"), [(0, False), (2, False), (3, True), (11, True)])
def test_known_objects_are_not_proposed_again(shift: int, kept: bool) -> None:
    # 10 x 10 pixels, shifted by 2: 80 of 120, by 3: 70 of 130.
    new = proposal(9, 5 + shift, 5)
    for shape in (mask(5, 5), Box(5, 5, 15, 15)):
        after, fresh = merged((Annotation(1, shape),), [new], 0.6)
        assert (new in fresh) == kept
        assert len(after) == 1 + kept


def test_proposals_are_not_compared_with_each_other() -> None:
    after, _ = merged((), [proposal(1, 5, 5), proposal(2, 6, 5)], 0.6)
    assert len(after) == 2
