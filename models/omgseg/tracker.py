"""`QueryTracker`: networks that find everything, followed through a sequence by their queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253

from models.api import ModelError
from models.encoding import passed
from models.networks.omgseg.found import Found, Framing
from models.networks.omgseg.fusion import render
from models.networks.omgseg.tracking import Tracks, painted, start_from
from models.omgseg.network_files import spared
from models.omgseg.pictures import VIDEO, encoded, framed
from models.tracking import Seen, TrackerSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.omgseg.network_files import OpenedNetwork

    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

LEAST = 0.5
"""Quality below which an object is unsure, and from which on one is found by itself. Not measured:
there were no trained weights."""
MOST_COVERED = 0.5
"""What lies on known objects with more of its pixels is none of its own."""
LEAST_AREA = 0.0005
"""Share of the image that what is found by itself has at least."""


class QueryTracker:
    """Keeps the queries and masks of the last clip, and running means.

    Args:
        spec: the description this instance is made for.
        opened: OMG-Seg or RAP-SAM.
        sizes: the most of the longer and of the shorter side inside the network, pixels.
        least: see `LEAST`.
    """

    def __init__(
        self,
        spec: TrackerSpec,
        opened: OpenedNetwork,
        sizes: tuple[int, int] = VIDEO,
        least: float = LEAST,
    ) -> None:
        self._spec, self._opened = spec, opened
        self._sizes, self._least = sizes, least
        self._tracks = Tracks()
        self._framing: Framing | None = None
        self._last: Found | None = None
        self._query_of: dict[int, int] = {}
        self._finds = False
        self._new = 0

    @property
    def spec(self) -> TrackerSpec:
        """See `models.tracking.Tracker`."""
        return self._spec

    @property
    def device(self) -> str:
        """See `models.tracking.Tracker`."""
        return self._opened.where

    def begin(self, pixels: Pixels, given: dict[int, Mask]) -> dict[int, float]:
        """See `models.tracking.Tracker`: a mask is refused where no query overlaps it by half."""
        self._tracks, self._query_of = Tracks(), {}
        self._framing, self._last, self._finds = None, None, not given
        if not given:
            return {}  # `step` looks for everything, in this frame too
        self._framing = self._framing_of(pixels)
        self._last = found = self._look([pixels])
        masks = [torch.from_numpy(mask) for mask in given.values()]
        starts = start_from(found, self._framing, masks)
        for number, start in zip(given, starts, strict=True):
            if start.query is not None:
                self._query_of[number] = start.query
        return {
            number: start.overlap if start.query is not None else 0.0
            for number, start in zip(given, starts, strict=True)
        }

    def step(self, frames: Sequence[Pixels]) -> Sequence[Sequence[Seen]]:
        """See `models.tracking.Tracker`."""
        result: list[Sequence[Seen]] = []
        for clip in _alike(frames):
            size = clip[0].shape[:2]
            if self._framing is None or size != self._framing.original:
                # After a cut the queries go on: what is there again is recognised.
                self._framing = self._framing_of(clip[0])
            self._last = found = self._look(clip)
            result += [list(self._seen(found, place)) for place in range(len(clip))]
        return result

    def _framing_of(self, pixels: Pixels) -> Framing:
        longest, shortest = self._sizes
        return Framing.fitting(pixels.shape[0], pixels.shape[1], longest, shortest)

    def _look(self, clip: Sequence[Pixels]) -> Found:
        assert self._framing is not None
        network = self._opened.network
        with spared(self._spec.title), torch.inference_mode():
            pixels = framed(clip, self._framing).to(self._opened.device)
            found = network.decode(encoded(network, pixels, 0.9))
            if not torch.isfinite(found.masks).all() or not torch.isfinite(found.queries).all():
                raise ModelError(
                    f"{self._spec.title} returned values that are not numbers: its weights may be "
                    "damaged. Check them in Settings, Model."
                )
            passed("query decoder", 1.0)
            # Classes are not asked: a track is named by people.
            ordered, _ = self._tracks.follow(found, found.quality.new_zeros(len(found.quality), 1))
        return ordered

    def _seen(self, found: Found, place: int) -> Iterator[Seen]:
        assert self._framing is not None
        masks, quality = found.masks[:, place], self._tracks.quality
        if self._finds:
            self._discover(masks)
        labels = {query: label for label, query in enumerate(self._query_of.values(), 1)}
        drawn = painted(masks, self._framing, labels, quality).cpu().numpy()
        for label, (number, query) in enumerate(self._query_of.items(), 1):
            mask = np.asarray(drawn == label)
            score = float(found.quality[query].sigmoid()) if mask.any() else 0.0
            # What it found by itself comes and goes: nobody waits for it.
            is_sure = self._finds or score >= self._least
            yield Seen(number, mask, score, is_sure, has_left=self._finds and not mask.any())

    def _discover(self, masks: Tensor) -> None:
        """Queries that are good enough and lie where nothing is known yet become objects."""
        assert self._framing is not None
        known, quality = set(self._query_of.values()), self._tracks.quality.sigmoid()
        fresh = [
            query
            for query in quality.argsort(descending=True).tolist()
            if query not in known and float(quality[query]) >= self._least
        ]
        taken = torch.zeros(self._framing.original, dtype=torch.bool, device=masks.device)
        for mask in render(masks, self._framing, sorted(known)):
            taken |= mask
        for query, mask in zip(fresh, render(masks, self._framing, fresh), strict=True):
            area = int(mask.sum())
            covered = int((mask & taken).sum())
            if area >= LEAST_AREA * mask.numel() and covered <= MOST_COVERED * area:
                taken |= mask
                self._new -= 1
                self._query_of[self._new] = query

    def correct(self, number: int, mask: Mask) -> bool:
        """See `models.tracking.Tracker`: the query that overlaps it by half goes on with it."""
        if self._last is None or self._framing is None:
            return False
        self._query_of.pop(number, None)
        frame = self._last.masks.shape[1] - 1
        (start,) = start_from(self._last, self._framing, [torch.from_numpy(mask)], frame)
        if start.query is None:
            return False
        for other, query in list(self._query_of.items()):
            if query == start.query:
                del self._query_of[other]
        self._query_of[number] = start.query
        return True

    def drop(self, number: int) -> None:
        """See `models.tracking.Tracker`."""
        self._query_of.pop(number, None)


def _alike(frames: Sequence[Pixels]) -> Iterator[list[Pixels]]:
    """Frames in rows of one size."""
    row: list[Pixels] = []
    for frame in frames:
        if row and row[0].shape != frame.shape:
            yield row
            row = []
        row.append(frame)
    if row:
        yield row
