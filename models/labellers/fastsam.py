"""FastSAM as it was meant: all instances of an image at once, without names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.labelling import LabelledMask, Labeller, LabellerSpec, Name
from models.segmenters.fastsam import SPECS as SEGMENTERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.api import SegmenterSpec
    from models.sam_family.fast import FastSamSegmenter


class FastSamLabeller:
    """Instances without names.

    Args:
        spec: the description this instance is made for.
        segmenter: the network with its rules.
    """

    def __init__(self, spec: LabellerSpec, segmenter: FastSamSegmenter) -> None:
        self._spec = spec
        self._segmenter = segmenter

    @property
    def spec(self) -> LabellerSpec:
        """See `models.labelling.Labeller`."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """See `models.labelling.Labeller`."""
        return self._segmenter.fingerprint

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""
        return self._segmenter.device

    def label(self, image: NDArray[np.uint8], names: Sequence[Name]) -> Sequence[LabelledMask]:
        """See `models.labelling.Labeller`."""
        from models.everything import stability

        found = self._segmenter.instances(self._segmenter.encode(image))
        return [LabelledMask(one, stability=stability(one.logits)) for one in found]


def _spec(segmenter: SegmenterSpec) -> LabellerSpec:
    def load() -> Labeller:
        from models.sam_family.fast import FastSamSegmenter

        loaded = segmenter.load()
        assert isinstance(loaded, FastSamSegmenter)
        return FastSamLabeller(spec, loaded)

    spec = LabellerSpec(
        id=f"{segmenter.id}-all",
        title=f"{segmenter.title}, all instances",
        version=segmenter.version,
        summary="Every object of an image in one go, without names.",
        licence=segmenter.licence,
        load=load,
        available=segmenter.available,
    )
    return spec


SPECS = tuple(_spec(segmenter) for segmenter in SEGMENTERS)
