"""The view and the order of objects, with the mouse and the keys, through the real window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from tests.e2e.test_mask_editing import LEFT, Editor, disk, edits, square
from tests.e2e.user import ALT, CTRL, NONE, SHIFT, Start, User

__all__ = ["edits"]


def test_the_view_is_rotated_with_keys_and_tools_go_on(edits) -> None:
    def script(user: Editor) -> None:
        canvas = user.window.canvas
        user.presses(Qt.Key.Key_R, CTRL)
        assert canvas.turn == 1
        assert "⟳ 90°" in user.status()
        right, down = user.view(100, 50) - user.view(60, 50), user.view(60, 90) - user.view(60, 50)
        assert right.x() == 0 < right.y()
        assert down.y() == 0 > down.x()
        user.window.settings.update(brush_size=12.0)
        user.presses(Qt.Key.Key_B)
        user.draws([(60, 60), (60, 120)])
        assert user.pixels()[60:120, 56:64].all()
        assert user.pixels().sum() < 13 * 72
        user.presses(Qt.Key.Key_R, CTRL | SHIFT)
        user.presses(Qt.Key.Key_R, CTRL | SHIFT)
        assert canvas.turn == 3
        user.presses(Qt.Key.Key_O)
        user.draws([(150, 60), (220, 60), (220, 130), (150, 130)])
        assert user.pixels()[65:125, 155:215].all()
        user.presses(Qt.Key.Key_R, CTRL | ALT)
        assert canvas.turn == 0
        assert not any("⟳" in text for text in user.status())

    edits(script)


def test_a_rotation_is_there_after_a_restart(start: Start, folder: Path) -> None:
    def turns(user: User) -> None:
        user.waits_for_image()
        user.presses(Qt.Key.Key_R, CTRL)
        user.presses(Qt.Key.Key_D)
        user.waits_for(lambda: user.window.canvas.turn == 0)

    def looks(user: User) -> None:
        user.waits_for_image()
        user.presses(Qt.Key.Key_A)
        user.waits_for(lambda: user.window.canvas.turn == 1)

    start([str(folder)], turns)
    start([str(folder)], looks)


def test_the_pan_tool_and_space_move_the_view(edits) -> None:
    def script(user: Editor) -> None:
        canvas = user.window.canvas
        viewport = canvas.viewport()
        user.presses(Qt.Key.Key_1, CTRL)
        for _ in range(8):
            user.presses(Qt.Key.Key_Plus)
        user.presses(Qt.Key.Key_V, SHIFT)
        for space in (False, True):
            if space:
                user.presses(Qt.Key.Key_Q)
                QTest.keyPress(canvas, Qt.Key.Key_Space)
            place, start = user.view(160, 120), user.view(150, 110)
            QTest.mousePress(viewport, LEFT, NONE, start)
            QTest.mouseMove(viewport, start + QPoint(40, -25))
            QTest.mouseRelease(viewport, LEFT, NONE, start + QPoint(40, -25))
            if space:
                QTest.keyRelease(canvas, Qt.Key.Key_Space)
            assert user.view(160, 120) - place == QPoint(40, -25)
        assert not user.workspace.draft

    edits(script)


def test_layers_go_up_and_down_with_keys(edits) -> None:
    def script(user: Editor) -> None:
        one, two, three = user.has(*(disk(60 * n, 100, 20) for n in (1, 2, 3)), select=False)
        user.workspace.select((one,))
        for key, keys, order in (
            (Qt.Key.Key_Up, CTRL, [two, one, three]),
            (Qt.Key.Key_Up, CTRL | SHIFT, [two, three, one]),
            (Qt.Key.Key_Down, CTRL, [two, one, three]),
            (Qt.Key.Key_Down, CTRL | SHIFT, [one, two, three]),
        ):
            user.presses(key, keys)
            assert [a.id for a in user.workspace.annotations] == order
        user.presses(Qt.Key.Key_Z, CTRL)
        assert [a.id for a in user.workspace.annotations] == [two, one, three]

    edits(script)


def test_the_knife_follows_the_hand_with_ctrl(edits) -> None:
    def script(user: Editor) -> None:
        user.has(square(60, 60, 160, 160))
        user.presses(Qt.Key.Key_C)
        user.draws([(40, 100), (110, 140), (180, 100)], keys=CTRL)
        above = next(p for p in (user.pixels(0), user.pixels(1)) if p[65, 110])
        below = square(60, 60, 160, 160) & ~above
        # A straight line from end to end would leave the middle below it.
        assert above[130, 110]
        assert below[150, 110]
        assert np.array_equal(user.pixels(0) ^ user.pixels(1), square(60, 60, 160, 160))

    edits(script)


def test_pieces_that_touch_at_corners_are_split_from_the_menu(edits) -> None:
    def script(user: Editor) -> None:
        user.has(square(60, 60, 80, 80) | square(80, 80, 100, 100))
        user.window.run("mask.split")
        assert len(user.workspace.annotations) == 1
        user.window.run("mask.split_4")
        assert len(user.workspace.annotations) == 2

    edits(script)
