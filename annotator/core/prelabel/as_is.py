"""Masks from elsewhere as they are: a run that asks no model and opens only headers of images."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.core import raster
from annotator.core.errors import UserError
from annotator.core.formats.coco.reading import Unusable
from annotator.core.formats.detections.masks import ReadyMasks
from annotator.core.image_header import probe
from annotator.core.prelabel.pipeline import Failed, never, outcomes
from annotator.core.prelabel.proposing import Found, Outcome, ProposalSource
from annotator.core.prelabel.reading import reader
from annotator.core.troubles import Trouble
from models.api import Segmenter

OTHER_SIZE = "masks of another size than their image"
DAMAGED = "masks that are damaged"
NO_PIXELS = "masks without a pixel in their image"


@dataclass(frozen=True, slots=True)
class AsIsOptions:
    """Which masks are kept.

    Attributes:
        min_score: the least score; masks without one stay.
        min_area: pixels.
    """

    min_score: float = 0.0
    min_area: float = 1.0


class AsIs:
    """Masks somebody has made already.

    Args:
        ready: from `annotator.core.formats.detections.masks`.
        options: what is kept.
    """

    def __init__(self, ready: ReadyMasks, options: AsIsOptions) -> None:
        self._ready = ready
        self._options = options

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `ProposalSource`."""
        options = self._options
        return {"ask": "masks", "masks": self._ready.digest, "min_score": options.min_score,
                "min_area": options.min_area}  # fmt: skip

    @property
    def labels(self) -> Sequence[str]:
        """See `ProposalSource`."""
        return self._ready.labels

    def wants(self, key: str) -> bool:
        """See `ProposalSource`."""
        return key in self._ready.masks

    def outcome(self, key: str, path: Path) -> Outcome:
        """What the file says of an image.

        Raises:
            UserError: the image cannot be read.
        """
        if not self.wants(key):
            return Outcome(key)
        info = probe(path)
        size = info.width, info.height
        told = self._ready.sizes.get(key, size)
        found: list[Found] = []
        troubles: list[Trouble] = []
        for one in self._ready.masks[key]:
            score = one.origin.score
            if score is not None and score < self._options.min_score:
                continue
            try:
                mask = one.mask(*size)
            except Unusable:
                troubles.append(Trouble(DAMAGED, f"{key}, {one.where}"))
                continue
            there = told if told != size else (mask.width, mask.height)
            if there != size:
                where = f"{key}: {size[0]} × {size[1]}, not {there[0]} × {there[1]}"
                troubles.append(Trouble(OTHER_SIZE, where))
                continue
            area = raster.area(mask)
            if not area:
                troubles.append(Trouble(NO_PIXELS, f"{key}, {one.where}"))
            elif area >= self._options.min_area:
                found.append(Found(mask, one.origin, None, one.name))
        return Outcome(key, tuple(found), tuple(troubles), size, info.orientation)


AnySource = ProposalSource | AsIs
"""What a run can be made from; only the first needs a model."""


def outcomes_of(
    keys: Iterable[str],
    folder: Path,
    segmenter: Segmenter | None,
    source: AnySource,
    stopped: Callable[[], bool] = never,
) -> Generator[Outcome | Failed, None, None]:
    """What is found in images of a folder, in their order; see `pipeline.outcomes`.

    Args:
        keys: of the images.
        folder: of the images.
        segmenter: the model; None for masks as they are.
        source: what is asked.
        stopped: see there.
    """
    if not isinstance(source, AsIs):
        assert segmenter is not None, "only masks as they are need none"
        read = reader(folder, segmenter, source)
        with closing(outcomes(keys, read, segmenter, source, stopped)) as coming:
            yield from coming
        return
    for key in keys:
        try:
            yield source.outcome(key, folder / key)
        except UserError as error:
            yield Failed(key, error)
