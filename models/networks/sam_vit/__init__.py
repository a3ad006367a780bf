"""Segment Anything with its own image encoders: ViT-B, ViT-L and ViT-H."""

from models.networks.sam_vit.encoder import VIT_B, VIT_H, VIT_L, SamVit, VitSizes
from models.networks.sam_vit.high_resolution import encode_at, log_scale, prompts_at
from models.networks.sam_vit.network import NARROW, Sam, narrow_sam, sam_vit

__all__ = [
    "NARROW",
    "VIT_B",
    "VIT_H",
    "VIT_L",
    "Sam",
    "SamVit",
    "VitSizes",
    "encode_at",
    "log_scale",
    "narrow_sam",
    "prompts_at",
    "sam_vit",
]
