"""Checks that compare images, or objects of all images: class-size outliers, and look-alikes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from annotator.core.checks.api import Limits
from annotator.core.query.facts import ObjectFacts

FEWEST = 10
"""Objects of a class needed to say what is usual."""
SPREAD = 0.1
"""Least robust standard deviation of log areas: classes of one size have no outliers of 10 %."""
_MAD = 1.4826
_HASH = (9, 8)


def size_outliers(
    objects: ObjectFacts, names: Mapping[int, str], limits: Limits
) -> Iterator[tuple[int, int, str]]:
    """Objects far larger or smaller than the others of their class.

    Returns:
        Image id, object id, and what is unusual; worst first within a class.
    """
    usable = objects.accepted() & (objects.areas > 0)
    for category in np.unique(objects.categories[usable]).tolist():
        rows = np.flatnonzero(usable & (objects.categories == category))
        if category < 0 or len(rows) < FEWEST:
            continue
        logs = np.log(objects.areas[rows].astype(np.float64))
        middle = float(np.median(logs))
        spread = max(_MAD * float(np.median(np.abs(logs - middle))), SPREAD)
        far = np.abs(logs - middle) / spread
        for place in np.argsort(-far):
            if far[place] <= limits.deviations:
                break
            row, times = rows[place], float(np.exp(abs(logs[place] - middle)))
            word = "larger" if logs[place] > middle else "smaller"
            name = names.get(category, "its class")
            text = f"{times:,.1f} times {word} than usual for “{name}”"
            yield int(objects.images[row]), int(objects.ids[row]), text


def picture_hash(pixels: NDArray[np.uint8]) -> int:
    """64 bits that say where a small picture gets brighter to the right (a “dHash”).

    Args:
        pixels: (H, W, 3) uint8 RGB of any size.
    """
    from annotator.core.cv import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    small = np.asarray(cv2.resize(grey, _HASH, interpolation=cv2.INTER_AREA), np.int16)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def look_alikes(hashes: Mapping[str, int], differing: int) -> Iterator[tuple[str, str, int]]:
    """Images that look like an earlier one.

    Args:
        hashes: `picture_hash` by key, in the order of the project.
        differing: bits that may differ.

    Returns:
        The later key, the earlier key, and how many bits differ.
    """
    first: dict[int, str] = {}
    parts = differing + 1
    near: dict[tuple[int, int], list[int]] = defaultdict(list)
    width = -(-64 // parts)
    for key, value in hashes.items():
        if value in first:
            yield key, first[value], 0
            continue
        # Of `parts` pieces of two hashes that differ in fewer bits, one is the same.
        pieces = [(part, value >> (part * width) & ((1 << width) - 1)) for part in range(parts)]
        others = {other for piece in pieces for other in near[piece]}
        best = min(others, key=lambda other: (other ^ value).bit_count(), default=None)
        if best is not None and (best ^ value).bit_count() <= differing:
            yield key, first[best], (best ^ value).bit_count()
        first[value] = key
        for piece in pieces:
            near[piece].append(value)
