"""Gaps of a track between accepted objects, filled with what lies between them, as proposals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from annotator.core.annotation import Annotation, Annotations, Origin, Source
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.tracks import Mark, Row, track_of

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.looks import Looks
    from annotator.services.timeline import Timeline
    from annotator.services.track_editing import TrackEditing
    from annotator.services.workspace import Workspace
    from models.api import Box

SLOT = "gaps"
MODEL = "between"
"""`Origin.model` of what lies between two shapes."""
MOST = 500
"""Images of one gap: what is that far apart does not move evenly."""

Gap = tuple[Annotation, Annotation, Sequence[str]]
"""The object before, the object after, and the images between that have none."""


class GapFilling(QObject):
    """Makes the shapes on a thread, and adds them as one step.

    Args:
        workspace: what is open.
        timeline: knows the gaps.
        editing: adds them.
        looks: its thread makes the shapes.
        parent: Qt parent.
    """

    def __init__(
        self,
        workspace: Workspace,
        timeline: Timeline,
        editing: TrackEditing,
        looks: Looks,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._workspace, self._timeline = workspace, timeline
        self._editing, self._looks = editing, looks

    def fill(self, row: Row) -> None:
        """Propose what is missing in a track between accepted objects.

        Raises:
            UserError: there is no gap, or its shapes are of different image sizes.
        """
        document = self._workspace.document
        if document is None:
            return
        gaps = list(_gaps(document, self._timeline.keys, row))
        if not gaps:
            raise UserError(
                "This track has no gap between two accepted objects.",
                "Accept or mark it on both sides of the gap; reviewed images are left alone.",
            )
        self._looks.submit(SLOT, lambda _: _filled(gaps), partial(self._take, document, row.track))

    def _take(self, document: Document, track: object, made: list[tuple[str, Annotation]]) -> None:
        if document is not self._workspace.document:
            return
        objects: dict[str, Annotations] = {}
        for key, one in made:
            present = document.annotations(key)
            settled = document.record(key).settled
            if not settled and not any(track_of(a) == track for a in present):
                numbered = Annotation(
                    document.new_id(), one.shape, one.category_id, one.origin,
                    proposed=True, track=one.track,
                )  # fmt: skip
                objects[key] = (numbered,)
        count = len(objects)
        self._editing.add(objects, f"Fill {count:,} image{'' if count == 1 else 's'} of a track")


def _gaps(document: Document, keys: Sequence[str], row: Row) -> Iterator[Gap]:
    known = [place for place, mark in enumerate(row.marks) if mark]
    for before, after in pairwise(known):
        accepted = min(row.marks[before], row.marks[after]) >= Mark.ACCEPTED
        if not accepted or not 1 < after - before <= MOST:
            continue
        first, last = (
            next(a for a in document.annotations(keys[place]) if track_of(a) == row.track)
            for place in (before, after)
        )
        inside = [key for key in keys[before + 1 : after] if not document.record(key).settled]
        if inside and _size(first.shape) == _size(last.shape):
            yield first, last, keys[before + 1 : after]


def _size(shape: Mask | Box) -> tuple[int, int] | None:
    return (shape.width, shape.height) if isinstance(shape, Mask) else None


def _filled(gaps: Sequence[Gap]) -> list[tuple[str, Annotation]]:
    """Runs on the thread; ids are given later."""
    from annotator.core.between import between
    from annotator.core.propagation import root_of

    made = []
    for first, last, keys in gaps:
        root = root_of(first)
        origin = Origin(Source.MODEL, MODEL, "1", follows=root)
        for key, shape in zip(keys, between(first.shape, last.shape, len(keys)), strict=True):
            made.append(
                (key, Annotation(0, shape, first.category_id, origin, proposed=True, track=root))
            )
    return made
