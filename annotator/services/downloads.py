"""`Downloads`: weight files are fetched, checked, imported and removed in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, Signal

from annotator.core.errors import UserError
from annotator.services.task_queue import TaskQueue
from models.api import ModelError
from models.catalog import WEIGHTS
from models.weight_files import Cancelled, Flag, Progress, Steps
from models.weights import State, Weight, WeightStore


@dataclass(slots=True, eq=False)
class _Job:
    """One piece of work on a file; `weight` is None while an import is not recognised yet."""

    weight: Weight | None
    kind: str
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress = field(default_factory=lambda: Progress("queued", 0, 0))


class Downloads(QObject):
    """Works on weight files: downloads on one thread, everything on the disk on another.

    It outlives the page that shows it, so a download goes on when the settings are closed. Threads
    are started when there is something to do.

    Args:
        store: the folder; the user's one by default.
        weights: the catalogue.
        parent: Qt parent.
    """

    progressed = Signal(str, object)
    """Id of a weight and its `Progress`."""
    state_changed = Signal(str)
    """Work on this weight began, or its file came, went, or was checked."""
    finished = Signal(str)
    """This weight was downloaded."""
    imported = Signal(object)
    """A local file was taken over as this `Weight`."""
    failed = Signal(str, object)
    """Id of a weight ("" when a file to import was not recognised) and a `UserError`."""

    def __init__(
        self,
        store: WeightStore | None = None,
        weights: Mapping[str, Weight] = WEIGHTS,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.store = store or WeightStore()
        self.weights = weights
        self._jobs: dict[str, _Job] = {}
        self._imports = 0
        self._queues: dict[str, TaskQueue] = {}
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    @classmethod
    def of(cls, owner: QObject) -> Downloads:
        """The one that belongs to a window; it is made at the first call."""
        return owner.findChild(cls) or cls(parent=owner)

    def state(self, weight: Weight) -> State:
        """What is known about the file; takes no time."""
        return self.store.state(weight)

    def progress(self, weight: Weight) -> Progress | None:
        """How far the work on this weight is; None when nothing is done with it."""
        job = self._jobs.get(weight.id)
        return job.progress if job else None

    @property
    def busy(self) -> bool:
        """Whether anything is being done."""
        return bool(self._jobs)

    def agree(self, weight: Weight) -> bool:
        """Record that the user agrees to the licence; False after `failed`."""
        try:
            self.store.agree(weight)
        except ModelError as error:
            self.failed.emit(weight.id, UserError(str(error)))
            return False
        return True

    def download(self, weight: Weight, *, accept_unverified: bool = False) -> None:
        """Download, or go on with a download; the licence must have been agreed to."""

        def steps(stopped: Flag) -> Steps[Path]:
            return self.store.downloading(weight, stopped, accept_unverified=accept_unverified)

        def done(_: Path) -> None:
            self.finished.emit(weight.id)

        self._begin("network", weight.id, _Job(weight, "download"), steps, done)

    def check(self, weight: Weight) -> None:
        """Read the file again and compare its hash; `state_changed` follows."""

        def steps(stopped: Flag) -> Steps[State]:
            return self.store.checking(weight, stopped)

        self._begin("disk", weight.id, _Job(weight, "check"), steps, _nothing)

    def import_file(self, file: Path, claimed: Weight | None = None) -> None:
        """Take over a local file; `imported` or `failed` follows."""

        def steps(stopped: Flag) -> Steps[Weight]:
            return self.store.importing(file, self.weights.values(), stopped, claimed=claimed)

        def done(weight: Weight) -> None:
            self.state_changed.emit(weight.id)
            self.imported.emit(weight)

        self._imports += 1
        self._begin("disk", f"import {self._imports}", _Job(None, "import"), steps, done)

    def remove(self, weight: Weight) -> None:
        """Delete the file and what is left of an interrupted download."""

        def steps(_: Flag) -> Steps[None]:
            yield Progress("removing", 0, 0)
            self.store.remove(weight)

        self._begin("disk", weight.id, _Job(weight, "remove"), steps, _nothing)

    def stop(self, weight: Weight) -> None:
        """Stop the work on this weight; what was received is kept."""
        if (job := self._jobs.get(weight.id)) is not None:
            job.stop.set()

    def close(self) -> None:
        """Stop everything and end the threads; interrupted downloads can go on later."""
        for job in self._jobs.values():
            job.stop.set()
        for queue in self._queues.values():
            queue.close()
            queue.deleteLater()
        self._queues.clear()
        self._jobs.clear()

    # --- One job ---

    def _begin(
        self,
        queue: str,
        key: str,
        job: _Job,
        steps: Callable[[Flag], Steps[Any]],
        done: Callable[[Any], None],
    ) -> None:
        if key in self._jobs:
            return
        self._jobs[key] = job
        self._tell(job)
        results: list[Any] = []

        def work() -> Iterator[Progress]:
            # The value a generator returns is dropped by the queue; it is wanted here.
            results.append((yield from steps(job.stop.is_set)))

        self._queue(queue).stream(
            key,
            work,
            partial(self._advance, job),
            lambda: self._end(key, lambda: done(results[0])),
            partial(self._fail, key),
        )

    def _queue(self, name: str) -> TaskQueue:
        if name not in self._queues:
            self._queues[name] = queue = TaskQueue(f"weights {name}", self)
            # Whoever deletes the owner without closing it must not leave a thread behind.
            self.destroyed.connect(queue.close)
        return self._queues[name]

    def _advance(self, job: _Job, progress: Progress) -> None:
        job.progress = progress
        if job.weight is not None:
            self.progressed.emit(job.weight.id, progress)

    def _end(self, key: str, report: Callable[[], None]) -> None:
        job = self._jobs.pop(key, None)
        if job is not None:
            self._tell(job)
            report()

    def _fail(self, key: str, error: Exception) -> None:
        job = self._jobs.get(key)
        name = job.weight.id if job and job.weight else ""
        if isinstance(error, Cancelled):
            self._end(key, lambda: None)
            return
        if isinstance(error, ModelError):
            self._end(key, lambda: self.failed.emit(name, UserError(str(error))))
            return
        bug = UserError("Something unexpected happened.", "The details are in the error report.")
        self._end(key, lambda: self.failed.emit(name, bug))
        raise error

    def _tell(self, job: _Job) -> None:
        if job.weight is not None:
            self.state_changed.emit(job.weight.id)


def _nothing(_: object) -> None:
    """The change of state says it all."""
