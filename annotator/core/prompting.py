"""`PromptDraft`: the open question about one object, before it becomes an annotation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.api import Box, MaskPrompt, Point, Prompt


@dataclass(frozen=True, slots=True)
class PromptDraft:
    """Clicks and a box in the order they were made; every step returns a new draft.

    Attributes:
        marks: points and at most one box, oldest first.
        choice: which candidate is shown (0: the one the model prefers).
        start: the mask that is refined.
        target: the id of the object it belongs to.
    """

    marks: tuple[Point | Box, ...] = ()
    choice: int = 0
    start: MaskPrompt | None = None
    target: int | None = None

    @property
    def prompt(self) -> Prompt:
        """What the segmenter is asked."""
        boxes = [mark for mark in self.marks if isinstance(mark, Box)]
        points = tuple(mark for mark in self.marks if isinstance(mark, Point))
        return Prompt(points, boxes[-1] if boxes else None, self.start)

    def __bool__(self) -> bool:
        """Whether there is anything to take back."""
        return bool(self.marks) or self.start is not None

    def with_point(self, point: Point) -> PromptDraft:
        """One more click."""
        return self._with((*self.marks, point))

    def with_box(self, box: Box) -> PromptDraft:
        """The box, in place of an earlier one."""
        kept = tuple(mark for mark in self.marks if not isinstance(mark, Box))
        return self._with((*kept, box))

    def moved(self, index: int, mark: Point | Box) -> PromptDraft:
        """Mark number `index` replaced."""
        return self._with((*self.marks[:index], mark, *self.marks[index + 1 :]))

    def without(self, index: int) -> PromptDraft:
        """Mark number `index` removed."""
        return self._with((*self.marks[:index], *self.marks[index + 1 :]))

    def without_last(self) -> PromptDraft:
        """The newest mark taken back; without any, the mask that was to be refined."""
        return self._with(self.marks[:-1]) if self.marks else PromptDraft()

    def _with(self, marks: tuple[Point | Box, ...]) -> PromptDraft:
        return replace(self, marks=marks, choice=0)

    def choosing(self, step: int, count: int) -> PromptDraft:
        """The next (1) or previous (-1) of `count` candidates."""
        return replace(self, choice=(self.choice + step) % count) if count else self
