from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.ui.gestures import GestureEvent, Ghost, PolygonSketch, RubberBand
from annotator.ui.tools import TOOLS
from models.api import Box, Point, Prompt
from tests.ui.canvas_case import (
    ALT,
    CTRL,
    HEIGHT,
    LEFT,
    NONE,
    RIGHT,
    SHIFT,
    WIDTH,
    Hand,
    opened,
    rectangle,
)


@pytest.fixture
def hand(tmp_path: Path, qtbot: QtBot) -> Iterator[Hand]:
    with opened(tmp_path, qtbot, "a.png", "b.png") as made:
        made.settings.update(hover_preview=False)
        made.canvas.restore_view({"zoom": 4.0, "x": 90, "y": 70})
        yield made


def near(*values: float) -> list[object]:
    return [pytest.approx(v, abs=0.3) for v in values]


def marks(hand: Hand) -> list[tuple[object, ...]]:
    return [
        (m.x, m.y, m.positive) if isinstance(m, Point) else (m.x0, m.y0, m.x1, m.y1)
        for m in hand.workspace.draft.marks
    ]


def shape(hand: Hand) -> Mask | Box:
    (made,) = hand.workspace.annotations
    return made.shape


def test_every_tool_is_listed() -> None:
    assert list(TOOLS) == [
        "smart", "box", "polygon", "magnetic", "brush", "eraser", "lasso", "outline",
        "vertices", "fill", "knife",
        "select", "pan",
    ]  # fmt: skip


# --- Smart ---


def test_clicks_become_positive_and_negative_points(hand: Hand) -> None:
    hand.click(60, 50)
    hand.click(70, 60, RIGHT)
    hand.click(80, 70, LEFT, SHIFT)
    assert marks(hand) == [
        (*near(60, 50), True),
        (*near(70, 60), False),
        (*near(80, 70), False),
    ]


def test_the_model_begins_when_a_button_goes_down(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Prompt] = []
    monkeypatch.setattr(hand.workspace.assistant, "begin", lambda _, prompt: begun.append(prompt))
    hand.press(40, 50, RIGHT)  # nothing can be answered yet
    assert begun == []
    hand.release(40, 50, RIGHT)
    hand.workspace.clear_draft()
    hand.press(60, 50)
    assert not hand.workspace.draft
    hand.release(60, 50)
    assert begun == [hand.workspace.draft.prompt]
    hand.click(70, 60, RIGHT)
    assert begun[1:] == [hand.workspace.draft.prompt]
    hand.drag((60, 50), (64, 54))  # a mark
    hand.press(-30, 50)
    hand.release(-30, 50)
    assert len(begun) == 2


def test_quick_clicks_are_all_points(hand: Hand) -> None:
    viewport = hand.canvas.viewport()
    hand.click(60, 50)
    # Qt reports the second of two quick presses as a double click.
    QTest.mouseDClick(viewport, LEFT, NONE, hand.canvas.to_view(66, 50))
    hand.release(66, 50)
    assert marks(hand) == [(*near(60, 50), True), (*near(66, 50), True)]


def test_a_release_that_went_elsewhere_does_not_block_the_tool(hand: Hand) -> None:
    hand.press(60, 50)
    hand.press(90, 70)
    hand.release(90, 70)
    hand.click(110, 90)
    assert (*near(110, 90), True) in marks(hand)


def test_a_drag_is_a_box_and_points_may_follow(hand: Hand) -> None:
    hand.drag((40, 30), (90, 80))
    hand.click(60, 50)
    assert marks(hand) == [tuple(near(40, 30, 90, 80)), (*near(60, 50), True)]
    hand.drag((100, 90), (45, 35))
    assert marks(hand) == [(*near(60, 50), True), tuple(near(45, 35, 100, 90))]
    hand.drag((50, 100), (80, 110), LEFT, SHIFT)
    assert len(marks(hand)) == 3
    assert marks(hand)[-1][2] is False


def test_a_box_ends_at_the_image(hand: Hand) -> None:
    hand.canvas.restore_view({"zoom": 2.0, "x": WIDTH, "y": HEIGHT})
    hand.drag((200, 120), (WIDTH + 40, HEIGHT + 40))
    assert marks(hand) == [tuple(near(200, 120, WIDTH, HEIGHT))]


def test_a_trembling_click_is_a_click(hand: Hand) -> None:
    hand.drag((60, 50), (60.5, 50.5))
    assert marks(hand) == [(*near(60, 50), True)]


def test_clicks_beside_the_image_are_taken_only_when_close(hand: Hand) -> None:
    hand.canvas.restore_view({"zoom": 4.0, "x": WIDTH, "y": 80})
    hand.click(WIDTH + 1, 80)
    hand.click(WIDTH + 20, 80)
    assert marks(hand) == [(*near(WIDTH, 80), True)]


def test_marks_are_dragged_with_live_questions(hand: Hand) -> None:
    hand.click(60, 50)
    hand.click(90, 70, RIGHT)
    asked: list[object] = []
    hand.workspace.draft_changed.connect(lambda draft: asked.append(draft.marks))
    hand.drag((60, 50), (75, 65))
    assert len(asked) >= 3
    assert marks(hand) == [(*near(75, 65), True), (*near(90, 70), False)]


def test_escape_puts_a_dragged_mark_back(hand: Hand) -> None:
    hand.click(60, 50)
    hand.drag((60, 50), (75, 65), drop=False)
    hand.canvas.escape()
    hand.release(75, 65)
    assert marks(hand) == [(*near(60, 50), True)]


def test_boxes_are_resized_by_corners_sides_and_edges(hand: Hand) -> None:
    hand.drag((40, 30), (90, 80))
    hand.drag((90, 80), (100, 95))
    hand.drag((40, 62.5), (45, 62.5))
    hand.drag((57, 30), (57, 36))
    assert marks(hand) == [tuple(near(45, 36, 100, 95))]


@pytest.mark.parametrize("way", ["right", "alt", "delete"])
def test_marks_are_removed_one_by_one(hand: Hand, way: str) -> None:
    for x, y in ((60, 50), (90, 70), (120, 90)):
        hand.click(x, y)
    if way == "right":
        hand.click(90, 70, RIGHT)
    elif way == "alt":
        hand.click(90, 70, LEFT, ALT)
    else:
        hand.move(90, 70)
        hand.key(Qt.Key.Key_Delete)
    assert marks(hand) == [(*near(60, 50), True), (*near(120, 90), True)]


def test_ctrl_click_selects_an_object(hand: Hand) -> None:
    (number,) = hand.add(rectangle(100, 90, 130, 120))
    hand.click(110, 100, LEFT, CTRL)
    assert hand.workspace.selection == {number}
    assert not hand.workspace.draft
    hand.click(110, 100, LEFT, CTRL)
    assert hand.workspace.selection == frozenset()


def test_a_box_prompt_is_previewed_while_dragged(hand: Hand, qtbot: QtBot) -> None:
    hand.settings.update(hover_preview=True)
    with qtbot.waitSignal(
        hand.workspace.preview_changed, timeout=20000, check_params_cb=lambda c: c is not None
    ):
        hand.drag((38, 28), (92, 82), drop=False)
    assert isinstance(hand.canvas._overlay.sketch, RubberBand)
    hand.release(92, 82)
    assert hand.canvas._overlay.sketch is None
    assert hand.canvas._overlay.preview is not None  # stays until the answer is there
    qtbot.waitUntil(lambda: bool(hand.workspace.candidates), timeout=20000)
    assert hand.canvas._overlay.preview is None


# --- Rectangle ---


def test_a_rectangle_lies_on_whole_pixels(hand: Hand) -> None:
    hand.workspace.set_tool("box")
    hand.drag((40.4, 30.2), (90.4, 79.7))
    assert shape(hand) == Box(40, 30, 90, 80)
    assert hand.workspace.selection == {hand.workspace.annotations[0].id}


def test_shift_makes_a_square(hand: Hand) -> None:
    hand.workspace.set_tool("box")
    viewport = hand.canvas.viewport()
    QTest.mousePress(viewport, LEFT, NONE, hand.canvas.to_view(40, 30))
    event = GestureEvent("release", 90, 50, 999, 999, shift=True)
    hand.canvas._send(event)
    assert shape(hand) == Box(40, 30, 90, 80)


def test_two_clicks_make_a_rectangle_and_escape_none(hand: Hand) -> None:
    hand.workspace.set_tool("box")
    hand.click(40, 30)
    assert hand.canvas.drawing
    hand.move(60, 50)
    hand.canvas.escape()
    assert not hand.canvas.drawing
    hand.click(40, 30)
    hand.move(70, 60)
    hand.click(80, 70)
    assert shape(hand) == Box(40, 30, 80, 70)
    assert not hand.canvas.drawing


def test_a_rectangle_without_area_is_not_kept(hand: Hand) -> None:
    hand.workspace.set_tool("box")
    hand.drag((40, 30), (40, 60))
    assert hand.workspace.annotations == ()


# --- Polygon ---

CORNERS = ((40, 30), (90, 30), (90, 80))


@pytest.mark.parametrize("way", ["enter", "first corner", "double click"])
def test_a_polygon_is_closed_in_three_ways(hand: Hand, way: str) -> None:
    hand.workspace.set_tool("polygon")
    for corner in CORNERS:
        hand.click(*corner)
    if way == "enter":
        hand.canvas.accept()
    elif way == "first corner":
        hand.click(40.5, 30.5)
    else:
        QTest.mouseDClick(hand.canvas.viewport(), LEFT, NONE, hand.canvas.to_view(*CORNERS[-1]))
    (made,) = hand.workspace.annotations
    assert isinstance(made.shape, Mask)
    assert made.polygons is not None
    (ring,) = made.polygons
    assert list(ring) == near(*(v for corner in CORNERS for v in corner))
    assert raster.from_polygons(made.polygons, WIDTH, HEIGHT) == made.shape
    assert raster.area(made.shape) == pytest.approx(1250, abs=60)
    assert not hand.canvas.drawing


def test_corners_are_taken_back(hand: Hand) -> None:
    hand.workspace.set_tool("polygon")
    for corner in CORNERS:
        hand.click(*corner)
    assert hand.canvas.undo()
    hand.canvas.take_back()
    hand.click(60, 90, RIGHT)
    assert not hand.canvas.drawing
    assert not hand.canvas.undo()
    assert hand.workspace.annotations == ()


def test_too_small_polygons_say_so_and_go_on(hand: Hand, qtbot: QtBot) -> None:
    hand.workspace.set_tool("polygon")
    hand.click(40, 30)
    hand.click(60, 30)
    with qtbot.waitSignal(hand.workspace.reported) as told:
        hand.canvas.accept()
    assert isinstance(told.args[0], UserError)
    assert hand.canvas.drawing
    hand.click(80, 30)
    with qtbot.waitSignal(hand.workspace.reported):
        hand.canvas.accept()
    hand.click(80, 60)
    hand.canvas.accept()
    assert len(hand.workspace.annotations) == 1


def test_corners_stay_on_the_image_and_shift_keeps_45_degrees(hand: Hand) -> None:
    hand.canvas.restore_view({"zoom": 2.0, "x": WIDTH, "y": 80})
    hand.workspace.set_tool("polygon")
    hand.click(200, 60)
    hand.click(220, 63, LEFT, SHIFT)
    hand.click(240, 78, LEFT, SHIFT)
    hand.click(WIDTH + 30, 120)
    hand.canvas.accept()
    (made,) = hand.workspace.annotations
    assert made.polygons is not None
    ring = made.polygons[0]
    assert list(ring[:4]) == near(200, 60, 220, 60)
    assert ring[4] - ring[2] == pytest.approx(ring[5] - ring[3], abs=0.1)
    assert max(ring[0::2]) == WIDTH


def test_an_unfinished_polygon_waits_for_its_tool_and_image(hand: Hand, qtbot: QtBot) -> None:
    hand.workspace.set_tool("polygon")
    hand.click(*CORNERS[0])
    hand.click(*CORNERS[1])
    hand.workspace.set_tool("pan")
    assert not hand.canvas.drawing
    assert hand.canvas._overlay.sketch is None
    hand.workspace.set_tool("polygon")
    assert isinstance(hand.canvas._overlay.sketch, PolygonSketch)
    with qtbot.waitSignal(hand.workspace.image_ready):
        hand.workspace.show("b.png")
    assert not hand.canvas.drawing
    with qtbot.waitSignal(hand.workspace.image_ready):
        hand.workspace.show("a.png")
    assert hand.canvas.drawing
    hand.click(*CORNERS[2])
    hand.canvas.accept()
    assert raster.area(hand.workspace.annotations[0].shape) == pytest.approx(1250, abs=60)


# --- Select ---


@pytest.fixture
def selecting(hand: Hand) -> Hand:
    hand.workspace.set_tool("select")
    return hand


def test_clicks_select_the_top_object_and_go_down(selecting: Hand) -> None:
    low, high = selecting.add(rectangle(40, 30, 100, 90), rectangle(60, 50, 80, 70))
    for expected in (high, low, high):
        selecting.click(70, 60)
        assert selecting.workspace.selection == {expected}
    selecting.click(50, 40)
    assert selecting.workspace.selection == {low}
    selecting.click(130, 100)
    assert selecting.workspace.selection == frozenset()


def test_shift_and_ctrl_add_and_remove(selecting: Hand) -> None:
    first, second = selecting.add(rectangle(40, 30, 60, 50), rectangle(80, 50, 100, 70))
    selecting.click(50, 40)
    selecting.click(90, 60, LEFT, CTRL)
    assert selecting.workspace.selection == {first, second}
    selecting.click(50, 40, LEFT, SHIFT)
    assert selecting.workspace.selection == {second}


def test_hidden_and_locked_objects_are_not_hit(selecting: Hand) -> None:
    selecting.add(rectangle(40, 30, 60, 50), hidden=True)
    selecting.add(rectangle(80, 50, 100, 70), locked=True)
    selecting.click(50, 40)
    selecting.click(90, 60)
    selecting.drag((30, 20), (130, 110))
    assert selecting.workspace.selection == frozenset()


def test_a_rubber_band_selects_what_it_encloses(selecting: Hand) -> None:
    first, second, _ = selecting.add(
        rectangle(40, 30, 60, 50), rectangle(80, 50, 100, 70), rectangle(60, 80, 140, 120)
    )
    selecting.drag((30, 20), (105, 100))
    assert selecting.workspace.selection == {first, second}
    selecting.drag((35, 25), (65, 55))
    assert selecting.workspace.selection == {first}
    selecting.drag((75, 45), (105, 75), LEFT, SHIFT)
    assert selecting.workspace.selection == {first, second}


def test_a_selected_object_is_dragged_by_whole_pixels(selecting: Hand) -> None:
    (number,) = selecting.add(rectangle(40, 30, 60, 50))
    selecting.drag((50, 40), (80, 60))
    assert shape(selecting) == rectangle(40, 30, 60, 50)  # it was not selected
    selecting.workspace.select((number,))
    selecting.drag((50, 40), (65.4, 52.2), drop=False)
    assert selecting.canvas._overlay.sketch == Ghost(15, 12)
    assert shape(selecting) == rectangle(40, 30, 60, 50)
    selecting.release(65.4, 52.2)
    assert shape(selecting) == rectangle(55, 42, 75, 62)
    assert selecting.canvas._overlay.sketch is None


def test_escape_leaves_a_dragged_object_where_it_was(selecting: Hand) -> None:
    (number,) = selecting.add(rectangle(40, 30, 60, 50))
    selecting.workspace.select((number,))
    before = selecting.settled()
    selecting.drag((50, 40), (80, 60), drop=False)
    selecting.settled()
    selecting.key(Qt.Key.Key_Escape)
    selecting.release(80, 60)
    assert shape(selecting) == rectangle(40, 30, 60, 50)
    selecting.move(130, 100)
    assert selecting.workspace.selection == {number}
    assert (selecting.settled() != before).mean() < 0.001


def test_handles_resize_a_box(selecting: Hand) -> None:
    (number,) = selecting.add(Box(40, 30, 90, 80))
    selecting.workspace.select((number,))
    selecting.drag((90, 80), (100.3, 95.4))
    assert shape(selecting) == Box(40, 30, 100, 95)
    selecting.drag((40, 62.5), (110, 62.5))  # beyond the other side
    assert shape(selecting) == Box(100, 30, 110, 95)
    selecting.workspace.undo()
    assert shape(selecting) == Box(40, 30, 100, 95)


def test_arrow_keys_of_one_go_are_one_step(selecting: Hand, qtbot: QtBot) -> None:
    (number,) = selecting.add(rectangle(40, 30, 60, 50))
    selecting.workspace.select((number,))
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down):
        QTest.keyPress(selecting.canvas, key)
    QTest.keyPress(selecting.canvas, Qt.Key.Key_Right, SHIFT)
    assert shape(selecting) == rectangle(40, 30, 60, 50)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down):
        QTest.keyRelease(selecting.canvas, key)
    qtbot.waitUntil(lambda: shape(selecting) == rectangle(52, 31, 72, 51))
    selecting.workspace.undo()
    assert shape(selecting) == rectangle(40, 30, 60, 50)


def test_a_right_click_selects_and_asks_for_the_menu(selecting: Hand, qtbot: QtBot) -> None:
    (number,) = selecting.add(rectangle(40, 30, 60, 50))
    with qtbot.waitSignal(selecting.canvas.context_menu_requested) as asked:
        selecting.click(50, 40, RIGHT)
    assert asked.args[1] == number
    assert selecting.workspace.selection == {number}
    with qtbot.waitSignal(selecting.canvas.context_menu_requested) as asked:
        selecting.click(130, 100, RIGHT)
    assert asked.args[1] is None


def test_the_pan_tool_drags_the_image(hand: Hand) -> None:
    hand.workspace.set_tool("pan")
    hand.drag((90, 70), (80, 75))
    middle = hand.canvas.to_image(hand.canvas.viewport().rect().center())
    assert (middle.x(), middle.y()) == (
        pytest.approx(100, abs=0.5),
        pytest.approx(65, abs=0.5),
    )


def test_other_buttons_do_not_disturb_a_gesture(hand: Hand) -> None:
    hand.workspace.set_tool("box")
    hand.drag((40, 30), (90, 80), drop=False)
    hand.press(90, 80, RIGHT)
    hand.release(90, 80, RIGHT)
    hand.release(90, 80)
    assert shape(hand) == Box(40, 30, 90, 80)
