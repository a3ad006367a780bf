"""Names that similar objects speak against: real documents, real threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from annotator.core.annotation import Annotation, Category
from annotator.services.document import Document
from annotator.services.looks import Looks
from annotator.services.name_review import NameReview, Scorer
from annotator.services.object_crops import DIMMED, ObjectCrops
from annotator.services.workspace import Workspace
from models.api import Box
from tests.preferences import quick

PATIENCE = 20_000
KEYS = ("a.png", "b.png", "c.png")
SPACE = "basic-descriptor-1"


class Desk:
    """A project of two classes, and its review."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self.bot = qtbot
        self.workspace = Workspace(quick(folder.parent))
        self.looks = Looks(self.workspace)
        self.review = NameReview(self.workspace, self.looks)
        self.crops = ObjectCrops(self.workspace, self.looks)
        self.workspace.open_folder(folder)
        self.until(lambda: len(self.document.keys()) == len(KEYS))
        self.cat, self.dog = (self.document.add_category(name).id for name in ("cat", "dog"))

    @property
    def document(self) -> Document:
        assert self.workspace.document is not None
        return self.workspace.document

    def until(self, condition) -> None:
        self.bot.waitUntil(condition, timeout=PATIENCE)

    def add(self, key: str, category: int | None, vector: Sequence[float] | None) -> int:
        number = self.document.new_id()
        shape = Box(1, 1, 9, 7)
        objects = (*self.document.annotations(key), Annotation(number, shape, category))
        self.document.edit(key, objects, "Add")
        if vector is not None:
            self.document.set_vector(number, SPACE, np.array(vector, np.float32))
        return number

    def fill(self) -> int:
        """Cats and dogs in three images, and one dog called a cat: its id."""
        for place, key in enumerate(KEYS):
            for turn in range(4):
                self.add(key, self.cat, (1, 0.02 * (place + turn)))
                self.add(key, self.dog, (0.02 * (place + turn), 1))
        return self.add("b.png", self.cat, (0.01, 1))

    def settle(self) -> None:
        """Until the review has taken in all that happened."""
        found: list[object] = []
        self.until(lambda: not self.review._wait.isActive())
        self.looks.stream("settle", lambda _: iter(()), found.append, lambda: found.append(1))
        self.until(lambda: bool(found) and self.review.share is None)

    def doubted(self) -> list[int]:
        return [doubt.id for doubt in self.review.doubts if not doubt.confirmed]

    def close(self) -> None:
        self.workspace.close()
        self.looks.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.full((20, 30, 3), 200, np.uint8)
    for name in KEYS:
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def desk(qtbot: QtBot, folder: Path) -> Iterator[Desk]:
    desk = Desk(qtbot, folder)
    yield desk
    desk.close()


def test_a_wrong_name_is_found_changed_and_taken_back(desk: Desk) -> None:
    wrong = desk.fill()
    desk.review.set_active(True)
    desk.until(lambda: desk.doubted() == [wrong])
    (doubt,) = desk.review.doubts
    assert (doubt.key, doubt.category_id) == ("b.png", desk.cat)
    assert doubt.others[0][0] == desk.dog
    assert doubt.amount > 0.9
    assert desk.review.compared == 25
    desk.review.rename(doubt, doubt.others[0][0])
    assert desk.doubted() == [], "at once"
    assert desk.document.annotations("b.png")[-1].category_id == desk.dog
    assert desk.document.undo_text("b.png") == "Name dog"
    desk.settle()
    assert desk.doubted() == []
    desk.workspace.proposals.take_back()
    desk.until(lambda: desk.doubted() == [wrong])


def test_edits_are_followed_in_the_background(desk: Desk) -> None:
    wrong = desk.fill()
    desk.review.set_active(True)
    desk.until(lambda: desk.doubted() == [wrong])
    another = desk.add("c.png", desk.dog, (1, 0.01))
    desk.until(lambda: set(desk.doubted()) == {wrong, another})
    kept = tuple(a for a in desk.document.annotations("b.png") if a.id != wrong)
    desk.document.edit("b.png", kept, "Delete")
    assert desk.doubted() == [another], "at once"
    desk.document.undo("b.png")
    desk.until(lambda: set(desk.doubted()) == {wrong, another})
    desk.review.set_active(False)
    desk.add("c.png", desk.dog, (1, 0.03))
    assert not desk.review._wait.isActive(), "nobody looks"


def test_what_is_right_stays_right_after_a_restart(desk: Desk, qtbot: QtBot, folder: Path) -> None:
    wrong = desk.fill()
    desk.review.set_active(True)
    desk.until(lambda: desk.doubted() == [wrong])
    desk.review.confirm(desk.review.doubts[0])
    assert desk.doubted() == []
    assert [doubt.confirmed for doubt in desk.review.doubts] == [True]
    cat, dog = desk.cat, desk.dog
    desk.workspace.close_project()
    assert desk.review.doubts == ()
    desk.workspace.open_folder(folder)
    desk.until(lambda: len(desk.review.doubts) == 1)
    assert desk.doubted() == []
    # Only that name was confirmed.
    third = desk.document.add_category("cow").id
    (target,) = [a for a in desk.document.annotations("b.png") if a.id == wrong]
    others = tuple(a for a in desk.document.annotations("b.png") if a.id != wrong)
    desk.document.edit("b.png", (*others, replace(target, category_id=third)), "Name")
    desk.until(lambda: desk.doubted() == [wrong])
    desk.document.undo("b.png")
    desk.until(lambda: [d.category_id for d in desk.review.doubts] == [cat])
    assert desk.doubted() == []
    desk.review.confirm(desk.review.doubts[0], right=False)
    assert desk.doubted() == [wrong]
    assert desk.review.doubts[0].others[0][0] == dog


def test_a_further_ranking_is_weighed_in(desk: Desk) -> None:
    desk.fill()
    unseen = desk.add("c.png", desk.cat, None)
    desk.document.set_vector(unseen, "text", np.array((0, 1, 0), np.float32))
    asked: list[tuple[str, ...]] = []

    def make(categories: Sequence[Category]) -> list[Scorer]:
        asked.append(tuple(category.name for category in categories))
        return [Scorer("text", lambda vectors: vectors[:, : len(categories)])]

    desk.review.set_scorers(make)
    desk.review.set_active(True)
    desk.until(lambda: unseen in desk.doubted())
    assert asked[-1] == ("cat", "dog")
    assert next(d for d in desk.review.doubts if d.id == unseen).amount == pytest.approx(1)


def test_objects_nobody_has_looked_at_are_counted(desk: Desk) -> None:
    desk.fill()
    desk.add("c.png", desk.cat, None)
    desk.review.set_active(True)
    desk.until(lambda: desk.review.unseen == 1)
    assert desk.review.compared == 25


def test_long_comparisons_tell_what_they_know_so_far(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotator.core.neighbours.BLOCK", 3)
    monkeypatch.setattr("annotator.services.name_review.TELL_S", 0.0)
    wrong = desk.fill()
    seen: list[tuple[float | None, int]] = []
    desk.review.progressed.connect(
        lambda: seen.append((desk.review.share, len(desk.review.doubts)))
    )
    desk.review.set_active(True)
    desk.until(lambda: desk.doubted() == [wrong] and desk.review.share is None)
    early = [doubts for share, doubts in seen if share is not None]
    assert len(early) >= 8, "a step for every three objects"
    assert any(early), "some are told before all is compared"


def test_few_objects_and_classes_doubt_nothing(desk: Desk) -> None:
    desk.review.set_active(True)
    desk.settle()
    assert desk.review.doubts == ()
    desk.add("a.png", desk.cat, (1, 0))
    desk.settle()
    assert desk.review.doubts == ()


def test_crops_show_the_object_in_the_light(desk: Desk) -> None:
    number = desk.add("a.png", desk.cat, None)
    (annotation,) = desk.document.annotations("a.png")
    assert desk.crops.get("a.png", annotation) is None
    desk.until(lambda: desk.crops.get("a.png", annotation) is not None)
    image = desk.crops.get("a.png", annotation)
    assert image is not None
    assert annotation.id == number
    middle, corner = image.pixelColor(image.rect().center()), image.pixelColor(0, 0)
    assert middle.red() == 200
    assert corner.red() == pytest.approx(200 * DIMMED, abs=1)
    (desk.document.folder / "c.png").write_bytes(b"no image")
    desk.add("c.png", desk.cat, None)
    (lost,) = desk.document.annotations("c.png")
    desk.until(lambda: desk.crops.get("c.png", lost) is not None)
    picture = desk.crops.get("c.png", lost)
    assert picture is not None
    assert picture.isNull()
