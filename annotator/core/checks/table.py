"""All checks there are, in the order people see them."""

from __future__ import annotations

from annotator.core.annotation import Annotations
from annotator.core.checks import masks, pairs
from annotator.core.checks.api import Check, Labelled, Limits

OUTLIER, ALIKE = "outlier", "alike"

CHECKS: tuple[Check, ...] = (
    Check("empty", "Empty objects", "delete them", masks.empty, masks.removed),
    Check("tiny", "Tiny objects", "delete them", masks.tiny, masks.removed),
    Check("specks", "Specks", "remove the small pieces", masks.specks, masks.without_specks),
    Check("holes", "Small holes", "fill them", masks.holes, masks.without_holes),
    Check("duplicate", "The same object twice", "delete one of them", pairs.duplicates,
          pairs.without_the_first),
    Check("overlap", "Overlaps", "give the pixels to the higher layer", pairs.overlaps,
          pairs.apart),
    Check("outside", "Outside of the image", "cut at the border", masks.outside, masks.inside),
    Check("unnamed", "Objects without a name", "", masks.unnamed),
    Check(OUTLIER, "Unusual size for the class"),
    Check(ALIKE, "Images that look the same"),
)  # fmt: skip
BY_ID = {check.id: check for check in CHECKS}


def repaired(image: Labelled, wanted: dict[str, frozenset[tuple[int, ...]] | None],
             limits: Limits) -> tuple[Annotations, int]:  # fmt: skip
    """An image with findings repaired, as far as they are still found.

    Args:
        image: as it is now.
        wanted: by check, the objects of the findings; None for all that it finds.
        limits: what counts as wrong.

    Returns:
        The objects afterwards, and how many findings were repaired.
    """
    count = 0
    for check in CHECKS:
        if check.id not in wanted or check.find is None or check.repair is None:
            continue
        which = wanted[check.id]
        tried: set[tuple[int, ...]] = set()
        again = True
        while again:
            again = False
            found = [ids for ids, _ in check.find(image, limits)
                     if ids not in tried and (which is None or ids in which)]  # fmt: skip
            touched: set[int] = set()
            for ids in found:
                if touched.intersection(ids):
                    again = True  # what was repaired may have settled it: it is looked for anew
                    continue
                tried.add(ids)
                after = check.repair(image, ids, limits)
                if after != image.annotations:
                    count += 1
                    touched.update(ids)
                    image = Labelled(image.key, image.width, image.height, after)
    return image.annotations, count
