"""RAP-SAM: labelled segments of images and video, and prompts, from a ResNet-50."""

from models.networks.rapsam.network import (
    NARROW,
    PUBLISHED,
    RapSam,
    RapSamSizes,
    narrow_rapsam,
)

__all__ = ["NARROW", "PUBLISHED", "RapSam", "RapSamSizes", "narrow_rapsam"]
