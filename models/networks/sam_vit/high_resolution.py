"""Encoding at another size than the one of training, without training.

Source: Song et al., "BA-SAM: Scalable Bias-Mode Attention Mask for Segment Anything Model" (CVPR
2024), as spec/ovsam_omgseg.md, section C.2, boils it down. With more tokens the softmax of global
attention flattens; scores are therefore multiplied by log(tokens) / log(tokens in training).
Windows keep their length and need nothing. Tables of positions are interpolated by the encoders.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from models.api import FIXED_SIZE, ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


def log_scale(tokens: int, trained: int) -> float:
    """What scores of global attention are multiplied by; 1 at the size of training."""
    return 1.0 if tokens == trained else math.log(tokens) / math.log(trained)


def check_side(encoder: nn.Module, side: int) -> None:
    """Refuse what cannot be encoded at `side` pixels.

    Raises:
        ModelError: the encoder is bound to its size, or the size is not a multiple of its patch.
    """
    trained, patch = getattr(encoder, "trained_side", None), getattr(encoder, "patch", None)
    if not isinstance(trained, int) or not isinstance(patch, int):
        raise ModelError(f"This model's image encoder is convolutional. {FIXED_SIZE}")
    if side < 4 * patch or side % patch:
        raise ModelError(
            f"Images can be encoded at multiples of {patch} pixels from {4 * patch} up, "
            f"not at {side}."
        )


def encode_at(encoder: nn.Module, image: Tensor) -> Tensor:
    """Encode a normalised, padded, square image (B, 3, S, S) of any allowed side S.

    Returns:
        (B, C, S / 16, S / 16). At the side of training it is the usual embedding.

    Raises:
        ModelError: see `check_side`.
    """
    check_side(encoder, image.shape[-1])
    result: Tensor = encoder(image)
    return result
