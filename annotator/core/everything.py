"""What becomes of the proposals of everything mode beside the objects an image has already."""

from __future__ import annotations

from collections.abc import Sequence

from annotator.core.annotation import Annotation, Annotations, Source
from annotator.core.proposals import Overlaps, area_of, overlaps


def is_replaceable(annotation: Annotation) -> bool:
    """Whether everything mode proposed it and nobody has done anything with it since."""
    prompt = annotation.origin.prompt
    return (
        annotation.proposed
        and annotation.origin.source is Source.MODEL
        # One point and nothing else: no other part of the program proposes from that.
        and prompt is not None
        and prompt.box is None
        and len(prompt.points) == 1
        # It may have got its name from a person: naming does not accept.
        and annotation.category_id is None
        and not (annotation.hidden or annotation.locked or annotation.attributes)
    )


def added(
    present: Annotations, proposals: Sequence[Annotation], max_overlap: float
) -> tuple[Annotations, Annotations]:
    """The objects of an image after a search for some of them, and those of them that are new.

    As `merged`, but older proposals go only where they are the same object as a new one: nobody
    looked for the others.
    """
    shapes = {one.id: one.shape for one in present}
    ious = overlaps((*present, *proposals), Overlaps(shapes)).ious if proposals else {}
    same = {
        one.id: [i for i, value in ious[one.id].items() if i in shapes and value > max_overlap]
        for one in proposals
    }
    replaceable = {one.id for one in present if is_replaceable(one)}
    new = [one for one in proposals if replaceable.issuperset(same[one.id])]
    new.sort(key=lambda one: -area_of(one.shape))
    gone = {i for one in new for i in same[one.id]}
    return (*(one for one in present if one.id not in gone), *new), tuple(new)


def merged(
    present: Annotations, proposals: Sequence[Annotation], max_overlap: float
) -> tuple[Annotations, Annotations]:
    """The objects of an image after everything mode, and those of them that are new.

    Older proposals that are replaceable go. What has an intersection over union above
    `max_overlap` with an object that stays is not proposed again. New proposals lie on top, small
    ones above large ones, so that every one can be clicked.

    Args:
        present: the objects of the image.
        proposals: of the same image, with ids of their own.
        max_overlap: 0 to 1.
    """
    stay = tuple(one for one in present if not is_replaceable(one))
    shapes = {one.id: one.shape for one in stay}
    # As if those that stay had been compared: only proposals are, with everything.
    ious = overlaps((*stay, *proposals), Overlaps(shapes)).ious if proposals else {}
    new = [
        one
        for one in proposals
        if not any(i in shapes and value > max_overlap for i, value in ious[one.id].items())
    ]
    new.sort(key=lambda one: -area_of(one.shape))
    return (*stay, *new), tuple(new)
