"""Tracks: which objects belong together, the table of the timeline, what lies between two masks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord, Origin, Source
from annotator.core.between import between
from annotator.core.codec import annotation_to_json
from annotator.core.formats.coco.dataset import Dataset, Entry, new_header
from annotator.core.formats.coco.reading import read_coco
from annotator.core.formats.coco.writing import write_coco
from annotator.core.mask import Mask
from annotator.core.tracks import Mark, TrackTable, begun, cell_of, mark_of, track_of
from models.api import Box

FOLLOWED = Origin(Source.MODEL, "motion+toy", "1", follows=4)


def disk(x: float, y: float, radius: float) -> Mask:
    ys, xs = np.mgrid[:120, :160] + 0.5
    return raster.from_array((xs - x) ** 2 + (ys - y) ** 2 < radius**2)


ONE = Annotation(4, disk(40, 40, 15), 1)


class TestWhichTrack:
    def test_own_numbers_come_before_those_of_files_and_chains(self) -> None:
        assert track_of(ONE) == 4
        assert track_of(replace(ONE, id=9, origin=FOLLOWED)) == 4
        assert track_of(replace(ONE, track=7, origin=FOLLOWED, attributes={"track_id": 3.0})) == 7
        # Numbers of others are no ids of ours.
        assert track_of(replace(ONE, attributes={"track_id": 3.0})) == "track_id 3"
        assert track_of(replace(ONE, extra={"track_id": 3})) == "track_id 3"
        assert track_of(replace(ONE, extra={"track_id": ""})) == 4

    def test_marks(self) -> None:
        followed = replace(ONE, id=9, origin=FOLLOWED)
        assert mark_of(ONE) == Mark.EDITED
        assert mark_of(followed) == Mark.ACCEPTED
        assert mark_of(replace(followed, proposed=True)) == Mark.PROPOSED
        assert mark_of(replace(followed, origin=replace(FOLLOWED, edited=True))) == Mark.EDITED

    def test_the_first_object_gets_the_number_the_others_have(self) -> None:
        other = replace(ONE, id=5)
        assert begun((ONE, other), [4]) == (replace(ONE, track=4), other)


cells = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(Mark).filter(bool),
                           st.none() | st.integers(1, 2)), max_size=5)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 5), cells), max_size=15))
def test_the_table_is_what_was_put_last(puts) -> None:
    table = TrackTable([f"{number}.png" for number in range(6)])
    last: dict[int, list] = {}
    for place, new in puts:
        table.put(place, new)
        last[place] = new
    for track in range(1, 5):
        want = [max((m for t, m, _ in last.get(p, []) if t == track), default=0) for p in range(6)]
        row = table.row(track)
        assert (list(row.marks) if row else [0] * 6) == want
        if row is not None:
            assert row.filled == sum(map(bool, want))
            assert row.span == (min(p for p in range(6) if want[p]),
                                max(p for p in range(6) if want[p]))  # fmt: skip
            names = [c for new in last.values() for t, _, c in new if t == track]
            assert names.count(row.category_id) == max(map(names.count, names))
    assert all(row.filled > 1 for row in table.rows())


def test_coco_says_the_track_and_reads_it_back(tmp_path: Path) -> None:
    image = ImageRecord("a.png", 1, 160, 120)
    tracked = replace(ONE, track=7)
    theirs = replace(ONE, id=5, extra={"track_id": 3})
    entries = tuple(Entry(1, annotation_to_json(a)) for a in (tracked, theirs))
    dataset = Dataset((image,), (Category(1, "coin", "#112233"),), entries, new_header("x", "2000"))
    write_coco(tmp_path / "a.json", dataset)
    written = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert [one["track_id"] for one in written] == [7, 3]
    read = [e.annotation() for e in read_coco(tmp_path / "a.json").entries]
    assert [(a.track, dict(a.extra)) for a in read] == [(7, {}), (None, {"track_id": 3})]


class TestBetween:
    def test_a_disk_that_moves_and_grows_evenly(self) -> None:
        found = list(between(disk(40, 40, 12), disk(100, 70, 24), 5))
        for step, mask in enumerate(found, 1):
            share = step / 6
            truth = disk(40 + 60 * share, 40 + 30 * share, 12 + 12 * share)
            assert isinstance(mask, Mask)
            assert raster.iou(mask, truth) > 0.93

    def test_boxes_and_masks_at_the_edge(self) -> None:
        (box,) = between(Box(0, 0, 10, 10), Box(20, 0, 40, 10), 1)
        assert box == Box(10, 0, 25, 10)
        (mask,) = between(disk(0, 0, 10), disk(2, 0, 10), 1)
        assert isinstance(mask, Mask)
        assert raster.iou(mask, disk(1, 0, 10)) > 0.9


def test_many_images_of_many_tracks_take_little() -> None:
    import tracemalloc

    tracemalloc.start()
    table = TrackTable([str(number) for number in range(1000)])
    objects = [replace(ONE, id=number, track=number) for number in range(1, 201)]
    row = [cell_of(one) for one in objects]
    for place in range(1000):
        table.put(place, row)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 4e6
    assert len(table.rows()) == 200
