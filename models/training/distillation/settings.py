"""How a student is distilled; part of every checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.api import ModelError

RATED_BATCH = 512
"""Images per step the rates are stated for; they shrink with the batch."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to distil.

    Attributes:
        stage: 1 for features, 2 for masks with prompts in the loop.
        epochs: how often every image is seen.
        images: per step.
        together: images that go through the student at once; batch norms see these.
        rate: of AdamW, for a step of `RATED_BATCH` images.
        floor: the rate at the end, likewise.
        warm_epochs: epochs in which the rate climbs.
        warm_from: where it begins, likewise.
        weight_decay: of AdamW, for weights with more than one axis.
        clip: largest norm of a gradient.
        prompts: drawn from each image with replacement, in stage 2.
        passes: answers to each prompt; every one after the first has one more click.
        seed: of everything that is drawn.
    """

    stage: int
    epochs: int
    images: int
    together: int
    rate: float
    floor: float
    warm_epochs: int = 0
    warm_from: float = 0.0
    weight_decay: float = 0.01
    clip: float = 5.0
    prompts: int = 16
    passes: int = 2
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """The rate of a step of `steps` altogether.

        As in the original, warming up does not shift the cosine: at its end the rate drops from
        the highest value to where the cosine has come meanwhile.
        """
        scale = self.images / RATED_BATCH
        high, low, first = (scale * x for x in (self.rate, self.floor, self.warm_from))
        warm = steps * self.warm_epochs / self.epochs
        if step < warm:
            return first + (high - first) * step / warm
        return low + 0.5 * (high - low) * (1 + math.cos(math.pi * step / steps))

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Settings:
        """Settings as they stand in a checkpoint.

        Raises:
            ModelError: they are of another version.
        """
        try:
            return cls(**stored)
        except TypeError as error:
            raise ModelError(
                f"The checkpoint was made by another version of the distillation ({error}). "
                "Go on with the version that made it, or begin anew."
            ) from error


FEATURES = Settings(1, 10, 64, 8, 0.1, 5e-6, warm_epochs=5, warm_from=5e-7)
"""Stage 1 as published: from 6e-8 up to 1.25e-2, then a cosine to 6e-7."""

PROMPTS = Settings(2, 5, 16, 2, 3.2e-3, 3.2e-4, weight_decay=0.05, clip=0.01)
"""Stage 2 as published: a cosine from 1e-4 to 1e-5, batch norms over 2 images."""
