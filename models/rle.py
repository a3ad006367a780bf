"""COCO's compressed run-length encoding, as numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def runs_of(counts: bytes) -> NDArray[np.int64]:
    """Run lengths of the column-major pixel sequence, background first.

    pycocotools does not check them: with runs that do not add up to the image it reads memory that
    was never written.
    """
    text = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if text.size == 0:
        return np.zeros(0, np.int64)
    ends = (text & 0x20) == 0
    group = np.concatenate(([0], np.cumsum(ends)[:-1]))
    first = np.searchsorted(group, np.arange(group[-1] + 1))
    shift = 5 * (np.arange(text.size) - first[group])
    values = np.bincount(group, weights=((text & 0x1F) << shift)).astype(np.int64)
    last = np.flatnonzero(ends)
    negative = (text[last] & 0x10) != 0
    values[negative] -= np.int64(1) << (shift[last][negative] + 5)
    # From the fourth run on, the file stores the difference to the run two places before.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
