"""Boxes, copies and choosing objects, with the mouse and the keys, through the real window."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu

from annotator.core.annotation import Annotation
from models.api import Box
from tests.e2e.test_mask_editing import LEFT, Editor, disk, edits, square
from tests.e2e.user import ALT, CTRL, NONE, SHIFT

__all__ = ["edits"]


def boxed(user: Editor, box: Box) -> int:
    """Put a rectangle into the image and select it with the select tool."""
    document, key = user.workspace.document, user.workspace.key
    assert document is not None
    assert key is not None
    number = document.new_id()
    document.edit(key, (*user.workspace.annotations, Annotation(number, box)), "Add")
    user.workspace.select((number,))
    user.presses(Qt.Key.Key_V)
    return number


@pytest.mark.parametrize(
    ("keys", "end", "expected"),
    [
        (NONE, (180, 120), Box(60, 60, 180, 120)),
        (SHIFT, (180, 110), Box(60, 60, 180, 120)),
        (CTRL, (180, 110), Box(40, 50, 180, 110)),
        (ALT | SHIFT, (210, 110), Box(10, 40, 210, 120)),
    ],
)
def test_a_rectangle_is_resized(edits, keys, end, expected: Box) -> None:
    def script(user: Editor) -> None:
        boxed(user, Box(60, 60, 160, 110) if keys in (NONE, SHIFT) else Box(60, 60, 160, 100))
        corner = (160, 110) if keys in (NONE, SHIFT) else (160, 100)
        user.draws([corner, end], LEFT, keys)
        (shape,) = (a.shape for a in user.workspace.annotations)
        assert shape == expected
        assert user.undo_text == "Resize"

    edits(script)


def test_arrow_keys_move_a_rectangle_by_one_and_ten_pixels(edits) -> None:
    def script(user: Editor) -> None:
        boxed(user, Box(60, 60, 160, 100))
        user.presses(Qt.Key.Key_Right)
        user.waits_for(lambda: user.workspace.annotations[0].shape == Box(61, 60, 161, 100))
        user.presses(Qt.Key.Key_Down, SHIFT)
        user.waits_for(lambda: user.workspace.annotations[0].shape == Box(61, 70, 161, 110))

    edits(script)


def test_a_rectangle_is_drawn_from_its_centre(edits) -> None:
    def script(user: Editor) -> None:
        user.presses(Qt.Key.Key_R)
        user.draws([(100, 100), (130, 120)], LEFT, CTRL)
        assert user.workspace.annotations[0].shape == Box(70, 80, 130, 120)

    edits(script)


def test_objects_are_copied_to_the_next_image(edits) -> None:
    def script(user: Editor) -> None:
        user.has(disk(100, 100, 30))
        first = user.workspace.key
        user.presses(Qt.Key.Key_C, CTRL | SHIFT)
        user.waits_for(lambda: len(user.workspace.annotations) == 1)
        assert user.workspace.key != first
        assert np.array_equal(user.pixels(), disk(100, 100, 30))
        assert user.workspace.name_of(user.workspace.annotations[0].category_id) == "dog"
        assert len(user.workspace.selection) == 1
        user.presses(Qt.Key.Key_C, CTRL | SHIFT)
        user.waits_for(lambda: user.workspace.key not in (None, first))
        user.waits_for(lambda: len(user.workspace.annotations) == 1)
        last = user.workspace.key
        user.presses(Qt.Key.Key_C, CTRL | SHIFT)
        user.waits_for(lambda: "no next image" in user.banner())
        assert user.workspace.key == last
        assert len(user.workspace.annotations) == 1

    edits(script)


def test_paste_in_place_and_duplicate(edits) -> None:
    def script(user: Editor) -> None:
        user.has(disk(100, 100, 30))
        user.presses(Qt.Key.Key_C, CTRL)
        user.presses(Qt.Key.Key_V, CTRL | SHIFT)
        user.waits_for_objects(2)
        assert np.array_equal(user.pixels(1), disk(100, 100, 30))
        user.presses(Qt.Key.Key_D, CTRL)
        user.waits_for_objects(3)
        assert not np.array_equal(user.pixels(2), disk(100, 100, 30))

    edits(script)


def test_the_class_of_the_last_object_is_given_again(edits) -> None:
    def script(user: Editor) -> None:
        user.has(square(20, 20, 60, 60))
        user.names("cat")
        user.has(square(100, 20, 160, 60), name="dog")
        user.presses(Qt.Key.Key_0)
        names = [user.workspace.name_of(a.category_id) for a in user.workspace.annotations]
        assert names == ["cat", "cat"]

    edits(script)


@pytest.mark.parametrize("by_key", [True, False])
def test_a_small_object_under_a_large_one_is_found(edits, *, by_key: bool) -> None:
    def script(user: Editor) -> None:
        small, large = user.has(square(90, 90, 110, 110), square(40, 40, 200, 180), select=False)
        user.presses(Qt.Key.Key_V)
        user.clicks(100, 100)
        assert user.workspace.selection == {large}
        user.clicks(100, 100)
        assert user.workspace.selection == {small}
        user.workspace.select(())
        user.points_at(100, 100)
        if by_key:
            user.presses(Qt.Key.Key_Period, CTRL)
        else:
            user.clicks(100, 100, LEFT, ALT)
        (menu,) = [m for m in user.window.canvas.findChildren(QMenu) if m.isVisible()]
        texts = [action.text() for action in menu.actions()]
        assert texts == ["dog · 22,400 pixels", "dog · 400 pixels"]
        menu.actions()[1].trigger()
        menu.close()
        assert user.workspace.selection == {small}

    edits(script)


def test_the_selection_stays_in_view(edits) -> None:
    def script(user: Editor) -> None:
        canvas = user.window.canvas
        first, second = user.has(square(10, 10, 30, 30), square(280, 200, 300, 220), select=False)
        user.workspace.select((first,))
        user.presses(Qt.Key.Key_Z, SHIFT)
        assert canvas.zoom() > 4
        assert canvas.frame().area.contains(20, 20)
        user.presses(Qt.Key.Key_Period)
        assert user.workspace.selection == {second}
        area = canvas.frame().area
        assert area.contains(281, 201)
        assert area.contains(299, 219)

    edits(script)
