"""FastSAM: a YOLOv8 network that segments all objects of an image at once."""

from models.networks.fastsam.network import (
    FAST_SAM_S,
    FAST_SAM_X,
    NARROW,
    FastSam,
    YoloSizes,
    narrow_fast_sam,
    sizes_of,
)

__all__ = [
    "FAST_SAM_S",
    "FAST_SAM_X",
    "NARROW",
    "FastSam",
    "YoloSizes",
    "narrow_fast_sam",
    "sizes_of",
]
