"""`FolderRun`: pre-labels the open project in the background, while its owner goes on working."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.prelabel.naming import Named, Tally
from annotator.core.troubles import NOT_USABLE as DOUBTFUL
from annotator.services.background_run import BackgroundRun, State, Work
from annotator.services.prelabel_sources import kind_of
from annotator.services.prelabelling import ImageError, ProjectWriter, done_images
from annotator.services.run_preparing import (
    Listed,
    Order,
    Ranges,
    Ready,
    count_of,
    count_within,
    listed,
    prepare,
    remember,
    request,
    window_of,
)

if TYPE_CHECKING:
    from annotator.core.prelabel.pipeline import Failed
    from annotator.core.prelabel.proposing import Outcome
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        done: images dealt with, failed ones among them.
        total: images.
        failed: images nothing could be done with.
        proposals: new ones since it began or went on.
        rate: images a second, None while nobody can say.
        left: seconds, likewise.
        state: what it does.
        device: where the model runs, and why; sentences for people, "" while nobody can say.
    """

    done: int
    total: int
    failed: int = 0
    proposals: int = 0
    rate: float | None = None
    left: float | None = None
    state: State = "preparing"
    device: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was not as it should be.

    Attributes:
        key: of the image, "" if it belongs to none.
        where: which image, file or entry.
        reason: a sentence or a few words.
        failed: nothing could be done with the image; it can be tried again.
    """

    key: str
    where: str
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run.

    Attributes:
        total: images that were meant.
        made: done since it began or went on.
        before: done in an earlier session.
        failed: images nothing could be done with.
        problems: all of them, failed images among them.
        tally: what became of what was found.
        stopped: it ended before all images were tried.
        group: all that it did, also before it went on, as one step in the history of the project;
            0 for nothing.
        doubtful: images in which the model gave answers nobody can use.
    """

    total: int
    made: int
    before: int
    failed: int
    problems: int
    tally: Tally
    stopped: bool
    group: int = 0
    doubtful: int = 0


@dataclass(slots=True, eq=False)
class _Job(Work):
    order: Order
    keys: Sequence[str] | Ranges
    resume: bool
    slot: str
    again: frozenset[str] = frozenset()
    writer: ProjectWriter | None = None
    total: int = 0
    before: int = 0
    made: int = 0
    failed: int = 0
    problems: int = 0
    device: str = ""

    @property
    def done(self) -> int:
        return self.before + self.made + self.failed


class FolderRun(BackgroundRun):
    """One run at a time, with a segmenter and threads of its own that give way to all others.

    It is the pipeline of the command line, so an image gets the same proposals. Each image is
    one undo step, durable together with the note that it is done: after a crash, or when the
    project is opened again, `resume` goes on exactly there.

    Args:
        workspace: what is open.
        settings: what models may run on.
        parent: Qt parent.
    """

    problem_found = Signal(object)
    """`Problem`."""
    began = Signal()
    """A run begins or goes on: what was told of an earlier one is over."""

    BUSY = "The folder is being pre-labelled already."
    REMEDY = "Choose another model."
    _job: _Job | None

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, parent: QObject | None = None
    ) -> None:
        super().__init__(workspace, settings, "prelabel", parent)
        self._count = 0
        self._doubtful: set[str] = set()

    # --- What the user does ---

    def start(self, order: Order, keys: Sequence[str]) -> None:
        """Begin a new run with these images of the open project, in this order.

        Raises:
            UserError: nothing is open, or a run goes on already.
        """
        self._launch(order, keys, resume=False)

    def resume(self, *, doubtful: bool = False) -> None:
        """Go on with the last run of the window: what is left, and what failed.

        Args:
            doubtful: also try the images again in which the model gave answers nobody can use.

        Raises:
            UserError: nothing is open, there is none, or a run goes on already.
        """
        document = self._workspace.document
        begun = window_of(document) if document is not None else None
        if document is None or begun is None:
            raise UserError("There is no run to go on with.", "Begin a new one.")
        order = Order(begun["source"], begun["values"], begun["model"])
        again = frozenset(self._doubtful if doubtful else ())
        self._launch(order, begun["ids"], resume=True, again=again)

    def unfinished(self) -> tuple[int, int] | None:
        """Images done, and images in all, of a run that was interrupted; None if there is none."""
        document = self._workspace.document
        begun = window_of(document) if document is not None else None
        if document is None or begun is None or begun["finished"] or self.running:
            return None
        total = count_of(begun["ids"])
        within = count_within(done_images(document), begun["ids"])
        return (within, total) if within < total else None

    def forget(self) -> None:
        """The interrupted run is not gone on with; what was proposed stays."""
        if self._workspace.document is not None and not self.running:
            remember(self._workspace.document, finished=True)

    def stop(self) -> None:
        """End the run; what was proposed stays."""
        if self._job is not None:
            self._end(self._job, stopped=True)

    # --- One run ---

    def _launch(
        self,
        order: Order,
        keys: Sequence[str] | Ranges,
        *,
        resume: bool,
        again: frozenset[str] = frozenset(),
    ) -> None:
        document = self._free_document()
        if kind_of(order.source) is None:
            raise UserError("The run is of a newer version.", "Begin a new one.")
        self._count += 1
        asked = request(document, order, self._settings.settings, resume=resume)
        job = _Job(order, keys, resume, f"prelabel {self._count}", again, document=document)
        if not resume:
            self._doubtful.clear()
        job.total = count_of([one for one in keys if not isinstance(one, str)]) or len(keys)
        self.began.emit()
        self._admit(job).submit(
            "prepare",
            lambda: prepare(asked),
            lambda ready: self._begin(job, ready, asked.keys),
            partial(self._fail, job),
        )

    def _begin(self, job: _Job, ready: Ready, every: Sequence[str]) -> None:
        if job is not self._job or self._queue is None:
            return
        document, source = job.document, ready.source
        values = job.order.values
        overlap = values.get("max_overlap", self._settings.settings.propose_overlap)
        existing = values.get("classes") == "existing"
        writer = ProjectWriter(document, existing, overlap, ready.namer)
        try:
            writer.begin(ready.run, ready.known, source.labels, resume=job.resume)
        except UserError as error:
            self._fail(job, UserError(error.message, "Begin a new run."))
            return
        self._queue.submit(
            "prepare",
            lambda: listed(ready, job.keys, writer.done, job.again, every),
            partial(self._work, job, ready, writer),
            partial(self._fail, job),
        )

    def _work(self, job: _Job, ready: Ready, writer: ProjectWriter, found: Listed) -> None:
        if job is not self._job or self._queue is None:
            return
        job.writer, job.begun = writer, True
        job.device = str(getattr(ready.segmenter, "device", ""))
        job.total, job.before = found.total, found.total - len(found.todo)
        remember(job.document, **asdict(job.order), ids=found.ranges, finished=False)
        for trouble in ready.troubles:
            self._add_problem(job, Problem("", trouble.where, trouble.what))
        job.regate()
        self._tell()
        self._queue.stream(
            job.slot,
            lambda: _outcomes(job, found.todo, ready, writer),
            partial(self._take, job),
            partial(self._finish, job),
            partial(self._fail, job),
        )

    def _take(self, job: _Job, result: tuple[Outcome | Failed, Named]) -> None:
        if job is not self._job or job.writer is None:
            return
        from annotator.core.prelabel.pipeline import Failed

        outcome, named = result
        key = outcome.key
        job.pace.count()
        if isinstance(outcome, Failed):
            self._add_problem(job, Problem(key, key, str(outcome.error), failed=True))
        else:
            try:
                job.writer.write(outcome, named)
            except ImageError as error:
                self._add_problem(job, Problem(key, key, str(error), failed=True))
            except UserError as error:
                self._fail(job, error)
                return
            else:
                job.made += 1
                self._doubtful.discard(key)
                self._add_troubles(job, outcome)
        job.regate()
        self._tell()

    def _add_troubles(self, job: _Job, outcome: Outcome) -> None:
        """One problem for every kind of trouble of an image."""
        counts: dict[tuple[str, str], int] = {}
        for one in outcome.troubles:
            counts[one.what, one.where] = counts.get((one.what, one.where), 0) + 1
        if any(one.what in DOUBTFUL for one in outcome.troubles):
            self._doubtful.add(outcome.key)
        for (what, where), count in counts.items():
            reason = f"{count:,} {what}" if count > 1 else what
            self._add_problem(job, Problem(outcome.key, where, reason))

    def _add_problem(self, job: _Job, problem: Problem) -> None:
        job.problems += 1
        job.failed += problem.failed
        self.problem_found.emit(problem)

    def _finish(self, job: _Job) -> None:
        if job is self._job:
            self._end(job, stopped=job.done < job.total)

    def _fail(self, job: _Job, error: Exception) -> None:
        if job is not self._job:
            return
        if job.writer is not None:
            # What is left is offered when the project is opened again.
            self._end(job, stopped=True, finished=False)
        else:
            self._drop(job)
        self._say(error)

    def _end(self, job: _Job, *, stopped: bool, finished: bool = True) -> None:
        tally = job.writer.tally if job.writer is not None else Tally()
        if job.writer is not None and finished:
            remember(job.document, finished=True)
        group = job.writer.group if job.writer is not None else 0
        history = job.document.history
        self._drop(job)
        self.finished.emit(
            Report(
                job.total, job.made, job.before, job.failed, job.problems, tally, stopped,
                group if history.has(group) else 0, len(self._doubtful),
            )
        )  # fmt: skip

    def _leave(self) -> None:
        """The project is closed: what is left can be done when it is open again."""
        if self._job is not None:
            self._drop(self._job)

    def _drop(self, job: _Job) -> None:
        self._dismiss(job, "prepare", job.slot)

    def _tell(self) -> None:
        if (job := self._job) is None:
            return
        rate = job.pace.rate
        left = (job.total - job.done) / rate if rate else None
        new = job.writer.tally.new if job.writer is not None else 0
        self.progressed.emit(
            Progress(job.done, job.total, job.failed, new, rate, left, job.state, job.device)
        )


# It runs on the thread.


def _outcomes(
    job: _Job, todo: Sequence[str], ready: Ready, writer: ProjectWriter
) -> Generator[tuple[Outcome | Failed, Named], None, None]:
    """What was found in each image, with classes; stands still while the gate is closed."""
    from annotator.core.prelabel.as_is import outcomes_of
    from annotator.core.prelabel.pipeline import Failed

    folder = job.document.folder
    unwanted = job.stopped.is_set
    with closing(outcomes_of(todo, folder, ready.segmenter, ready.source, unwanted)) as coming:
        for outcome in coming:
            job.gate.wait()
            if job.stopped.is_set():
                return
            yield outcome, () if isinstance(outcome, Failed) else writer.named(outcome)
