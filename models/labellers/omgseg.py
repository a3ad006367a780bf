"""OMG-Seg and RAP-SAM: everything that has one of the project's names, things and stuff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.labelling import Labeller, LabellerSpec
from models.omgseg.network_files import OMGSEG, RAPSAM, TITLES, missing, opened

if TYPE_CHECKING:
    from models.omgseg.labelling import Kind

_SLOW = "Without a graphics card it takes tens of seconds for each image"
_QUICK = "Without a graphics card it takes some seconds for each image"


def _spec(network_id: str, kind: Kind) -> LabellerSpec:
    def load() -> Labeller:
        from models.omgseg.labelling import OpenLabeller
        from models.omgseg.words import clip_words

        network = opened(network_id)
        return OpenLabeller(spec, network, clip_words(str(network.device)), kind)

    panoptic = kind == "panoptic"
    what = (
        "Things and stuff, every pixel belongs to one of them at most"
        if panoptic
        else "Things only; they may overlap"
    )
    weak = "" if network_id == OMGSEG else " Weak at names it was not trained with."
    spec = LabellerSpec(
        id=f"{network_id}-{kind}",
        title=f"{TITLES[network_id]}, {'things and stuff' if panoptic else 'things only'}",
        version="1",
        summary=f"Finds everything that has a name in your vocabulary. {what}.{weak}",
        licence="MIT",
        load=load,
        available=lambda: missing(network_id),
        takes_names=True,
        effort=_SLOW if network_id == OMGSEG else _QUICK,
    )
    return spec


SPECS = (
    _spec(OMGSEG, "panoptic"),
    _spec(OMGSEG, "instances"),
    _spec(RAPSAM, "panoptic"),
    _spec(RAPSAM, "instances"),
)
