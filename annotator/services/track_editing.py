"""`TrackEditing`: what is done to whole tracks, each one step of the project."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.tracks import (
    Change,
    Mark,
    Row,
    TrackId,
    accepting,
    moved_to,
    named,
    without,
)
from annotator.services.slices import Slices

if TYPE_CHECKING:
    from annotator.core.annotation import Annotations
    from annotator.services.document import Document
    from annotator.services.timeline import Timeline
    from annotator.services.workspace import Workspace

KIND = "track"
"""Of group steps."""


class TrackEditing(QObject):
    """Changes the objects of a track image by image, in short slices; one group step each.

    Args:
        workspace: what is open.
        timeline: knows which images a track is in.
        parent: Qt parent.
    """

    finished = Signal(str, int)
    """What was done, for people, and the number of its group step."""

    def __init__(
        self, workspace: Workspace, timeline: Timeline, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._timeline = timeline
        self._slices = Slices(self)
        workspace.project_closing.connect(self._slices.stop)

    @property
    def running(self) -> bool:
        """Whether something is being done."""
        return self._slices.running

    def cut(self, track: TrackId, key: str) -> int:
        """From this image on it is another track; its number.

        Raises:
            UserError: nothing lies before the image, or from it on.
        """
        row, document = self._row(track), self._document()
        place = self._place(key)
        first, last = row.span
        if not first < place <= last:
            raise UserError(
                "There is nothing to cut: all of the track lies on one side of this image.",
                "Go to the first image of what shall be another track.",
            )
        new = document.new_id()
        keys = self._keys(row, place)
        self._do("Cut track", keys, moved_to(track, new), lambda: self._timeline.choose(new))
        return new

    def merge(self, track: TrackId, other: TrackId) -> None:
        """Make two tracks one: the second gets number and class of the first.

        Raises:
            UserError: both are in one image.
        """
        row, second, document = self._row(track), self._row(other), self._document()
        both = [
            key
            for key, here, there in zip(self._timeline.keys, row.marks, second.marks, strict=True)
            if here and there
        ]
        if both:
            count = f"{len(both):,} image{'' if len(both) == 1 else 's'}"
            raise UserError(
                f"The two tracks are both in {count}, the first is “{both[0]}”.",
                "One thing cannot be twice in an image: cut or delete one of them there first.",
            )
        number = track if isinstance(track, int) else document.new_id()
        keys, name = [*self._keys(row), *self._keys(second)], row.category_id
        move, move_other = moved_to(track, number), moved_to(other, number)

        def change(annotations: Annotations) -> Annotations:
            after = move_other(annotations)
            if after != annotations and name is not None:
                after = named(number, name)(after)
            return move(after)

        self._do("Merge tracks", keys, change, lambda: self._timeline.choose(number))

    def rename(self, track: TrackId, category_id: int | None) -> None:
        """Give all objects of a track a class; locked ones keep theirs."""
        name = "" if category_id is None else self._document().category(category_id).name
        text = f"Name track “{name}”" if name else "Remove the name of a track"
        self._do(text, self._keys(self._row(track)), named(track, category_id))

    def delete_from(self, track: TrackId, key: str) -> None:
        """Delete its objects in this image and all later ones; locked ones stay."""
        keys = self._keys(self._row(track), self._place(key))
        self._do("Delete the rest of a track", keys, without(track))

    def accept(self, track: TrackId) -> None:
        """Accept all its proposals."""
        row = self._row(track)
        keys = [
            key
            for key, mark in zip(self._timeline.keys, row.marks, strict=True)
            if mark == Mark.PROPOSED
        ]
        settled = self._workspace.masks.settled
        accept = accepting(track)
        self._do("Accept track", keys, lambda before: settled(before, accept(before)))

    def add(self, made: Mapping[str, Annotations], text: str) -> None:
        """Add objects to images, on top of what is there."""
        document = self._document()

        def work() -> Generator[str, None, int]:
            group = document.history.begin(KIND, text)
            for key, objects in made.items():
                with document.history.inside(group):
                    document.edit(key, (*document.annotations(key), *objects), text)
                yield key
            return group

        self._start(text, work(), lambda: None)

    def _do(
        self,
        text: str,
        keys: Iterable[str],
        change: Change,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        document = self._document()

        def work() -> Generator[str, None, int]:
            group = document.history.begin(KIND, text)
            for key in keys:
                before = document.annotations(key)
                with document.history.inside(group):
                    document.edit(key, change(before), text)
                yield key
            return group

        self._start(text, work(), then)

    def _start(self, text: str, work: Generator[str, None, int], then: Callable[[], None]) -> None:
        if self.running:
            raise UserError("Another track is still being changed.", "Wait for it.")

        def done(group: int) -> None:
            then()
            self.finished.emit(text, group)

        self._slices.start(work, done)

    def _document(self) -> Document:
        if self._workspace.document is None:
            raise UserError("No project is open.", "Open a folder first.")
        return self._workspace.document

    def _row(self, track: TrackId) -> Row:
        row = self._timeline.row(track)
        if row is None:
            raise UserError("There is no such track any more.", "Choose another one.")
        return row

    def _place(self, key: str) -> int:
        place = self._timeline.place(key)
        if place is None:
            raise UserError("The image is of another sequence.", "Show one of this sequence.")
        return place

    def _keys(self, row: Row, begin: int = 0) -> list[str]:
        keys = self._timeline.keys
        return [keys[place] for place in range(begin, len(keys)) if row.marks[place]]
