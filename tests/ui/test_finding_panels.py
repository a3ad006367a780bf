"""The lists of similar objects and of doubtful names, on a real project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from annotator.core.annotation import Annotation
from annotator.services.document import Document
from annotator.services.looks import Looks
from annotator.services.name_review import NameReview
from annotator.services.object_crops import ObjectCrops
from annotator.services.similar import Similar
from annotator.services.similar_search import SimilarSearch
from annotator.services.workspace import Workspace
from annotator.ui import review_panel, similar_panel
from annotator.ui.object_rows import ObjectRows
from annotator.ui.review_panel import ReviewPanel
from annotator.ui.similar_panel import SimilarPanel
from tests.ui import panels

Key = Qt.Key
PATIENCE = 20_000


class Desk:
    """Services and panels on a project of cats and dogs."""

    def __init__(self, qtbot: QtBot, workspace: Workspace) -> None:
        self.bot = qtbot
        self.workspace = workspace
        self.looks = Looks(workspace)
        search = SimilarSearch(workspace, self.looks)
        self.similar = Similar(workspace, workspace._settings, self.looks, search)
        self.review = NameReview(workspace, self.looks)
        self.crops = ObjectCrops(workspace, self.looks)
        self.until(lambda: len(self.document.keys()) == 2)
        self.cat, self.dog = (self.document.add_category(name).id for name in ("cat", "dog"))

    @property
    def document(self) -> Document:
        assert self.workspace.document is not None
        return self.workspace.document

    def until(self, condition) -> None:
        self.bot.waitUntil(condition, timeout=PATIENCE)

    def show(self, panel) -> None:
        self.bot.addWidget(panel)
        panel.resize(300, 600)
        panel.show()
        self.bot.waitExposed(panel)
        panel.activateWindow()
        panel.list.setFocus()

    def add(self, key: str, category: int | None, *vector: float, proposed: bool = False) -> int:
        document, number = self.document, self.document.new_id()
        made = Annotation(number, panels.square(10, 10), category, proposed=proposed)
        document.edit(key, (*document.annotations(key), made), "Add")
        document.set_vector(number, self.looks.space, np.array(vector, np.float32))
        return number

    def category(self, key: str, number: int) -> tuple[int | None, bool]:
        found = next(a for a in self.document.annotations(key) if a.id == number)
        return found.category_id, found.proposed


@pytest.fixture
def desk(tmp_path: Path, qtbot: QtBot) -> Iterator[Desk]:
    with panels.opened(tmp_path, qtbot) as workspace:
        desk = Desk(qtbot, workspace)
        yield desk
        workspace.close_project()
        desk.looks.close()


def ids(view: ObjectRows) -> list[int]:
    return [row.id for row in view.model_.rows]


def select(view: ObjectRows, number: int) -> None:
    view.setCurrentIndex(view.model_.index(ids(view).index(number)))


# --- Review ---


@pytest.fixture
def wrong(desk: Desk) -> list[int]:
    """Three objects with the wrong name, the worst first, among many with the right one."""
    for place in range(12):
        desk.add("a.png", desk.cat, 1, 0.01 * place)
        desk.add("b.png", desk.dog, 0.01 * place, 1)
    return [
        desk.add("b.png", desk.cat, 0, 1),
        desk.add("a.png", desk.dog, 1, 0.3),
        desk.add("a.png", desk.cat, 0.72, 0.75),
    ]


@pytest.fixture
def review(desk: Desk, wrong: list[int]) -> ReviewPanel:
    panel = ReviewPanel(desk.workspace, desk.review, desk.looks, desk.crops)
    desk.show(panel)
    desk.until(lambda: set(ids(panel.list)) == set(wrong) and desk.review.share is None)
    return panel


def test_enter_changes_the_name_and_the_next_one_follows(
    desk: Desk, review: ReviewPanel, wrong: list[int]
) -> None:
    assert ids(review.list)[0] in wrong[:2]
    assert review.state.text() == "3 of 27 names to look at"
    select(review.list, wrong[0])
    assert review.rename.text() == "dog"
    next_one = ids(review.list)[(ids(review.list).index(wrong[0]) + 1) % 3]
    QTest.keyClick(review.list, Key.Key_Return)
    assert desk.category("b.png", wrong[0]) == (desk.dog, False)
    assert desk.document.undo_text("b.png") == "Name dog"
    assert wrong[0] not in ids(review.list)
    (chosen,) = review.list.chosen()
    assert chosen.id == next_one
    assert review.list.hasFocus()
    desk.document.undo("b.png")
    desk.until(lambda: wrong[0] in ids(review.list))
    assert [row.id for row in review.list.chosen()] == [next_one], "the place is kept"


def test_space_says_that_it_is_right(desk: Desk, review: ReviewPanel, wrong: list[int]) -> None:
    select(review.list, wrong[1])
    QTest.keyClick(review.list, Key.Key_Space)
    assert wrong[1] not in ids(review.list)
    assert desk.category("a.png", wrong[1]) == (desk.dog, False)
    review.also_right.click()
    assert wrong[1] in ids(review.list)
    assert [row.id for row in review.list.model_.rows if row.marked] == [wrong[1]]
    select(review.list, wrong[1])
    assert review.right.text() == "Ask again"
    QTest.keyClick(review.list, Key.Key_Space)
    review.also_right.click()
    assert wrong[1] in ids(review.list)


def test_only_one_class(desk: Desk, review: ReviewPanel, wrong: list[int]) -> None:
    texts = [review.filter.itemText(i) for i in range(review.filter.count())]
    assert texts == ["All classes (3)", "cat (2)", "dog (1)"]
    review.filter.setCurrentIndex(2)
    review.filter.activated.emit(2)
    assert ids(review.list) == [wrong[1]]
    QTest.keyClick(review.list, Key.Key_Down)
    QTest.keyClick(review.list, Key.Key_Enter)
    assert ids(review.list) == []
    assert "agree" in review.list.placeholder
    assert review.filter.currentText() == "dog (0)", "the filter stays until another is chosen"


def test_updates_in_the_background_take_neither_focus_nor_place(
    desk: Desk, qtbot: QtBot, review: ReviewPanel, wrong: list[int]
) -> None:
    field = QLineEdit(review)
    field.show()
    select(review.list, wrong[2])
    field.setFocus()
    shown: list[object] = []
    review.shown.connect(lambda *args: shown.append(args))
    worse = desk.add("a.png", desk.dog, 1, 0.001)
    desk.until(lambda: worse in ids(review.list))
    assert QApplication.focusWidget() is field
    assert [row.id for row in review.list.chosen()] == [wrong[2]]
    assert review.list.currentIndex().row() == ids(review.list).index(wrong[2])
    assert shown == []


def test_a_click_or_a_rest_shows_the_object(
    desk: Desk, qtbot: QtBot, review: ReviewPanel, wrong: list[int]
) -> None:
    place = review.list.visualRect(review.list.model_.index(ids(review.list).index(wrong[0])))
    with qtbot.waitSignal(review.shown) as shown:
        QTest.mouseClick(review.list.viewport(), Qt.MouseButton.LeftButton, pos=place.center())
    assert shown.args == ["b.png", wrong[0]]
    select(review.list, ids(review.list)[0])
    with qtbot.waitSignal(review.shown) as shown:
        QTest.keyClick(review.list, Key.Key_Down)
    assert shown.args is not None
    assert shown.args[1] == ids(review.list)[1]


def test_other_names_are_in_the_menu(desk: Desk, review: ReviewPanel, wrong: list[int]) -> None:
    select(review.list, wrong[2])
    review.others.menu().aboutToShow.emit()
    entries = review.others.menu().actions()
    assert [entry.text().split("\t")[0] for entry in entries] == ["dog"]
    entries[0].trigger()
    assert desk.category("a.png", wrong[2]) == (desk.dog, False)


def test_objects_nobody_has_looked_at_are_looked_at(desk: Desk, review: ReviewPanel) -> None:
    assert not review.look.isVisible()
    for key in ("a.png", "b.png"):
        made = Annotation(desk.document.new_id(), panels.square(10, 10), desk.cat)
        desk.document.edit(key, (*desk.document.annotations(key), made), "Import")
    desk.until(review.look.isVisible)
    assert review.unseen.text() == "2 objects are left out: nobody has looked at them yet."
    review.look.click()
    desk.until(lambda: not desk.looks.describing and not review.look.isVisible())


def test_an_empty_project_is_explained(desk: Desk) -> None:
    panel = ReviewPanel(desk.workspace, desk.review, desk.looks, desk.crops)
    desk.show(panel)
    desk.until(lambda: "some objects have one" in panel.list.placeholder)
    assert not panel.rename.isEnabled()
    panel.grab()  # paints the placeholder


def test_only_the_worst_doubts_are_kept(
    desk: Desk, wrong: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotator.services.name_review.LISTED", 2)
    panel = ReviewPanel(desk.workspace, desk.review, desk.looks, desk.crops)
    desk.show(panel)
    desk.until(lambda: len(ids(panel.list)) == 2)
    assert wrong[2] not in ids(panel.list)
    assert panel.state.text() == "2 or more of 27 names to look at"


def test_many_doubts_come_in_portions(
    desk: Desk, review: ReviewPanel, wrong: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_panel, "MOST", 2)
    first = ids(review.list)[:2]
    review.also_right.click()
    assert ids(review.list) == first


# --- Similar ---


@pytest.fixture
def similar(desk: Desk) -> SimilarPanel:
    panel = SimilarPanel(desk.workspace, desk.similar, desk.crops)
    desk.show(panel)
    return panel


def ask(desk: Desk, number: int) -> None:
    desk.workspace.select([number])
    desk.similar.ask()


def test_chosen_rows_get_the_name_and_the_others_stay(
    desk: Desk, qtbot: QtBot, similar: SimilarPanel
) -> None:
    assert "Select one object" in similar.list.placeholder
    assert not similar.accept.isEnabled()
    asked = desk.add("a.png", desk.cat, 1, 0)
    near = desk.add("b.png", None, 1, 0.05, proposed=True)
    other = desk.add("b.png", desk.dog, 1, 0.3)
    far = desk.add("b.png", None, 0, 1)
    ask(desk, asked)
    desk.until(lambda: ids(similar.list) == [near, other])
    assert similar.title.text() == "Like “cat” in a.png · 2 found"
    assert similar.accept.text() == "Name all 2"
    select(similar.list, near)
    assert similar.accept.text() == "Name selected 1"
    QTest.keyClick(similar.list, Key.Key_Return)
    assert desk.category("b.png", near) == (desk.cat, False)
    desk.until(lambda: ids(similar.list) == [other])
    similar.slider.setValue(0)
    desk.until(lambda: ids(similar.list) == [other, far])
    assert similar.least.text() == "≥ 0 %"
    QTest.keyClick(similar.list, Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    similar.accept.click()
    desk.until(lambda: ids(similar.list) == [])
    assert desk.category("b.png", far) == (desk.cat, False)
    assert similar.list.placeholder == similar_panel.NOTHING_FOUND


def test_without_a_name_there_is_nothing_to_give(desk: Desk, similar: SimilarPanel) -> None:
    asked, near = desk.add("a.png", None, 1, 0), desk.add("b.png", None, 1, 0.1)
    ask(desk, asked)
    desk.until(lambda: ids(similar.list) == [near])
    assert similar.title.text() == "Like this object in a.png · 1 found"
    assert not similar.accept.isEnabled()
    assert "a name first" in similar.accept.toolTip()
    said: list[str] = []
    desk.workspace.reported.connect(lambda error: said.append(error.message))
    select(similar.list, near)
    QTest.keyClick(similar.list, Key.Key_Return)
    assert "no name yet" in said[0]
    desk.document.edit("a.png", (), "Delete")
    desk.until(lambda: similar.title.text() == "The object is gone.")


def test_other_names_and_colours_are_followed(desk: Desk, similar: SimilarPanel) -> None:
    asked, near = desk.add("a.png", desk.cat, 1, 0), desk.add("b.png", desk.dog, 1, 0.1)
    ask(desk, asked)
    desk.until(lambda: ids(similar.list) == [near])
    assert [name.text for name in similar.list.model_.rows[0].names] == ["dog"]
    desk.document.change_category(replace(desk.document.category(desk.dog), name="wolf"))
    desk.until(lambda: similar.list.model_.rows[0].names[0].text == "wolf")


def test_keys_of_the_list_are_no_commands(desk: Desk, similar: SimilarPanel) -> None:
    for key, modifiers, own in (
        (Key.Key_Return, Qt.KeyboardModifier.NoModifier, True),
        (Key.Key_Space, Qt.KeyboardModifier.NoModifier, True),
        (Key.Key_Escape, Qt.KeyboardModifier.NoModifier, True),
        (Key.Key_A, Qt.KeyboardModifier.ControlModifier, True),
        (Key.Key_D, Qt.KeyboardModifier.NoModifier, False),
        (Key.Key_Return, Qt.KeyboardModifier.ControlModifier, False),
    ):
        event = QKeyEvent(QEvent.Type.ShortcutOverride, key, modifiers)
        event.ignore()
        QApplication.sendEvent(similar.list, event)
        assert event.isAccepted() == own, key


def test_esc_goes_back(qtbot: QtBot, similar: SimilarPanel) -> None:
    with qtbot.waitSignal(similar.left):
        QTest.keyClick(similar.list, Key.Key_Escape)
