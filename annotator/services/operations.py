"""What is written to the journal: operations of a running project, and whole data sets.

Every operation can be applied twice with the same result, so that a commit whose answer got lost
may be repeated.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from annotator.core.annotation import Annotation, Annotations, Category, ImageRecord, Status
from annotator.core.codec import annotation_to_json, category_to_json
from annotator.core.files import to_json
from annotator.core.history import Change
from annotator.services.history_journal import (
    ABANDONED,
    DONE,
    UNDONE,
    WriteClassStep,
    WriteGroup,
)
from annotator.services.journal import (
    STATUSES,
    load_counter,
    pack_change,
)

if TYPE_CHECKING:
    from annotator.core.formats.coco.dataset import Dataset, Entry


class Operation(Protocol):
    """Something the writer does inside a transaction.

    Attributes:
        is_work: the user did it and wants to know when it is safe.
        is_exported: the COCO file has to follow.
    """

    is_work: ClassVar[bool]
    is_exported: ClassVar[bool]

    def apply(self, db: sqlite3.Connection) -> None:
        """Do it."""


def text_of(value: Any) -> str:
    """JSON as SQLite text."""
    return to_json(value).decode("utf-8")


def stored_key(key: str) -> str | bytes:
    """File names may hold bytes that are no Unicode; those are kept as bytes."""
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(key)
    return key


@dataclass(frozen=True, slots=True, eq=False)
class AddImages:
    """New images: their ids, keys and places in the list."""

    ids: Sequence[int]
    keys: Sequence[str]
    places: Sequence[int]
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Insert those that are not there yet."""
        db.executemany(
            "INSERT OR IGNORE INTO images VALUES(?, ?, ?, 0, 0, 1, 0, 0, 0, '{}', '')",
            zip(self.ids, map(stored_key, self.keys), self.places, strict=True),
        )
        raise_counter(db, "image", self.ids[-1])


@dataclass(frozen=True, slots=True, eq=False)
class ArrangeImages:
    """The order of all images: (place, id)."""

    places: Sequence[tuple[int, int]]
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Update."""
        db.executemany("UPDATE images SET place=? WHERE id=?", self.places)


@dataclass(frozen=True, slots=True, eq=False)
class WriteSize:
    """Size and orientation of an image."""

    image: int
    width: int
    height: int
    orientation: int
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Update; entries of the COCO file made for another size are made again."""
        db.execute(
            "UPDATE images SET width=?, height=?, orientation=? WHERE id=?",
            (self.width, self.height, self.orientation, self.image),
        )
        db.execute("UPDATE annotations SET coco=NULL WHERE image=?", (self.image,))


@dataclass(frozen=True, slots=True, eq=False)
class WriteReview:
    """What a person said about an image."""

    image: int
    status: Status
    comment: str
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    def apply(self, db: sqlite3.Connection) -> None:
        """Update."""
        row = (STATUSES.index(self.status), self.comment, self.image)
        db.execute("UPDATE images SET reviewed=?, comment=? WHERE id=?", row)


@dataclass(frozen=True, slots=True, eq=False)
class WriteEdit:
    """One undo step and the state it leads to.

    Attributes:
        image: id.
        step: number of the step.
        text: what the user did.
        change: the difference.
        state: all annotations of the image afterwards.
        note: written in the same transaction.
        parent: the step before it on its line, 0 for none.
        part: the group step it belongs to, 0 for none.
        origin: "person", "model" or "import".
    """

    image: int
    step: int
    text: str
    change: Change
    state: Annotations
    note: WriteNote | None = None
    parent: int = 0
    part: int = 0
    origin: str = "person"
    time: float = field(default_factory=time.time)
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    def apply(self, db: sqlite3.Connection) -> None:
        """Write step and state; steps that were undone are on another line from now on."""
        write_state(db, self.image, self.change, self.state)
        db.execute(
            "UPDATE steps SET state=? WHERE image=? AND state=? AND id<?",
            (ABANDONED, self.image, UNDONE, self.step),
        )
        db.execute(
            "INSERT OR REPLACE INTO steps VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self.step, self.image, self.time, self.text, pack_change(self.change), DONE,
             self.parent, self.part, self.origin),
        )  # fmt: skip
        newest = max((a.id for _, a in self.change.after), default=0)
        raise_counter(db, "annotation", newest)
        raise_counter(db, "step", self.step)
        if self.note is not None:
            self.note.apply(db)


@dataclass(frozen=True, slots=True, eq=False)
class WriteMove:
    """A step taken back or done again: `change` is what happened now."""

    image: int
    step: int
    change: Change
    state: Annotations
    is_undone: bool
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    def apply(self, db: sqlite3.Connection) -> None:
        """Write the state and mark the step."""
        write_state(db, self.image, self.change, self.state)
        state = UNDONE if self.is_undone else DONE
        db.execute("UPDATE steps SET state=? WHERE id=?", (state, self.step))


def write_state(db: sqlite3.Connection, image: int, change: Change, state: Annotations) -> None:
    """Write the annotations of an image: what changed, and where everything is."""
    kept = {a.id for _, a in change.after}
    gone = [(image, a.id) for _, a in change.before if a.id not in kept]
    db.executemany("DELETE FROM annotations WHERE image=? AND id=?", gone)
    write_annotations(db, image, [a for _, a in change.after])
    if not _keeps_order(change, len(state)):
        places = [(place, image, a.id) for place, a in enumerate(state)]
        db.executemany("UPDATE annotations SET place=? WHERE image=? AND id=?", places)
    proposals = sum(a.proposed for a in state)
    db.execute(
        "UPDATE images SET count=?, proposals=? WHERE id=?",
        (len(state) - proposals, proposals, image),
    )


def _keeps_order(change: Change, count: int) -> bool:
    """Whether replacing in place, removing and appending are enough to get the order right."""
    before = [a.id for _, a in change.before]
    after = [a.id for _, a in change.after]
    if before == after or not after:
        return True
    appended = [place for place, _ in change.after] == list(range(count - len(after), count))
    return appended and not set(before) & set(after)


def write_annotations(
    db: sqlite3.Connection, image: int, annotations: Iterable[Annotation]
) -> None:
    """Replace in place, or append on top."""
    rows = [(image, a.id, image, a.category_id, text_of(annotation_to_json(a)), a.proposed)
            for a in annotations]  # fmt: skip
    db.executemany(_UPSERT, rows)


_UPSERT = """
INSERT INTO annotations VALUES(
  ?, ?, (SELECT ifnull(max(place), -1) + 1 FROM annotations WHERE image=?), ?, ?, NULL, ?)
ON CONFLICT(image, id) DO UPDATE SET
  category=excluded.category, value=excluded.value, coco=NULL, proposed=excluded.proposed"""


@dataclass(frozen=True, slots=True, eq=False)
class WriteCategories:
    """All categories in their order, and the removed ones (kept for the history).

    Attributes:
        categories: the classes.
        removed: classes there were.
        steps: the step this is, and its group; written in the same transaction.
    """

    categories: Sequence[Category]
    removed: Sequence[Category]
    steps: Sequence[WriteGroup | WriteClassStep] = ()
    is_work: ClassVar[bool] = True
    is_exported: ClassVar[bool] = True

    def apply(self, db: sqlite3.Connection) -> None:
        """Replace the table."""
        for step in self.steps:
            step.apply(db)
        db.execute("DELETE FROM categories")
        both = ((self.categories, 0), (self.removed, 1))
        db.executemany(
            "INSERT INTO categories VALUES(?, ?, ?, ?)",
            [(c.id, place, removed, text_of(category_to_json(c)))
             for group, removed in both for place, c in enumerate(group)],
        )  # fmt: skip
        newest = max((c.id for group, _ in both for c in group), default=0)
        raise_counter(db, "category", newest)


@dataclass(frozen=True, slots=True, eq=False)
class WriteVector:
    """What an object looks like in one space: float32, native byte order."""

    annotation: int
    space: str
    vector: bytes
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Insert or replace."""
        db.execute(
            "INSERT INTO vectors(annotation, space, vector) VALUES(?, ?, ?)"
            " ON CONFLICT(annotation, space) DO UPDATE SET vector=excluded.vector",
            (self.annotation, self.space, self.vector),
        )


@dataclass(frozen=True, slots=True, eq=False)
class WriteNote:
    """A small thing, as JSON text."""

    name: str
    value: str
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Insert or replace."""
        db.execute("INSERT OR REPLACE INTO notes VALUES(?, ?)", (self.name, self.value))


@dataclass(frozen=True, slots=True, eq=False)
class KeepEntries:
    """Entries of the COCO file, kept so that the next one need not make them again.

    Rows: (entry, image, annotation, journal text it was made from).
    """

    rows: Sequence[tuple[str, int, int, str]]
    is_work: ClassVar[bool] = False
    is_exported: ClassVar[bool] = False

    def apply(self, db: sqlite3.Connection) -> None:
        """Update what has not changed since."""
        db.executemany(
            "UPDATE annotations SET coco=? WHERE image=? AND id=? AND value=?", self.rows
        )


def write_header(db: sqlite3.Connection, header: Mapping[str, Any]) -> None:
    """Replace the top level of the COCO file."""
    db.execute("DELETE FROM header")
    db.executemany(
        "INSERT INTO header(name, value) VALUES(?, ?)",
        [(name, text_of(value)) for name, value in header.items()],
    )


def insert_image(db: sqlite3.Connection, image: ImageRecord, place: int) -> None:
    """Add an image of a file, if neither its id nor its key is there."""
    row = (image.id, stored_key(image.key), place, image.width, image.height, image.orientation,
           image.count, STATUSES.index(image.status), image.proposals, text_of(image.extra),
           image.comment)  # fmt: skip
    db.execute("INSERT OR IGNORE INTO images VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def insert_category(db: sqlite3.Connection, category: Category, place: int) -> None:
    """Add a category of a file, if its id is not there."""
    row = (category.id, place, text_of(category_to_json(category)))
    db.execute("INSERT OR IGNORE INTO categories VALUES(?, ?, 0, ?)", row)


def insert_entry(db: sqlite3.Connection, entry: Entry, place: int) -> None:
    """Add an annotation of a file, if it is not there."""
    value = entry.value
    row = (entry.image_id, value["id"], place, value["category"], text_of(value))
    db.execute("INSERT OR IGNORE INTO annotations VALUES(?, ?, ?, ?, ?, NULL, 0)", row)


def write_dataset(db: sqlite3.Connection, dataset: Dataset) -> None:
    """Fill a new journal with the content of a file, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    for place, image in enumerate(dataset.images):
        insert_image(db, image, place)
    for place, category in enumerate(dataset.categories):
        insert_category(db, category, place)
    for place, entry in enumerate(dataset.entries):
        insert_entry(db, entry, place)
    write_header(db, dataset.header)
    raise_counter(db, "image", max((i.id for i in dataset.images), default=0))
    raise_counter(db, "category", max((c.id for c in dataset.categories), default=0))
    raise_counter(db, "annotation", max((e.value["id"] for e in dataset.entries), default=0))
    raise_counter(db, "unnamed", dataset.unnamed_id)
    db.execute("COMMIT")


def raise_counter(db: sqlite3.Connection, name: str, value: int) -> None:
    """Remember the highest number ever used."""
    db.execute(
        "INSERT INTO counters VALUES(?, ?)"
        " ON CONFLICT(name) DO UPDATE SET value=max(value, excluded.value)",
        (name, value),
    )


def count_generation(db: sqlite3.Connection) -> int:
    """Number the state the COCO file has to show; call it once in a transaction."""
    raise_counter(db, "generation", load_counter(db, "generation") + 1)
    return load_counter(db, "generation")
