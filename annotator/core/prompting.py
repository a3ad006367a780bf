"""`PromptDraft`: the open question about one object, before it becomes an annotation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.api import Box, Point, Prompt


@dataclass(frozen=True, slots=True)
class PromptDraft:
    """Clicks and a box in the order they were made; every step returns a new draft.

    Attributes:
        marks: points and at most one box, oldest first.
        choice: which candidate is shown (0: the one the model prefers).
    """

    marks: tuple[Point | Box, ...] = ()
    choice: int = 0

    @property
    def prompt(self) -> Prompt:
        """What the segmenter is asked."""
        boxes = [mark for mark in self.marks if isinstance(mark, Box)]
        points = tuple(mark for mark in self.marks if isinstance(mark, Point))
        return Prompt(points, boxes[-1] if boxes else None)

    def __bool__(self) -> bool:
        """Whether there is anything to take back."""
        return bool(self.marks)

    def with_point(self, point: Point) -> PromptDraft:
        """One more click."""
        return PromptDraft((*self.marks, point))

    def with_box(self, box: Box) -> PromptDraft:
        """The box, in place of an earlier one."""
        kept = tuple(mark for mark in self.marks if not isinstance(mark, Box))
        return PromptDraft((*kept, box))

    def moved(self, index: int, mark: Point | Box) -> PromptDraft:
        """Mark number `index` replaced."""
        return PromptDraft((*self.marks[:index], mark, *self.marks[index + 1 :]))

    def without(self, index: int) -> PromptDraft:
        """Mark number `index` removed."""
        return PromptDraft((*self.marks[:index], *self.marks[index + 1 :]))

    def without_last(self) -> PromptDraft:
        """The newest mark taken back."""
        return PromptDraft(self.marks[:-1])

    def choosing(self, step: int, count: int) -> PromptDraft:
        """The next (1) or previous (-1) of `count` candidates."""
        return replace(self, choice=(self.choice + step) % count) if count else self
