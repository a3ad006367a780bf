"""Steps and group steps as the journal keeps them, and how older journals get there."""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from annotator.core.annotation import Annotations, Category
from annotator.core.class_history import ClassChange
from annotator.core.codec import category_from_json, category_to_json
from annotator.core.files import from_json, to_json
from annotator.core.history import Change

DONE, UNDONE, ABANDONED = 0, 1, 2
"""Of a step. Abandoned: on another line of the history than the current state; still there."""
CHUNK = 256
"""Rows in one reading on the GUI thread."""
UNKNOWN = -1
"""Parent of an abandoned step of version 3, which did not keep it."""

STEPS = """
CREATE TABLE steps(
  id INTEGER PRIMARY KEY, image INTEGER NOT NULL, time REAL NOT NULL, text TEXT NOT NULL,
  change BLOB NOT NULL, state INTEGER NOT NULL, parent INTEGER NOT NULL DEFAULT -1,
  part INTEGER NOT NULL DEFAULT 0, origin TEXT NOT NULL DEFAULT 'person');
CREATE INDEX steps_image ON steps(image, id);
"""
GROUPS = """
CREATE INDEX steps_part ON steps(part) WHERE part;
CREATE TABLE parts(
  id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
  state INTEGER NOT NULL);
CREATE TABLE class_steps(
  id INTEGER PRIMARY KEY, part INTEGER NOT NULL, change BLOB NOT NULL);
CREATE INDEX class_steps_part ON class_steps(part);
"""

FROM_3 = f"""
ALTER TABLE steps ADD COLUMN parent INTEGER NOT NULL DEFAULT -1;
ALTER TABLE steps ADD COLUMN part INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN origin TEXT NOT NULL DEFAULT 'person';
UPDATE steps SET parent = ifnull((SELECT max(p.id) FROM steps p
  WHERE p.image = steps.image AND p.state < {ABANDONED} AND p.id < steps.id), 0)
  WHERE state < {ABANDONED};
UPDATE steps SET origin = 'import' WHERE text LIKE 'Import %';
UPDATE steps SET origin = 'model' WHERE text LIKE 'Pre-label%' OR text LIKE 'Propose%';
{GROUPS}
"""


def take_over_imports(db: sqlite3.Connection) -> None:
    """The imports of version 3 were a note; they become group steps. In a transaction."""
    row = db.execute("SELECT value FROM notes WHERE name='imports'").fetchone()
    past = from_json(row[0]) if row else []
    for entry in past if isinstance(past, list) else []:
        steps = [step for _, step in entry.get("steps", ())]
        if not steps:
            continue
        # Steps and group steps are numbered together.
        number = 1 + db.execute("SELECT value FROM counters WHERE name='step'").fetchone()[0]
        moment = db.execute("SELECT time FROM steps WHERE id=?", (steps[0],)).fetchone()
        db.execute(
            "INSERT INTO parts VALUES(?, ?, 'import', ?, ?)",
            (number, moment[0] if moment else 0.0, f"Import {entry.get('name', '')}", DONE),
        )
        db.executemany("UPDATE steps SET part=? WHERE id=?", [(number, step) for step in steps])
        # Its classes were made before its first object.
        _take_over_classes(db, number, min(steps), entry.get("classes", ()))
        db.execute("INSERT OR REPLACE INTO counters VALUES('step', ?)", (number,))
    db.execute("DELETE FROM notes WHERE name='imports'")


def _take_over_classes(db: sqlite3.Connection, part: int, number: int, ids: Sequence[int]) -> None:
    rows = db.execute("SELECT place, value FROM categories WHERE NOT removed ORDER BY place, id")
    classes = [(place, category_from_json(from_json(value))) for place, value in rows]
    added = tuple((place, c) for place, c in classes if c.id in ids)
    if added:
        packed = pack_class_change(ClassChange((), added))
        db.execute("INSERT INTO class_steps VALUES(?, ?, ?)", (number, part, packed))


# --- Values ---


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the line of an image's history that leads to and from its current state."""

    id: int
    text: str
    is_undone: bool


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step with everything but what it changed.

    Attributes:
        id: number; a later step has a higher one, whatever the clock said.
        time: seconds since 1970, as the clock said.
        text: what was done.
        state: `DONE`, `UNDONE` or `ABANDONED`.
        parent: the step before it, 0 for none, `UNKNOWN`.
        part: the group step it belongs to, 0 for none.
        origin: "person", "model" or "import".
    """

    id: int
    time: float
    text: str
    state: int
    parent: int
    part: int
    origin: str


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group step: what was done in many images, or to the classes, as one.

    Attributes:
        id: number, counted together with steps.
        time: as the clock said.
        kind: "accept", "reject", "name", "import", "prelabel", "tracking", "track" or "classes".
        text: what was done.
        state: `DONE` or `UNDONE`.
    """

    id: int
    time: float
    kind: str
    text: str
    state: int


def load_step_rows(db: sqlite3.Connection, image: int) -> list[StepRow]:
    """The whole history of an image, abandoned steps too, oldest first."""
    rows = db.execute(
        "SELECT id, time, text, state, parent, part, origin FROM steps WHERE image=? ORDER BY id",
        (image,),
    )
    return [StepRow(*row) for row in rows]


def load_groups(db: sqlite3.Connection) -> list[GroupRow]:
    """All group steps, oldest first."""
    rows = db.execute("SELECT id, time, kind, text, state FROM parts ORDER BY id")
    return [GroupRow(*row) for row in rows]


def load_group_steps(db: sqlite3.Connection, group: int, below: int) -> list[tuple[int, str]]:
    """Step and key of the image, of some things a group step did, newest first.

    Args:
        db: a connection.
        group: the group step.
        below: only steps with lower numbers.
    """
    rows = db.execute(
        "SELECT s.id, i.key FROM steps s JOIN images i ON i.id = s.image"
        f" WHERE s.part=? AND s.id<? ORDER BY s.id DESC LIMIT {CHUNK}",
        (group, below),
    )
    return [(step, key if isinstance(key, str) else os.fsdecode(key)) for step, key in rows]


def load_class_steps(db: sqlite3.Connection, group: int) -> list[tuple[int, ClassChange]]:
    """What a group step did to the classes, oldest first."""
    rows = db.execute("SELECT id, change FROM class_steps WHERE part=? ORDER BY id", (group,))
    return [(number, unpack_class_change(packed)) for number, packed in rows]


def load_keys_with_class(db: sqlite3.Connection, category: int) -> list[str]:
    """Keys of the images with objects (or proposals) of a class, in the order of the folder."""
    rows = db.execute(
        "SELECT key FROM images WHERE id IN (SELECT image FROM annotations WHERE category=?)"
        " ORDER BY place, id",
        (category,),
    )
    return [key if isinstance(key, str) else os.fsdecode(key) for (key,) in rows]


def pack_class_change(change: ClassChange) -> bytes:
    """Compressed JSON."""
    value = {
        "before": [[place, category_to_json(c)] for place, c in change.before],
        "after": [[place, category_to_json(c)] for place, c in change.after],
        "orders": [list(change.old_order), list(change.new_order)],
    }
    return zlib.compress(to_json(value), 6)


def unpack_class_change(packed: bytes) -> ClassChange:
    """The inverse of `pack_class_change`."""
    value = from_json(zlib.decompress(packed))
    before, after = (
        tuple((int(place), category_from_json(entry)) for place, entry in value[side])
        for side in ("before", "after")
    )
    old, new = (tuple(map(int, ids)) for ids in value["orders"])
    return ClassChange(before, after, old, new)


# --- Operations ---


@dataclass(frozen=True, slots=True, eq=False)
class WriteGroup:
    """A group step begins; its steps come with it or after it."""

    id: int
    kind: str
    text: str
    time: float = field(default_factory=time.time)
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Insert, unless it is there."""
        row = (self.id, self.time, self.kind, self.text, DONE)
        db.execute("INSERT OR IGNORE INTO parts VALUES(?, ?, ?, ?, ?)", row)
        _count(db, self.id)


@dataclass(frozen=True, slots=True, eq=False)
class MarkGroup:
    """A group step was taken back or done again."""

    id: int
    state: int
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Update."""
        db.execute("UPDATE parts SET state=? WHERE id=?", (self.state, self.id))


@dataclass(frozen=True, slots=True, eq=False)
class WriteClassStep:
    """What a group step did to the classes."""

    id: int
    part: int
    change: ClassChange
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Insert or replace."""
        row = (self.id, self.part, pack_class_change(self.change))
        db.execute("INSERT OR REPLACE INTO class_steps VALUES(?, ?, ?)", row)
        _count(db, self.id)


@dataclass(frozen=True, slots=True, eq=False)
class WriteJump:
    """Another state of an image's history is the current one now.

    Attributes:
        image: id.
        change: from the state before to the state now.
        state: all annotations of the image now.
        marks: step and its new state, of those whose state differs.
    """

    image: int
    change: Change
    state: Annotations
    marks: Sequence[tuple[int, int]]
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    @property
    def step(self) -> int:
        """None of its own."""
        return 0

    def apply(self, db: sqlite3.Connection) -> None:
        """Write the state and mark the steps."""
        from annotator.services.operations import write_state

        write_state(db, self.image, self.change, self.state)
        marks = [(state, step) for step, state in self.marks]
        db.executemany("UPDATE steps SET state=? WHERE id=?", marks)


def _count(db: sqlite3.Connection, number: int) -> None:
    from annotator.services.operations import raise_counter

    raise_counter(db, "step", number)


def origin_of(change: Change) -> str:
    """Who made a step that belongs to no group: "model" where it only brings proposals."""
    known = {annotation.id for _, annotation in change.before}
    new = [annotation for _, annotation in change.after if annotation.id not in known]
    if new and len(new) == len(change.after) and all(a.proposed for a in new):
        return "model"
    return "person"


def line_marks(
    old: tuple[Sequence[Step], Sequence[Step]], new: tuple[Sequence[Step], Sequence[Step]]
) -> tuple[tuple[int, int], ...]:
    """Step and new state of those that differ between two lines, each of done and undone steps."""
    was = {step.id: state for state, steps in zip((DONE, UNDONE), old, strict=True)
           for step in steps}  # fmt: skip
    now = {step.id: state for state, steps in zip((DONE, UNDONE), new, strict=True)
           for step in steps}  # fmt: skip
    left = ((number, ABANDONED) for number in was if number not in now)
    return (*left, *((n, state) for n, state in now.items() if was.get(n) != state))


ORIGINS = {"import": "import", "prelabel": "model", "tracking": "model"}
"""Who made the steps of a group step, by its kind; a person if it is not among them."""


def class_text(before: Sequence[Category], change: ClassChange) -> str:
    """What was done to the classes, in words."""
    old, new = {c.id: c for _, c in change.before}, {c.id: c for _, c in change.after}
    if not old and not new:
        return "Sort classes"
    if len(old.keys() | new.keys()) > 1:
        return f"Change {len(old.keys() | new.keys()):,} classes"
    if not old:
        return f"Add class {next(iter(new.values())).name}"
    ((number, category),) = old.items()
    if not new:
        return f"Remove class {category.name}"
    if new[number].name != category.name:
        return f"Rename {category.name} to {new[number].name}"
    return f"Change class {category.name}"
