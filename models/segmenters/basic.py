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
)
