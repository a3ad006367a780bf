"""Optical flow moves the masks, a promptable model refines them; runs anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.api import ModelError
from models.tracking import Tracker, TrackerSpec

if TYPE_CHECKING:
    from models.api import Segmenter


def _load(segmenter: Segmenter | None) -> Tracker:
    from models.motion_tracker import MotionTracker

    if segmenter is None:
        raise ModelError("Optical flow needs a model to ask. Choose one in Settings, Model.")
    return MotionTracker(SPEC, segmenter)


SPEC = TrackerSpec(
    id="motion",
    title="Optical flow and the model in use",
    version="1",
    summary="Follows marked objects from frame to frame; runs anywhere.",
    licence="Apache-2.0",
    load=_load,
    asks=True,
)
SPECS = (SPEC,)
