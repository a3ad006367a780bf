from __future__ import annotations

from annotator.core.prompting import PromptDraft
from models.api import Box, Point, Prompt


def test_marks_become_a_prompt_in_the_order_they_were_made() -> None:
    draft = PromptDraft().with_point(Point(1, 2)).with_box(Box(0, 0, 9, 9))
    draft = draft.with_point(Point(3, 4, positive=False))
    assert draft.prompt == Prompt((Point(1, 2), Point(3, 4, positive=False)), Box(0, 0, 9, 9))


def test_a_second_box_takes_the_place_of_the_first() -> None:
    draft = (
        PromptDraft().with_box(Box(0, 0, 1, 1)).with_point(Point(5, 5)).with_box(Box(2, 2, 3, 3))
    )
    assert draft.prompt.box == Box(2, 2, 3, 3)
    assert draft.marks[-1] == Box(2, 2, 3, 3)


def test_taking_back_removes_the_newest_mark_first() -> None:
    draft = PromptDraft().with_box(Box(0, 0, 1, 1)).with_point(Point(5, 5))
    assert draft.without_last().prompt == Prompt((), Box(0, 0, 1, 1))
    assert not draft.without_last().without_last()
    assert not PromptDraft().without_last()


def test_every_new_mark_starts_again_at_the_preferred_candidate() -> None:
    draft = PromptDraft().with_point(Point(1, 1)).choosing(1, 3)
    assert draft.choice == 1
    assert draft.choosing(-1, 3).choosing(-1, 3).choice == 2
    assert draft.with_point(Point(2, 2)).choice == 0
    assert draft.moved(0, Point(9, 9)).prompt.points == (Point(9, 9),)
    assert draft.choosing(1, 0) == draft


def test_only_negative_points_are_no_question() -> None:
    assert not Prompt((Point(1, 1, positive=False),))
    assert Prompt((Point(1, 1, positive=False),), Box(0, 0, 4, 4))
