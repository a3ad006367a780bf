"""All checks there are, in the order people see them."""

from __future__ import annotations

from dataclasses import replace

from annotator.core.annotation import Annotations
from annotator.core.checks import masks, pairs
from annotator.core.checks.api import Check, Labelled, Limits

UNNAMED, OUTLIER, ALIKE = "unnamed", "outlier", "alike"

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
    Check(UNNAMED, "Objects without a name", "name those whose looks leave no doubt",
          masks.unnamed, masks.named),
    Check(OUTLIER, "Unusual size for the class", "mark them as needing another look",
          repair=masks.marked),
    Check(ALIKE, "Images that look the same"),
)  # fmt: skip
BY_ID = {check.id: check for check in CHECKS}


def repaired(image: Labelled, wanted: dict[str, frozenset[tuple[int, ...]] | None],
             limits: Limits) -> tuple[Annotations, int]:  # fmt: skip
    """An image with findings repaired, as far as they are still found.

    Args:
        image: as it is now.
        wanted: by check, the objects of the findings; None for all that it finds (nothing where
            images are compared with each other).
        limits: what counts as wrong.

    Returns:
        The objects afterwards, and how many findings were repaired.
    """
    count = 0
    for check in CHECKS:
        if check.id not in wanted or check.repair is None:
            continue
        which = wanted[check.id]
        tried: set[tuple[int, ...]] = set()
        again = True
        while again:
            again = False
            there = which or () if check.find is None else (i for i, _ in check.find(image, limits))
            found = [ids for ids in there if ids not in tried and (which is None or ids in which)]
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
                    image = replace(image, annotations=after)
    return image.annotations, count
