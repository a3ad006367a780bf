"""Which scenes a step sees: a function of seed, step and part alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.api import ModelError
from models.training import rounds
from models.training.data import Image, LabelledImage
from models.training.scenes import Scene, make_scene
from models.training.settings import Settings


class Sampler:
    """Draws scenes, balanced by source.

    Raises:
        ModelError: no image has an object.
    """

    def __init__(self, images: Sequence[LabelledImage], settings: Settings) -> None:
        usable = [image for image in images if len(image.masks)]
        if not usable:
            raise ModelError(
                "There is nothing to learn from: no image has an object. Give labelled images."
            )
        self._images, self._settings = usable, settings
        sources = [image.source for image in usable]
        sizes = {source: sources.count(source) for source in set(sources)}
        share = np.array([settings.weights.get(s, 1.0) / sizes[s] for s in sources])
        if not share.sum() > 0:
            raise ModelError("Every source has the weight 0: nothing is left to learn from.")
        self._shares = share / share.sum()
        wanted = settings.paste_sources
        self._pasted = [image for image in usable if not wanted or image.source in wanted]

    def scenes(self, step: int, part: int = 0) -> tuple[list[Scene], np.random.Generator]:
        """The scenes of one part of a step, and the generator for what follows."""
        settings = self._settings
        # NumPy reads missing numbers of a seed as 0: part 0 is what a step without parts sees.
        rng = np.random.default_rng([settings.seed, step, part])
        chosen = rng.choice(len(self._images), settings.images, p=self._shares)
        found = []
        for index in chosen:
            pasted = None
            if self._pasted and rng.random() < settings.paste_share:
                pasted = self._pasted[int(rng.integers(len(self._pasted)))]
            found.append(
                make_scene(rng, self._images[index], settings.side, settings.objects, pasted)
            )
        return found, rng

    def begin(self, step: int, part: int = 0) -> tuple[Image, rounds.Rounds, np.random.Generator]:
        """Images (B, S, S, 3) uint8 and the first questions of one part of a step."""
        scenes, rng = self.scenes(step, part)
        images = np.stack([scene.image for scene in scenes])
        return images, rounds.begin(rng, scenes, self._settings.objects), rng
