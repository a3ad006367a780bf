"""`TrackingRun`: objects tracked through a whole sequence in the background, as proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.propagation import next_keys, root_of, sources
from annotator.services.following import Found, Track, begin_tracks, settle
from annotator.services.prelabelling import MOST_PENDING
from annotator.services.propagation import Report
from annotator.services.task_queue import CLOSING_S, TaskQueue
from annotator.services.tracking_job import Frame, Job, Refused, Sight, frames
from annotator.services.tracking_job import Order as Order
from models.api import Box, ModelError
from models.tracking import tracker_spec

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from models.api import SegmenterSpec
    from models.tracking import TrackerSpec

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
        self._job: Job | None = None
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
            lambda: frames(job, device),
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

    def _take(self, job: Job, result: Frame | Refused) -> None:
        if job is not self._job:
            return
        if isinstance(result, Refused):
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

    def _take_refused(self, job: Job, refused: Refused) -> None:
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

    def _propose(self, job: Job, key: str, sights: Sequence[Sight]) -> None:
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
    def _track_of(job: Job, sight: Sight) -> Track | None:
        """The track of what was seen; None for one that is followed no longer."""
        track = job.tracks.get(sight.number)
        if track is None and sight.number < 0 and sight.shape is not None:
            track = Track(job.document.new_id(), None, sight.shape, found_alone=True)
            job.tracks[sight.number] = track
        return track

    def _fail(self, job: Job, error: Exception) -> None:
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

    def _end(self, job: Job) -> None:
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
    def _regate(job: Job) -> None:
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

    def _tell(self, job: Job, key: str = "") -> None:
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


def _made(document: Document, order: Order, tracker: TrackerSpec, model: SegmenterSpec) -> Job:
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
    return Job(document, order, tracker, model, [order.key, *keys], tracks, report, group)


def _found(track: Track, sight: Sight) -> Found:
    shape: Mask | Box | None = sight.shape
    if isinstance(shape, Mask) and isinstance(track.shape, Box):
        from annotator.core import raster

        # What was marked as a box stays one.
        shape = raster.box(shape)
    moved = track if shape is None else replace(track, shape=shape)
    return Found(
        moved, sight.score, sight.prompt, sight.is_sure, shape is None, sight.has_left
    )  # fmt: skip
