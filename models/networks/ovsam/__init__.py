"""Open-Vocabulary SAM: masks and vectors for names from one encoder, in plain torch."""

from models.networks.ovsam.backbone import RN50X16, ClipSizes
from models.networks.ovsam.network import (
    NARROW,
    PUBLISHED,
    ImageFeatures,
    OpenVocabularySam,
    OvsamSizes,
    narrow_ovsam,
)
from models.networks.ovsam.regions import (
    POOLED,
    box_levels,
    mask_boxes,
    read_pyramid,
    read_regions,
)

__all__ = [
    "NARROW",
    "POOLED",
    "PUBLISHED",
    "RN50X16",
    "ClipSizes",
    "ImageFeatures",
    "OpenVocabularySam",
    "OvsamSizes",
    "box_levels",
    "mask_boxes",
    "narrow_ovsam",
    "read_pyramid",
    "read_regions",
]
