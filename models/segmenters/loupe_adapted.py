"""Models adapted to a person's own images: those in the store at the moment."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from models.adapted import AdaptedModel, AdaptedStore
from models.api import ModelError, Segmenter, SegmenterSpec
from models.segmenters import loupe
from models.weight_files import disk_error


def specs() -> tuple[SegmenterSpec, ...]:
    """The models that are there now; the disk is read only when one came or went."""
    store = AdaptedStore()
    return _specs(store, store.stamp())


@lru_cache(maxsize=1)
def _specs(store: AdaptedStore, stamp: tuple[int, int, int]) -> tuple[SegmenterSpec, ...]:
    return tuple(spec_of(model) for model in store.models())


def spec_of(model: AdaptedModel) -> SegmenterSpec:
    """What the program needs to know of an adapted model."""

    def load() -> Segmenter:
        from models.loupe.segmenter import LoupeSegmenter

        if (missing := model.missing) is not None:
            raise ModelError(missing)
        try:
            segmenter = LoupeSegmenter(spec, model.folder)
        except OSError as error:  # removed by another process a moment ago
            raise disk_error(error, model.folder) from error
        if model.card is not None and segmenter.fingerprint != model.card.fingerprint:
            raise ModelError(
                f"The files of “{model.title}” in “{model.folder}” were changed or damaged. "
                "Remove the model and adapt again."
            )
        return segmenter

    card = model.card
    spec = replace(
        loupe.SPEC,
        id=model.id,
        title=model.title,
        version=f"{loupe.SPEC.version}+{card.fingerprint[:8]}" if card else "?",
        summary=card.summary if card else "A model adapted to your own images.",
        licence="As the model it was made from; what it learned from is yours",
        load=load,
        available=lambda: model.missing,
    )
    return spec
