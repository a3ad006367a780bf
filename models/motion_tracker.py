"""`MotionTracker`: `models.motion` from frame to frame, with any promptable model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models import motion
from models.tracking import Seen, TrackerSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.api import Embedding, Segmenter
    from models.motion import Frame

    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Object:
    """One that is followed; see the arguments of `motion.follow`."""

    mask: Mask
    believed: float
    trusted: float | None
    largest: int


class MotionTracker:
    """Keeps one frame at the working size, and of each object its last mask.

    Args:
        spec: the description this instance is made for.
        segmenter: asked where an object is.
    """

    def __init__(self, spec: TrackerSpec, segmenter: Segmenter) -> None:
        self._spec = spec
        self._segmenter = segmenter
        self._frame: Frame | None = None
        self._objects: dict[int, _Object] = {}

    @property
    def spec(self) -> TrackerSpec:
        """See `models.tracking.Tracker`."""
        return self._spec

    @property
    def device(self) -> str:
        """See `models.tracking.Tracker`: that of the model it asks."""
        return str(getattr(self._segmenter, "device", ""))

    def begin(self, pixels: Pixels, given: dict[int, Mask]) -> dict[int, float]:
        """See `models.tracking.Tracker`: masks of people are never refused, unless empty."""
        self._frame, self._objects = motion.frame(pixels), {}
        embedding = self._segmenter.encode(pixels) if given else None
        for number, mask in given.items():
            if mask.any() and embedding is not None:
                # How far the model is to be trusted with it, where its mask is known.
                trusted = motion.trust(self._segmenter, embedding, mask)
                self._objects[number] = _Object(mask, 1.0, trusted, int(mask.sum()))
        return {number: float(number in self._objects) for number in given}

    def step(self, frames: Sequence[Pixels]) -> Sequence[Sequence[Seen]]:
        """See `models.tracking.Tracker`."""
        return [list(self._next(pixels)) for pixels in frames]

    def _next(self, pixels: Pixels) -> Iterator[Seen]:
        before = self._frame
        if before is None or (before.height, before.width) != pixels.shape[:2]:
            self._objects.clear()
            self._frame = motion.frame(pixels)
            return
        self._frame = after = motion.frame(pixels, before)
        if not self._objects:
            return
        moves = motion.between(before, after)
        embedding = self._segmenter.encode(pixels)
        for number, known in list(self._objects.items()):
            yield self._seen(number, known, embedding, moves)

    def _seen(
        self, number: int, known: _Object, embedding: Embedding, moves: motion.Motion
    ) -> Seen:
        there = motion.follow(
            self._segmenter, embedding, known.mask, moves,
            known.believed, known.trusted, known.largest,
        )  # fmt: skip
        if there.mask.any():
            largest = max(known.largest, int(there.mask.sum()))
            self._objects[number] = replace(
                known, mask=there.mask, believed=there.believed, largest=largest
            )
        else:
            del self._objects[number]
        return Seen(number, there.mask, there.confidence, there.sure, there.left, there.prompt)

    def correct(self, number: int, mask: Mask) -> bool:
        """See `models.tracking.Tracker`."""
        if not mask.any():
            return False
        known = self._objects.get(number)
        trusted = known.trusted if known is not None else motion.HELPLESS
        largest = max(known.largest if known is not None else 0, int(mask.sum()))
        self._objects[number] = _Object(mask, 1.0, trusted, largest)
        return True

    def drop(self, number: int) -> None:
        """See `models.tracking.Tracker`."""
        self._objects.pop(number, None)
