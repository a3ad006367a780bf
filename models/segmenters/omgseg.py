"""OMG-Seg and RAP-SAM for clicks and boxes: part, object and whole for one click."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec
from models.omgseg.network_files import OMGSEG, RAPSAM, missing, opened


def _load(network_id: str) -> Segmenter:
    from models.omgseg.prompted import PromptedSegmenter

    spec = next(spec for spec in SPECS if spec.id == network_id)
    return PromptedSegmenter(spec, opened(network_id))


def _spec(network_id: str, title: str, summary: str) -> SegmenterSpec:
    return SegmenterSpec(
        id=network_id,
        title=title,
        version="1",
        summary=summary,
        licence="MIT",
        load=lambda: _load(network_id),
        available=lambda: missing(network_id),
        storage="float16",
        input_size=1024,
        # Scores are stabilities.
        least_score=0.0,
    )


SPECS = (
    _spec(
        OMGSEG,
        "OMG-Seg (slow)",
        "Part, object and whole for one click; tens of seconds for each image without a graphics "
        "card, then about a second a click.",
    ),
    _spec(
        RAPSAM,
        "RAP-SAM",
        "Part, object and whole for one click; some seconds for each image without a graphics "
        "card.",
    ),
)
