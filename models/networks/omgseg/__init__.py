"""OMG-Seg: labelled segments of images and video, and prompts, in plain torch."""

from models.networks.omgseg.found import (
    ClipFeatures,
    FindsEverything,
    Found,
    Framing,
    click_boxes,
)
from models.networks.omgseg.network import (
    NARROW,
    PUBLISHED,
    OmgSeg,
    OmgSegSizes,
    narrow_omgseg,
)

__all__ = [
    "NARROW",
    "PUBLISHED",
    "ClipFeatures",
    "FindsEverything",
    "Found",
    "Framing",
    "OmgSeg",
    "OmgSegSizes",
    "click_boxes",
    "narrow_omgseg",
]
