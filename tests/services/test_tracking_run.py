"""Objects tracked through whole sequences: real documents, real threads, a toy model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.annotation import Annotation, Annotations
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.pace import Pace
from annotator.core.tracks import Mark, track_of
from annotator.services.document import Document
from annotator.services.gap_filling import GapFilling
from annotator.services.looks import Looks
from annotator.services.propagation import Report
from annotator.services.settings import SettingsStore
from annotator.services.timeline import Timeline
from annotator.services.track_editing import TrackEditing
from annotator.services.tracking_run import Order, Progress, TrackingRun
from annotator.services.workspace import Workspace
from models import tracking
from models.encoding import passed
from models.tracking import Seen, TrackerSpec
from tests.models.moving import Disk, disk_mask, scene, write
from tests.models.toy_segmenter import ToyModel
from tests.services.test_everything import PATIENCE, is_shown

ONE = Disk(70, 70, 26, dx=5, dy=3, seed=1)
TWO = Disk(230, 160, 30, dx=-4, dy=2, seed=2)
FRAMES = 8
KEYS = tuple(f"clip/{number}.png" for number in range(FRAMES))


class Desk:
    """All that belongs together."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self.bot = qtbot
        store = SettingsStore(folder.parent / "settings.ini")
        store.update(model="toy")
        self.workspace = Workspace(store)
        self.looks = Looks(self.workspace)
        self.timeline = Timeline(self.workspace, self.looks)
        self.editing = TrackEditing(self.workspace, self.timeline)
        self.gaps = GapFilling(self.workspace, self.timeline, self.editing, self.looks)
        self.run = TrackingRun(self.workspace, store)
        self.workspace.open_folder(folder)
        self.until(lambda: self.workspace.document is not None)
        self.until(lambda: len(self.document.keys()) >= FRAMES)
        self.workspace.show(KEYS[0])
        self.until(lambda: is_shown(self.workspace, KEYS[0]))
        self.thing = self.document.add_category("thing").id

    @property
    def document(self) -> Document:
        assert self.workspace.document is not None
        return self.workspace.document

    def until(self, condition) -> None:
        self.bot.waitUntil(condition, timeout=PATIENCE)

    def add(self, place: int, disk: Disk, track: int | None = None) -> Annotation:
        """A person marks a disk in an image."""
        mask = raster.from_array(disk_mask(disk, place))
        one = Annotation(self.document.new_id(), mask, self.thing, track=track)
        key = KEYS[place]
        self.document.edit(key, (*self.document.annotations(key), one), "Add thing")
        return one

    def track(self, order: Order) -> Report:
        """Track to the end."""
        with self.bot.waitSignal(self.run.finished, timeout=PATIENCE) as done:
            self.run.start(order)
        assert done.args is not None
        assert not self.run.running
        return done.args[0]

    def at(self, place: int) -> Annotations:
        return self.document.annotations(KEYS[place])

    def watch(self) -> None:
        """Read the timeline."""
        self.timeline.set_watched(True)
        self.until(lambda: not self.timeline.reading and bool(self.timeline.keys))

    def marks(self, track: int | str) -> list[int]:
        row = self.timeline.row(track)
        return [] if row is None else list(row.marks)

    def close(self) -> None:
        self.run.close()
        self.workspace.close()
        self.looks.close()


def j(annotation: Annotation, disk: Disk, place: int) -> float:
    assert isinstance(annotation.shape, Mask)
    return raster.iou(annotation.shape, raster.from_array(disk_mask(disk, place)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for time, key in enumerate(KEYS):
        write(tmp_path / "images" / key, scene((ONE, TWO), time))
    # Another sequence.
    write(tmp_path / "images" / "later" / "0.png", scene((ONE,), 0))
    return tmp_path / "images"


@pytest.fixture
def desk(qtbot: QtBot, toy: ToyModel, folder: Path) -> Iterator[Desk]:
    desk = Desk(qtbot, folder)
    yield desk
    desk.close()


def test_objects_are_tracked_to_the_end_of_their_folder_as_one_step(desk: Desk) -> None:
    one, two = desk.add(0, ONE), desk.add(0, TWO)
    seen: list[Progress] = []
    desk.run.progressed.connect(seen.append)
    report = desk.track(Order("motion", KEYS[0]))
    assert report == Report(KEYS[0], 2, KEYS[-1], FRAMES - 1, 2 * (FRAMES - 1))
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].done, seen[-1].total) == (FRAMES - 1, FRAMES - 1)
    assert seen[-1].rate is not None
    assert seen[0].state == "preparing"
    for place in range(1, FRAMES):
        first, second = desk.at(place)
        assert (first.track, second.track) == (one.id, two.id)
        assert first.proposed
        assert first.origin.model == "motion+toy"
        assert j(first, ONE, place) > 0.8
        assert j(second, TWO, place) > 0.8
    # COCO needs the number where the track begins, too.
    assert [a.track for a in desk.at(0)] == [one.id, two.id]
    assert desk.document.annotations("later/0.png") == ()
    group = desk.document.history.newest("tracking")
    assert group is not None
    with desk.bot.waitSignal(desk.document.history.finished, timeout=PATIENCE):
        desk.document.history.take_back(group.id)
    assert [desk.at(place) for place in range(FRAMES)] == [(one, two)] + [()] * (FRAMES - 1)


def test_what_a_person_did_stays_and_counts_from_there_on(desk: Desk) -> None:
    one = desk.add(0, ONE)
    desk.track(Order("motion", KEYS[0], images=4))
    assert [len(desk.at(place)) for place in range(FRAMES)] == [1] * 5 + [0] * 3
    # The person says that it is the other disk from image 3 on.
    (wrong,) = desk.at(3)
    right = replace(wrong, shape=raster.from_array(disk_mask(TWO, 3)), proposed=False)
    desk.document.edit(KEYS[3], (right,), "Correct")
    desk.document.set_reviewed(KEYS[6], reviewed=True)
    desk.track(Order("motion", KEYS[0], frozenset({one.id})))
    assert desk.at(3) == (right,)
    assert j(desk.at(2)[0], ONE, 2) > 0.8
    assert j(desk.at(5)[0], TWO, 5) > 0.8
    # Finished images are looked at, but nothing is proposed there.
    assert desk.at(6) == ()
    assert j(desk.at(7)[0], TWO, 7) > 0.8
    assert {track_of(a) for place in range(FRAMES) for a in desk.at(place)} == {one.id}


def test_an_unsure_object_stops_and_asks_and_the_others_go_on(
    qtbot: QtBot, toy: ToyModel, folder: Path
) -> None:
    for time in range(4, FRAMES):
        write(folder / KEYS[time], scene((replace(ONE, x=250, y=40), TWO), time))
    desk = Desk(qtbot, folder)
    desk.add(0, ONE)
    two = desk.add(0, TWO)
    asked: list[Report] = []
    desk.run.asked.connect(asked.append)
    report = desk.track(Order("motion", KEYS[0]))
    assert [key for key, _ in report.unsure] == [KEYS[4]]
    # It is told at once, not at the end.
    assert asked[0].reached == KEYS[4]
    assert {a.track for a in desk.at(7)} == {two.id}
    desk.close()


def test_missing_frames_and_other_sizes(qtbot: QtBot, toy: ToyModel, folder: Path) -> None:
    (folder / KEYS[2]).write_bytes(b"no image")
    small = cv2.resize(scene((ONE, TWO), 6), (100, 80))
    write(folder / KEYS[6], np.asarray(small, np.uint8))
    desk = Desk(qtbot, folder)
    desk.add(0, ONE)
    report = desk.track(Order("motion", KEYS[0]))
    assert report.unread == 1
    assert j(desk.at(5)[0], ONE, 5) > 0.8
    # The track cannot go on into an image of another size: a person is asked there.
    assert report.unsure == ((KEYS[6], (0,)),)
    assert desk.at(6) == desk.at(7) == ()
    desk.close()


def test_pause_stop_and_refusals(desk: Desk) -> None:
    with pytest.raises(UserError, match="no accepted object"):
        desk.run.start(Order("motion", KEYS[0]))
    desk.add(0, ONE)
    with pytest.raises(UserError, match="finds nothing"):
        desk.run.start(Order("motion", KEYS[0], find=True))
    desk.add(FRAMES - 1, ONE)
    with pytest.raises(UserError, match="last image"):
        desk.run.start(Order("motion", KEYS[-1]))
    seen: list[Progress] = []

    def pause(progress: Progress) -> None:
        seen.append(progress)
        if progress.done == 2 and not desk.run.paused:
            desk.run.pause()

    desk.run.progressed.connect(pause)
    desk.run.start(Order("motion", KEYS[0]))
    with pytest.raises(UserError, match="already"):
        desk.run.start(Order("motion", KEYS[0]))
    desk.until(lambda: desk.run.paused)
    desk.bot.wait(50)
    assert seen[-1].state == "paused"
    assert desk.at(3) == ()
    desk.run.go_on()
    desk.until(lambda: seen[-1].done >= 3)
    with desk.bot.waitSignal(desk.run.finished) as done:
        desk.run.stop()
    assert done.args is not None
    assert done.args[0].stopped
    assert len(desk.at(1)) == 1


class Finder:
    """Finds the second disk from the second image on, by itself."""

    spec = TrackerSpec("finder", "Finder", "1", "", "", lambda _: Finder(), finds=True, clip=3)

    device = "Toy."

    def __init__(self) -> None:
        self.time = -1

    def begin(self, pixels, given):
        return dict.fromkeys(given, 0.0)

    def step(self, frames):
        assert len(frames) <= 3
        result = []
        for _ in frames:
            self.time += 1
            there = [Seen(-1, disk_mask(TWO, self.time), 0.9)] if self.time > 0 else []
            result.append(there)
        return result

    def correct(self, number, mask):
        return True

    def drop(self, number):
        pass


def test_from_nothing_and_refused_masks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "trackers", lambda: {"finder": Finder.spec})
    report = desk.track(Order("finder", KEYS[0], find=True))
    assert (report.images, report.proposed, report.unsure) == (FRAMES, FRAMES - 1, ())
    assert [len(desk.at(place)) for place in (0, 1)] == [0, 1]
    found = [a for place in range(FRAMES) for a in desk.at(place)]
    assert len({a.track for a in found}) == 1
    assert all(a.proposed and a.category_id is None and a.origin.follows is None for a in found)
    # What is there already, accepted or not, is not proposed once more.
    accepted = replace(desk.at(1)[0], proposed=False, category_id=desk.thing)
    desk.document.edit(KEYS[1], (accepted,), "Accept")
    assert desk.track(Order("finder", KEYS[0], find=True)).proposed == 0
    # It may not even recognise what is given to it.
    desk.add(0, ONE)
    report = desk.track(Order("finder", KEYS[0]))
    assert (report.refused, report.images) == (1, 0)


class Slow:
    """Two frames at once, told in steps; sees what it was given in the upper left quarter."""

    spec = TrackerSpec("slow", "Slow", "1", "", "", lambda _: Slow(), clip=2)
    device = "A slow processor."
    endless = False
    corrections: ClassVar[list[np.ndarray]] = []

    def begin(self, pixels, given):
        self.numbers = list(given)
        return dict.fromkeys(given, 1.0)

    def step(self, frames):
        passed("backbone", 0.5)
        while self.endless:
            passed("backbone", 0.5)
        passed("decoder", 1.0)
        result = []
        for frame in frames:
            mask = np.zeros(frame.shape[:2], np.bool_)
            mask[: len(mask) // 2, : mask.shape[1] // 2] = True
            result.append([Seen(number, mask, 0.9) for number in self.numbers])
        return result

    def correct(self, number, mask):
        self.corrections.append(mask)
        return True

    def drop(self, number):
        self.numbers.remove(number)


class TestClips:
    """Trackers that look at several images at once, and take long."""

    @pytest.fixture(autouse=True)
    def slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tracking, "trackers", lambda: {"slow": Slow.spec})
        monkeypatch.setattr(Slow, "corrections", [])

    def test_missing_frames_and_other_sizes_in_a_clip(
        self, qtbot: QtBot, toy: ToyModel, folder: Path
    ) -> None:
        write(folder / KEYS[5], scene((ONE,), 5)[:80, :100].copy())
        (folder / KEYS[2]).write_bytes(b"no image")
        (folder / KEYS[6]).write_bytes(b"")
        desk = Desk(qtbot, folder)
        one = desk.add(0, ONE)
        known = desk.add(1, TWO, track=one.id)
        report = desk.track(Order("slow", KEYS[0]))
        assert (report.unread, report.unsure) == (2, ())
        sizes = [[(a.shape.height, a.shape.width) for a in desk.at(place)
                  if isinstance(a.shape, Mask)] for place in range(2, FRAMES)]  # fmt: skip
        assert sizes == [[], [(240, 320)], [(240, 320)], [(80, 100)], [], [(240, 320)]]
        # The second image is a person's; that the one after it cannot be read loses nothing.
        assert desk.at(1) == (known,)
        assert (Slow.corrections[0] == disk_mask(TWO, 1)).all()
        desk.close()

    def test_it_says_how_far_it_is_in_a_clip_and_stops_there(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add(0, ONE)
        monkeypatch.setattr(Slow, "endless", True)
        seen: list[Progress] = []
        desk.run.progressed.connect(seen.append)
        desk.run.start(Order("slow", KEYS[0]))
        desk.until(lambda: bool(seen[-1].part))
        assert (seen[-1].done, seen[-1].part, seen[-1].device) == (0, "backbone", Slow.device)
        assert seen[-1].share == pytest.approx(1 / (FRAMES - 1))  # half of two images
        desk.run.stop()
        # The thread is free again.
        monkeypatch.setattr(Slow, "endless", False)
        assert desk.track(Order("slow", KEYS[0])).images == FRAMES - 1
        assert seen[-1].share == 1


def test_a_pace_knows_what_is_reached_of_the_images_at_hand() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    pace.go()
    now = 4.0
    pace.reach(1.0)
    assert pace.rate is None, "too early"
    now = 10.0
    pace.reach(2.5)
    assert pace.rate == pytest.approx(0.25)
    pace.count()
    pace.count()
    pace.count()
    assert pace.done == 3
    assert pace.rate == pytest.approx(0.3)


class TestTimeline:
    def test_it_reads_the_journal_and_follows_edits(self, desk: Desk) -> None:
        one = desk.add(0, ONE)
        desk.track(Order("motion", KEYS[0], images=3))
        desk.watch()
        assert list(desk.timeline.keys) == list(KEYS)
        assert desk.marks(one.id) == [Mark.EDITED, *[Mark.PROPOSED] * 3, *[Mark.NOTHING] * 4]
        desk.document.edit(KEYS[2], (), "Delete")
        assert desk.marks(one.id)[2] == Mark.NOTHING
        desk.workspace.select([one.id])
        assert desk.timeline.chosen == one.id
        assert desk.timeline.neighbour(1) == KEYS[1]
        desk.workspace.show("later/0.png")
        desk.until(lambda: list(desk.timeline.keys) == ["later/0.png"])
        assert desk.timeline.chosen is None

    def test_older_projects_have_tracks_by_whom_objects_follow(self, desk: Desk) -> None:
        one = desk.add(0, ONE)
        desk.track(Order("motion", KEYS[0], images=2))
        for place in range(3):
            before = tuple(replace(a, track=None) for a in desk.at(place))
            desk.document.edit(KEYS[place], before, "As it was")
        desk.watch()
        assert [row.track for row in desk.timeline.rows()] == [one.id]

    def test_cut_merge_delete_and_name(self, desk: Desk) -> None:
        one = desk.add(0, ONE)
        desk.track(Order("motion", KEYS[0]))
        desk.watch()
        with pytest.raises(UserError, match="nothing to cut"):
            desk.editing.cut(one.id, KEYS[0])
        other = desk.editing.cut(one.id, KEYS[5])
        desk.until(lambda: not desk.editing.running)
        assert [bool(mark) for mark in desk.marks(one.id)] == [True] * 5 + [False] * 3
        assert [bool(mark) for mark in desk.marks(other)] == [False] * 5 + [True] * 3
        # Following the new track goes on as the new track.
        desk.editing.accept(other)
        desk.until(lambda: Mark.PROPOSED not in desk.marks(other))
        desk.add(5, TWO, track=one.id)
        with pytest.raises(UserError, match=r"both in 1 image, the first is “clip/5.png”"):
            desk.editing.merge(one.id, other)
        desk.editing.delete_from(one.id, KEYS[4])
        desk.until(lambda: sum(map(bool, desk.marks(one.id))) == 4)
        name = desk.document.add_category("named").id
        desk.editing.rename(one.id, name)
        desk.until(lambda: not desk.editing.running)
        desk.editing.merge(one.id, other)
        desk.until(lambda: desk.marks(other) == [])
        assert {a.category_id for key in KEYS for a in desk.document.annotations(key)} == {name}
        assert [bool(mark) for mark in desk.marks(one.id)] == [True] * 4 + [False] + [True] * 3

    def test_gaps_are_filled_between_accepted_objects(self, desk: Desk) -> None:
        one = desk.add(0, ONE, track=77)
        desk.add(5, ONE, track=77)
        desk.document.set_reviewed(KEYS[2], reviewed=True)
        desk.watch()
        row = desk.timeline.row(77)
        assert row is not None
        desk.gaps.fill(row)
        desk.until(lambda: desk.marks(77)[4] == Mark.PROPOSED)
        assert desk.marks(77)[:6] == [3, 1, 0, 1, 1, 3]
        assert j(desk.at(3)[0], ONE, 3) > 0.9
        assert one.category_id == desk.at(3)[0].category_id
        with pytest.raises(UserError, match="no gap"):
            desk.gaps.fill(row)
