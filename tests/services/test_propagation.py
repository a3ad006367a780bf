"""Objects followed from image to image: real documents, real threads, a toy model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.annotation import Annotation, Annotations, Source
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.proposals import accepted
from annotator.services.document import Document
from annotator.services.looks import Looks
from annotator.services.propagation import Progress, Propagation, Report
from annotator.services.settings import SettingsStore
from annotator.services.workspace import Workspace
from models.api import Box, Point, Prompt
from tests.models.moving import Disk, disk_mask, scene, write
from tests.models.toy_segmenter import ToyModel
from tests.services.test_everything import PATIENCE, is_shown

ONE = Disk(70, 70, 26, dx=5, dy=3, seed=1)
TWO = Disk(230, 160, 30, dx=-4, dy=2, seed=2)
FRAMES = 5
# Natural order: 9 before 10.
KEYS = tuple(f"f{number}.png" for number in range(8, 8 + FRAMES))


class Desk:
    """All that belongs together."""

    def __init__(self, qtbot: QtBot, folder: Path, **settings: str) -> None:
        self.bot = qtbot
        store = SettingsStore(folder.parent / "settings.ini")
        store.update(**({"model": "toy"} | settings))
        self.settings = store
        self.workspace = Workspace(store)
        self.looks = Looks(self.workspace)
        self.propagation = Propagation(self.workspace, self.looks)
        self.workspace.open_folder(folder)
        self.until(lambda: is_shown(self.workspace, KEYS[0]))
        self.until(lambda: len(self.document.keys()) >= FRAMES)
        self.thing = self.document.add_category("thing").id

    @property
    def document(self) -> Document:
        assert self.workspace.document is not None
        return self.workspace.document

    def until(self, condition) -> None:
        self.bot.waitUntil(condition, timeout=PATIENCE)

    def add(self, key: str, disk: Disk, shape: Mask | Box | None = None) -> Annotation:
        """A person marks a disk in an image."""
        mask = shape or raster.from_array(disk_mask(disk, KEYS.index(key)))
        one = Annotation(self.document.new_id(), mask, self.thing)
        self.document.edit(key, (*self.document.annotations(key), one), "Add thing")
        return one

    def run(self, key: str, chosen: tuple[int, ...] = (), count: int = 10) -> Report:
        """Follow objects to the end."""
        with self.bot.waitSignal(self.propagation.finished, timeout=PATIENCE) as done:
            self.propagation.start(self.document, key, frozenset(chosen), count)
        assert not self.propagation.running
        assert done.args is not None
        report = done.args[0]
        assert isinstance(report, Report)
        return report

    def proposals(self, key: str) -> Annotations:
        return tuple(a for a in self.document.annotations(key) if a.proposed)

    def close(self) -> None:
        self.workspace.close()
        self.looks.close()


def j(annotation: Annotation, disk: Disk, key: str) -> float:
    """Region similarity with where the disk is."""
    assert isinstance(annotation.shape, Mask)
    return raster.iou(annotation.shape, raster.from_array(disk_mask(disk, KEYS.index(key))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for time, key in enumerate(KEYS):
        write(tmp_path / "images" / key, scene((ONE, TWO), time))
    # Another sequence.
    write(tmp_path / "images" / "later" / "f1.png", scene((ONE,), 0))
    return tmp_path / "images"


@pytest.fixture
def desk(qtbot: QtBot, toy: ToyModel, folder: Path) -> Iterator[Desk]:
    desk = Desk(qtbot, folder)
    yield desk
    desk.close()


def test_all_accepted_objects_go_on_to_the_end_of_the_folder(desk: Desk) -> None:
    one, two = desk.add(KEYS[0], ONE), desk.add(KEYS[0], TWO)
    seen: list[Progress] = []
    desk.propagation.progressed.connect(seen.append)
    report = desk.run(KEYS[0])
    assert report == Report(KEYS[0], 2, KEYS[-1], FRAMES - 1, 2 * (FRAMES - 1))
    assert [p.share for p in seen] == sorted(p.share for p in seen)
    assert (seen[-1].place, seen[-1].images) == (FRAMES - 1, FRAMES - 1)
    for key in KEYS[1:]:
        first, second = desk.proposals(key)
        assert j(first, ONE, key) > 0.85
        assert j(second, TWO, key) > 0.85
        assert (first.origin.follows, second.origin.follows) == (one.id, two.id)
        assert (first.track, second.track) == (one.id, two.id)
        assert first.category_id == desk.thing
        origin = first.origin
        assert (origin.source, origin.model, origin.version) == (Source.MODEL, "motion+toy", "1")
        assert origin.score is not None
        assert 0.6 <= origin.score <= 1
        assert origin.prompt is not None
        assert origin.prompt.box is not None
        assert len(origin.prompt.points) == 1
        # One step for both, and it is recorded like any other.
        assert desk.document.undo_text(key) == "Propagate 2 objects"
        desk.document.undo(key)
        assert desk.document.annotations(key) == ()
    assert desk.document.annotations("later/f1.png") == ()
    # What was marked is as it was, but it says now which track it began.
    begun = tuple(replace(a, track=a.id) for a in (one, two))
    assert desk.document.annotations(KEYS[0]) == begun


def test_only_the_chosen_object_and_only_one_image(desk: Desk) -> None:
    desk.add(KEYS[0], ONE)
    two = desk.add(KEYS[0], TWO)
    report = desk.run(KEYS[0], (two.id,), 1)
    assert (report.objects, report.images, report.reached) == (1, 1, KEYS[1])
    (found,) = desk.proposals(KEYS[1])
    assert j(found, TWO, KEYS[1]) > 0.85
    assert desk.document.annotations(KEYS[2]) == ()


def test_an_accepted_object_stays_and_shows_the_way(desk: Desk) -> None:
    desk.add(KEYS[0], ONE)
    # A person's mask of the second image is smaller: the rest of the way it is what counts.
    small = replace(ONE, radius=21)
    there = desk.add(KEYS[1], small)
    report = desk.run(KEYS[0])
    assert desk.document.annotations(KEYS[1]) == (there,)
    assert report.proposed == FRAMES - 2
    for key in KEYS[2:]:
        (found,) = desk.proposals(key)
        assert j(found, small, key) > j(found, ONE, key)


def test_an_object_of_another_class_is_no_obstacle(desk: Desk) -> None:
    desk.add(KEYS[0], ONE)
    other = desk.document.add_category("other").id
    there = replace(desk.add(KEYS[1], ONE), category_id=other)
    desk.document.edit(KEYS[1], (there,), "Name other")
    desk.run(KEYS[0], count=1)
    assert there in desk.document.annotations(KEYS[1])
    assert len(desk.proposals(KEYS[1])) == 1


def test_following_again_replaces_only_untouched_proposals_of_the_same_object(desk: Desk) -> None:
    one, two = desk.add(KEYS[0], ONE), desk.add(KEYS[0], TWO)
    foreign = replace(
        desk.add(KEYS[1], Disk(160, 30, 10)), proposed=True, category_id=None
    )  # from everything mode
    desk.document.edit(KEYS[1], (foreign,), "Propose")
    desk.run(KEYS[0], count=4)
    first = {key: desk.proposals(key) for key in KEYS[1:]}
    # One is accepted, one is named otherwise; then both objects are followed again.
    kept = accepted(first[KEYS[2]][0])
    other = desk.document.add_category("other").id
    named = replace(first[KEYS[3]][0], category_id=other)
    desk.document.edit(KEYS[2], (kept, first[KEYS[2]][1]), "Accept")
    desk.document.edit(KEYS[3], (named, first[KEYS[3]][1]), "Name")
    desk.run(KEYS[0], count=4)
    now = {key: desk.document.annotations(key) for key in KEYS}
    assert foreign in now[KEYS[1]]
    assert len(now[KEYS[1]]) == 3
    assert {a.id for a in now[KEYS[1]]} & {a.id for a in first[KEYS[1]]} == {foreign.id}
    assert now[KEYS[2]][0] == kept
    assert now[KEYS[3]][0] == named
    for key in KEYS[2:]:
        assert sorted(a.origin.follows or 0 for a in now[key]) == [one.id, two.id]
    # Only one of them: the other one's proposals are nobody's business.
    desk.run(KEYS[0], (two.id,), 1)
    assert [a.id for a in desk.proposals(KEYS[1]) if a.origin.follows == one.id] == [
        a.id for a in now[KEYS[1]] if a.origin.follows == one.id
    ]
    assert len(desk.proposals(KEYS[1])) == 3


def test_going_on_from_an_accepted_proposal_is_the_same_object(desk: Desk) -> None:
    one = desk.add(KEYS[0], ONE)
    desk.run(KEYS[0], count=2)
    (found,) = desk.proposals(KEYS[1])
    desk.document.edit(KEYS[1], (accepted(found),), "Accept")
    before = desk.proposals(KEYS[2])
    desk.run(KEYS[1], count=1)
    (after,) = desk.proposals(KEYS[2])
    assert after.origin.follows == one.id
    assert after.id != before[0].id


def test_an_unsure_object_is_shown_where_it_stopped_and_others_go_on(
    desk: Desk, folder: Path
) -> None:
    # In the third image the first disk is elsewhere.
    jumped = replace(ONE, x=250, y=20)
    for time in range(2, FRAMES):
        write(folder / KEYS[time], scene((jumped, TWO), time))
    desk.add(KEYS[0], ONE)
    two = desk.add(KEYS[0], TWO)
    report = desk.run(KEYS[0])
    ((where, ids),) = report.unsure
    assert where == KEYS[2]
    assert len(ids) == 1
    assert report.reached == KEYS[-1]
    unsure = [a for a in desk.proposals(KEYS[2]) if a.id in ids]
    if unsure:
        assert (unsure[0].origin.score or 0) < 0.6
    for key in KEYS[3:]:
        assert [a.origin.follows for a in desk.proposals(key)] == [two.id]
    # Corrected there, it goes on.
    desk.document.edit(KEYS[2], (), "Clear")
    there = desk.add(KEYS[2], jumped)
    report = desk.run(KEYS[2])
    assert report.unsure == ()
    assert [a.origin.follows for a in desk.proposals(KEYS[3])] == [two.id, there.id]


def test_an_object_that_leaves_the_image_ends(qtbot: QtBot, toy: ToyModel, tmp_path: Path) -> None:
    leaving = Disk(295, 120, 22, dx=14)
    for time, key in enumerate(KEYS):
        write(tmp_path / "images" / key, scene((leaving,), time))
    desk = Desk(qtbot, tmp_path / "images")
    try:
        desk.add(KEYS[0], leaving)
        report = desk.run(KEYS[0])
        assert (report.left, report.unsure) == (1, ())
        assert desk.proposals(KEYS[1])
        assert not desk.proposals(KEYS[-1])
    finally:
        desk.close()


def test_a_rectangle_stays_a_rectangle(desk: Desk) -> None:
    x, y, radius = ONE.at(0)
    box = Box(x - radius, y - radius, x + radius, y + radius)
    desk.add(KEYS[0], ONE, box)
    desk.run(KEYS[0])
    for time, key in enumerate(KEYS[1:], 1):
        (found,) = desk.proposals(key)
        assert isinstance(found.shape, Box)
        x, y, radius = ONE.at(time)
        edges = (found.shape.x0, found.shape.y0, found.shape.x1, found.shape.y1)
        truth = (x - radius, y - radius, x + radius, y + radius)
        assert edges == pytest.approx(truth, abs=4)


def test_an_unreadable_image_is_passed_over(desk: Desk, folder: Path) -> None:
    (folder / KEYS[1]).write_bytes(b"no image")
    desk.add(KEYS[0], TWO)
    report = desk.run(KEYS[0])
    assert (report.unread, report.images, report.unsure) == (1, FRAMES - 2, ())
    assert desk.document.annotations(KEYS[1]) == ()
    assert j(desk.proposals(KEYS[2])[0], TWO, KEYS[2]) > 0.8


def test_a_source_that_cannot_be_read_is_told(desk: Desk, folder: Path) -> None:
    desk.add(KEYS[0], ONE)
    (folder / KEYS[0]).write_bytes(b"no image")
    told: list[UserError] = []
    desk.propagation.failed.connect(told.append)
    report = desk.run(KEYS[0])
    assert report.stopped
    assert KEYS[0] in told[0].message


def test_a_reviewed_image_is_left_alone_but_passed_through(desk: Desk) -> None:
    desk.add(KEYS[0], ONE)
    desk.document.set_reviewed(KEYS[1], True)
    desk.run(KEYS[0])
    assert desk.document.annotations(KEYS[1]) == ()
    assert len(desk.proposals(KEYS[2])) == 1


def test_nothing_to_follow_and_nowhere_to_go(desk: Desk) -> None:
    with pytest.raises(UserError, match="no accepted object"):
        desk.propagation.start(desk.document, KEYS[0], frozenset(), 1)
    one = desk.add(KEYS[-1], ONE)
    with pytest.raises(UserError, match="last image of its folder"):
        desk.propagation.start(desk.document, KEYS[-1], frozenset((one.id,)), 1)
    assert not desk.propagation.running


def test_stopping_keeps_what_is_there_and_nothing_comes_later(desk: Desk) -> None:
    desk.add(KEYS[0], ONE)
    running: list[bool] = []
    reports: list[Report] = []
    desk.propagation.running_changed.connect(running.append)
    desk.propagation.finished.connect(reports.append)

    def stop_in_the_second(progress: Progress) -> None:
        if progress.place == 2:
            desk.propagation.stop()

    desk.propagation.progressed.connect(stop_in_the_second)
    desk.propagation.start(desk.document, KEYS[0], frozenset(), 10)
    with pytest.raises(UserError, match="already"):
        desk.propagation.start(desk.document, KEYS[0], frozenset(), 10)
    desk.until(lambda: not desk.propagation.running)
    assert running == [True, False]
    (report,) = reports
    assert (report.stopped, report.images) == (True, 1)
    assert len(desk.proposals(KEYS[1])) == 1
    # Whatever was under way is over; a new run is not disturbed by it.
    desk.propagation.progressed.disconnect(stop_in_the_second)
    assert desk.run(KEYS[0], count=2).images == 2


def test_another_model_and_another_project_end_it(desk: Desk, tmp_path: Path) -> None:
    desk.add(KEYS[0], ONE)
    desk.propagation.start(desk.document, KEYS[0], frozenset(), 10)
    desk.settings.update(model="basic")
    assert not desk.propagation.running
    desk.settings.update(model="toy")
    desk.propagation.start(desk.document, KEYS[0], frozenset(), 10)
    desk.workspace.close_project()
    assert not desk.propagation.running


def test_a_click_comes_before_the_next_step(desk: Desk, toy: ToyModel) -> None:
    for _ in range(4):
        desk.add(KEYS[0], ONE)
    order: list[str] = []
    desk.propagation.progressed.connect(lambda p: order.append(f"step {p.place}"))

    def answered(_: object) -> None:
        order.append("answer")

    desk.workspace.assistant.answered.connect(answered)

    def click(progress: Progress) -> None:
        if progress.place == 1 and "click" not in order:
            order.append("click")
            picture = desk.workspace.picture()
            assert picture is not None
            desk.workspace.assistant.ask(picture, Prompt((Point(70, 70),)))

    desk.propagation.progressed.connect(click)
    desk.run(KEYS[0])
    between = order[order.index("click") + 1 : order.index("answer")]
    assert len(between) <= 2


def test_embeddings_are_made_by_the_thread_that_gives_way(desk: Desk, toy: ToyModel) -> None:
    desk.add(KEYS[0], ONE)
    desk.until(lambda: bool(toy.calls))
    desk.workspace.assistant.look_ahead(())
    desk.run(KEYS[0])
    later = toy.threads[1:]
    assert set(later) <= {"models ahead"}
    assert len(toy.calls) >= FRAMES
