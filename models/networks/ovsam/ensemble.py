"""The repository's evaluation: OVSAM's own scores and those of frozen CLIP, multiplied."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional

BASE_SHARE = 0.1
"""How much CLIP counts for names that were trained."""
NOVEL_SHARE = 0.9
"""How much CLIP counts for all other names."""
UNKNOWN = -1000.0
"""Score of names that are in neither list."""


def seen_by_clip(logits: Tensor, side: int) -> Tensor:
    """Whether anything is left (n) of masks (n, h, w) at CLIP's coarsest grid."""
    small = functional.interpolate(logits[:, None], (side, side), mode="bilinear")
    return (small > 0).flatten(1).any(1)


def combined(
    own: Tensor,
    clip: Tensor,
    counts: Tensor,
    base: Collection[int] = (),
    novel: Collection[int] = (),
) -> Tensor:
    """Logarithms (n, C + 1) of the weighted geometric means of two classifiers.

    Args:
        own: (n, C + 1) logits of OVSAM's head, the background last.
        clip: (n, C + 1) logits of CLIP's attention pool with the same names.
        counts: (n) bool; False where CLIP must not count, see `seen_by_clip`.
        base: classes that were trained; without `base` and `novel` all classes are novel.
        novel: classes that were not.

    Returns:
        What a softmax makes probabilities of. Classes in neither list get -1000.
    """
    classes = own.shape[1] - 1
    if not base and not novel:
        novel = range(classes)
    share = own.new_zeros(classes + 1)
    share[[*base, classes]] = BASE_SHARE
    share[list(novel)] = NOVEL_SHARE
    weights = share * counts[:, None]
    found = (1 - weights) * own.log_softmax(-1) + weights * clip.log_softmax(-1)
    known = torch.zeros(classes + 1, dtype=torch.bool, device=own.device)
    known[[*base, *novel, classes]] = True
    return torch.where(known, found, UNKNOWN)
