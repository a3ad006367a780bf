"""OMG-Seg through sequences: tubes of a few frames, objects recognised by their queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.omgseg.network_files import OMGSEG, missing
from models.tracking import Tracker, TrackerSpec

if TYPE_CHECKING:
    from models.api import Segmenter


def _load(_: Segmenter | None) -> Tracker:
    from models.omgseg.network_files import opened
    from models.omgseg.tracker import QueryTracker

    network = opened(OMGSEG)
    return QueryTracker(SPEC, network.network, network.device)


SPEC = TrackerSpec(
    id=OMGSEG,
    title="OMG-Seg",
    version="1",
    summary="Follows marked objects, or whatever it finds, by what they look like.",
    licence="Apache-2.0",
    load=_load,
    available=lambda: missing(OMGSEG),
    finds=True,
    clip=5,
    caution="Tens of seconds for each frame on a processor; meant for a graphics processor.",
)
