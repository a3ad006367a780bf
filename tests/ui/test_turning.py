"""The view is turned, the data never: what is seen, pointed at and done is the same, turned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.mask import Mask
from annotator.ui.canvas_view import View
from models.api import Box, Point
from tests.ui.canvas_case import HEIGHT, SHIFT, WIDTH, Hand, opened, rectangle

TURNS = (1, 2, 3)


@pytest.fixture
def hand(tmp_path: Path, qtbot: QtBot) -> Iterator[Hand]:
    with opened(tmp_path, qtbot, "a.png", "b.png") as made:
        made.settings.update(hover_preview=False)
        made.canvas.resize(480, 480)
        yield made


def ring() -> Mask:
    """A disk with a hole, cut by the border of nothing."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    far = np.hypot(x - 120, y - 80)
    return raster.from_array((far < 50) & (np.hypot(x - 130, y - 70) > 15))


@pytest.mark.parametrize("turn", TURNS)
def test_places_and_directions_of_a_turned_view(turn: int) -> None:
    view = View(2.5, -7, 12, turn)
    for x, y in ((0.0, 0.0), (30.0, 4.5), (240.0, 160.0)):
        assert view.to_image(*view.to_device(x, y)) == pytest.approx((x, y))
        assert view.transform.map(x, y) == pytest.approx(view.to_device(x, y))
    right = np.subtract(view.to_device(11, 20), view.to_device(10, 20)) / 2.5
    assert tuple(right) == pytest.approx(view.on_screen(1, 0))
    assert view.in_image(*view.on_screen(3, 4)) == (3, 4)
    left, top, width, height = view.upright(5, 9, 40, 20)
    corners = np.array([view.to_image(5, 9), view.to_image(45, 29)]) * 2.5
    assert (left, top) == pytest.approx(corners.min(axis=0))
    assert (left + width, top + height) == pytest.approx(corners.max(axis=0))


@pytest.mark.parametrize("zoom", [0.7, 1.3, 3.0, 7.0, 14.0])
@pytest.mark.parametrize("turn", TURNS)
def test_the_picture_is_the_upright_one_turned(hand: Hand, turn: int, zoom: float) -> None:
    hand.add(ring(), Box(90, 40, 200, 120))
    hand.canvas.restore_view({"zoom": zoom, "x": 120, "y": 80})
    upright = hand.settled().astype(int)
    hand.canvas.show_turned(turn)
    turned = np.rot90(hand.settled().astype(int), turn)
    # Lines are smoothed a little differently; nothing is elsewhere.
    assert np.abs(turned - upright).mean() < 1.0
    assert (np.abs(turned - upright).max(axis=2) > 96).mean() < 0.002
    hand.canvas.show_turned(0)
    assert np.abs(hand.settled() - upright).max() == 0


@pytest.mark.parametrize("zoom", [0.9, 5.0])
@pytest.mark.parametrize("turn", TURNS)
def test_shifting_a_turned_picture_is_as_good_as_drawing_it(
    hand: Hand, turn: int, zoom: float
) -> None:
    hand.add(ring())
    hand.canvas.restore_view({"zoom": zoom, "x": 120, "y": 80})
    hand.canvas.show_turned(turn)
    hand.settled()
    for step in ((37, 0), (-5, 61), (-90, -20), (13, -140)):
        hand.canvas.pan(*step)
        hand.settled()
    shifted = hand.settled().astype(int)
    hand.canvas._image.invalidate()
    hand.canvas._masks.invalidate()
    assert np.abs(hand.settled() - shifted).max() <= 8


@pytest.mark.parametrize("turn", TURNS)
def test_fit_zoom_and_pan(hand: Hand, turn: int) -> None:
    canvas = hand.canvas
    canvas.resize(640, 400)
    canvas.fit()
    canvas.show_turned(turn)
    assert canvas.view_state() == {"fit": True}
    area = canvas.frame().rect(Box(0, 0, WIDTH, HEIGHT))
    assert canvas.viewport().rect().contains(area.toAlignedRect())
    assert min(640 - area.width(), 400 - area.height()) <= 26
    at = QPoint(300, 150)
    before = canvas.to_image(at)
    for angle in (120, 240, -120):
        hand.wheel_at(at, angle, Qt.KeyboardModifier.ControlModifier)
    after = canvas.to_image(at)
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()), abs=0.5)
    corner = canvas.to_view(100, 50)
    canvas.pan(20, -10)
    assert canvas.to_view(100, 50) - corner == QPoint(20, -10)
    canvas.center_on(hand.add(rectangle(20, 30, 40, 90)))
    assert canvas.frame().area.contains(30, 60)


@pytest.mark.parametrize("turn", TURNS)
def test_clicks_and_boxes_mean_what_is_seen(hand: Hand, turn: int) -> None:
    hand.canvas.restore_view({"zoom": 3.0, "x": 100, "y": 70})
    hand.canvas.show_turned(turn)
    hand.click(60, 50)
    hand.drag((50, 45), (95, 85))
    box, point = hand.workspace.draft.prompt.box, hand.workspace.draft.prompt.points[0]
    assert (point.x, point.y) == pytest.approx((60, 50), abs=0.4)
    assert box is not None
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((50, 45, 95, 85), abs=0.4)
    hand.workspace.clear_draft()
    red = hand.at(60, 50)
    assert red[0] > 150 > red[1]
    assert isinstance(point, Point)


@pytest.mark.parametrize("turn", TURNS)
def test_arrow_keys_move_as_seen(hand: Hand, turn: int) -> None:
    (number,) = hand.add(Box(100, 60, 140, 90))
    hand.workspace.set_tool("select")
    hand.workspace.select((number,))
    hand.canvas.show_turned(turn)
    before = hand.canvas.frame().rect(Box(100, 60, 140, 90)).center()
    hand.key(Qt.Key.Key_Right)
    hand.key(Qt.Key.Key_Down, SHIFT)
    hand.canvas._keys.finish()
    (moved,) = hand.workspace.annotations
    assert isinstance(moved.shape, Box)
    delta = (hand.canvas.frame().rect(moved.shape).center() - before) / hand.canvas.zoom()
    assert (delta.x(), delta.y()) == pytest.approx((1, 10))


@pytest.mark.parametrize("turn", [0, *TURNS])
def test_handles_are_where_they_are_seen(hand: Hand, turn: int) -> None:
    (number,) = hand.add(Box(90, 50, 150, 100))
    hand.workspace.set_tool("select")
    hand.workspace.select((number,))
    hand.canvas.restore_view({"zoom": 2.0, "x": 120, "y": 80})
    hand.canvas.show_turned(turn)
    hand.move(20, 20)
    assert min(hand.at(150, 75)) > 240, "the handle of the right side"
    hand.move(150, 75)
    sideways = turn % 2 == 0
    assert hand.canvas.viewport().cursor().shape() == (
        Qt.CursorShape.SizeHorCursor if sideways else Qt.CursorShape.SizeVerCursor
    )
    hand.drag((150, 75), (170, 80))
    assert hand.workspace.annotations[0].shape == Box(90, 50, 170, 100)


@pytest.mark.parametrize("turn", TURNS)
def test_a_stroke_is_seen_and_kept_where_it_is_painted(hand: Hand, turn: int) -> None:
    hand.canvas.restore_view({"zoom": 2.0, "x": 120, "y": 80})
    hand.canvas.show_turned(turn)
    hand.workspace.set_tool("brush")
    hand.settings.update(brush_size=12.0, mask_opacity=1.0)
    bare, beside = hand.at(120, 90), hand.at(120, 110)
    hand.drag((100, 90), (150, 90), drop=False)
    assert hand.at(120, 90) != bare
    assert hand.at(120, 110) == beside
    hand.release(150, 90)
    (made,) = hand.workspace.annotations
    assert isinstance(made.shape, Mask)
    pixels = raster.to_array(made.shape)
    wanted = np.zeros_like(pixels)
    wanted[84:96, 100:150] = True
    assert pixels[85:95, 100:150].all()
    assert (pixels & ~wanted).sum() < 200


def test_every_image_keeps_its_turn_with_the_project(hand: Hand, qtbot: QtBot) -> None:
    canvas, workspace = hand.canvas, hand.workspace

    def show(key: str) -> None:
        workspace.show(key)
        qtbot.waitUntil(lambda: workspace.image is not None and workspace.image.key == key)
        qtbot.waitUntil(lambda: not canvas._stale)

    canvas.turning.turn(1)
    canvas.turning.turn(1)
    show("b.png")
    assert canvas.turn == 0
    canvas.turning.turn(-1)
    show("a.png")
    assert canvas.turn == 2
    document = workspace.document
    assert document is not None
    assert document.note("turns") == {"a.png": 2, "b.png": 3}
    canvas.turning.reset()
    assert canvas.turn == 0
    assert document.note("turns") == {"b.png": 3}
    hand.settings.update(turn_alike=True)
    assert canvas.turn == 0
    canvas.turning.turn(1)
    show("b.png")
    assert canvas.turn == 1
    hand.settings.update(turn_alike=False)
    assert canvas.turn == 3
