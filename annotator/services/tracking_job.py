"""What a tracker says of image after image, on the thread of `TrackingRun`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.pace import Pace
from annotator.core.propagation import PREFIX
from annotator.services.following import Track
from annotator.services.priority import lower_priority
from annotator.services.propagation import Report
from models.api import Box, Prompt
from models.registry import segmenter_spec
from models.tracking import Tracker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.services.document import Document
    from models.api import SegmenterSpec
    from models.runtimes import Device
    from models.tracking import Seen, TrackerSpec


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be tracked.

    Attributes:
        tracker: `TrackerSpec.id`.
        key: the image it begins in.
        chosen: ids of objects there, none for all accepted ones.
        images: how many images at most, None to the end of the folder or video.
        find: begin with nothing, and track what the model finds by itself.
    """

    tracker: str
    key: str
    chosen: frozenset[int] = frozenset()
    images: int | None = None
    find: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """`models.tracking.Seen` with a shape of the project, None where nothing is to be seen."""

    number: int
    shape: Mask | None
    score: float
    is_sure: bool
    has_left: bool
    prompt: Prompt | None


@dataclass(frozen=True, slots=True)
class Frame:
    """What a tracker says of an image; None: it could not be read."""

    key: str
    sights: tuple[Sight, ...] | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Objects the tracker does not recognise, in the image they are known in."""

    key: str
    numbers: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Job:
    """A run that goes on; the window changes it only while the thread waits for it.

    Attributes:
        document: the project.
        order: what was asked for.
        tracker: follows.
        model: asked by trackers that ask.
        keys: the images, the one it begins in first.
        tracks: what is followed, by the tracker's number.
        report: what came of it so far.
        group: number of its group step.
        corrected: shapes of people in the image that was told last, by number.
        dropped: numbers that are not followed any further.
        gate: open while it may go on.
        stopped: it has ended.
        pace: how fast it goes.
        paused: the user wants it to wait.
        begun: the tracker knows what it is to follow.
        done: images that were told.
    """

    document: Document
    order: Order
    tracker: TrackerSpec
    model: SegmenterSpec
    keys: list[str]
    tracks: dict[int, Track]
    report: Report
    group: int = 0
    corrected: dict[int, Mask | Box] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    pace: Pace = field(default_factory=Pace)
    paused: bool = False
    begun: bool = False
    done: int = 0

    @property
    def made_by(self) -> tuple[str, str]:
        """Model and version for the origin of proposals."""
        if self.tracker.asks:
            return PREFIX + self.model.id, self.model.version
        return self.tracker.id, self.tracker.version


# This runs on the thread; `Job.corrected` and `dropped` change only while it waits.


def frames(job: Job, device: Device) -> Iterator[Frame | Refused]:
    """What the tracker says of image after image; stands still while the gate is closed."""
    # Threads that are started from here on by the model inherit it.
    lower_priority()
    tracker = _loaded(job, device)
    first = _read(job, job.keys[0])
    if first is None:
        raise UserError(
            f"“{job.keys[0]}” cannot be read.", "Read it again from disk (F5), or repair the file."
        )
    given = {number: _array(track.shape, first) for number, track in job.tracks.items()}
    scores = tracker.begin(first, given)
    yield Refused(job.keys[0], tuple(number for number, score in scores.items() if not score))
    del first, given
    for start in range(1, len(job.keys), job.tracker.clip):
        job.gate.wait()
        if job.stopped.is_set():
            return
        clip = job.keys[start : start + job.tracker.clip]
        read = [(key, _read(job, key)) for key in clip]
        pixels = [frame for _, frame in read if frame is not None]
        seen = iter(tracker.step(pixels) if pixels else ())
        for key, frame in read:
            yield Frame(key, None if frame is None else tuple(map(_sight, next(seen))))
            if job.stopped.is_set():
                return
            for number in job.dropped:
                tracker.drop(number)
        # Corrections of earlier images of the clip are of the past.
        frame = read[-1][1]
        wrong = [
            number
            for number, shape in job.corrected.items()
            if frame is not None and not tracker.correct(number, _array(shape, frame))
        ]
        if wrong:
            yield Refused(clip[-1], tuple(wrong))


def _loaded(job: Job, device: Device) -> Tracker:
    from models.runtimes import using

    with using(device):
        segmenter = segmenter_spec(job.model.id).load() if job.tracker.asks else None
        return job.tracker.load(segmenter)


def _read(job: Job, key: str) -> NDArray[np.uint8] | None:
    from annotator.core import images

    try:
        return images.load(key, job.document.path(key)).pixels
    except UserError:
        return None  # told when a person opens it


def _array(shape: Mask | Box, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) bool; empty where a mask is of another image size."""
    import numpy as np

    from annotator.core import raster
    from models import motion

    height, width = pixels.shape[:2]
    if isinstance(shape, Box):
        return motion.ellipse(shape, width, height)
    if (shape.width, shape.height) != (width, height):
        return np.zeros((height, width), np.bool_)
    return raster.to_array(shape)


def _sight(seen: Seen) -> Sight:
    from annotator.core import raster

    shape = raster.from_array(seen.mask) if seen.mask.any() else None
    return Sight(seen.number, shape, seen.score, seen.is_sure, seen.has_left, seen.prompt)
