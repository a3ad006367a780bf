"""`TrackingRun`: objects tracked through a whole sequence in the background, as proposals."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.pace import Pace
from annotator.core.propagation import PREFIX, next_keys, root_of, sources
from annotator.services.following import Found, Track, begin_tracks, settle
from annotator.services.prelabelling import MOST_PENDING
from annotator.services.priority import lower_priority
from annotator.services.propagation import Report
from annotator.services.task_queue import CLOSING_S, TaskQueue
from models.api import Box, ModelError, Prompt
from models.registry import segmenter_spec
from models.tracking import Tracker, tracker_spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from models.api import SegmenterSpec
    from models.runtimes import Device
    from models.tracking import Seen, TrackerSpec

SLOT = "tracking"
State = Literal["preparing", "running", "paused", "waiting"]
"""“waiting”: for a disk that is slow or full."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it has come.

    Attributes:
        key: the last image that is done.
        done: images.
        total: images.
        rate: images a second, None while nobody can say.
        left: seconds, likewise.
        state: what it does.
    """

    key: str
    done: int
    total: int
    rate: float | None = None
    left: float | None = None
    state: State = "preparing"


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
class _Sight:
    """`models.tracking.Seen` with a shape of the project, None where nothing is to be seen."""

    number: int
    shape: Mask | None
    score: float
    is_sure: bool
    has_left: bool
    prompt: Prompt | None


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a tracker says of an image; None: it could not be read."""

    key: str
    sights: tuple[_Sight, ...] | None


@dataclass(frozen=True, slots=True)
class _Refused:
    """Objects the tracker does not recognise, in the image they are known in."""

    key: str
    numbers: tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Job:
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


class TrackingRun(QObject):
    """One run at a time, with a model and a thread of its own that give way to all others.

    Of the sequence only what the tracker keeps and the images of one clip are in memory. Each
    image is one undo step, and the run is one group step. What a person accepted or changed
    stays, and the track goes on from there. An object that is unsure is proposed once more,
    where it stopped, and not followed further.

    Args:
        workspace: what is open.
        settings: what models may run on.
        parent: Qt parent.
    """

    running_changed = Signal(bool)
    """Whether there is a run, paused ones too."""
    progressed = Signal(object)
    """`Progress`."""
    asked = Signal(object)
    """The `Report` so far: an object just became unsure; the others go on."""
    finished = Signal(object)
    """`Report`."""
    failed = Signal(object)
    """A `UserError`: it cannot begin, or not go on; `finished` follows."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._settings = settings
        self._queue: TaskQueue | None = None
        self._job: _Job | None = None
        workspace.project_closing.connect(self.stop)

    # --- What the user does ---

    @property
    def running(self) -> bool:
        """Whether there is a run, paused ones too."""
        return self._job is not None

    @property
    def paused(self) -> bool:
        """Whether the user has paused it."""
        return self._job is not None and self._job.paused

    def start(self, order: Order) -> None:
        """Track objects of an image of the open project through those after it.

        Raises:
            UserError: nothing is open, a run goes on already, there is nothing to track, no next
                image, or the model is missing.
        """
        document = self._workspace.document
        if document is None:
            raise UserError("No project is open.", "Open a folder first.")
        if self._job is not None:
            raise UserError(
                "Objects are being tracked already.",
                "Wait until that is done, or stop it in the status bar.",
            )
        tracker, model = tracker_spec(order.tracker), self._workspace.assistant.model
        missing = tracker.available() or (model.available() if tracker.asks else None)
        if missing is not None:
            raise UserError(missing, "Or choose another way of tracking.")
        self._job = job = _made(document, order, tracker, model)
        document.save_state_changed.connect(self._follow_disk)
        self.running_changed.emit(True)
        self._tell(job)
        if self._queue is None:
            self._queue = TaskQueue("tracking", self)
        device = self._settings.settings.device
        job.gate.set()
        self._queue.stream(
            SLOT,
            lambda: _frames(job, device),
            partial(self._take, job),
            partial(self._end, job),
            partial(self._fail, job),
        )

    def pause(self) -> None:
        """Finish the images at hand and wait for `go_on`."""
        self._set_paused(True)

    def go_on(self) -> None:
        """Work again after `pause`."""
        self._set_paused(False)

    def stop(self) -> None:
        """End the run; what was proposed stays."""
        if self._job is not None:
            self._job.report = replace(self._job.report, stopped=True)
            self._end(self._job)

    def close(self) -> None:
        """End the thread; what it works at is not waited for."""
        self.stop()
        if self._queue is not None:
            self._queue.close(patience=CLOSING_S)
            self._queue = None

    # --- One run ---

    def _take(self, job: _Job, result: _Frame | _Refused) -> None:
        if job is not self._job:
            return
        if isinstance(result, _Refused):
            self._take_refused(job, result)
        elif result.sights is None:
            job.done += 1
            job.report = replace(job.report, unread=job.report.unread + 1)
        else:
            self._propose(job, result.key, result.sights)
            job.done += 1
            job.pace.count()
        self._regate(job)
        self._tell(job, result.key)
        if not job.tracks and not job.order.find:
            self._end(job)

    def _take_refused(self, job: _Job, refused: _Refused) -> None:
        for number in refused.numbers:
            job.tracks.pop(number, None)
        count = len(refused.numbers)
        if job.begun and count:
            job.report = replace(
                job.report, unsure=(*job.report.unsure, (refused.key, (0,) * count))
            )
            self.asked.emit(job.report)
        job.begun = True
        job.report = replace(job.report, refused=job.report.refused + count)

    def _propose(self, job: _Job, key: str, sights: Sequence[_Sight]) -> None:
        found, seen = [], set()
        for sight in sights:
            track = self._track_of(job, sight)
            if track is not None:
                seen.add(sight.number)
                found.append(_found(track, sight))
        # A tracker says nothing of objects that ended at a cut.
        found += [
            Found(track, 0.0, None, False, True, False)
            for number, track in job.tracks.items()
            if number not in seen and not track.found_alone
        ]
        with job.document.history.inside(job.group):
            settled = settle(job.document, key, found, *job.made_by, "Track")
            if settled.proposed and not job.report.proposed and not job.order.find:
                begin_tracks(job.document, job.order.key, job.tracks.keys())
        report = job.report
        going = {track.root: track for track in settled.going}
        job.dropped = {
            n for n, t in job.tracks.items() if t.root not in going and not t.found_alone
        }
        job.tracks = {
            n: going.get(t.root, t) for n, t in job.tracks.items() if n not in job.dropped
        }
        job.corrected = {n: t.shape for n, t in job.tracks.items() if t.root in settled.corrected}
        asks = settled.unsure and not job.order.find
        job.report = replace(
            report, reached=key, images=report.images + 1, left=report.left + settled.left,
            proposed=report.proposed + settled.proposed,
            unsure=(*report.unsure, (key, settled.unsure)) if asks else report.unsure,
            objects=max(report.objects, len(job.tracks)),
        )  # fmt: skip
        if asks:
            self.asked.emit(job.report)

    @staticmethod
    def _track_of(job: _Job, sight: _Sight) -> Track | None:
        """The track of what was seen; None for one that is followed no longer."""
        track = job.tracks.get(sight.number)
        if track is None and sight.number < 0 and sight.shape is not None:
            track = Track(job.document.new_id(), None, sight.shape, found_alone=True)
            job.tracks[sight.number] = track
        return track

    def _fail(self, job: _Job, error: Exception) -> None:
        if job is not self._job:
            return
        job.report = replace(job.report, stopped=True)
        if isinstance(error, UserError):
            self.failed.emit(error)
        elif isinstance(error, ModelError):
            self.failed.emit(UserError(str(error), "Choose another way of tracking."))
        self._end(job)
        if not isinstance(error, (UserError, ModelError)):
            raise error

    def _end(self, job: _Job) -> None:
        if job is not self._job:
            return
        self._job = None
        job.document.save_state_changed.disconnect(self._follow_disk)
        job.stopped.set()
        job.gate.set()
        if self._queue is not None:
            self._queue.cancel(SLOT)
        self.running_changed.emit(False)
        self.finished.emit(job.report)

    # --- Pauses ---

    def _set_paused(self, paused: bool) -> None:
        if (job := self._job) is not None and job.paused != paused:
            job.paused = paused
            self._regate(job)
            self._tell(job)

    def _follow_disk(self, _: object) -> None:
        if (job := self._job) is not None:
            before = job.gate.is_set()
            self._regate(job)
            if job.gate.is_set() != before:
                self._tell(job)

    @staticmethod
    def _regate(job: _Job) -> None:
        """Let the thread go on with the next images, or not."""
        state = job.document.save_state
        slow = state.pending >= MOST_PENDING or (state.error is not None and state.pending > 0)
        if job.paused or slow:
            job.pace.rest()
            job.gate.clear()
        else:
            if job.begun:
                job.pace.go()
            job.gate.set()

    def _tell(self, job: _Job, key: str = "") -> None:
        rate = job.pace.rate
        left = (len(job.keys) - 1 - job.done) / rate if rate else None
        state: State = "running"
        if job.paused:
            state = "paused"
        elif not job.begun:
            state = "preparing"
        elif not job.gate.is_set():
            state = "waiting"
        self.progressed.emit(
            Progress(key or job.order.key, job.done, len(job.keys) - 1, rate, left, state)
        )


def _made(document: Document, order: Order, tracker: TrackerSpec, model: SegmenterSpec) -> _Job:
    """The work, checked."""
    followed = () if order.find else sources(document.annotations(order.key), order.chosen)
    if order.find and not tracker.finds:
        raise UserError(
            f"“{tracker.title}” finds nothing by itself.",
            "Mark objects first, or choose another way of tracking.",
        )
    if not order.find and not followed:
        raise UserError(
            "There is no accepted object to track here.",
            "Mark an object, or accept a proposal with Enter, and try again.",
        )
    every = document.keys()
    keys = next_keys(every, order.key, len(every) if order.images is None else order.images)
    if not keys:
        raise UserError(
            f"“{order.key}” is the last image of its folder.", "There is none to track through."
        )
    tracks = {root_of(one): Track(root_of(one), one.category_id, one.shape) for one in followed}
    count = len(tracks)
    what = "what is found" if order.find else f"{count:,} object{'' if count == 1 else 's'}"
    group = document.history.begin("tracking", f"Track {what} from {order.key}")
    report = Report(order.key, count, order.key)
    return _Job(document, order, tracker, model, [order.key, *keys], tracks, report, group)


def _found(track: Track, sight: _Sight) -> Found:
    shape: Mask | Box | None = sight.shape
    if isinstance(shape, Mask) and isinstance(track.shape, Box):
        from annotator.core import raster

        # What was marked as a box stays one.
        shape = raster.box(shape)
    moved = track if shape is None else replace(track, shape=shape)
    return Found(
        moved, sight.score, sight.prompt, sight.is_sure, shape is None, sight.has_left
    )  # fmt: skip


# The rest runs on the thread; `_Job.corrected` and `dropped` change only while it waits.


def _frames(job: _Job, device: Device) -> Iterator[_Frame | _Refused]:
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
    yield _Refused(job.keys[0], tuple(number for number, score in scores.items() if not score))
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
            yield _Frame(key, None if frame is None else tuple(map(_sight, next(seen))))
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
            yield _Refused(clip[-1], tuple(wrong))


def _loaded(job: _Job, device: Device) -> Tracker:
    from models.runtimes import using

    with using(device):
        segmenter = segmenter_spec(job.model.id).load() if job.tracker.asks else None
        return job.tracker.load(segmenter)


def _read(job: _Job, key: str) -> NDArray[np.uint8] | None:
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


def _sight(seen: Seen) -> _Sight:
    from annotator.core import raster

    shape = raster.from_array(seen.mask) if seen.mask.any() else None
    return _Sight(seen.number, shape, seen.score, seen.is_sure, seen.has_left, seen.prompt)
