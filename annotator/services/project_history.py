"""`ProjectHistory`: steps of many images, or of the classes, that are taken back as one.

A group step is a row of the journal that steps of images and of the classes belong to; it is there
before them, so a crash leaves a shorter group step and never steps without one. Taking it back
touches only images whose newest step is of the group, and says which others there are. It can be
interrupted anywhere: what is taken back already is skipped the next time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from PySide6.QtCore import QObject, Signal

from annotator.core.annotation import Category
from annotator.core.class_history import ClassChange, class_difference
from annotator.core.errors import UserError
from annotator.services.history_journal import (
    DONE,
    ORIGINS,
    UNDONE,
    GroupRow,
    MarkGroup,
    WriteClassStep,
    WriteGroup,
    class_text,
    load_class_steps,
    load_group_steps,
    load_groups,
)
from annotator.services.slices import Slices

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.operations import Operation

T = TypeVar("T")


class Ask(Protocol):
    """Calls something with a connection to the journal."""

    def __call__(self, question: Callable[[sqlite3.Connection], T], /) -> T:
        """What it returns.

        Raises:
            UserError: the journal cannot be read.
        """


@dataclass(frozen=True, slots=True)
class GroupResult:
    """What came of taking a group step back, or of doing it again.

    Attributes:
        group: as it is now.
        images: how many changed.
        left: keys of the images where something newer was done; they stay as they are.
        classes: sentences about classes that stay as they are.
    """

    group: GroupRow
    images: int
    left: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """For people."""
        verb = "Undone" if self.group.state == UNDONE else "Redone"
        text = f"{verb}: {self.group.text}"
        if self.images:
            text += f", in {_many(self.images, 'image')}"
        text += "."
        if self.left:
            have = "has" if len(self.left) == 1 else "have"
            some = ", ".join(self.left[:3]) + (", …" if len(self.left) > 3 else "")
            stay = "stays" if len(self.left) == 1 else "stay"
            text += f" {_many(len(self.left), 'image')} {have} newer steps and {stay}: {some}."
        return " ".join((text, *self.classes))


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class ProjectHistory(QObject):
    """The group steps of one document.

    Args:
        document: the project; its child.
        number: gives the next number of a step.
        put: hands an operation to the journal.
        read: calls something with a connection to the journal.
    """

    changed = Signal()
    """There is a new group step, or one was taken back or done again."""
    finished = Signal(object)
    """`GroupResult` of `take_back` or `do_again`."""

    def __init__(
        self,
        document: Document,
        number: Callable[[], int],
        put: Callable[[Operation], None],
        read: Ask,
    ) -> None:
        super().__init__(document)
        self._document = document
        self._number = number
        self._put = put
        self._read = read
        self._part = 0
        self._begun: dict[int, WriteGroup] = {}
        self._kinds: dict[int, str] = {}
        self._rows: list[GroupRow] | None = None
        self._steps: dict[int, list[tuple[int, str]]] = {}
        self._classes: dict[int, list[tuple[int, ClassChange]]] = {}
        self._slices = Slices(self)

    # --- Making them ---

    def begin(self, kind: str, text: str) -> int:
        """A new group step; it is written together with its first step, or never.

        Args:
            kind: see `GroupRow`.
            text: what is done.
        """
        number = self._number()
        self._begun[number] = WriteGroup(number, kind, text)
        self._kinds[number] = kind
        return number

    @contextmanager
    def inside(self, group: int) -> Iterator[None]:
        """What is changed meanwhile belongs to this group step; never across a yield."""
        before, self._part = self._part, group
        try:
            yield
        finally:
            self._part = before

    def has(self, group: int) -> bool:
        """Whether there is such a group step that is not taken back."""
        return any(row.id == group and row.state == DONE for row in self.groups())

    def part_of(self, key: str, step: int) -> tuple[int, str | None]:
        """For a step of an image that is made now: its group step, and who made it if that says."""
        if not self._part:
            return 0, None
        self._write_begun()
        self._steps.setdefault(self._part, []).append((step, key))
        kind = self._kinds.get(self._part) or self._row(self._part).kind
        return self._part, ORIGINS.get(kind, "person")

    def _write_begun(self) -> None:
        begun = self._begun.pop(self._part, None)
        if begun is not None:
            self._put(begun)
            self._add(begun)

    def _add(self, begun: WriteGroup) -> None:
        rows = self._all()
        rows.append(GroupRow(begun.id, begun.time, begun.kind, begun.text, DONE))
        self.changed.emit()

    def class_steps(
        self, before: Sequence[Category], after: Sequence[Category]
    ) -> tuple[WriteGroup | WriteClassStep, ...]:
        """What to write with a change of the classes, so that it can be taken back."""
        change = class_difference(before, after)
        if not change:
            return ()
        part = self._part or self.begin("classes", class_text(before, change))
        step = WriteClassStep(self._number(), part, change)
        self._classes.setdefault(part, []).append((step.id, change))
        begun = self._begun.pop(part, None)
        if begun is None:
            return (step,)
        self._add(begun)
        return begun, step

    # --- Looking at them ---

    def groups(self) -> Sequence[GroupRow]:
        """All group steps, oldest first. Treat as read-only."""
        return self._all()

    def _all(self) -> list[GroupRow]:
        if self._rows is None:
            self._rows = self._read(load_groups)
        return self._rows

    def _row(self, group: int) -> GroupRow:
        return next(row for row in reversed(self._all()) if row.id == group)

    def newest(self, kind: str = "") -> GroupRow | None:
        """The newest group step that can be taken back, of this kind if there is one given."""
        rows = (row for row in reversed(self._all()) if row.state == DONE)
        return next((row for row in rows if kind in ("", row.kind)), None)

    def newest_undone(self) -> GroupRow | None:
        """The group step taken back that comes first after those that were not."""
        found = None
        for row in reversed(self._all()):
            if row.state == DONE:
                break
            found = row
        return found

    @property
    def running(self) -> bool:
        """Whether one is being taken back or done again."""
        return self._slices.running

    # --- Taking them back ---

    def take_back(self, group: int) -> None:
        """Take a group step back while the window goes on; `finished` tells.

        Raises:
            UserError: another one is under way.
        """
        self._start(self.taking_back(group))

    def do_again(self, group: int) -> None:
        """Do a group step again that was taken back; `finished` tells.

        Raises:
            UserError: another one is under way.
        """
        self._start(self.doing_again(group))

    def _start(self, work: Generator[object, None, GroupResult]) -> None:
        if self.running:
            raise UserError("Another step of the whole project is under way.", "Wait for it.")
        self._slices.start(work, self.finished.emit)

    def stop(self) -> None:
        """End what is under way; what is done stays done."""
        self._slices.stop()

    def taking_back(self, group: int) -> Generator[str, None, GroupResult]:
        """`take_back` in steps of an image each; yields keys.

        Raises:
            UserError: the journal cannot be read.
        """
        document = self._document
        images, left, classes = set[str](), dict[str, None](), list[str]()
        for _, what in self._newest_first(group):
            if isinstance(what, ClassChange):
                classes += document.restore_classes(what.inverse)
                continue
            number, key = what
            if not document.has_image(key):
                continue
            if document.last_step(key) == number:
                document.undo(key)
                images.add(key)
            elif document.is_done(key, number):
                left[key] = None
            yield key
        return self._mark(group, UNDONE, len(images), left, classes)

    def doing_again(self, group: int) -> Generator[str, None, GroupResult]:
        """`do_again` in steps of an image each; yields keys.

        Raises:
            UserError: the journal cannot be read.
        """
        document = self._document
        images, left, classes = set[str](), dict[str, None](), list[str]()
        for _, what in reversed(list(self._newest_first(group))):
            if isinstance(what, ClassChange):
                classes += document.restore_classes(what)
                continue
            number, key = what
            if not document.has_image(key):
                continue
            if document.next_step(key) == number:
                document.redo(key)
                images.add(key)
            elif not document.is_done(key, number):
                left[key] = None
            yield key
        return self._mark(group, DONE, len(images), left, classes)

    def _mark(
        self, group: int, state: int, images: int, left: dict[str, None], classes: list[str]
    ) -> GroupResult:
        rows = self._all()
        place = next(i for i, row in enumerate(rows) if row.id == group)
        rows[place] = replace(rows[place], state=state)
        self._put(MarkGroup(group, state))
        self.changed.emit()
        return GroupResult(rows[place], images, tuple(left), tuple(classes))

    def _newest_first(self, group: int) -> Iterator[tuple[int, ClassChange | tuple[int, str]]]:
        """Everything a group step did, by number."""
        classes = self._class_changes(group)
        for number, key in self._image_steps(group):
            while classes and classes[-1][0] > number:
                yield classes.pop()
            yield number, (number, key)
        yield from reversed(classes)

    def _class_changes(self, group: int) -> list[tuple[int, ClassChange]]:
        known = dict(self._read(lambda db: load_class_steps(db, group)))
        return sorted((known | dict(self._classes.get(group, ()))).items())

    def _image_steps(self, group: int) -> Iterator[tuple[int, str]]:
        # Those of this session may not be in the journal yet.
        fresh = self._steps.get(group, [])
        yield from reversed(fresh)
        below = fresh[0][0] if fresh else self._number()
        while rows := self._read(lambda db, end=below: load_group_steps(db, group, end)):  # type: ignore[misc]
            yield from rows
            below = rows[-1][0]
