"""The default segmenter: works at once, without weights, network or accelerator."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec


def _load() -> Segmenter:
    from models.basic.segmenter import BasicSegmenter

    return BasicSegmenter(SPEC)


SPEC = SegmenterSpec(
    id="basic",
    title="Basic (no weights)",
    version="1",
    summary="Colour, boundaries and shape priors; best with a box, works everywhere at once.",
    licence="Apache-2.0",
    load=_load,
    cache_on_disk=False,
    # Its logits are soft; chosen on 24 images of training data for about 40 proposals an image.
    least_score=0.5,
    least_stability=0.55,
)
