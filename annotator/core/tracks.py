"""Tracks: objects of different images that are the same thing.

A track is a number all its objects have (`Annotation.track`): the id of one of them, or one that
no object has. Objects of older projects have none; there, an object belongs with the one it
follows. Files of others have numbers of their own (`TRACK`), which may mean anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from annotator.core.annotation import Annotation, Annotations, Source
from annotator.core.propagation import root_of

TRACK = "track_id"
"""The key in COCO files, and of the attribute other tools keep their numbers in."""

TrackId = int | str
"""A number of ours, or the text of one of a file."""


def track_of(annotation: Annotation) -> TrackId:
    """What objects that are the same in several images have in common.

    One that is alone has the number it would have if it were followed.
    """
    if annotation.track is None:
        for given in (annotation.attributes.get(TRACK), annotation.extra.get(TRACK)):
            if given not in (None, "") and not isinstance(given, bool):
                # Numbers of others must not meet ids: texts never do.
                is_whole = isinstance(given, float) and given.is_integer()
                return f"{TRACK} {int(given) if is_whole else given}"
    return root_of(annotation)


def begun(annotations: Annotations, ids: Iterable[int]) -> Annotations:
    """The objects of an image, these ones with the number of their track."""
    chosen = frozenset(ids)
    return tuple(
        replace(a, track=root_of(a)) if a.id in chosen and a.track is None else a
        for a in annotations
    )


class Mark(IntEnum):
    """What a track has in an image; the greatest one counts where it has several objects."""

    NOTHING = 0
    PROPOSED = 1
    ACCEPTED = 2
    EDITED = 3


def mark_of(annotation: Annotation) -> Mark:
    """How an object is shown: edited if a person drew it, clicked it or corrected it."""
    if annotation.proposed:
        return Mark.PROPOSED
    origin = annotation.origin
    was_asked = origin.follows is None and origin.prompt is not None
    is_by_hand = origin.edited or origin.source is not Source.MODEL or was_asked
    return Mark.EDITED if is_by_hand else Mark.ACCEPTED


@dataclass(slots=True, eq=False)
class Row:
    """One track of a sequence.

    Attributes:
        track: which.
        marks: a `Mark` for each image of the sequence.
        classes: how many of its objects have which class.
    """

    track: TrackId
    marks: bytearray
    classes: Counter[int | None] = field(default_factory=Counter)
    filled: int = 0

    @property
    def category_id(self) -> int | None:
        """The class most of its objects have."""
        return max(self.classes, key=lambda one: (self.classes[one], one is not None), default=None)

    @property
    def span(self) -> tuple[int, int]:
        """Its first and its last image."""
        first = len(self.marks) - len(self.marks.lstrip(b"\0"))
        return first, len(self.marks.rstrip(b"\0")) - 1


Cell = tuple[TrackId, Mark, int | None]
"""An object as the table needs it: its track, how it is shown, its class."""


def cell_of(annotation: Annotation) -> Cell:
    """What `TrackTable.put` needs of an object."""
    return track_of(annotation), mark_of(annotation), annotation.category_id


class TrackTable:
    """Which track has what in which image of one sequence; a byte for each, no objects.

    Args:
        keys: the images in their order.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = list(keys)
        self._places = {key: place for place, key in enumerate(self.keys)}
        self._rows: dict[TrackId, Row] = {}
        self._cells: list[tuple[Cell, ...]] = [()] * len(self.keys)
        # Millions of cells are a few hundred different ones.
        self._known: dict[Cell, Cell] = {}

    def place(self, key: str) -> int | None:
        """Where an image stands, None for one of another sequence."""
        return self._places.get(key)

    def put(self, place: int, cells: Iterable[Cell]) -> None:
        """An image has these objects now."""
        new = tuple(self._known.setdefault(cell, cell) for cell in cells)
        old, self._cells[place] = self._cells[place], new
        for track, _, category in old:
            row = self._rows[track]
            row.classes[category] -= 1
            if not row.classes[category]:
                del row.classes[category]
            row.filled -= bool(row.marks[place])
            row.marks[place] = Mark.NOTHING
            if not row.classes:
                del self._rows[track]
        for track, mark, category in new:
            row = self._rows.get(track) or self._rows.setdefault(
                track, Row(track, bytearray(len(self.keys)))
            )
            row.classes[category] += 1
            row.filled += not row.marks[place]
            row.marks[place] = max(row.marks[place], mark)

    def row(self, track: TrackId) -> Row | None:
        """One track, None if no image has it."""
        return self._rows.get(track)

    def rows(self) -> list[Row]:
        """Tracks with at least two images, in the order they begin."""
        found = [row for row in self._rows.values() if row.filled > 1]
        return sorted(found, key=lambda row: row.span[0])


Change = Callable[[Annotations], Annotations]
"""What happens to the objects of one image."""


def moved_to(old: TrackId, new: int) -> Change:
    """Objects of a track get another one."""

    def change(annotations: Annotations) -> Annotations:
        return tuple(replace(a, track=new) if track_of(a) == old else a for a in annotations)

    return change


def named(track: TrackId, category_id: int | None) -> Change:
    """Objects of a track get a class; locked ones keep theirs."""

    def change(annotations: Annotations) -> Annotations:
        return tuple(
            replace(a, category_id=category_id) if track_of(a) == track and not a.locked else a
            for a in annotations
        )

    return change


def without(track: TrackId) -> Change:
    """Objects of a track go; locked ones stay."""

    def change(annotations: Annotations) -> Annotations:
        return tuple(a for a in annotations if track_of(a) != track or a.locked)

    return change


def accepting(track: TrackId) -> Change:
    """Proposals of a track become objects."""
    from annotator.core.proposals import accepted

    def change(annotations: Annotations) -> Annotations:
        return tuple(
            accepted(a) if a.proposed and not a.locked and track_of(a) == track else a
            for a in annotations
        )

    return change
