"""Trackers: optical flow with a toy model, and queries of a narrow network, frame after frame."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from models.api import ModelError
from models.encoding import EncodingStoppedError, Passed, watched
from models.motion import overlap
from models.motion_tracker import MotionTracker
from models.trackers.motion import SPEC as MOTION
from models.trackers.omgseg import SPECS as QUERIES
from models.tracking import tracker_spec, trackers
from tests.models import omgseg_narrow as narrow
from tests.models.moving import Disk, disk_mask, scene
from tests.models.toy_segmenter import ToyModel

ONE = Disk(70, 70, 26, dx=5, dy=3, seed=1)
TWO = Disk(230, 160, 30, dx=-4, dy=2, seed=2)


def test_what_runs_anywhere_comes_first() -> None:
    assert list(trackers()) == ["motion", "omgseg", "rapsam-r50"]
    assert tracker_spec("motion") is MOTION


def test_without_weights_it_says_what_to_get(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    for spec, file in zip(QUERIES, ("omg_seg_convl.pth", "rapsam_r50_12e.pth"), strict=True):
        reason = spec.available() or ""
        assert file in reason
        assert "Settings, Model" in reason
        with pytest.raises(ModelError, match="needs"):
            spec.load(None)


class TestMotion:
    def tracker(self) -> MotionTracker:
        return MotionTracker(MOTION, ToyModel().spec.load())

    def test_objects_keep_their_numbers(self) -> None:
        tracker = self.tracker()
        given = {7: disk_mask(ONE, 0), 9: disk_mask(TWO, 0), 11: np.zeros((240, 320), np.bool_)}
        scores = tracker.begin(scene((ONE, TWO), 0), given)
        assert scores == {7: 1.0, 9: 1.0, 11: 0.0}
        for time in range(1, 6):
            (seen,) = tracker.step([scene((ONE, TWO), time)])
            masks = {one.number: one.mask for one in seen}
            assert overlap(masks[7], disk_mask(ONE, time)) > 0.85
            assert overlap(masks[9], disk_mask(TWO, time)) > 0.85
            assert all(one.is_sure for one in seen)

    def test_a_correction_counts_from_there_on_and_a_dropped_one_is_gone(self) -> None:
        tracker = self.tracker()
        tracker.begin(scene((ONE, TWO), 0), {7: disk_mask(ONE, 0), 9: disk_mask(TWO, 0)})
        tracker.step([scene((ONE, TWO), 1)])
        tracker.drop(9)
        # What was followed as 7 is the other disk now.
        assert tracker.correct(7, disk_mask(TWO, 1))
        assert not tracker.correct(7, np.zeros((240, 320), np.bool_))
        (seen,) = tracker.step([scene((ONE, TWO), 2)])
        assert [one.number for one in seen] == [7]
        assert overlap(seen[0].mask, disk_mask(TWO, 2)) > 0.85

    def test_objects_end_where_the_size_changes(self) -> None:
        tracker = self.tracker()
        tracker.begin(scene((ONE,), 0), {7: disk_mask(ONE, 0)})
        assert tracker.step([np.zeros((100, 90, 3), np.uint8)]) == [[]]
        assert tracker.step([scene((ONE,), 1)]) == [[]]

    @pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.slow)])
    def test_frames_do_not_grow_memory(self, count: int) -> None:
        toy = ToyModel()
        tracker = MotionTracker(MOTION, toy.spec.load())
        small = [scene((ONE,), time)[40:110:2, 30:130:2].copy() for time in (0, 1)]
        mask = disk_mask(ONE, 0)[40:110:2, 30:130:2].copy()
        tracker.begin(small[0], {1: mask})
        sizes = []
        tracemalloc.start()
        for number in range(count):
            (seen,) = tracker.step([small[number % 2]])
            # A person puts it back now and then, so that it is followed all the way.
            tracker.correct(1, mask)
            toy.calls.clear()
            toy.asked.clear()
            if number in (100, count - 1):
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert seen
        # Keeping the frames would be 2 MB, and 70 MB.
        assert sizes[1] < sizes[0] + 200_000


@pytest.fixture(scope="module", params=["omgseg", "rapsam"])
def network(request: pytest.FixtureRequest):
    from models.networks.omgseg import narrow_omgseg
    from models.networks.rapsam import narrow_rapsam

    return narrow_omgseg(3) if request.param == "omgseg" else narrow_rapsam(4)


class TestQueries:
    """Random weights: queries are recognised, whatever they mean."""

    def tracker(self, network, least: float = 0.0):
        from models.omgseg.tracker import QueryTracker

        return QueryTracker(QUERIES[0], narrow.opened(network), (96, 64), least)

    def own_mask(self, network) -> np.ndarray:
        """What the network itself finds in the first frame."""
        tracker = self.tracker(network)
        tracker.begin(scene((ONE, TWO), 0), {})
        (seen,) = tracker.step([scene((ONE, TWO), 0)])
        assert seen
        assert all(one.number < 0 for one in seen)
        return max((one.mask for one in seen), key=np.count_nonzero)

    def test_given_masks_are_matched_by_overlap_or_refused(self, network) -> None:
        own, tracker = self.own_mask(network), self.tracker(network)
        corner = np.zeros((240, 320), np.bool_)
        corner[:3, :3] = True
        scores = tracker.begin(scene((ONE, TWO), 0), {4: own, 5: corner})
        assert scores[4] > 0.5
        assert scores[5] == 0
        # Two frames in one tube; nothing but the given object is told.
        seen = tracker.step([scene((ONE, TWO), 0), scene((ONE, TWO), 0)])
        assert [[one.number for one in frame] for frame in seen] == [[4], [4]]
        assert overlap(seen[0][0].mask, own) > 0.5

    def test_corrections_and_cuts(self, network) -> None:
        own, tracker = self.own_mask(network), self.tracker(network)
        tracker.begin(scene((ONE, TWO), 0), {4: own})
        tracker.step([scene((ONE, TWO), 0)])
        assert tracker.correct(4, own)
        corner = np.zeros((240, 320), np.bool_)
        corner[:3, :3] = True
        assert not tracker.correct(4, corner)
        assert tracker.step([scene((ONE, TWO), 1)]) == [[]]
        tracker.drop(4)
        (frame,) = tracker.step([scene((ONE,), 1)[:100, :90].copy()])
        assert list(frame) == []

    def test_below_the_threshold_nothing_is_found_and_given_ones_are_unsure(self, network) -> None:
        own, tracker = self.own_mask(network), self.tracker(network, least=1.1)
        tracker.begin(scene((ONE, TWO), 0), {})
        assert tracker.step([scene((ONE, TWO), 1)]) == [[]]
        tracker.begin(scene((ONE, TWO), 0), {4: own})
        ((one,),) = tracker.step([scene((ONE, TWO), 0)])
        assert not one.is_sure

    def test_every_step_is_told_and_any_can_be_the_last(self, network) -> None:
        tracker, told = self.tracker(network), []
        assert tracker.begin(scene((ONE,), 0), {}) == {}
        with watched(told.append, lambda: False):
            tracker.step([scene((ONE,), 0), scene((ONE,), 1)])
        assert [one.share for one in told] == sorted(one.share for one in told)
        assert told[-1] == Passed("query decoder", 1.0)
        seen: list[Passed] = []
        with watched(seen.append, lambda: len(seen) > 1), pytest.raises(EncodingStoppedError):
            tracker.step([scene((ONE,), 2)])
        assert len(seen) == 2

    @pytest.mark.parametrize("size", [(1, 1), (200, 20_000), (1, 300)])
    def test_odd_sizes(self, network, size) -> None:
        tracker, frame = self.tracker(network), np.full((*size, 3), 90, np.uint8)
        corner = np.zeros(size, np.bool_)
        corner[:1, :1] = True
        tracker.begin(frame, {1: corner})
        seen = tracker.step([frame, scene((ONE,), 0), frame])
        assert len(seen) == 3
        tracker.begin(frame, {})
        for one in (one for found in tracker.step([frame]) for one in found):
            assert one.mask.shape == size

    def test_clips_do_not_grow_memory(self, network) -> None:
        """Whatever the length: as many numbers are held after twelve clips as after three."""
        import gc

        import torch

        tracker, sizes = self.tracker(network), []
        tracker.begin(scene((ONE, TWO), 0), {})
        small = [scene((ONE, TWO), time)[::3, ::3].copy() for time in (0, 1)]
        for number in range(12):
            tracker.step(small)
            if number in (2, 11):
                gc.collect()
                held = (one for one in gc.get_objects() if issubclass(type(one), torch.Tensor))
                sizes.append(sum(one.numel() for one in held))
        assert sizes[1] <= sizes[0]

    def test_damaged_weights_and_too_little_memory_are_said(self, network, monkeypatch) -> None:
        import torch

        def damaged(features):
            found = decode(features)
            found.masks[:] = torch.nan
            return found

        def full(features):
            raise torch.OutOfMemoryError("CUDA out of memory")

        tracker, decode = self.tracker(network), network.decode
        tracker.begin(scene((ONE,), 0), {})
        monkeypatch.setattr(network, "decode", damaged)
        with pytest.raises(ModelError, match="not numbers"):
            tracker.step([scene((ONE,), 0)])
        monkeypatch.setattr(network, "decode", full)
        with pytest.raises(ModelError, match="too little memory"):
            tracker.step([scene((ONE,), 0)])
