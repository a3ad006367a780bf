"""Proposals on the canvas, in the object list and in their panel, on a real project."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter, QTransform

from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.proposals import ProposalFilter
from annotator.services.workspace import Workspace
from annotator.ui import items
from annotator.ui.annotation_list import AnnotationList
from annotator.ui.items import AnnotationItem
from annotator.ui.key_guard import RELEASE_MS
from annotator.ui.proposals_panel import LIMITS, STEPS, ProposalsPanel
from models.api import Box
from tests.ui import canvas_case, panels
from tests.ui.canvas_case import Hand, rectangle

Key = Qt.Key


@pytest.fixture
def workspace(tmp_path, qtbot):
    with panels.opened(tmp_path, qtbot) as workspace:
        yield workspace


@pytest.fixture
def hand(tmp_path, qtbot):
    with canvas_case.opened(tmp_path, qtbot) as hand:
        hand.workspace.set_tool("select")
        yield hand


@pytest.fixture
def objects(workspace, qtbot):
    widget = AnnotationList(workspace)
    qtbot.addWidget(widget)
    widget.resize(320, 600)
    widget.show()
    qtbot.waitExposed(widget)
    widget.activateWindow()
    widget.view.setFocus()
    return widget


def propose(workspace: Workspace, *shapes, name: str = "", score: float | None = None) -> list[int]:
    """Proposals on top of all objects; their ids."""
    document, key = workspace.document, workspace.key
    category = document.add_category(name).id if name else None
    origin = Origin(Source.MODEL, "edgesam", "3x", score)
    made = [Annotation(document.new_id(), s, category, origin, proposed=True) for s in shapes]
    document.edit(key, (*workspace.annotations, *made), "Propose")
    return [annotation.id for annotation in made]


def open_ids(workspace: Workspace) -> list[int]:
    return [a.id for a in workspace.annotations if a.proposed]


def rows(objects: AnnotationList) -> list[int]:
    return [a.id for a in objects.view.model_.rows]


# --- Drawing ---


def painted(annotation: Annotation, zoom: float, kind: str = "object", color="#E69F00"):
    """Alpha of a 60 x 60 image."""
    size = round(60 * zoom)
    image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(0)
    with QPainter(image) as painter:
        painter.setTransform(QTransform.fromScale(zoom, zoom))
        item = AnnotationItem(annotation, color)
        item.paint(painter, Box(0, 0, 60, 60), 1 / zoom, 0.5, kind)
    return np.frombuffer(image.constBits(), np.uint8).reshape(size, size, 4)[..., 3].copy()


@pytest.mark.parametrize("zoom", [1.0, 2.5, 4.0, 9.0])
@pytest.mark.parametrize("kind", ["object", "dense"])
@pytest.mark.parametrize("shape", [rectangle(10, 10, 50, 50), Box(10, 10, 50, 50)], ids=str)
def test_the_outline_of_a_proposal_is_broken_and_that_of_an_object_is_not(zoom, kind, shape):
    edge, ends = round(10 * zoom), slice(round(14 * zoom), round(46 * zoom))
    for proposed in (True, False):
        alpha = painted(Annotation(1, shape, 1, proposed=proposed), zoom, kind)
        line = alpha[max(edge - 2, 0) : edge + 3, ends].max(axis=0)
        inside = alpha[alpha.shape[0] // 2, alpha.shape[1] // 2]
        gaps = (line <= inside + 2).mean()
        assert gaps > 0.25 if proposed else gaps == 0, (proposed, gaps)


def test_a_proposal_covers_less_of_the_image_than_an_object():
    filled = [
        painted(Annotation(1, rectangle(10, 10, 50, 50), 1, proposed=proposed), 2.0)[60, 60]
        for proposed in (True, False)
    ]
    assert 0 < filled[0] < filled[1] / 2


def test_a_proposal_without_a_class_never_looks_like_an_object_without_one():
    unnamed = items.style("", "object", 0.5, 1.0)
    proposed = items.style("", "proposed", 0.5, 1.0)
    assert proposed.fill.color().rgb() != unnamed.fill.color().rgb()
    assert not any(pen.dashPattern() for pen in unnamed.strokes), "dashed means proposed"
    assert all(pen.dashPattern() for pen in proposed.strokes)


def test_tiny_proposals_stay_visible():
    alpha = painted(Annotation(1, rectangle(30, 30, 32, 32), proposed=True), 0.5, color="")
    assert (alpha > 100).sum() >= 9


def test_an_accepted_proposal_keeps_the_outline_that_was_traced():
    proposal = Annotation(1, rectangle(10, 10, 50, 50), 1, proposed=True)
    before = AnnotationItem(proposal, "#E69F00")
    assert before.prepare(1.0)
    after = AnnotationItem(replace(proposal, proposed=False), "#E69F00", before)
    assert not after.prepare(1.0), "nothing left to trace"
    moved = replace(proposal, shape=rectangle(11, 10, 50, 50))
    assert AnnotationItem(moved, "#E69F00", before).prepare(1.0)


# --- On the canvas ---


def test_the_canvas_shows_and_hits_what_the_filter_shows(hand: Hand):
    workspace = hand.workspace
    (weak,) = propose(workspace, rectangle(20, 20, 60, 60), score=0.3)
    (strong,) = propose(workspace, rectangle(100, 20, 140, 60), score=0.9)
    assert hand.canvas.objects_at(40, 40) == [weak]
    workspace.proposals.set_filter(ProposalFilter(score=0.5))
    bare = hand.at(40, 40)
    assert hand.canvas.objects_at(40, 40) == []
    assert hand.canvas.objects_at(120, 40) == [strong]
    workspace.proposals.set_filter(ProposalFilter())
    assert hand.at(40, 40) != bare
    assert hand.canvas.objects_at(40, 40) == [weak]


def test_a_filter_over_very_many_proposals_is_drawn_at_once(hand: Hand):
    """A region of a thousand pieces would be a thousand tiles."""
    workspace, layer = hand.workspace, hand.canvas._masks
    every = [rectangle(x, y, x + 6, y + 6) for x in range(5, 230, 12) for y in range(5, 150, 12)]
    propose(workspace, *every[::2], name="cat", score=0.2)
    propose(workspace, *every[1::2], name="cat", score=0.9)
    full = hand.settled()
    workspace.proposals.set_filter(ProposalFilter(score=0.5))
    hand.pixels()
    assert layer._missing.rectCount() <= 8
    assert not np.array_equal(hand.settled(), full)
    workspace.proposals.set_filter(ProposalFilter())
    assert np.array_equal(hand.settled(), full)


@pytest.mark.parametrize("key", [Key.Key_Space, None])
def test_space_and_enter_accept_the_selected_proposal_and_go_on(hand: Hand, qtbot, key):
    workspace = hand.workspace
    first, second = propose(
        workspace, rectangle(20, 20, 60, 60), rectangle(100, 20, 140, 60), name="cat"
    )
    hand.click(40, 40)
    assert workspace.selection == {first}
    if key is None:
        hand.canvas.accept()
    else:
        hand.key(key)
        qtbot.wait(RELEASE_MS)
    qtbot.waitUntil(lambda: open_ids(workspace) == [second])
    assert workspace.selection == {second}


def test_the_next_proposal_is_brought_into_view_only_where_it_is_not(hand: Hand):
    workspace, canvas = hand.workspace, hand.canvas
    near, far = propose(workspace, rectangle(10, 10, 20, 20), rectangle(200, 130, 220, 150))
    canvas.restore_view({"zoom": 6.0, "x": 30, "y": 30})
    before = canvas.view_state()
    workspace.proposals.select_step(1)
    assert workspace.selection == {near}
    assert canvas.view_state() == before
    workspace.proposals.select_step(1)
    assert workspace.selection == {far}
    area = canvas.frame().area
    assert area.contains(200, 130)
    assert area.contains(220, 150)


def test_dragging_a_proposal_accepts_it(hand: Hand):
    (number,) = propose(hand.workspace, rectangle(20, 20, 60, 60), name="cat")
    hand.click(40, 40)
    hand.drag((40, 40), (60, 50))
    (moved,) = hand.workspace.annotations
    assert moved.id == number
    assert not moved.proposed


# --- In the list ---


def test_the_list_shows_what_the_filter_shows_and_can_show_proposals_only(workspace, objects):
    (thing,) = panels.add(workspace, "cat")
    (weak,) = propose(workspace, panels.square(40, 40), name="cat", score=0.3)
    (strong,) = propose(workspace, panels.square(60, 40), score=0.9)
    assert rows(objects) == [strong, weak, thing]
    texts = [objects.filter.itemText(i) for i in range(objects.filter.count())]
    assert texts == ["All objects (3)", "Proposals (2)", "cat (2)", "No name (1)"]
    objects.filter.setCurrentIndex(1)
    objects.filter.activated.emit(1)
    assert rows(objects) == [strong, weak]
    workspace.proposals.set_filter(ProposalFilter(score=0.5))
    assert rows(objects) == [strong]
    workspace.proposals.decide_shown(accept=True)
    objects.filter.setCurrentIndex(0)
    objects.filter.activated.emit(0)
    assert rows(objects) == [strong, thing], "the weak one is still held back"
    index = objects.view.model_.index(0)
    assert "Proposal" not in index.data(Qt.ItemDataRole.ToolTipRole)


def test_a_row_says_that_it_is_proposed_and_how_sure_the_model_was(workspace, objects):
    propose(workspace, panels.square(40, 40), name="cat", score=0.87)
    facts = objects.view.model_.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert facts.startswith("Proposal: Enter accepts, Delete rejects, cat")
    assert "87 % sure" in facts


@pytest.mark.parametrize("key", [Key.Key_Return, Key.Key_Space])
def test_keys_of_the_list_decide_on_proposals(workspace, objects, qtbot, key):
    first, second, third = propose(
        workspace, *(panels.square(x, 40) for x in (10, 40, 70)), name="cat"
    )
    workspace.select([first])
    assert objects.buttons["accept"].isEnabled()
    qtbot.keyClick(objects.view, key)
    assert open_ids(workspace) == [second, third]
    assert workspace.selection == {second}
    qtbot.keyClick(objects.view, Key.Key_Delete)
    assert [a.id for a in workspace.annotations] == [first, third]
    assert workspace.selection == {third}
    workspace.select([first])
    assert not objects.buttons["accept"].isEnabled()
    qtbot.keyClick(objects.view, Key.Key_Space)
    assert workspace.annotations[0].hidden, "an accepted object is hidden by Space as ever"


def test_the_menu_of_a_proposal_decides_on_its_class(workspace, objects, qtbot):
    cats = propose(workspace, panels.square(10, 40), panels.square(40, 40), name="cat")
    (dog,) = propose(workspace, panels.square(70, 40), name="dog")
    workspace.select(cats[:1])
    menu = objects.build_menu()
    names = [action.text().split("\t")[0] for action in menu.actions()]
    assert names[:3] == ["Accept", "Reject", "All “cat”"]
    more = menu.actions()[2].menu()
    entries = {action.text(): action for action in more.actions()}
    entries["Accept all shown in this image"].trigger()
    assert open_ids(workspace) == [dog]
    with qtbot.waitSignal(workspace.proposals.finished):
        entries["Reject all shown in the whole folder"].trigger()
    assert open_ids(workspace) == [dog], "no cat is left"
    workspace.select(cats)
    assert "Accept" not in [a.text().split("\t")[0] for a in objects.build_menu().actions()]


# --- The panel ---


@pytest.fixture
def panel(workspace, qtbot):
    panel = ProposalsPanel(workspace)
    qtbot.addWidget(panel)
    return panel


def test_the_panel_is_there_only_while_the_image_has_proposals(workspace, panel):
    assert panel.isHidden()
    panels.add(workspace, "cat")
    assert panel.isHidden()
    (number,) = propose(workspace, panels.square(40, 40))
    assert not panel.isHidden()
    workspace.show("b.png")
    assert panel.isHidden()
    workspace.show("a.png")
    assert not panel.isHidden()
    workspace.proposals.decide([number], accept=False)
    assert panel.isHidden()
    workspace.undo()
    assert not panel.isHidden()
    workspace.close_project()
    assert panel.isHidden()


def test_sliders_count_and_decide_without_changing_anything(workspace, panel):
    for place, score in enumerate((0.2, 0.5, 0.8)):
        propose(workspace, panels.square(5 + 30 * place, 40), score=score)
    assert panel.count.text() == "3 of 3 shown"
    state = workspace.annotations
    panel.sliders["score"].setValue(50)
    assert workspace.proposals.filter.score == 0.5
    assert panel.values["score"].text() == "≥ 0.50"
    assert panel.count.text() == "2 of 3 shown"
    panel.sliders["smallest"].setValue(STEPS)
    assert panel.count.text() == "0 of 3 shown"
    assert not panel.accept.isEnabled()
    assert not panel.reject.isEnabled()
    panel.sliders["smallest"].setValue(0)
    assert workspace.annotations is state
    panel.accept.click()
    assert panel.count.text() == "0 of 1 shown"
    panel.sliders["score"].setValue(0)
    panel.reject.click()
    assert len(workspace.annotations) == 2
    assert panel.isHidden()


def test_a_slider_of_which_nothing_is_known_is_off(workspace, panel):
    propose(workspace, panels.square(40, 40), score=0.5)
    assert panel.sliders["score"].isEnabled()
    assert not panel.sliders["stability"].isEnabled()
    assert panel.sliders["largest"].isEnabled()


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_every_position_of_a_slider_means_one_value_and_back(limit):
    assert limit.value(limit.neutral) == (1.0 if limit.name == "overlap" else
                                          None if limit.name == "largest" else 0)  # fmt: skip
    assert limit.text(limit.value(limit.neutral)) == "any"
    for position in range(STEPS + 1):
        value = limit.value(position)
        assert limit.value(limit.place(value)) == value, position
    numbers = [limit.value(p) for p in range(STEPS + 1) if p != limit.neutral]
    assert numbers == sorted(numbers)


def test_the_panel_shows_the_filter_wherever_it_was_moved(workspace, panel):
    propose(workspace, panels.square(40, 40), score=0.5)
    workspace.proposals.set_filter(ProposalFilter(0.25, 0.5, 1234, 56_789, 0.85))
    texts = [panel.values[limit.name].text() for limit in LIMITS]
    assert texts == ["≥ 0.25", "≥ 0.50", "≥ 1,234 px", "≤ 56,789 px", "≤ 0.85"]
    assert workspace.proposals.filter.smallest == 1234, "showing it does not round it"
    assert panel.sliders["score"].value() == 25


def test_more_filters_unfold(panel):
    assert panel.sliders["overlap"].isHidden()
    assert not panel.sliders["score"].isHidden()
    panel.unfold.click()
    assert not panel.sliders["overlap"].isHidden()
    panel.unfold.click()
    assert panel.sliders["overlap"].isHidden()


def test_the_whole_folder_from_the_panel_with_progress(workspace, panel, qtbot):
    propose(workspace, panels.square(40, 40))
    workspace.show("b.png")
    propose(workspace, panels.square(40, 40))
    panel.more.menu().aboutToShow.emit()
    accept, _, _, back = panel.more.menu().actions()
    assert not back.isEnabled()
    with qtbot.waitSignal(workspace.proposals.finished):
        accept.trigger()
        assert workspace.proposals.running
    assert panel.isHidden()
    assert (panel.progress.value(), panel.progress.maximum()) == (2, 2)
    panel.more.menu().aboutToShow.emit()
    back = panel.more.menu().actions()[3]
    assert back.isEnabled()
    back.trigger()
    qtbot.waitUntil(lambda: not workspace.proposals.running)
    assert len(open_ids(workspace)) == 1
    assert not panel.isHidden()
