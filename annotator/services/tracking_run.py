"""`TrackingRun`: objects tracked through a whole sequence in the background, as proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.propagation import next_keys, root_of, sources
from annotator.services.background_run import BackgroundRun, State
from annotator.services.following import Found, Track, begin_tracks, settle
from annotator.services.propagation import Report
from annotator.services.tracking_job import Frame, Job, Refused, Sight, frames
from annotator.services.tracking_job import Order as Order
from models.api import Box
from models.tracking import tracker_spec

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from models.api import SegmenterSpec
    from models.encoding import Passed
    from models.tracking import TrackerSpec

SLOT = "tracking"


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
        share: of all the work, 0 to 1; moves within images that take long, too.
        part: what the model has just done, "" while it is loaded.
        device: where it runs, and why; sentences for people, "" while nobody can say.
    """

    key: str
    done: int
    total: int
    rate: float | None = None
    left: float | None = None
    state: State = "preparing"
    share: float = 0.0
    part: str = ""
    device: str = ""


class TrackingRun(BackgroundRun):
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

    asked = Signal(object)
    """The `Report` so far: an object just became unsure; the others go on."""

    BUSY = "Objects are being tracked already."
    REMEDY = "Choose another way of tracking."
    _job: Job | None

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, parent: QObject | None = None
    ) -> None:
        super().__init__(workspace, settings, "tracking", parent)

    def start(self, order: Order) -> None:
        """Track objects of an image of the open project through those after it.

        Raises:
            UserError: nothing is open, a run goes on already, there is nothing to track, no next
                image, or the model is missing.
        """
        document = self._free_document()
        tracker, model = tracker_spec(order.tracker), self._workspace.assistant.model
        missing = tracker.available() or (model.available() if tracker.asks else None)
        if missing is not None:
            raise UserError(missing, "Or choose another way of tracking.")
        job = _made(document, order, tracker, model)
        queue, device = self._admit(job), self._settings.settings.device
        job.gate.set()
        queue.stream(
            SLOT,
            lambda: frames(
                job, device, lambda passed: queue.tell(partial(self._hear, job, passed))
            ),
            partial(self._take, job),
            partial(self._end, job),
            partial(self._fail, job),
        )

    def stop(self) -> None:
        """End the run after the step the model is at; what was proposed stays."""
        if self._job is not None:
            self._job.report = replace(self._job.report, stopped=True)
            self._end(self._job)

    # --- One run ---

    def _hear(self, job: Job, passed: Passed) -> None:
        """The model works on images that take long."""
        if job is self._job:
            job.part = passed.part
            if job.begun:
                job.pace.reach(passed.share * min(job.tracker.clip, job.total - job.done))
            self._tell()

    def _take(self, job: Job, result: Frame | Refused) -> None:
        if job is not self._job:
            return
        if isinstance(result, Refused):
            self._take_refused(job, result)
        else:
            if result.sights is None:
                job.report = replace(job.report, unread=job.report.unread + 1)
            else:
                self._propose(job, result.key, result.sights)
            job.done, job.key = job.done + 1, result.key
            job.pace.count()
        job.regate()
        self._tell()
        if not job.tracks and not job.order.find:
            self._end(job)

    def _take_refused(self, job: Job, refused: Refused) -> None:
        for number in refused.numbers:
            job.tracks.pop(number, None)
        count, report = len(refused.numbers), job.report
        if not job.begun:
            job.begun, job.report = True, replace(report, refused=count)
        elif count:
            job.report = replace(report, unsure=(*report.unsure, (refused.key, (0,) * count)))
            self.asked.emit(job.report)

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
        self._end(job)
        self._say(error)

    def _end(self, job: Job) -> None:
        if job is not self._job:
            return
        self._dismiss(job, SLOT)
        self.finished.emit(job.report)

    def _tell(self) -> None:
        if (job := self._job) is None:
            return
        rate = job.pace.rate
        left = (job.total - job.pace.done) / rate if rate else None
        self.progressed.emit(
            Progress(
                job.key or job.order.key, job.done, job.total, rate, left, job.state,
                job.pace.done / max(job.total, 1), job.part, job.device,
            )
        )  # fmt: skip


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
    return Job(order, tracker, model, [order.key, *keys], tracks, report, group, document=document)


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
