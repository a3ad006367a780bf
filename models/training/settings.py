"""How Loupe is trained; part of every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.api import ModelError


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train; part of every checkpoint.

    Attributes:
        steps: batches altogether.
        decay: how many of the last steps lower the rate to nothing.
        rate: of AdamW, after warming up.
        warm_up: steps until the rate is reached.
        weight_decay: of AdamW, for weights with more than one axis.
        clip: largest norm of a gradient.
        images: scenes in each part of a batch.
        objects: questions per scene.
        side: pixels of a scene.
        passes: questions asked about each object in a step.
        parts: how many parts a batch has; their gradients are added up. Several parts keep a
            graphics processor and many processes busy at once.
        paste_share: how often an object of another image is put in front.
        weights: how often a source is drawn, by name; 1 for others.
        paste_sources: sources whose objects are cut out well enough to be pasted, () for all.
        average: decay of the averaged weights.
        seed: of everything that is drawn.
    """

    steps: int = 20000
    decay: int = 4000
    rate: float = 1.5e-3
    warm_up: int = 200
    weight_decay: float = 0.02
    clip: float = 5.0
    images: int = 8
    objects: int = 8
    side: int = 384
    passes: int = 3
    parts: int = 1
    paste_share: float = 0.35
    weights: Mapping[str, float] = field(default_factory=dict)
    paste_sources: tuple[str, ...] = ()
    average: float = 0.999
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Warm up, stay, fall to nothing: going on later only needs more `steps`."""
        warm = min(1.0, (step + 1) / self.warm_up)
        left = min(1.0, (self.steps - step) / max(self.decay, 1))
        return self.rate * warm * max(left, 0.0)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Settings:
        """Settings as they stand in a checkpoint; what an older one lacks is as it was then.

        Raises:
            ModelError: they are of another version.
        """
        try:
            values = {**stored, "paste_sources": tuple(stored.get("paste_sources", ()))}
            return cls(**values)
        except TypeError as error:
            raise ModelError(
                f"The checkpoint was made by another version of the training ({error}). "
                "Go on with the version that made it, or begin anew."
            ) from error
