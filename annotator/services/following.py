"""What was followed into an image, beside what is there already: proposals, and what goes on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from annotator.core.annotation import Annotation, Annotations, Origin, Source
from annotator.core.mask import Mask
from annotator.core.propagation import counterpart, joined, root_of, sources
from annotator.core.tracks import begun
from models.api import Box, Prompt

if TYPE_CHECKING:
    from annotator.services.document import Document


@dataclass(frozen=True, slots=True)
class Track:
    """An object that is being followed.

    Attributes:
        root: the number all objects of it get (`Annotation.track`).
        category_id: its class.
        shape: where it was last.
        believed: how much that is expected to overlap the truth, 0 to 1.
        trusted: how exactly the model gives back this object where it is known; None: not asked,
            a plain rectangle means no exact mask.
        largest: the most pixels that were seen of it.
        found_alone: nobody marked it: a model found it by itself.
    """

    root: int
    category_id: int | None
    shape: Mask | Box
    believed: float = 1.0
    trusted: float | None = None
    largest: int = 0
    found_alone: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A track in the next image, or (no prompt) in the first one, where it is known."""

    track: Track
    confidence: float
    prompt: Prompt | None
    is_sure: bool
    is_lost: bool
    has_left: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of them.

    Attributes:
        going: what is followed further.
        corrected: those of them that a person has put elsewhere.
        proposed: proposals made, unsure ones among them.
        unsure: ids of the proposals that need a person; 0 for an object that was lost, or whose
            image is settled.
        left: objects that went out of the image.
    """

    going: tuple[Track, ...]
    corrected: frozenset[int]
    proposed: int
    unsure: tuple[int, ...]
    left: int


def settle(
    document: Document, key: str, found: Sequence[Found], model: str, version: str, verb: str
) -> Settled:
    """Propose what was found in an image, as one step; what a person did there stays.

    Args:
        document: the project.
        key: the image; nothing is proposed where it is finished or rejected.
        found: what was followed to it.
        model: for the origin, beginning with `annotator.core.propagation.PREFIX`.
        version: of the model.
        verb: for the undo menu.
    """
    present = document.annotations(key)
    going: list[Track] = []
    proposals: list[Annotation] = []
    unsure: list[int] = []
    corrected: set[int] = set()
    free, lost, left = present, 0, 0
    for one in found:
        track = one.track
        shape = None if one.is_lost else track.shape
        there = counterpart(
            free, track.root, track.category_id, shape, found_alone=track.found_alone
        )
        if there is not None and track.found_alone:
            # Known already; a model that finds by itself needs nobody's word to go on.
            free = tuple(other for other in free if other is not there)
            going.append(track)
        elif there is not None:
            # A person has said where it is: from here on that counts.
            free = tuple(other for other in free if other is not there)
            going.append(replace(track, shape=there.shape, believed=1.0))
            corrected.add(track.root)
        elif one.has_left:
            left += 1
        elif one.is_lost:
            lost += 1
        else:
            proposals.append(_proposal(document, one, model, version))
            if one.is_sure:
                going.append(track)
            else:
                unsure.append(proposals[-1].id)
    proposed = 0
    if document.record(key).settled:
        unsure = [0] * len(unsure)
    else:
        proposed = len(proposals)
        _write(document, key, present, proposals, found, verb)
    return Settled(
        tuple(going), frozenset(corrected), proposed, (*unsure, *[0] * lost), left
    )  # fmt: skip


def begin_tracks(document: Document, key: str, roots: Collection[int]) -> None:
    """Give the objects that were followed from an image the number of their track, for COCO."""
    present = document.annotations(key)
    after = begun(present, (a.id for a in sources(present, ()) if root_of(a) in roots))
    document.edit(key, after, "Begin track")


def _write(
    document: Document,
    key: str,
    present: Annotations,
    proposals: Sequence[Annotation],
    found: Sequence[Found],
    verb: str,
) -> None:
    again = {one.track.root: one.track.category_id for one in found}
    after = joined(present, proposals, again)
    if after != present:
        count = len(proposals)
        document.edit(key, after, f"{verb} {count} object{'' if count == 1 else 's'}")


def _proposal(document: Document, found: Found, model: str, version: str) -> Annotation:
    track = found.track
    follows = None if track.found_alone else track.root
    origin = Origin(Source.MODEL, model, version, found.confidence, found.prompt, follows=follows)
    known = {category.id for category in document.categories()}
    name = track.category_id if track.category_id in known else None
    return Annotation(
        document.new_id(), track.shape, name, origin, proposed=True, track=track.root
    )  # fmt: skip
