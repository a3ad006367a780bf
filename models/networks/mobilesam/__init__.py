"""MobileSAM: SAM's decoder on the embedding of a TinyViT."""

from models.networks.mobilesam.network import mobile_sam, narrow_mobile_sam
from models.networks.mobilesam.tiny_vit import NARROW, TINY_5M, TinyVit, TinyVitSizes

__all__ = [
    "NARROW",
    "TINY_5M",
    "TinyVit",
    "TinyVitSizes",
    "mobile_sam",
    "narrow_mobile_sam",
]
