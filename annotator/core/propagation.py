"""Objects that go on into the next image: what becomes of them beside what is there already.

A proposal that was made by following an object names that object (`Origin.follows`) and its track
(`Annotation.track`), so it is recognised later: following the object again replaces it as long as
nobody has done anything with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from annotator.core.annotation import Annotation, Annotations, Source
from annotator.core.mask import Mask
from annotator.core.proposals import Overlaps, overlaps
from models.api import Box

PREFIX = "motion+"
"""What `Origin.model` begins with where optical flow has moved the mask."""
SAME = 0.5
"""An accepted object of the same class with a higher intersection over union is that object."""


def root_of(annotation: Annotation) -> int:
    """The track of an object; without one, the id of the object it follows, or its own."""
    if annotation.track is not None:
        return annotation.track
    follows = annotation.origin.follows
    return annotation.id if follows is None else follows


def sources(annotations: Annotations, chosen: Iterable[int]) -> Annotations:
    """What is followed: the chosen ones, or all if none is chosen; accepted and not hidden.

    Of several that go back to the same object, copies for example, the first one is followed.
    """
    wanted = frozenset(chosen)
    found: dict[int, Annotation] = {}
    for one in annotations:
        if not (one.proposed or one.hidden) and (not wanted or one.id in wanted):
            found.setdefault(root_of(one), one)
    return tuple(found.values())


def next_keys(keys: Sequence[str], key: str, count: int) -> list[str]:
    """The images after one in its own folder: images of another folder are another sequence."""
    if key not in keys:
        return []
    folder, found = PurePosixPath(key).parent, list[str]()
    for other in keys[keys.index(key) + 1 :]:
        if len(found) == count:
            break
        if PurePosixPath(other).parent == folder:
            found.append(other)
    return found


def is_replaceable(annotation: Annotation, category_id: int | None) -> bool:
    """Whether it was proposed by following an object of this class, and is untouched since."""
    origin = annotation.origin
    return (
        annotation.proposed
        and origin.source is Source.MODEL
        and (origin.follows is not None or annotation.track is not None)
        # Naming does not accept, but it is work of a person.
        and annotation.category_id == category_id
        and not (annotation.hidden or annotation.locked or annotation.attributes)
    )


def counterpart(
    present: Annotations,
    root: int,
    category_id: int | None,
    shape: Mask | Box | None,
    *,
    found_alone: bool = False,
) -> Annotation | None:
    """The object of an image that is the followed one already; a person's word on where it is.

    Args:
        present: the objects of the image.
        root: which object is followed.
        category_id: its class.
        shape: where it was found, None if it was lost.
        found_alone: nobody marked it: whatever lies there already is it, proposals too.
    """
    settled = [
        one
        for one in present
        if root_of(one) == root and one.id != root and not is_replaceable(one, category_id)
    ]
    if settled or shape is None:
        return settled[0] if settled else None
    there = [
        one
        for one in present
        if found_alone or (not one.proposed and one.category_id == category_id)
    ]
    if not there:
        return None
    probe = Annotation(0, shape, category_id)
    known = Overlaps({one.id: one.shape for one in there})
    ious = overlaps((*there, probe), known).ious[0]
    best = max(there, key=lambda one: ious.get(one.id, 0.0))
    return best if ious.get(best.id, 0.0) > SAME else None


def joined(
    present: Annotations, proposals: Sequence[Annotation], again: Mapping[int, int | None]
) -> Annotations:
    """The objects of an image with what was followed to it, on top.

    Args:
        present: the objects of the image.
        proposals: what was found; none of them has a `counterpart`.
        again: class by id of the first object, of all that were followed: their untouched
            proposals of an earlier time go.
    """
    stay = (
        one
        for one in present
        if root_of(one) not in again or not is_replaceable(one, again[root_of(one)])
    )
    return (*stay, *proposals)
