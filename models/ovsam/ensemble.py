"""The authors' evaluation: OVSAM's own scores and those of frozen CLIP, multiplied.

spec/ovsam_omgseg.md, A.1.8. Vectors come from `OvsamSegmenter.vectors` and `clip_vectors`, scores
from `models.naming.classifier.logits`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from models.naming.classifier import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

BASE_SHARE = 0.1
"""How much CLIP counts for names that were trained."""
NOVEL_SHARE = 0.9
"""How much CLIP counts for all other names."""
UNKNOWN = -1000.0
"""Score of names that are in neither list."""
CELLS = 8
"""Logits along each side of one cell of CLIP's last level."""


def seen_by_clip(logits: NDArray[np.float32]) -> bool:
    """Whether anything is left of a mask (h, w) at the resolution of CLIP's last level.

    Bilinear sampling at the middle of each cell is the mean of its four innermost logits.
    """
    low, high = CELLS // 2 - 1, CELLS // 2
    corners = [logits[y::CELLS, x::CELLS] for y in (low, high) for x in (low, high)]
    return bool((np.sum(corners, axis=0) > 0).any())


def combined(
    own: NDArray[np.float32],
    clip: NDArray[np.float32],
    counts: NDArray[np.bool_],
    base: Collection[int] = (),
    novel: Collection[int] = (),
) -> NDArray[np.float32]:
    """Weighted geometric means of two classifiers, as logits (n, C + 1).

    Args:
        own: (n, C + 1) logits of OVSAM's head, the background last.
        clip: (n, C + 1) logits of frozen CLIP with the same names.
        counts: (n) where CLIP counts at all, see `seen_by_clip`.
        base: classes that were trained.
        novel: classes that were not; without both lists all classes.

    Returns:
        Logarithms, not normalised: for `softmax`. Classes in neither list get -1000.
    """
    classes = own.shape[1] - 1
    if not base and not novel:
        novel = range(classes)
    share = np.full(classes + 1, np.nan, np.float32)
    share[[*base, classes]] = BASE_SHARE
    share[list(novel)] = NOVEL_SHARE
    known = np.isfinite(share)
    weights = np.where(known, share, 0) * counts[:, None]
    found = (1 - weights) * _log_softmax(own) + weights * _log_softmax(clip)
    return np.where(known, found, UNKNOWN).astype(np.float32)


def probabilities(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """How probable every class is: (n, C); what is missing to 1 is the background."""
    return softmax(scores)[:, :-1]


def _log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    moved = scores - scores.max(axis=-1, keepdims=True)
    result: NDArray[np.float32] = moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True))
    return result
