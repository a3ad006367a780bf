"""Vertices and lines along edges, with the mouse and the keys, through the real window."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from tests.e2e.test_mask_editing import (
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Editor,
    disk,
    edits,
    square,
)
from tests.e2e.user import ALT, CTRL, NONE, SHIFT

__all__ = ["edits"]


def corners(user: Editor) -> list[tuple[float, float]]:
    """The vertices shown, waited for."""
    vertices = user.window.canvas.vertices
    user.waits_for(lambda: bool(vertices.rings))
    return [(x, y) for ring in vertices.rings for x, y in ring.vertices.tolist()]


def double_clicks(user: Editor, x: float, y: float) -> None:
    viewport, at = user.window.canvas.viewport(), user.view(x, y)
    user.clicks(x, y)
    QTest.mouseDClick(viewport, LEFT, NONE, at)
    QTest.mouseRelease(viewport, LEFT, NONE, at)
    QApplication.processEvents()


def test_a_vertex_is_dragged_and_nothing_else_changes(edits) -> None:
    def script(user: Editor) -> None:
        block = square(60, 60, 160, 140)
        user.has(block | disk(60, 100, 20))
        user.presses(Qt.Key.Key_Z)
        before = user.pixels()
        assert (160.0, 60.0) in corners(user)
        user.draws([(160, 60), (200, 40)])
        corners(user)
        after = user.pixels()
        assert after[50:56, 175:180].any()
        changed = after != before
        # The lines between the vertices beside it are all that moved.
        assert not changed[:, :60].any()
        assert not changed[141:].any()
        assert user.undo_text == "Reshape dog"
        user.presses(Qt.Key.Key_Z, CTRL)
        assert np.array_equal(user.pixels(), before)

    edits(script)


def test_a_line_that_is_dragged_gets_a_vertex(edits) -> None:
    def script(user: Editor) -> None:
        user.has(square(60, 60, 160, 140))
        user.presses(Qt.Key.Key_Z)
        assert len(corners(user)) == 4
        user.draws([(110, 60), (110, 30)])
        assert len(corners(user)) == 5
        after = user.pixels()
        assert after[40, 110]
        assert not after[40, 70]
        assert after[100, 100]

    edits(script)


def test_double_click_puts_a_vertex_in_and_delete_erases_it(edits) -> None:
    def script(user: Editor) -> None:
        user.has(square(60, 60, 160, 140))
        user.presses(Qt.Key.Key_Z)
        before = user.pixels()
        corners(user)
        double_clicks(user, 110, 60)
        assert len(corners(user)) == 5
        assert np.array_equal(user.pixels(), before)
        # Arrow keys move it: all of one go are one step.
        for _ in range(3):
            user.presses(Qt.Key.Key_Up, SHIFT)
        user.waits_for(lambda: user.undo_text == "Reshape dog")
        assert len(corners(user)) == 5
        assert user.pixels()[35, 110]
        user.presses(Qt.Key.Key_Delete)
        assert user.undo_text == "Erase vertices of dog"
        corners(user)
        assert np.array_equal(user.pixels(), before)

    edits(script)


@pytest.mark.parametrize(("button", "keys"), [(RIGHT, NONE), (LEFT, ALT)])
def test_a_click_erases_a_vertex(edits, button: Qt.MouseButton, keys) -> None:
    def script(user: Editor) -> None:
        user.has(square(60, 60, 160, 140))
        user.presses(Qt.Key.Key_Z)
        corners(user)
        user.clicks(160, 60, button, keys)
        after = user.pixels()
        assert after[130, 70]
        assert not after[70, 150]
        assert len(user.workspace.annotations) == 1

    edits(script)


def test_vertices_in_a_frame_move_together(edits) -> None:
    def script(user: Editor) -> None:
        user.has(square(60, 60, 160, 140))
        user.presses(Qt.Key.Key_Z)
        corners(user)
        user.draws([(180, 40), (140, 170)])
        assert len(user.window.canvas.vertices.chosen) == 2
        user.draws([(160, 140), (200, 140)])
        corners(user)
        assert np.array_equal(user.pixels(), square(60, 60, 200, 140))
        assert len(user.window.canvas.vertices.chosen) == 2
        user.presses(Qt.Key.Key_Escape)
        assert not user.window.canvas.vertices.chosen
        assert user.workspace.selection

    edits(script)


def test_the_detail_changes_what_is_shown_and_no_pixel(edits) -> None:
    def script(user: Editor) -> None:
        shape = disk(120, 100, 50) & ~disk(130, 95, 15)
        user.has(shape)
        user.presses(Qt.Key.Key_Z)
        few = len(corners(user))
        assert len(user.window.canvas.vertices.rings) == 2
        user.turns_wheel(20, 20, 2, ALT)
        more = len(corners(user))
        for _ in range(7):
            user.presses(Qt.Key.Key_BracketLeft)
        fewer = len(corners(user))
        assert fewer < few < more
        bar = user.window.canvas.vertices._bar
        assert bar is not None
        assert bar.isVisible()
        bar.slider.setValue(bar.slider.maximum())
        assert len(corners(user)) > more
        assert np.array_equal(user.pixels(), shape)
        user.presses(Qt.Key.Key_V)
        assert not bar.isVisible()

    edits(script)


def wired(user: Editor) -> None:
    """Wait until lines follow edges."""
    from annotator.ui.wires import Wires

    user.waits_for(lambda: all(w.ready for w in user.window.canvas.findChildren(Wires)))


def test_the_magnetic_polygon_follows_the_edge(edits) -> None:
    def script(user: Editor) -> None:
        user.presses(Qt.Key.Key_T, SHIFT)
        assert user.workspace.tool == "magnetic"
        # A disk of radius 40 at (80, 120); clicks are a little beside its edge.
        for x, y in ((80, 82), (118, 120), (82, 158), (42, 119)):
            user.clicks(x, y)
            wired(user)
        user.points_at(60, 90)
        user.presses(Qt.Key.Key_Return)
        user.waits_for_objects(1)
        found, truth = user.pixels(), disk(80, 120, 40)
        assert (found & truth).sum() / (found | truth).sum() > 0.95

    edits(script)


def test_backspace_takes_the_last_place_back(edits) -> None:
    def script(user: Editor) -> None:
        user.presses(Qt.Key.Key_T, SHIFT)
        for x, y in ((80, 82), (118, 120), (200, 20)):
            user.clicks(x, y)
            wired(user)
        user.presses(Qt.Key.Key_Backspace)
        wired(user)
        for x, y in ((82, 158), (42, 119)):
            user.clicks(x, y)
            wired(user)
        user.clicks(80, 82)
        user.waits_for_objects(1)
        assert not user.pixels()[15:60].any()

    edits(script)


def test_a_stretch_is_redrawn_along_the_edge(edits) -> None:
    def script(user: Editor) -> None:
        # The upper part of the disk was missed.
        missed = disk(80, 120, 40)
        missed[:110] = False
        user.has(missed)
        user.presses(Qt.Key.Key_U)
        user.clicks(41, 112)
        wired(user)
        user.clicks(80, 80)
        wired(user)
        double_clicks(user, 119, 112)
        found, truth = user.pixels(), disk(80, 120, 40)
        assert user.undo_text == "Redraw dog"
        assert (found & truth).sum() / (found | truth).sum() > 0.95
        assert np.array_equal(found[125:], missed[125:])
        assert found.shape == (HEIGHT, WIDTH)

    edits(script)
