"""EfficientSAM: plain vision transformers and a decoder that is near SAM's but not the same."""

from models.networks.efficientsam.encoder import VIT_S, VIT_T, EfficientSizes
from models.networks.efficientsam.network import (
    NARROW,
    TOKENS,
    EfficientSam,
    narrow_efficient_sam,
)

__all__ = [
    "NARROW",
    "TOKENS",
    "VIT_S",
    "VIT_T",
    "EfficientSam",
    "EfficientSizes",
    "narrow_efficient_sam",
]
