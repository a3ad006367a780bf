"""Refine with the Model: clicks go on from an object's mask, through the real window."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt

from annotator.core.annotation import Source
from tests.e2e.test_mask_editing import RIGHT, Editor, disk, edits, square
from tests.e2e.user import CTRL, SHIFT

__all__ = ["edits"]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def answered(user: Editor, points: int) -> None:
    workspace = user.workspace
    user.waits_for(
        lambda: (
            len(workspace.draft.marks) == points
            and bool(workspace.candidates)
            and not workspace.working
        )
    )


def test_a_click_brings_back_what_is_missing_and_the_rest_stays(edits) -> None:
    def script(user: Editor) -> None:
        truth = disk(220, 120, 50)
        hole = disk(250, 95, 16)
        hand_made = (truth & ~hole) | square(165, 118, 172, 124)
        (number,) = user.has(hand_made)
        category = user.workspace.annotations[0].category_id
        user.presses(Qt.Key.Key_Q, SHIFT)
        answered(user, 0)
        assert user.workspace.draft.target == number
        assert not user.workspace.selection
        user.clicks(248, 97)
        answered(user, 1)
        user.presses(Qt.Key.Key_Return)
        user.waits_for(lambda: user.undo_text == "Refine dog")
        (dog,) = user.workspace.annotations
        after = user.pixels()
        assert (dog.id, dog.category_id) == (number, category)
        assert iou(after, truth) > iou(hand_made, truth) + 0.05
        # Only where the click is: the odd corner drawn by hand stays.
        assert not (hand_made & ~after).any()
        assert dog.origin.source is Source.MODEL
        assert dog.origin.edited
        assert dog.origin.prompt is not None
        assert len(dog.origin.prompt.points) == 1
        assert user.workspace.selection == {number}
        user.presses(Qt.Key.Key_Z, CTRL)
        assert np.array_equal(user.pixels(), hand_made)

    edits(script)


def test_a_right_click_takes_away_what_does_not_belong(edits) -> None:
    def script(user: Editor) -> None:
        truth = disk(220, 120, 50)
        too_much = truth | square(250, 60, 300, 100)
        user.has(too_much)
        user.presses(Qt.Key.Key_Q, SHIFT)
        answered(user, 0)
        user.clicks(285, 75, RIGHT)
        answered(user, 1)
        user.presses(Qt.Key.Key_Return)
        user.waits_for(lambda: user.undo_text == "Refine dog")
        after = user.pixels()
        assert iou(after, truth) > iou(too_much, truth)
        assert not (after & ~too_much).any()
        assert not after[75, 285]

    edits(script)


def test_escape_and_enter_without_a_click_leave_the_object_as_it_is(edits) -> None:
    def script(user: Editor) -> None:
        shape = disk(80, 120, 33)
        (number,) = user.has(shape)
        before = user.undo_text
        for key in (Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Backspace):
            user.presses(Qt.Key.Key_Q, SHIFT)
            answered(user, 0)
            user.presses(key)
            user.waits_for(lambda: user.workspace.selection == {number})
            assert not user.workspace.draft
            assert np.array_equal(user.pixels(), shape)
            assert user.undo_text == before

    edits(script)


def test_a_model_that_was_not_trained_with_masks_gets_points(edits) -> None:
    def script(user: Editor) -> None:
        user.window.settings.update(model="basic")
        truth = disk(220, 120, 50)
        hand_made = truth & ~disk(250, 95, 16)
        user.has(hand_made)
        user.presses(Qt.Key.Key_Q, SHIFT)
        answered(user, 0)
        user.clicks(248, 97)
        answered(user, 1)
        user.presses(Qt.Key.Key_Return)
        user.waits_for(lambda: user.undo_text == "Refine dog")
        assert iou(user.pixels(), truth) > 0.95
        assert user.workspace.annotations[0].origin.model == "basic"

    edits(script)
