"""OMG-Seg and RAP-SAM through sequences: tubes of a few frames, objects known by their queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.omgseg.network_files import OMGSEG, RAPSAM, TITLES, missing
from models.tracking import Tracker, TrackerSpec

if TYPE_CHECKING:
    from models.api import Segmenter


def _spec(network_id: str, takes: str) -> TrackerSpec:
    def load(_: Segmenter | None) -> Tracker:
        from models.omgseg.network_files import opened
        from models.omgseg.tracker import QueryTracker

        return QueryTracker(spec, opened(network_id))

    spec = TrackerSpec(
        id=network_id,
        title=TITLES[network_id],
        version="1",
        summary="Follows marked objects, or whatever it finds, by what they look like.",
        licence="MIT",
        load=load,
        available=lambda: missing(network_id),
        finds=True,
        clip=5,
        caution=f"{takes} for each image on a processor; meant for a graphics processor.",
    )
    return spec


SPECS = (_spec(OMGSEG, "Tens of seconds"), _spec(RAPSAM, "Some seconds"))
