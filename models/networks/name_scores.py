"""Ranking names by cosine where gradients or a graphics processor are wanted."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.naming.classifier import SCALE, Names

_CELLS = 1 << 24
"""Cosines looked at with all synonyms at once: bounds memory for 20,000 names."""


class NameScores:
    """`models.naming.classifier.logits` with a gradient.

    Args:
        names: the classes.
        device: where scores are computed.
    """

    def __init__(self, names: Names, device: torch.device) -> None:
        self._rows = torch.from_numpy(names.rows).to(device)
        starts = torch.from_numpy(names.starts).to(device)
        ends = torch.cat([starts[1:], starts.new_tensor([len(names.rows)])])
        steps = torch.arange(int((ends - starts).max()), device=device)
        # Classes with fewer names repeat their last.
        self._places = torch.minimum(starts[:, None] + steps, ends[:, None] - 1)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Vectors (n, d) of any length to logits (n, C + 1), the background last."""
        step = max(_CELLS // self._places.numel(), 1)
        found = [self._best(part) for part in torch.split(vectors, step)] or [self._best(vectors)]
        return SCALE * functional.pad(torch.cat(found), (0, 1))

    def _best(self, vectors: Tensor) -> Tensor:
        cosines = functional.normalize(vectors, dim=1) @ self._rows.T
        return cosines[:, self._places].amax(2)
