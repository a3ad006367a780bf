"""What training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy plus Dice (Milletari et al. 2016), per mask, weighted and averaged.

    Args:
        logits: (N, n, n).
        targets: (N, n, n), 0 to 1.
        weights: (N,).
    """
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean((1, 2))
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * targets).sum((1, 2)) + 1
    dice = 1 - overlap / ((probability + targets).sum((1, 2)) + 1)
    return ((2.0 * entropy + dice) * weights).sum() / weights.sum().clamp(min=1e-6)


def score_loss(scores: Tensor, ious: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy between predicted and measured IoU, all (N,); scores are logits."""
    entropy = F.binary_cross_entropy_with_logits(scores, ious, reduction="none")
    return (entropy * weights).sum() / weights.sum().clamp(min=1e-6)


def window_ious(logits: Tensor, targets: Tensor, cells: Tensor, areas: Tensor) -> Tensor:
    """IoU (N,) of binary masks in windows with whole objects.

    Args:
        logits: (N, n, n).
        targets: (N, n, n), 0 to 1.
        cells: (N,) area of a cell in pixels.
        areas: (N,) area of the whole object in pixels; part of it may be out of view.
    """
    predicted = (logits > 0).to(targets)
    overlap = (predicted * targets).sum((1, 2)) * cells
    union = predicted.sum((1, 2)) * cells + areas - overlap
    return (overlap / union.clamp(min=1e-6)).clamp(0, 1)
