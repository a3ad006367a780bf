"""Segment Anything with its own image encoders: ViT-B, ViT-L and ViT-H."""

from models.networks.sam_vit.encoder import VIT_B, VIT_H, VIT_L, SamVit, VitSizes
from models.networks.sam_vit.high_resolution import encode_at, log_scale
from models.networks.sam_vit.network import NARROW, narrow_sam, sam_vit

__all__ = [
    "NARROW",
    "VIT_B",
    "VIT_H",
    "VIT_L",
    "SamVit",
    "VitSizes",
    "encode_at",
    "log_scale",
    "narrow_sam",
    "sam_vit",
]
