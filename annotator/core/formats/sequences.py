"""Sequences: the images of one folder, in their order; objects that are the same in several.

An object belongs to the track its attribute `track_id` names; without one, to that of the object
it follows (`Origin.follows`), which is its own where it follows none. On the way in, later objects
of a track follow its first one, as if they had been followed here.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from pathlib import PurePosixPath

from annotator.core.annotation import Annotation
from annotator.core.formats.coco.reading import whole
from annotator.core.formats.reading import Reading
from annotator.core.propagation import root_of

TRACK = "track_id"
ALONE = "sequence"
"""The sequence of images that are in no folder."""


def sequence_of(key: str) -> str:
    """The folder of an image, "" without one."""
    folder = str(PurePosixPath(key).parent)
    return "" if folder == "." else folder


def track_of(annotation: Annotation) -> int | str:
    """What objects that are the same in several images have in common."""
    given = annotation.attributes.get(TRACK)
    if given is None or given == "" or isinstance(given, bool):
        return root_of(annotation)
    number = whole(given)
    # Numbers people gave must not meet ids: texts never do.
    return f"{TRACK} {given if number is None else number}"


class Tracks:
    """Joins the objects of a file that are the same.

    Args:
        reading: of this pass.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._first: dict[Hashable, int] = {}

    def joined(self, annotation: Annotation, track: Hashable | None) -> Annotation:
        """The object, following the first one of its track; None is no track."""
        if track is None:
            return annotation
        first = self._first.setdefault(track, annotation.id)
        if first == annotation.id:
            return annotation
        return replace(annotation, origin=replace(annotation.origin, follows=first))
