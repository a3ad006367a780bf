"""What a tracker says of image after image, on the thread of `TrackingRun`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.propagation import PREFIX
from annotator.services.background_run import Work
from annotator.services.following import Track
from annotator.services.priority import lower_priority
from annotator.services.propagation import Report
from models.api import Box, Prompt
from models.encoding import Passed, watched
from models.registry import segmenter_spec
from models.tracking import Tracker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
class Job(Work):
    """A run that goes on; the window changes it only while the thread waits for it.

    Attributes:
        order: what was asked for.
        tracker: follows.
        model: asked by trackers that ask.
        keys: the images, the one it begins in first.
        tracks: what is followed, by the tracker's number.
        report: what came of it so far.
        group: number of its group step.
        corrected: shapes of people in the image that was told last, by number.
        dropped: numbers that are not followed any further.
        done: images that were told.
        key: the last one of them.
        device: where the tracker runs, and why; sentences for people.
        part: what the model has just done, "" while it is loaded.
    """

    order: Order
    tracker: TrackerSpec
    model: SegmenterSpec
    keys: list[str]
    tracks: dict[int, Track]
    report: Report
    group: int = 0
    corrected: dict[int, Mask | Box] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    done: int = 0
    key: str = ""
    device: str = ""
    part: str = ""

    @property
    def first(self) -> int:
        """The place of the first image something is proposed in: where objects are known, not."""
        return 0 if self.order.find else 1

    @property
    def total(self) -> int:
        """Images to look at."""
        return len(self.keys) - self.first

    @property
    def made_by(self) -> tuple[str, str]:
        """Model and version for the origin of proposals."""
        if self.tracker.asks:
            return PREFIX + self.model.id, self.model.version
        return self.tracker.id, self.tracker.version


# This runs on the thread; `Job.corrected` and `dropped` change only while it waits.

Tell = Callable[[Passed], None]
"""The model has come so far with the images at hand."""


def frames(job: Job, device: Device, tell: Tell) -> Iterator[Frame | Refused]:
    """What the tracker says of image after image; stands still while the gate is closed."""
    # Threads that are started from here on by the model inherit it.
    lower_priority()
    stopped = job.stopped.is_set
    tracker = _loaded(job, device)
    first = _read(job, job.keys[0])
    if first is None:
        raise UserError(
            f"“{job.keys[0]}” cannot be read.", "Read it again from disk (F5), or repair the file."
        )
    given = {number: _array(track.shape, first) for number, track in job.tracks.items()}
    with watched(tell, stopped):
        scores = tracker.begin(first, given)
    yield Refused(job.keys[0], tuple(number for number, score in scores.items() if not score))
    del first, given
    for start in range(job.first, len(job.keys), job.tracker.clip):
        job.gate.wait()
        if stopped():
            return
        read = [(key, _read(job, key)) for key in job.keys[start : start + job.tracker.clip]]
        known = [(key, frame) for key, frame in read if frame is not None]
        with watched(tell, stopped):
            seen = iter(tracker.step([frame for _, frame in known]) if known else ())
        for key, frame in read:
            yield Frame(key, None if frame is None else tuple(map(_sight, next(seen))))
            if stopped():
                return
            for number in job.dropped:
                tracker.drop(number)
        if known and (wrong := _corrected(job, tracker, known[-1][1])):
            yield Refused(known[-1][0], wrong)


def _corrected(job: Job, tracker: Tracker, last: NDArray[np.uint8]) -> tuple[int, ...]:
    """Tell what people said of the last image; corrections of earlier ones are of the past.

    Returns:
        The objects that the tracker does not recognise there.
    """
    return tuple(
        number
        for number, shape in job.corrected.items()
        if not tracker.correct(number, _array(shape, last))
    )


def _loaded(job: Job, device: Device) -> Tracker:
    from models.runtimes import using

    with using(device):
        segmenter = segmenter_spec(job.model.id).load() if job.tracker.asks else None
        tracker = job.tracker.load(segmenter)
    job.device = tracker.device
    return tracker


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
