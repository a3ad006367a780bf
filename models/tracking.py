"""Models that follow objects through a sequence: frames one after the other, in bounded memory.

Each is one file in `models.trackers` with `SPECS`. A tracker has a current frame and knows of
earlier ones only what it needs for the next, so a sequence may have any length.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Protocol

from models.api import ModelError, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.api import Segmenter

    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An object in a frame.

    Attributes:
        number: of the object, the same in all frames.
        mask: (H, W) bool; empty where it is not to be seen.
        score: 0 to 1, how sure it is; its overlap with the truth where the tracker can expect one.
        is_sure: worth going on from here without a person.
        has_left: it went out of the image; it is not lost.
        prompt: what a promptable model was asked, if any.
    """

    number: int
    mask: Mask
    score: float
    is_sure: bool = True
    has_left: bool = False
    prompt: Prompt | None = None


class Tracker(Protocol):
    """Follows objects through one sequence.

    `begin` comes first, then `step` for the frames after it. All masks have the size of their
    frame; a frame of another size than the one before is a cut, where objects may end. What takes
    long calls `models.encoding.passed` after each of its steps.
    """

    @property
    def spec(self) -> TrackerSpec:
        """The description this instance was made from."""

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""

    def begin(self, pixels: Pixels, given: dict[int, Mask]) -> dict[int, float]:
        """The first frame, with what is known in it.

        Args:
            pixels: (H, W, 3) uint8 RGB.
            given: (H, W) masks by the number of their object; none: only what it finds itself, and
                `step` is given this frame again, to find it.

        Returns:
            For each of them how well it was recognised, 0 to 1 (IoU); 0 for one that was refused
            and is not followed.
        """

    def step(self, frames: Sequence[Pixels]) -> Sequence[Sequence[Seen]]:
        """The next frames, at most `TrackerSpec.clip` of them; what is in each."""

    def correct(self, number: int, mask: Mask) -> bool:
        """In the last frame that was given, an object has this mask (H, W); False: refused."""

    def drop(self, number: int) -> None:
        """An object is not followed any further."""


@dataclass(frozen=True, slots=True)
class TrackerSpec:
    """What a module in `models.trackers` says about itself without loading anything heavy.

    Attributes:
        id: stable key used in provenance.
        title: what people read.
        version: changes whenever results change.
        summary: one sentence: what it is good for.
        licence: SPDX identifier or name of the licence of code and weights.
        load: makes a tracker for one sequence; may take seconds. It is given the segmenter people
            chose where `asks` is set, else None.
        available: returns None when it can run now, else a sentence saying what is missing.
        asks: it asks a promptable model.
        finds: it finds objects by itself, also later ones; their numbers are negative.
        clip: frames it looks at together, at most.
        caution: what people should know before they start, "" for nothing.
    """

    id: str
    title: str
    version: str
    summary: str
    licence: str
    load: Callable[[Segmenter | None], Tracker] = field(repr=False, compare=False)
    available: Callable[[], str | None] = field(default=lambda: None, repr=False, compare=False)
    asks: bool = False
    finds: bool = False
    clip: int = 1
    caution: str = ""


@cache
def trackers() -> dict[str, TrackerSpec]:
    """All trackers by id, those that run anywhere first; importing must stay cheap."""
    import models.trackers

    names = sorted(entry.name for entry in pkgutil.iter_modules(models.trackers.__path__))
    modules = [importlib.import_module(f"models.trackers.{name}") for name in names]
    specs: list[TrackerSpec] = [spec for module in modules for spec in module.SPECS]
    return {spec.id: spec for spec in sorted(specs, key=lambda spec: (spec.finds, spec.id))}


def tracker_spec(tracker_id: str) -> TrackerSpec:
    """The spec with this id.

    Raises:
        ModelError: no such tracker.
    """
    known = trackers()
    if tracker_id not in known:
        raise ModelError(f"There is no tracker “{tracker_id}”. Known: {', '.join(known)}.")
    return known[tracker_id]
