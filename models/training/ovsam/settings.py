"""How the two halves are trained; part of every checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.api import ModelError


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train.

    Attributes:
        epochs: how often every image is seen.
        rate: of AdamW, at the beginning.
        clip: largest norm of a gradient.
        images: per step. Not published; these are ours.
        floor: of a cosine: the part of the rate that is left at the end; None for drops instead.
        drops: epochs after which the rate is a tenth of what it was.
        weight_decay: of AdamW, for weights with more than one axis.
        objects: of each image in a step, at most; half are asked for with boxes.
        zoom: smallest and largest enlargement of an image that just fits the frame.
        samples: places a mask is compared at.
        seed: of everything that is drawn.
    """

    epochs: int
    rate: float
    clip: float
    images: int = 8
    floor: float | None = None
    drops: tuple[int, ...] = ()
    weight_decay: float = 0.05
    objects: int = 40
    zoom: tuple[float, float] = (0.9, 2.0)
    samples: int = 12544
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """The rate of a step of `steps` altogether."""
        if self.floor is not None:
            turn = 0.5 * (1 + math.cos(math.pi * step / steps))
            return self.rate * (self.floor + (1 - self.floor) * turn)
        epoch = step * self.epochs // steps
        return float(self.rate * 0.1 ** sum(epoch >= drop for drop in self.drops))

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Settings:
        """Settings as they stand in a checkpoint.

        Raises:
            ModelError: they are of another version.
        """
        try:
            values = dict(stored)
            return cls(**values | {name: tuple(values[name]) for name in ("drops", "zoom")})
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"The checkpoint was made by another version of the training ({error}). "
                "Go on with the version that made it, or begin anew."
            ) from error


NECK = Settings(epochs=24, rate=1e-4, clip=5.0, floor=0.01)
"""SAM2CLIP as published."""

HEADS = Settings(epochs=12, rate=1e-4, clip=0.01, drops=(8, 11))
"""CLIP2SAM as published, with the zoom of COCO; for LVIS it begins at 0.1."""
