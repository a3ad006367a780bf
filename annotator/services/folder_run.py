"""`FolderRun`: pre-labels the open project in the background, while its owner goes on working."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.pace import Pace
from annotator.core.prelabel.naming import Named, Tally
from annotator.services.prelabel_sources import Context, Made, kind_of
from annotator.services.prelabelling import (
    MOST_PENDING,
    NOTE,
    ImageError,
    ProjectWriter,
    done_images,
    known_in,
)
from annotator.services.priority import lower_priority
from annotator.services.task_queue import CLOSING_S, TaskQueue
from models.api import ModelError
from models.registry import segmenter_spec

if TYPE_CHECKING:
    from annotator.core.prelabel.pipeline import Failed
    from annotator.core.prelabel.proposing import Outcome
    from annotator.core.prelabel.run import Run
    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from models.api import Segmenter
    from models.runtimes import Device

WINDOW = "window"
"""In the note of a run: what the window asked for."""

State = Literal["preparing", "running", "paused", "waiting"]
"""“waiting”: for a disk that is slow or full."""


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be done; everything but which images.

    Attributes:
        source: `SourceKind.id`.
        values: what was chosen for it.
        model: `SegmenterSpec.id`.
    """

    source: str
    values: Mapping[str, Any]
    model: str


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
    """

    done: int
    total: int
    failed: int = 0
    proposals: int = 0
    rate: float | None = None
    left: float | None = None
    state: State = "preparing"


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
        steps: the undo step of every image that changed.
        stopped: it ended before all images were tried.
        group: all of them as one, in the history of the project.
    """

    total: int
    made: int
    before: int
    failed: int
    problems: int
    tally: Tally
    steps: Mapping[str, int]
    stopped: bool
    group: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """Made on the thread."""

    segmenter: Segmenter
    made: Made
    run: Run


@dataclass(slots=True, eq=False)
class _Job:
    document: Document
    order: Order
    keys: Sequence[str]
    resume: bool
    slot: str
    writer: ProjectWriter | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    pace: Pace = field(default_factory=Pace)
    paused: bool = False
    total: int = 0
    before: int = 0
    made: int = 0
    failed: int = 0
    problems: int = 0
    steps: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return self.before + self.made + self.failed


class FolderRun(QObject):
    """One run at a time, with a segmenter and threads of its own that give way to all others.

    It is the pipeline of the command line, so an image gets the same proposals. Each image is
    one undo step, durable together with the note that it is done: after a crash, or when the
    project is opened again, `resume` goes on exactly there.

    Args:
        workspace: what is open.
        settings: what models may run on.
        parent: Qt parent.
    """

    running_changed = Signal(bool)
    """Whether there is a run, paused ones too."""
    progressed = Signal(object)
    """`Progress`."""
    problem_found = Signal(object)
    """`Problem`."""
    began = Signal()
    """A run begins or goes on: what was told of an earlier one is over."""
    finished = Signal(object)
    """`Report`."""
    failed = Signal(object)
    """A `UserError`: it cannot begin, or not go on."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._settings = settings
        self._queue: TaskQueue | None = None
        self._job: _Job | None = None
        self._count = 0
        workspace.project_closing.connect(self._leave)

    # --- What the user does ---

    @property
    def running(self) -> bool:
        """Whether there is a run, paused ones too."""
        return self._job is not None

    @property
    def paused(self) -> bool:
        """Whether the user has paused it."""
        return self._job is not None and self._job.paused

    def start(self, order: Order, keys: Sequence[str]) -> None:
        """Begin a new run with these images of the open project, in this order.

        Raises:
            UserError: nothing is open, or a run goes on already.
        """
        self._launch(order, keys, resume=False)

    def resume(self) -> None:
        """Go on with the last run of the window: what is left, and what failed.

        Raises:
            UserError: nothing is open, there is none, or a run goes on already.
        """
        document = self._workspace.document
        begun = _window_of(document) if document is not None else None
        if document is None or begun is None:
            raise UserError("There is no run to go on with.", "Begin a new one.")
        order = Order(begun["source"], begun["values"], begun["model"])
        self._launch(order, _keys_of(document, begun["ids"]), resume=True)

    def unfinished(self) -> tuple[int, int] | None:
        """Images done, and images in all, of a run that was interrupted; None if there is none."""
        document = self._workspace.document
        begun = _window_of(document) if document is not None else None
        if document is None or begun is None or begun["finished"] or self.running:
            return None
        done = done_images(document)
        total = sum(last - first + 1 for first, last in begun["ids"])
        within = sum(any(first <= i <= last for first, last in begun["ids"]) for i in done)
        return (within, total) if within < total else None

    def forget(self) -> None:
        """The interrupted run is not gone on with; what was proposed stays."""
        if self._workspace.document is not None and not self.running:
            _note(self._workspace.document, finished=True)

    def pause(self) -> None:
        """Finish the image at hand and wait for `go_on`."""
        self._set_paused(True)

    def go_on(self) -> None:
        """Work again after `pause`."""
        self._set_paused(False)

    def stop(self) -> None:
        """End the run; what was proposed stays."""
        if self._job is not None:
            self._end(self._job, stopped=True)

    def close(self) -> None:
        """End the threads; what they work at is not waited for."""
        self._leave()
        if self._queue is not None:
            self._queue.close(patience=CLOSING_S)
            self._queue = None

    # --- One run ---

    def _launch(self, order: Order, keys: Sequence[str], *, resume: bool) -> None:
        document = self._workspace.document
        if document is None:
            raise UserError("No project is open.", "Open a folder first.")
        if self._job is not None:
            raise UserError(
                "The folder is being pre-labelled already.",
                "Wait until that is done, or stop it in the status bar.",
            )
        kind = kind_of(order.source)
        if kind is None:
            raise UserError("The run is of a newer version.", "Begin a new one.")
        self._count += 1
        self._job = job = _Job(document, order, keys, resume, f"prelabel {self._count}")
        known = known_in(document, resume=resume)
        context = Context(document.folder, tuple(document.keys()), known, document.project_dir)
        device = self._settings.settings.device
        make = partial(kind.make, order.values, context)
        document.save_state_changed.connect(self._follow_disk)
        self.began.emit()
        self.running_changed.emit(True)
        self._tell(job)
        if self._queue is None:
            self._queue = TaskQueue("prelabel", self)
        self._queue.submit(
            "prepare",
            lambda: _prepare(order, make, device),
            partial(self._begin, job),
            partial(self._fail, job),
        )

    def _begin(self, job: _Job, ready: _Ready) -> None:
        if job is not self._job or self._queue is None:
            return
        document, source = job.document, ready.made.source
        values = job.order.values
        overlap = values.get("max_overlap", self._settings.settings.propose_overlap)
        writer = ProjectWriter(document, values.get("classes") == "existing", overlap)
        try:
            writer.begin(ready.run, ready.made.known, source.labels, resume=job.resume)
        except UserError as error:
            self._fail(job, UserError(error.message, "Begin a new run."))
            return
        job.writer = writer
        wanted = [key for key in job.keys if writer.is_done(key) or source.wants(key)]
        todo = [key for key in wanted if not writer.is_done(key)]
        job.total, job.before = len(wanted), len(wanted) - len(todo)
        ids = [document.record(key).id for key in wanted]
        _note(document, **asdict(job.order), ids=_ranges(ids), finished=False)
        for trouble in ready.made.troubles:
            self._add_problem(job, Problem("", trouble.where, trouble.what))
        job.gate.set()
        self._regate(job)
        self._tell(job)
        self._queue.stream(
            job.slot,
            lambda: _outcomes(job, todo, ready, writer),
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
                step = job.writer.write(outcome, named)
            except ImageError as error:
                self._add_problem(job, Problem(key, key, str(error), failed=True))
            except UserError as error:
                self._fail(job, error)
                return
            else:
                job.made += 1
                if step:
                    job.steps[key] = step
                self._add_troubles(job, outcome)
        self._regate(job)
        self._tell(job)

    def _add_troubles(self, job: _Job, outcome: Outcome) -> None:
        """One problem for every kind of trouble of an image."""
        counts: dict[tuple[str, str], int] = {}
        for one in outcome.troubles:
            counts[one.what, one.where] = counts.get((one.what, one.where), 0) + 1
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
        if isinstance(error, UserError):
            self.failed.emit(error)
        elif isinstance(error, ModelError):
            self.failed.emit(UserError(str(error), "Choose another model."))
        else:
            raise error

    def _end(self, job: _Job, *, stopped: bool, finished: bool = True) -> None:
        tally = job.writer.tally if job.writer is not None else Tally()
        if job.writer is not None and finished:
            _note(job.document, finished=True)
        group = job.writer.group if job.writer is not None else 0
        self._drop(job)
        self.finished.emit(
            Report(
                job.total, job.made, job.before, job.failed, job.problems, tally, job.steps,
                stopped, group,
            )
        )  # fmt: skip

    def _leave(self) -> None:
        """The project is closed: what is left can be done when it is open again."""
        if self._job is not None:
            self._drop(self._job)

    def _drop(self, job: _Job) -> None:
        self._job = None
        job.document.save_state_changed.disconnect(self._follow_disk)
        job.stopped.set()
        job.gate.set()
        if self._queue is not None:
            self._queue.cancel("prepare")
            self._queue.cancel(job.slot)
        self.running_changed.emit(False)

    # --- Pauses ---

    def _set_paused(self, paused: bool) -> None:
        if (job := self._job) is not None and job.paused != paused:
            job.paused = paused
            self._regate(job)
            self._tell(job)

    def _follow_disk(self, _: object) -> None:
        if (job := self._job) is not None and job.writer is not None:
            before = job.gate.is_set()
            self._regate(job)
            if job.gate.is_set() != before:
                self._tell(job)

    def _waits_for_disk(self, job: _Job) -> bool:
        state = job.document.save_state
        return state.pending >= MOST_PENDING or (state.error is not None and state.pending > 0)

    def _regate(self, job: _Job) -> None:
        """Let the thread go on with the next image, or not."""
        if job.writer is None:
            return
        if job.paused or self._waits_for_disk(job):
            job.pace.rest()
            job.gate.clear()
        else:
            job.pace.go()
            job.gate.set()

    def _tell(self, job: _Job) -> None:
        rate = job.pace.rate
        left = (job.total - job.done) / rate if rate else None
        state: State = "running"
        if job.paused:
            state = "paused"
        elif job.writer is None:
            state = "preparing"
        elif not job.gate.is_set():
            state = "waiting"
        total = job.total if job.writer is not None else len(job.keys)
        new = job.writer.tally.new if job.writer is not None else 0
        self.progressed.emit(Progress(job.done, total, job.failed, new, rate, left, state))


# --- What the project remembers ---


def _window_of(document: Document) -> dict[str, Any] | None:
    """What the window asked for in the last run, if it was one of the window."""
    note = document.note(NOTE)
    found = note.get(WINDOW) if isinstance(note, dict) else None
    names = {"source", "values", "model", "ids", "finished"}
    return found if isinstance(found, dict) and names <= found.keys() else None


def _note(document: Document, **changes: Any) -> None:
    """Remember more of the last run, beside its settings."""
    note = document.note(NOTE)
    if isinstance(note, dict):
        before = _window_of(document) or {}
        document.set_note(NOTE, {**note, WINDOW: {**before, **changes}})


def _ranges(ids: Iterable[int]) -> list[list[int]]:
    """Numbers as first and last of each gapless row: those of a folder are nearly one."""
    ordered = sorted(ids)
    if not ordered:
        return []
    ends = [(a, b) for a, b in pairwise(ordered) if b != a + 1]
    firsts = [ordered[0], *(b for _, b in ends)]
    lasts = [*(a for a, _ in ends), ordered[-1]]
    return [[first, last] for first, last in zip(firsts, lasts, strict=True)]


def _keys_of(document: Document, ranges: Sequence[Sequence[int]]) -> list[str]:
    """The images with these numbers, in the order of the folder."""
    ids = {number for first, last in ranges for number in range(first, last + 1)}
    return [key for key in document.keys() if document.record(key).id in ids]  # noqa: SIM118


# The rest runs on the thread.


def _prepare(order: Order, make: Callable[[], Made], device: Device) -> _Ready:
    """Read what is asked, and load the model.

    Raises:
        UserError: what is asked cannot be read.
        ModelError: the model cannot be loaded.
    """
    from annotator.core.prelabel.run import Run
    from models.runtimes import using

    # Threads that are started from here on, by the pipeline or the model, inherit it.
    lower_priority()
    spec = segmenter_spec(order.model)
    if (missing := spec.available()) is not None:
        raise ModelError(missing)
    made = make()
    with using(device):
        segmenter = spec.load()
    classes = order.values.get("classes", "add")
    return _Ready(segmenter, made, Run.of(segmenter, made.source, classes=classes))


def _outcomes(
    job: _Job, todo: Sequence[str], ready: _Ready, writer: ProjectWriter
) -> Generator[tuple[Outcome | Failed, Named], None, None]:
    """What was found in each image, with classes; stands still while the gate is closed."""
    from annotator.core.prelabel.pipeline import Failed, outcomes
    from annotator.core.prelabel.reading import reader

    segmenter, source = ready.segmenter, ready.made.source
    read = reader(job.document.folder, segmenter, source)
    with closing(outcomes(todo, read, segmenter, source)) as coming:
        for outcome in coming:
            job.gate.wait()
            if job.stopped.is_set():
                return
            yield outcome, () if isinstance(outcome, Failed) else writer.named(outcome)
