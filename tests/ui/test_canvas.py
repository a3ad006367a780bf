from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.images import LoadedImage
from annotator.ui import canvas_pixels
from annotator.ui import canvas_view as views
from annotator.ui.canvas_view import Adjustment, View
from annotator.ui.key_guard import RELEASE_MS
from models.api import Box, Point
from tests.ui.canvas_case import (
    ALT,
    CTRL,
    HEIGHT,
    LEFT,
    MIDDLE,
    NONE,
    RIGHT,
    SHIFT,
    WIDTH,
    Hand,
    opened,
    photo,
    rectangle,
)


@pytest.fixture
def hand(tmp_path: Path, qtbot: QtBot) -> Iterator[Hand]:
    with opened(tmp_path, qtbot) as made:
        yield made


@pytest.fixture
def two(tmp_path: Path, qtbot: QtBot) -> Iterator[Hand]:
    with opened(tmp_path, qtbot, "a.png", "b.png") as made:
        yield made


def centre(hand: Hand) -> tuple[float, float]:
    at = hand.canvas.to_image(hand.canvas.viewport().rect().center())
    return at.x(), at.y()


# --- The view ---


def test_a_new_image_is_fitted_and_stays_so_when_the_window_changes(hand: Hand) -> None:
    canvas = hand.canvas
    for size in ((640, 480), (900, 300)):
        canvas.resize(*size)
        first, last = canvas.to_view(0, 0), canvas.to_view(WIDTH, HEIGHT)
        assert 0 <= first.x() < last.x() <= size[0]
        assert 0 <= first.y() < last.y() <= size[1]
        margins = min(first.x(), size[0] - last.x()), min(first.y(), size[1] - last.y())
        assert min(margins) <= views.FIT_MARGIN + 1


@pytest.mark.parametrize("zoom", [0.21, 1.0, 1.7, 6.0, 33.3])
def test_positions_go_to_the_viewport_and_back(hand: Hand, zoom: float) -> None:
    hand.canvas.restore_view({"zoom": zoom, "x": 100, "y": 70})
    for x, y in ((100.5, 70.5), (91.2, 66.6), (108.0, 74.9)):
        back = hand.canvas.to_image(hand.canvas.to_view(x, y))
        assert abs(back.x() - x) <= 1.01 / zoom
        assert abs(back.y() - y) <= 1.01 / zoom


def test_the_wheel_zooms_at_the_pointer_without_creeping(hand: Hand) -> None:
    at = QPoint(470, 130)
    before = hand.canvas.to_image(at)
    zoom = hand.canvas.zoom()
    for angle in [120] * 9 + [-120] * 9 + [40, -40, 15, -15] * 10:
        hand.wheel_at(at, angle)
        now = hand.canvas.to_image(at)
        assert abs(now.x() - before.x()) * hand.canvas.zoom() <= 1.0
        assert abs(now.y() - before.y()) * hand.canvas.zoom() <= 1.0
    assert hand.canvas.zoom() == pytest.approx(zoom)


def test_the_zoom_has_limits(hand: Hand) -> None:
    for _ in range(60):
        hand.wheel_at(QPoint(300, 200), 240)
    assert hand.canvas.zoom() == views.MAX_ZOOM
    for _ in range(90):
        hand.wheel_at(QPoint(300, 200), -240)
    assert hand.canvas.zoom() * WIDTH == pytest.approx(views.MIN_SIDE, rel=0.2)


def test_labelme_wheel_scrolls_and_ctrl_zooms(hand: Hand) -> None:
    hand.settings.update(wheel="scroll")
    hand.canvas.restore_view({"zoom": 4.0, "x": 120, "y": 80})
    hand.wheel_at(QPoint(300, 200), -120)
    assert hand.canvas.zoom() == 4.0
    assert centre(hand)[1] == pytest.approx(80 + 64 / 4, abs=0.5)
    hand.wheel_at(QPoint(300, 200), -120, SHIFT)
    assert centre(hand)[0] == pytest.approx(120 + 64 / 4, abs=0.5)
    hand.wheel_at(QPoint(300, 200), 120, CTRL)
    assert hand.canvas.zoom() > 4.0


def test_zoom_commands_stop_at_100_percent(hand: Hand, qtbot: QtBot) -> None:
    seen: list[float] = []
    hand.canvas.zoom_changed.connect(seen.append)
    hand.canvas.restore_view({"zoom": 0.9, "x": 120, "y": 80})
    hand.canvas.zoom_in()
    assert hand.canvas.zoom() == 1.0
    hand.canvas.zoom_in()
    hand.canvas.zoom_out()
    assert hand.canvas.zoom() == pytest.approx(1.0)
    hand.canvas.fit()
    hand.canvas.actual_size()
    assert hand.canvas.zoom() == 1.0
    assert seen[-1] == 1.0
    assert len(seen) >= 5


@pytest.mark.parametrize("tool", ["smart", "box", "polygon", "select", "pan"])
def test_middle_and_space_drag_pan_with_every_tool(hand: Hand, tool: str) -> None:
    hand.workspace.set_tool(tool)
    hand.canvas.restore_view({"zoom": 4.0, "x": 120, "y": 80})
    hand.drag((120, 80), (110, 85), MIDDLE)
    assert centre(hand) == (pytest.approx(130, abs=0.5), pytest.approx(75, abs=0.5))
    QTest.keyPress(hand.canvas, Qt.Key.Key_Space)
    hand.drag((120, 80), (130, 80))
    QTest.keyRelease(hand.canvas, Qt.Key.Key_Space)
    assert centre(hand)[0] == pytest.approx(120, abs=0.5)
    assert hand.workspace.annotations == ()
    assert not hand.workspace.draft


def test_panning_goes_on_while_a_prompt_or_a_polygon_is_open(hand: Hand) -> None:
    hand.canvas.restore_view({"zoom": 4.0, "x": 120, "y": 80})
    hand.click(118, 80)
    hand.drag((120, 80), (110, 80), MIDDLE)
    assert hand.workspace.draft.marks == (Point(*_near(118, 80)),)
    hand.workspace.clear_draft()
    hand.workspace.set_tool("polygon")
    hand.click(120, 70)
    hand.click(140, 70)
    before = centre(hand)
    hand.drag((125, 75), (135, 75), MIDDLE)
    assert centre(hand) != before
    hand.click(140, 90)
    hand.canvas.accept()
    (made,) = hand.workspace.annotations
    assert raster.box(made.shape).width == pytest.approx(20, abs=1)


def _near(x: float, y: float) -> tuple[object, object]:
    return pytest.approx(x, abs=0.3), pytest.approx(y, abs=0.3)


def test_each_image_keeps_its_view(two: Hand, qtbot: QtBot) -> None:
    two.canvas.restore_view({"zoom": 5.0, "x": 100, "y": 60})
    state = two.canvas.view_state()
    with qtbot.waitSignal(two.workspace.image_ready):
        two.workspace.show("b.png")
    assert two.canvas.view_state() == {"fit": True}
    with qtbot.waitSignal(two.workspace.image_ready):
        two.workspace.show("a.png")
    assert two.canvas.view_state() == state


@pytest.mark.parametrize("state", [None, {}, {"zoom": "x"}, {"zoom": True, "x": 1, "y": 1}, 7])
def test_a_foreign_view_state_fits(hand: Hand, state: object) -> None:
    hand.canvas.restore_view({"zoom": 5.0, "x": 100, "y": 60})
    hand.canvas.restore_view(state)
    assert hand.canvas.view_state() == {"fit": True}


def test_the_image_cannot_be_lost_from_sight(hand: Hand) -> None:
    hand.canvas.restore_view({"zoom": 4.0, "x": 1e6, "y": -1e6})
    x, y = centre(hand)
    assert -1 <= x <= WIDTH + 1
    assert -1 <= y <= HEIGHT + 1


def test_center_on_shows_objects_whole(hand: Hand) -> None:
    small, large = hand.add(rectangle(10, 10, 20, 20), rectangle(30, 20, 230, 150))
    hand.canvas.restore_view({"zoom": 10.0, "x": 200, "y": 100})
    hand.canvas.center_on((small,))
    assert centre(hand) == (pytest.approx(15, abs=0.2), pytest.approx(15, abs=0.2))
    assert hand.canvas.zoom() == 10.0
    hand.canvas.center_on((large,))
    visible = hand.canvas.frame().area
    assert visible.x0 <= 30
    assert visible.x1 >= 230
    hand.canvas.center_on(())
    hand.canvas.center_on((99999,))


def test_arrow_keys_scroll_when_nothing_is_selected(hand: Hand) -> None:
    hand.canvas.restore_view({"zoom": 4.0, "x": 120, "y": 80})
    hand.key(Qt.Key.Key_Right)
    hand.key(Qt.Key.Key_Down)
    assert centre(hand) == (pytest.approx(136, abs=0.5), pytest.approx(96, abs=0.5))


# --- Pixels ---


def test_pixels_are_exact_at_whole_zooms(hand: Hand) -> None:
    hand.settings.update(pixel_grid=False)
    expected = photo()
    for zoom in (1.0, 3.0, 16.0):
        hand.canvas.restore_view({"zoom": zoom, "x": 120, "y": 80})
        shown = hand.pixels()
        for x, y in ((120, 80), (117, 77), (124, 83)):
            for inside in (0.1, 0.9):
                spot = hand.canvas.to_view(x + inside, y + inside)
                assert tuple(shown[spot.y(), spot.x()]) == tuple(expected[y, x])


def test_a_shifted_picture_equals_a_new_one(hand: Hand) -> None:
    hand.add(rectangle(30, 20, 130, 100), rectangle(90, 60, 200, 140))
    for zoom in (0.7, 1.3, 5.0, 20.0):
        hand.canvas.restore_view({"zoom": zoom, "x": 110, "y": 75})
        hand.settled()
        for dx, dy in ((13, 0), (0, -29), (-50, 41), (3, 3)):
            hand.canvas.pan(dx, dy)
            hand.pixels()
        shifted = hand.settled().astype(int)
        hand.canvas._image.invalidate()
        hand.canvas._masks.invalidate()
        # Cutting at other places may round a colour differently.
        assert np.abs(shifted - hand.settled()).max() <= 6


def test_a_picture_after_edits_equals_a_new_one(hand: Hand) -> None:
    first, second, third = hand.add(
        rectangle(30, 20, 130, 100), rectangle(90, 60, 200, 140), Box(10, 90, 120, 150)
    )
    workspace = hand.workspace
    hand.settled()
    steps = (
        lambda: workspace.select((first,)),
        lambda: workspace.move_selected(20, 10),
        lambda: workspace.restack((first,), None, up=True),
        lambda: workspace.set_flag((second,), "hidden", True),
        lambda: workspace.select((third,)),
        workspace.delete_selected,
        lambda: workspace.set_flag((second,), "hidden", False),
        lambda: hand.add(rectangle(0, 0, 50, 50), name=""),
        workspace.undo,
    )
    for step in steps:
        step()
        changed = hand.settled()
        hand.canvas._masks.invalidate()
        assert np.array_equal(changed, hand.settled())


def test_the_complete_image_replaces_the_preview_without_a_jump(hand: Hand) -> None:
    full = np.repeat(np.repeat(photo(), 4, axis=0), 4, axis=1)
    small = photo()
    size = (full.shape[1], full.shape[0])
    hand.workspace.image_shown.emit("big")
    hand.workspace.image_ready.emit(LoadedImage("big", small, *size, complete=False))
    hand.canvas.restore_view({"zoom": 0.8, "x": 400, "y": 300})
    before, view = hand.pixels().astype(int), hand.canvas.view_state()
    hand.workspace.image_ready.emit(LoadedImage("big", full, *size))
    assert hand.canvas.view_state() == view
    assert np.abs(before - hand.pixels()).mean() < 4


def test_levels_are_made_in_steps_and_look_alike() -> None:
    full = np.repeat(np.repeat(photo(), 16, axis=0), 16, axis=1)
    pyramid = canvas_pixels.Pyramid(full, full.shape[1], full.shape[0])
    view = View(1 / 16, 0, 0)
    early = canvas_pixels.render(pyramid, view, 0, 0, WIDTH, HEIGHT, None)
    steps = 1
    while pyramid.grow():
        steps += 1
    assert steps > 10
    assert pyramid.nbytes < full.nbytes * 0.34
    late = canvas_pixels.render(pyramid, view, 0, 0, WIDTH, HEIGHT, None)
    assert np.abs(late[..., :3].astype(int) - photo()[..., ::-1]).max() <= 1
    assert np.abs(late.astype(int) - early).mean() < 3


def test_any_image_size_can_be_shown(hand: Hand) -> None:
    for width, height in ((1, 1), (1, 3000), (5000, 2), (257, 255)):
        pixels = np.full((height, width, 3), 200, np.uint8)
        hand.workspace.image_shown.emit("odd")
        hand.workspace.image_ready.emit(LoadedImage("odd", pixels, width, height))
        for zoom in (0.01, 0.5, 1.3, 40.0):
            hand.canvas.restore_view({"zoom": zoom, "x": width / 2, "y": height / 2})
            assert (hand.pixels() == 200).all(axis=-1).any()


def test_adjustments_change_what_is_seen_only(hand: Hand) -> None:
    hand.canvas.actual_size()
    plain = hand.at(120.5, 20.5)
    hand.canvas.set_adjustment(Adjustment(brightness=0.2))
    brighter = hand.at(120.5, 20.5)
    assert all(
        after - before == pytest.approx(51, abs=1)
        for before, after in zip(plain, brighter, strict=True)
    )
    hand.canvas.set_adjustment(Adjustment())
    assert hand.at(120.5, 20.5) == plain
    assert hand.workspace.image is not None
    assert np.array_equal(hand.workspace.image.pixels, photo())


def test_auto_adjustment_spreads_a_flat_image(hand: Hand) -> None:
    flat = (photo() // 8 + 100).astype(np.uint8)
    hand.workspace.image_shown.emit("flat")
    hand.workspace.image_ready.emit(LoadedImage("flat", flat, WIDTH, HEIGHT))
    hand.canvas.actual_size()
    found = hand.canvas.auto_adjustment()
    assert found is not None
    hand.canvas.set_adjustment(found)
    x0, y0 = hand.canvas.to_view(2, 2).x(), hand.canvas.to_view(2, 2).y()
    seen = hand.pixels()[y0 : y0 + HEIGHT - 4, x0 : x0 + WIDTH - 4]
    assert seen.min() < 12
    assert seen.max() > 243


def test_the_grid_separates_pixels_when_near(hand: Hand) -> None:
    hand.canvas.restore_view({"zoom": 16.0, "x": 65, "y": 55})
    edge, inside = hand.at(65.01, 55.5), hand.at(65.5, 55.5)
    assert inside == (210, 40, 40)
    assert edge != inside
    hand.settings.update(pixel_grid=False)
    assert hand.at(65.01, 55.5) == inside


# --- Objects on the image ---


def test_objects_are_drawn_in_their_colour_and_hidden_by_the_key(hand: Hand) -> None:
    bare = hand.at(150.5, 100.5)
    hand.add(rectangle(140, 90, 170, 120))
    covered = hand.at(150.5, 100.5)
    assert covered != bare
    hand.canvas.set_masks_hidden(True)
    assert hand.at(150.5, 100.5) == bare
    hand.canvas.set_masks_hidden(False)
    assert hand.at(150.5, 100.5) == covered
    hand.settings.update(mask_opacity=0.9)
    document = hand.workspace.document
    assert document is not None
    (category,) = document.categories()
    document.change_category(replace(category, color="#0000ff"))
    red, green, blue = hand.at(150.5, 100.5)
    assert blue > 200
    assert red < 60
    assert green < 60


def test_an_object_reads_on_its_own_colour(hand: Hand) -> None:
    document = hand.workspace.document
    assert document is not None
    hand.add(rectangle(50, 40, 80, 70))
    (category,) = document.categories()
    document.change_category(replace(category, color="#d22828"))  # the colour beneath
    hand.canvas.restore_view({"zoom": 3.0, "x": 65, "y": 55})
    shown = hand.settled().astype(int)
    x0, y = hand.canvas.to_view(50, 55).x(), hand.canvas.to_view(50, 55).y()
    around = shown[y, x0 - 6 : x0 + 6]
    assert np.abs(around - (210, 40, 40)).sum(axis=1).max() > 60


def test_the_next_image_shows_its_own_objects(two: Hand, qtbot: QtBot) -> None:
    two.add(rectangle(140, 90, 170, 120))
    covered = two.at(150.5, 100.5)
    with qtbot.waitSignal(two.workspace.image_ready):
        two.workspace.show("b.png")
    assert two.at(150.5, 100.5) != covered
    with qtbot.waitSignal(two.workspace.image_ready):
        two.workspace.show("a.png")
    assert two.at(150.5, 100.5) == covered


def test_clicks_between_two_images_go_to_neither(hand: Hand) -> None:
    complete = hand.workspace.image
    assert complete is not None
    hand.workspace.image_shown.emit("a.png")
    hand.click(60, 50)
    assert not hand.workspace.draft
    hand.workspace.image_ready.emit(complete)
    hand.click(60, 50)
    assert hand.workspace.draft


def test_a_slow_image_leaves_the_last_one_for_a_moment_only(hand: Hand, qtbot: QtBot) -> None:
    shown = hand.pixels()
    hand.workspace.image_shown.emit("slow.png")
    assert np.array_equal(hand.pixels(), shown)
    qtbot.waitUntil(lambda: not hand.canvas.has_image)
    assert "Reading" in hand.canvas._message


def test_an_unreadable_image_says_so(hand: Hand, qtbot: QtBot) -> None:
    document = hand.workspace.document
    assert document is not None
    (document.folder / "broken.png").write_bytes(b"no image")
    document.add_images(["broken.png"])
    with qtbot.waitSignal(hand.workspace.image_failed):
        hand.workspace.show("broken.png")
    assert "broken.png" in hand.canvas._message
    assert not hand.canvas.has_image
    hand.click(60, 50)
    hand.wheel_at(QPoint(100, 100), 120)
    hand.canvas.fit()
    assert not hand.workspace.draft


def test_closing_the_project_empties_the_canvas(hand: Hand) -> None:
    hand.add(rectangle(140, 90, 170, 120))
    hand.workspace.close_project()
    assert not hand.canvas.has_image
    assert len(np.unique(hand.pixels()[5:-5, 5:-5].reshape(-1, 3), axis=0)) == 1


def test_highlight_points_one_object_out(hand: Hand) -> None:
    (number,) = hand.add(rectangle(140, 90, 170, 120))
    plain = hand.settled()
    hand.canvas.highlight(number)
    assert not np.array_equal(hand.settled(), plain)
    hand.canvas.highlight(None)
    assert np.array_equal(hand.settled(), plain)


# --- Pointer, keys, prompts ---


def test_the_pointer_is_told_in_image_pixels(hand: Hand, qtbot: QtBot) -> None:
    with qtbot.waitSignal(hand.canvas.pointer_moved) as told:
        hand.move(50.5, 20.5)
    (at,) = told.args
    assert (at.x(), at.y()) == _near(50.5, 20.5)
    with qtbot.waitSignal(hand.canvas.pointer_moved) as told:
        QApplication.sendEvent(hand.canvas.viewport(), QEvent(QEvent.Type.Leave))
    assert told.args == [None]


def test_the_crosshair_follows_the_pointer(hand: Hand) -> None:
    hand.settings.update(hover_preview=False)
    hand.move(200, 100)
    plain = hand.settled()
    hand.settings.update(crosshair=True)
    hand.move(201, 101)
    spot = hand.canvas.to_view(201, 101)
    changed = (hand.settled() != plain).any(axis=-1)
    assert changed[spot.y(), :].mean() > 0.7
    assert changed[:, spot.x()].mean() > 0.7
    assert not changed[spot.y() + 5, 5:-5].sum() > 30


def test_a_tap_of_space_accepts_and_a_drag_does_not(hand: Hand, qtbot: QtBot) -> None:
    document = hand.workspace.document
    assert document is not None
    hand.workspace.set_active_category(document.add_category("car").id)
    hand.click(65, 55)
    qtbot.waitUntil(lambda: bool(hand.workspace.candidates), timeout=20000)
    QTest.keyPress(hand.canvas, Qt.Key.Key_Space)
    hand.drag((120, 80), (121, 90))
    QTest.keyRelease(hand.canvas, Qt.Key.Key_Space)
    # What X11 sends while a key is held, not always marked as repeats.
    QTest.keyPress(hand.canvas, Qt.Key.Key_Space)
    QTest.keyRelease(hand.canvas, Qt.Key.Key_Space)
    qtbot.wait(3 * RELEASE_MS)
    assert hand.workspace.draft
    hand.key(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: not hand.workspace.draft)
    qtbot.waitUntil(lambda: len(hand.workspace.annotations) == 1, timeout=20000)
    # The exact mask takes the place of the candidate.
    assert hand.canvas._overlay.finishing == ()
    assert len(hand.canvas._masks.items) == 1


def test_space_means_nothing_after_the_focus_went_elsewhere(hand: Hand) -> None:
    hand.click(65, 55)
    QTest.keyPress(hand.canvas, Qt.Key.Key_Space)
    hand.canvas.clearFocus()
    QTest.keyRelease(hand.canvas, Qt.Key.Key_Space)
    assert hand.workspace.draft
    hand.click(70, 60)
    assert len(hand.workspace.draft.marks) == 2


def test_escape_goes_from_the_gesture_to_the_prompt_to_the_selection(hand: Hand) -> None:
    (number,) = hand.add(rectangle(140, 90, 170, 120))
    hand.click(65, 55)
    hand.drag((20, 20), (60, 60), drop=False)
    hand.canvas.escape()
    hand.release(60, 60)
    assert len(hand.workspace.draft.marks) == 1
    hand.canvas.escape()
    assert not hand.workspace.draft
    hand.workspace.select((number,))
    hand.canvas.escape()
    assert hand.workspace.selection == frozenset()


def test_a_preview_follows_the_resting_pointer(hand: Hand, qtbot: QtBot) -> None:
    with qtbot.waitSignal(
        hand.workspace.preview_changed, timeout=20000, check_params_cb=lambda c: c is not None
    ):
        hand.move(60, 50)
        hand.move(66, 56)
    assert hand.canvas._overlay.preview is not None
    QApplication.sendEvent(hand.canvas.viewport(), QEvent(QEvent.Type.Leave))
    assert hand.canvas._overlay.preview is None


def test_only_one_preview_question_waits(hand: Hand) -> None:
    asked: list[object] = []
    hand.workspace.preview = asked.append  # type: ignore[method-assign] # never answers
    for step in range(30):
        hand.move(50 + step, 50)
    assert len(asked) == 1
    hand.workspace.preview_changed.emit(None)
    QApplication.processEvents()
    assert len(asked) == 2
    assert asked[-1].points[0].x == pytest.approx(79, abs=0.5)  # type: ignore[attr-defined]


def test_a_click_while_the_picture_is_read_is_kept(hand: Hand, qtbot: QtBot) -> None:
    workspace = hand.workspace
    complete = workspace.image
    assert complete is not None
    workspace._show_pixels(replace(complete, complete=False))
    hand.click(65, 55)
    assert workspace.working
    assert workspace.candidates == ()
    workspace._show_pixels(complete)
    qtbot.waitUntil(lambda: bool(workspace.candidates), timeout=20000)


def test_a_mask_is_painted_before_others_hear_of_it(
    hand: Hand, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[object] = []
    heard: list[bool] = []
    overlay, workspace = hand.canvas._overlay, hand.workspace
    paint = hand.canvas.paint_over

    def watched(*given: object) -> None:
        paint(*given)  # type: ignore[arg-type]
        painted.append(overlay.candidate)

    monkeypatch.setattr(hand.canvas, "paint_over", watched)
    workspace.candidates_changed.connect(
        lambda found: heard.append(not found or painted[-1] is overlay.candidate)
    )
    hand.click(65, 55)
    qtbot.waitUntil(lambda: bool(workspace.candidates), timeout=20000)
    assert heard[-1]
    assert painted[-1] is not None


def test_alt_and_the_wheel_cycle_the_candidates(hand: Hand, qtbot: QtBot) -> None:
    hand.click(65, 55)
    qtbot.waitUntil(lambda: len(hand.workspace.candidates) > 1, timeout=20000)
    count, zoom = len(hand.workspace.candidates), hand.canvas.zoom()
    hand.wheel(65, 55, -120, ALT)
    assert hand.workspace.draft.choice == 1
    hand.wheel(65, 55, 60, ALT)
    hand.wheel(65, 55, 60, ALT)
    hand.wheel(65, 55, 120, ALT)
    assert hand.workspace.draft.choice == count - 1
    assert hand.canvas.zoom() == zoom
    assert hand.canvas._overlay.candidate is not None
    assert hand.canvas._overlay.candidate.candidate is hand.workspace.candidate


def test_marks_keep_their_size_on_screen(hand: Hand) -> None:
    hand.settings.update(hover_preview=False)
    sizes = []
    for zoom in (1.0, 8.0):
        hand.workspace.clear_draft()
        hand.canvas.restore_view({"zoom": zoom, "x": 150, "y": 60})
        plain = hand.settled()
        hand.click(150, 60, RIGHT)
        hand.move(170, 75)
        assert hand.workspace.draft.marks[0].positive is False  # type: ignore[union-attr]
        changed = (hand.settled() != plain).any(axis=-1)
        changed[[0, -1]] = changed[:, [0, -1]] = False
        sizes.append(int(changed.sum()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_the_menu_key_asks_for_the_menu_of_the_selection(hand: Hand, qtbot: QtBot) -> None:
    (number,) = hand.add(rectangle(140, 90, 170, 120))
    hand.workspace.select((number,))
    from PySide6.QtGui import QContextMenuEvent

    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(0, 0), QPoint(0, 0))
    with qtbot.waitSignal(hand.canvas.context_menu_requested) as asked:
        QApplication.sendEvent(hand.canvas.viewport(), event)
    assert asked.args[1] == number


def test_two_screen_pixels_per_pixel(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    hand.canvas.restore_view({"zoom": 4.0, "x": 120, "y": 80})
    monkeypatch.setattr(type(hand.canvas.viewport()), "devicePixelRatioF", lambda _: 2.0)
    at = centre(hand)
    hand.canvas._sync_size()
    assert centre(hand) == (pytest.approx(at[0], abs=0.2), pytest.approx(at[1], abs=0.2))
    assert hand.canvas.zoom() == 8.0
    hand.canvas.actual_size()
    assert hand.canvas.zoom() == 1.0
    left, right = hand.canvas.to_view(100, 80), hand.canvas.to_view(140, 80)
    assert right.x() - left.x() == 20
    spot = QPointF(100.0, 90.0)
    back = hand.canvas.frame().point(*hand.canvas.to_image(spot).toTuple())
    assert back == spot


def test_keys_that_mean_nothing_here_are_left_to_the_window(hand: Hand) -> None:
    from PySide6.QtGui import QKeyEvent

    def claimed(key: Qt.Key, keys: Qt.KeyboardModifier = NONE) -> bool:
        event = QKeyEvent(QEvent.Type.ShortcutOverride, key, keys)
        event.ignore()
        QApplication.sendEvent(hand.canvas, event)
        return event.isAccepted()

    assert not claimed(Qt.Key.Key_Tab)
    assert not claimed(Qt.Key.Key_Return)
    assert not claimed(Qt.Key.Key_Backspace)
    assert not claimed(Qt.Key.Key_Delete)
    assert not claimed(Qt.Key.Key_Escape)
    assert not claimed(Qt.Key.Key_Right, CTRL)
    assert claimed(Qt.Key.Key_Space)
    hand.click(65, 55)
    hand.move(66, 56)
    assert claimed(Qt.Key.Key_Delete)
    hand.drag((150, 100), (160, 120), LEFT, drop=False)
    assert claimed(Qt.Key.Key_Escape)
    hand.key(Qt.Key.Key_Escape)
    hand.release(160, 120)
    assert len(hand.workspace.draft.marks) == 1


def test_an_image_turned_by_its_preview_is_taken_as_new(hand: Hand) -> None:
    pixels = photo()
    hand.workspace.image_ready.emit(LoadedImage("a.png", pixels.transpose(1, 0, 2), HEIGHT, WIDTH))
    assert hand.canvas.image_size() == (HEIGHT, WIDTH)
    assert hand.canvas.view_state() == {"fit": True}
