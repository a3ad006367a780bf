"""`Past`: every step of one image, also those on abandoned lines, and every state it ever had.

Steps form a tree: each knows the one it was done after. The current state is at the end of one
line; undoing and then doing something else begins another one, and the first stays where it is.
Used on a background thread.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotator.core.annotation import Annotations
from annotator.core.errors import UserError
from annotator.core.history import Change
from annotator.services import journal
from annotator.services.history_journal import DONE, UNDONE, UNKNOWN, Step, StepRow, load_step_rows

KEPT = 512
"""States and changes in memory."""


@dataclass(frozen=True, slots=True)
class Target:
    """A state of the history, ready to become the current one.

    Attributes:
        key: of the image.
        row: the step it was after, None for the state before the first step.
        annotations: the state.
        done: the steps that lead to it, oldest first.
        undone: those that can be done again from there, the next one last.
    """

    key: str
    row: StepRow | None
    annotations: Annotations
    done: tuple[Step, ...]
    undone: tuple[Step, ...]


class Past:
    """The history of an image as the journal has it now.

    Args:
        db: a reading connection of this thread.
        key: of the image.
        image: its id.

    Raises:
        sqlite3.Error: the journal cannot be read.
    """

    def __init__(self, db: sqlite3.Connection, key: str, image: int) -> None:
        self._db = db
        self.key = key
        # One transaction, so that steps and state belong together.
        db.execute("BEGIN")
        try:
            rows = load_step_rows(db, image)
            now = journal.load_annotations(db, image)
        finally:
            db.execute("COMMIT")
        self.tip = max((row.id for row in rows if row.state == DONE), default=0)
        if not self.tip:
            # Everything is undone: before the first step of the line.
            line = [row for row in rows if row.state == UNDONE] or rows
            self.tip = next((row.parent for row in line if row.parent >= 0), 0)
        self._states: OrderedDict[int, Annotations] = OrderedDict({self.tip: now})
        self._changes: OrderedDict[int, Change] = OrderedDict()
        self._now = now
        self._rows = {row.id: row for row in rows}
        for row in rows:
            if row.parent == UNKNOWN:
                self._rows[row.id] = replace(row, parent=self._find_parent(row.id))
        self.rows: Sequence[StepRow] = tuple(self._rows.values())

    def change(self, step: int) -> Change:
        """What a step changed."""
        known = self._changes.get(step)
        if known is None:
            known = self._changes[step] = journal.load_change(self._db, step)
            _bound(self._changes)
        return known

    def state(self, step: int) -> Annotations:
        """The objects of the image after a step; after 0: before the first one.

        Raises:
            UserError: the steps before it were trimmed, or do not fit together.
        """
        up, down = self._path(self.tip), self._path(step)
        known = set(up)
        common = next((number for number in reversed(down) if number in known), None)
        if common is None:
            raise UserError("The steps before this one were trimmed.", "Choose a later one.")
        way = [*((n, False) for n in reversed(up[up.index(common) + 1 :])),
               *((n, True) for n in down[down.index(common) + 1 :])]  # fmt: skip
        return self._walk(way, step)

    def _walk(self, way: list[tuple[int, bool]], step: int) -> Annotations:
        """Follow steps backwards (False) and forwards from the current state."""
        state, start = self._now, 0
        for place in range(len(way), 0, -1):
            number, forward = way[place - 1]
            at = number if forward else self._rows[number].parent
            if at in self._states:
                state, start = self._states[at], place
                break
        for number, forward in way[start:]:
            change = self.change(number)
            state = (change if forward else change.inverse).apply(state)
            self._states[number if forward else self._rows[number].parent] = state
            _bound(self._states)
        self._states[self.tip] = self._now
        return state

    def target(self, step: int) -> Target:
        """What `Document.jump` needs to go there.

        Raises:
            UserError: see `state`.
        """
        row = self._rows.get(step)
        line = [self._rows[n] for n in self._path(step) if n in self._rows]
        done = tuple(Step(r.id, r.text, False) for r in line)
        undone = tuple(Step(r.id, r.text, True) for r in reversed(self._after(step)))
        return Target(self.key, row, self.state(step), done, undone)

    def _path(self, step: int) -> list[int]:
        """The steps that lead to one, with the state before the first of them in front."""
        path = [step]
        while path[-1] in self._rows:
            path.append(self._rows[path[-1]].parent)
        return path[::-1]

    def _after(self, step: int) -> list[StepRow]:
        """What can be done again after a step: its line if it is the current one, else newest."""
        children: dict[int, list[StepRow]] = {}
        for row in self._rows.values():
            children.setdefault(row.parent, []).append(row)
        line = []
        while following := children.get(step):
            chosen = min(following, key=lambda row: (row.state, -row.id))
            line.append(chosen)
            step = chosen.id
        return line

    def _find_parent(self, step: int) -> int:
        """Version 3 did not say after which step an abandoned one was done.

        Undoing goes backwards along a line, so it is the step made before it or one on its way.
        """
        earlier = [row.id for row in self._rows.values() if row.id < step]
        candidates = self._path(max(earlier, default=0))[::-1]
        change = self.change(step)
        for number in candidates:
            if self._fits(number, change):
                return number
        return candidates[-1]

    def _fits(self, number: int, change: Change) -> bool:
        try:
            state = self.state(number)
        except UserError:
            return False
        return all(p < len(state) and state[p] == a for p, a in change.before) and all(
            place <= len(state) + len(change.after) for place, _ in change.after
        )


def _bound(known: OrderedDict[int, Any]) -> None:
    while len(known) > KEPT:
        known.popitem(last=False)
