"""Names that were not trained: OMG-Seg's scores and those of frozen CLIP, multiplied.

spec/ovsam_omgseg.md, B.2. Fang and others' ODISE and FC-CLIP do the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

SEEN_SHARE, UNSEEN_SHARE = 0.4, 0.8
"""How much CLIP counts for names that were trained, and for all others."""


def seen_classes(classes: Sequence[Sequence[str]], trained: Collection[str]) -> list[bool]:
    """Which classes share a name with those that were trained; upper case does not matter."""
    known = {name.casefold() for name in trained}
    return [any(name.casefold() in known for name in names) for names in classes]


def with_clip(own: Tensor, clip: Tensor, counts: Tensor, seen: Sequence[bool]) -> Tensor:
    """Weighted geometric means of two classifiers, as logits.

    Args:
        own: (N, C + 1) logits of the network, "no object" last.
        clip: (N, C + 1) logits of frozen CLIP with the same names.
        counts: (N) cells of CLIP's last level in each mask; where there are none CLIP is not asked.
        seen: C flags, see `seen_classes`.

    Returns:
        Logarithms of probabilities (N, C + 1); that of "no object" is the network's own.
    """
    known = torch.tensor(seen, device=own.device)
    share = torch.where(known, SEEN_SHARE, UNSEEN_SHARE) * (counts > 0)[:, None]
    mixed = (1 - share) * own[:, :-1].log_softmax(1) + share * clip[:, :-1].log_softmax(1)
    nothing = own.softmax(1)[:, -1:]
    found = torch.cat([mixed.softmax(1) * (1 - nothing), nothing], 1)
    return torch.log(found + 1e-8)
