"""`Propagation`: accepted objects are followed through the next images, as proposals."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.propagation import PREFIX, next_keys, root_of, sources
from annotator.services.following import Found, Track, begin_tracks, settle
from annotator.services.looks import read_picture
from models.api import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.services.answering import Picture
    from annotator.services.assistant import Assistant
    from annotator.services.document import Document
    from annotator.services.looks import Looks
    from annotator.services.workspace import Workspace
    from models.api import Embedding, Segmenter, SegmenterSpec
    from models.motion import Frame

SLOT = "propagation"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it has come.

    Attributes:
        key: the image objects are looked for in.
        place: which of the images that is, from 1; 0 for the one they come from.
        images: how many there are.
        share: of the work, 0 to 1.
    """

    key: str
    place: int
    images: int
    share: float


@dataclass(frozen=True, slots=True)
class Report:
    """How it came to its end.

    Attributes:
        source: the image the objects come from.
        objects: how many were followed.
        reached: the last image something was followed to, `source` if to none.
        images: how many images that is.
        proposed: proposals made, unsure ones among them.
        unsure: images where objects could not be followed further without a person, in order,
            with the ids of the proposals there; 0 for an object without one, because it was lost
            altogether or the image is reviewed.
        left: objects that went out of the image.
        unread: images that could not be read and were passed over.
        refused: objects that the model did not recognise where it began.
        stopped: a person, another model or the end of the project stopped it.
    """

    source: str
    objects: int
    reached: str
    images: int = 0
    proposed: int = 0
    unsure: tuple[tuple[str, tuple[int, ...]], ...] = ()
    left: int = 0
    unread: int = 0
    stopped: bool = False
    refused: int = 0


@dataclass(slots=True, eq=False)
class _Job:
    document: Document
    model: SegmenterSpec
    queue: deque[str]
    tracks: list[Track]
    report: Report
    total: int
    frame: Frame | None = None
    found: list[Found] = field(default_factory=list)
    roots: frozenset[int] = frozenset()


class Propagation(QObject):
    """Follows objects from image to image, in steps that clicks overtake.

    Images are read by one thread and encoded beforehand by another that gives way; flow and masks
    are the business of the model thread. What is found is proposed, one step per image that can
    be undone; accepted objects and what a person did with earlier proposals stay. An object that
    is not sure is proposed once more, where it stopped, and not followed further.

    Args:
        workspace: what is open.
        looks: its thread reads the images.
        parent: Qt parent.
    """

    progressed = Signal(object)
    """`Progress`."""
    running_changed = Signal(bool)
    """Whether objects are being followed."""
    finished = Signal(object)
    """`Report`."""
    failed = Signal(object)
    """A `UserError`: the model cannot do it, or the image cannot be read; `finished` follows."""

    def __init__(self, workspace: Workspace, looks: Looks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._assistant: Assistant = workspace.assistant
        self._looks = looks
        self._job: _Job | None = None
        workspace.project_closing.connect(self.stop)
        workspace.model_changed.connect(lambda _: self.stop())

    @property
    def running(self) -> bool:
        """Whether objects are being followed."""
        return self._job is not None

    def start(self, document: Document, key: str, chosen: frozenset[int], count: int) -> None:
        """Follow objects of an image into the next ones of its folder.

        Args:
            document: the project.
            key: the image.
            chosen: ids of the objects, none for all accepted ones.
            count: at most so many images.

        Raises:
            UserError: objects are followed already, there is nothing to follow, or no next image.
        """
        if self._job is not None:
            raise UserError(
                "Objects are being propagated already.",
                "Wait until that is done, or press Esc to stop it.",
            )
        followed = sources(document.annotations(key), chosen)
        if not followed:
            raise UserError(
                "There is no accepted object to propagate here.",
                "Mark an object, or accept a proposal with Enter, and try again.",
            )
        keys = next_keys(document.keys(), key, count)
        if not keys:
            raise UserError(
                f"“{key}” is the last image of its folder.", "There is none to propagate to."
            )
        tracks = [Track(root_of(one), one.category_id, one.shape) for one in followed]
        self._job = job = _Job(
            document, self._assistant.model, deque([key, *keys]), tracks,
            Report(key, len(tracks), key), len(keys),
            roots=frozenset(track.root for track in tracks),
        )  # fmt: skip
        self.running_changed.emit(True)
        self._read(job)

    def stop(self) -> None:
        """End it; what was proposed stays."""
        if self._job is not None:
            self._job.report = replace(self._job.report, stopped=True)
            self._end(self._job)

    def _end(self, job: _Job) -> None:
        self._job = None
        self._looks.cancel(SLOT)
        self._assistant.stop_work(SLOT)
        self.running_changed.emit(False)
        self.finished.emit(job.report)

    def _fail(self, job: _Job, error: UserError) -> None:
        if job is self._job:
            self.failed.emit(error)
            job.report = replace(job.report, stopped=True)
            self._end(job)

    # --- One image after the other ---

    def _read(self, job: _Job) -> None:
        if not job.queue or not job.tracks:
            self._end(job)
            return
        key = job.queue[0]
        self._tell(job)
        path = job.document.path(key)
        self._looks.submit(SLOT, lambda _: read_picture(key, path), partial(self._take, job))

    def _tell(self, job: _Job) -> None:
        place = job.total + 1 - len(job.queue)
        share = (place + len(job.found) / max(len(job.tracks), 1)) / (job.total + 1)
        self.progressed.emit(Progress(job.queue[0], place, job.total, min(share, 1.0)))

    def _take(self, job: _Job, picture: Picture | None) -> None:
        if job is not self._job:
            return
        if picture is not None and job.model.cache_on_disk:
            # Clicks would have to wait for an encoder on the thread that answers them.
            self._assistant.encode_ahead(picture, partial(self._follow, job, picture), SLOT)
        elif picture is not None:
            self._follow(job, picture)
        elif job.frame is None:
            reason = f"“{job.queue[0]}” cannot be read."
            self._fail(job, UserError(reason, "Read it again from disk (F5), or repair the file."))
        else:
            # The next image is compared with the last one that could be read.
            job.queue.popleft()
            job.report = replace(job.report, unread=job.report.unread + 1)
            self._read(job)

    def _follow(self, job: _Job, picture: Picture) -> None:
        if job is not self._job:
            return
        before, tracks = job.frame, tuple(job.tracks)
        job.found = []

        def work(segmenter: Segmenter, embedding: Embedding) -> Iterator[Frame | Found]:
            if before is None:
                return _first(segmenter, embedding, picture.pixels, tracks)
            return _next(segmenter, embedding, picture.pixels, before, tracks)

        self._assistant.work_through(
            SLOT,
            picture,
            work,
            partial(self._hear, job),
            partial(self._finish_image, job),
            partial(self._fail, job),
        )

    def _hear(self, job: _Job, result: Frame | Found) -> None:
        if job is not self._job:
            return
        if isinstance(result, Found):
            job.found.append(result)
            self._tell(job)
        else:
            job.frame = result

    def _finish_image(self, job: _Job) -> None:
        if job is not self._job:
            return
        key = job.queue.popleft()
        if key == job.report.source:
            job.tracks = [found.track for found in job.found]
        else:
            self._propose(job, key)
        job.found = []
        self._read(job)

    def _propose(self, job: _Job, key: str) -> None:
        """Propose what was found in an image; what is sure is followed further."""
        text = "Propagate"
        settled = settle(
            job.document, key, job.found, PREFIX + job.model.id, job.model.version, text
        )
        report = job.report
        if settled.unsure:
            report = replace(report, unsure=(*report.unsure, (key, settled.unsure)))
        job.report = replace(
            report, reached=key, images=report.images + 1, left=report.left + settled.left,
            proposed=report.proposed + settled.proposed,
        )  # fmt: skip
        job.tracks = list(settled.going)
        if settled.proposed:
            begin_tracks(job.document, job.report.source, job.roots)


# The rest runs on the model thread.


def _first(
    segmenter: Segmenter,
    embedding: Embedding,
    pixels: NDArray[np.uint8],
    tracks: Sequence[Track],
) -> Iterator[Frame | Found]:
    """How far the model is to be trusted with every object, where its mask is known."""
    from annotator.core import raster
    from models import motion

    yield motion.frame(pixels)
    for track in tracks:
        trusted = None
        if isinstance(track.shape, Mask) and raster.area(track.shape):
            trusted = motion.trust(segmenter, embedding, raster.to_array(track.shape))
        yield Found(replace(track, trusted=trusted), 1.0, None, True, False, False)


def _next(
    segmenter: Segmenter,
    embedding: Embedding,
    pixels: NDArray[np.uint8],
    before: Frame,
    tracks: Sequence[Track],
) -> Iterator[Frame | Found]:
    """Every object in the next image; a short step each."""
    from annotator.core import raster
    from models import motion

    after = motion.frame(pixels, before)
    moves = motion.between(before, after)
    yield after
    for track in tracks:
        shape = track.shape
        if isinstance(shape, Box):
            mask = motion.ellipse(shape, before.width, before.height)
        else:
            mask = raster.to_array(shape)
        largest = max(track.largest, int(mask.sum()))
        there = motion.follow(
            segmenter, embedding, mask, moves, track.believed, track.trusted, largest
        )
        lost = not there.mask.any()
        if not lost:
            exact = raster.from_array(there.mask)
            shape = raster.box(exact) if isinstance(shape, Box) else exact
        yield Found(
            replace(track, shape=shape, believed=there.believed, largest=largest),
            there.confidence, there.prompt, there.sure, lost, there.left,
        )  # fmt: skip
