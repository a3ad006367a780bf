"""The settings the shipped model is trained with: `python -m models.training train` uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from models.networks.loupe import LoupeConfig
from models.training.data import LabelledImage
from models.training.settings import Settings

SOURCES: Mapping[str, float] = MappingProxyType(
    {
        "coco_train2017": 5,
        "coco_val2017_person": 3,
        "ecssd": 3,
        "bsds500_regions": 1.2,
        "ccp_clothing": 1.0,
        "feral_cats": 0.7,
        "building_facade": 0.6,
        "pennfudan": 0.6,
        "car_parts": 0.5,
        "nuclei_dsb2018": 0.4,
        "balloon": 0.3,
        "corn_seed": 0.3,
        "kudzu": 0.25,
        "sem_particles": 0.15,
    }
)
"""How often a source is drawn: everyday things most, many alike things seldom. Others count 1."""

PASTED = (
    "coco_train2017",
    "coco_val2017_person",
    "ecssd",
    "feral_cats",
    "balloon",
    "pennfudan",
)
"""Sources of whole objects with exact outlines."""

HELD_SOURCE = "coco_train2017"
HELD_EVERY = 8

PROCESSOR = Settings(weights=dict(SOURCES), paste_sources=PASTED)
"""For a processor: 8 scenes a step."""

GRAPHICS = replace(
    PROCESSOR,
    images=16,
    parts=8,
    steps=7000,
    decay=1500,
    rate=3e-3,
    warm_up=500,
    average=0.998,
)
"""For a large graphics processor: 128 scenes a step, made by other processes."""

NARROW = LoupeConfig(
    stages=(8, 8, 16, 16, 16), blocks=(0, 1, 1, 1, 1), coarse=16, fine=8, decoder=(16, 16, 24)
)
"""A tiny network, to try data and settings within minutes."""


def settings_for(device: str, images: Sequence[LabelledImage]) -> Settings:
    """The settings for a device, without names of sources the data does not have."""
    chosen = GRAPHICS if device == "cuda" else PROCESSOR
    found = {image.source for image in images}
    return replace(
        chosen,
        weights={name: weight for name, weight in chosen.weights.items() if name in found},
        paste_sources=tuple(name for name in chosen.paste_sources if name in found),
    )


def split(
    images: Sequence[LabelledImage], every: int
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """What is learnt from, and every n-th image for measuring.

    Measured is on everyday photographs alone where there are some, else on every source.

    Args:
        images: all of them, in their order.
        every: 0 for measuring on nothing.
    """
    usable = [image for image in images if image.masks]
    if not every:
        return usable, []
    everyday = [image for image in usable if image.source == HELD_SOURCE]
    chosen = (everyday or usable)[::every]
    if len(chosen) == len(usable):
        return usable, []
    ids = {id(image) for image in chosen}
    return [image for image in usable if id(image) not in ids], chosen
