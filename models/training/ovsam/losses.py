"""What CLIP2SAM minimises: cross-entropy of names, and masks compared where they are unsure."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

OVERSAMPLE = 3
"""Candidates for each place a mask is compared at."""
UNSURE_SHARE = 0.75
"""How many of the places are the least sure of the candidates; the others are drawn evenly."""
CLASS_WEIGHT, ENTROPY_WEIGHT, DICE_WEIGHT = 2.0, 5.0, 5.0
BACKGROUND_WEIGHT = 0.1


def class_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Weighted cross-entropy of logits (n, C + 1), background last, and classes (n)."""
    weights = logits.new_ones(logits.shape[1])
    weights[-1] = BACKGROUND_WEIGHT
    return CLASS_WEIGHT * F.cross_entropy(logits, classes, weights)


def mask_loss(logits: Tensor, masks: Tensor, places: Tensor) -> Tensor:
    """Cross-entropy and Dice at some places.

    Args:
        logits: (n, h, w).
        masks: (n, H, W), 0 or 1.
        places: (n, k, 2), see `unsure_places`.
    """
    found, wanted = at(logits, places), at(masks, places)
    entropy = F.binary_cross_entropy_with_logits(found, wanted)
    inside = found.sigmoid()
    overlap = 2 * (inside * wanted).sum(1) + 1
    dice = 1 - overlap / (inside.sum(1) + wanted.sum(1) + 1)
    return ENTROPY_WEIGHT * entropy + DICE_WEIGHT * dice.mean()


def unsure_places(logits: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Places (n, count, 2) in 0 to 1, x then y, most of them where logits (n, h, w) are near 0.

    Source: Kirillov et al., "PointRend" (2020).
    """
    unsure = int(UNSURE_SHARE * count)

    def drawn(number: int) -> Tensor:
        shape = (len(logits), number, 2)
        return torch.rand(shape, generator=generator).to(logits.device)

    with torch.no_grad():
        candidates = drawn(OVERSAMPLE * count)
        order = at(logits, candidates).abs().argsort(1)[:, :unsure]
        chosen = candidates.gather(1, order[..., None].expand(-1, -1, 2))
        return torch.cat([chosen, drawn(count - unsure)], 1)


def at(maps: Tensor, places: Tensor) -> Tensor:
    """Bilinear samples (n, k) of maps (n, h, w) at places (n, k, 2) in 0 to 1."""
    grid = 2 * places[:, None] - 1
    return F.grid_sample(maps[:, None], grid, align_corners=False)[:, 0, 0]
