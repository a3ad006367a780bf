"""Sequences: the images of one folder, in their order; objects that are the same in several.

`annotator.core.tracks.track_of` says which. On the way in, later objects of a track follow its
first one, as if they had been followed here.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from pathlib import PurePosixPath

from annotator.core.annotation import Annotation
from annotator.core.formats.reading import Reading
from annotator.core.tracks import track_of as track_of

ALONE = "sequence"
"""The sequence of images that are in no folder."""


def sequence_of(key: str) -> str:
    """The folder of an image, "" without one."""
    folder = str(PurePosixPath(key).parent)
    return "" if folder == "." else folder


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
            return replace(annotation, track=first)
        origin = replace(annotation.origin, follows=first)
        return replace(annotation, origin=origin, track=first)
