"""`BackgroundRun`: what all long works on many images have in common.

One at a time; it can be paused and stopped, waits while the disk is behind, and belongs to the
project it was started in. What it does with an image is up to its subclass.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.core.pace import Pace
from annotator.services.prelabelling import MOST_PENDING
from annotator.services.task_queue import CLOSING_S, TaskQueue
from models.api import ModelError

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace

State = Literal["preparing", "running", "paused", "waiting"]
"""“waiting”: for a disk that is slow or full."""


@dataclass(slots=True, eq=False, kw_only=True)
class Work:
    """A run that goes on; the window changes it, the thread looks at `gate` and `stopped`.

    Attributes:
        document: the project.
        gate: open while it may go on.
        stopped: it has ended.
        pace: how fast it goes.
        paused: the user wants it to wait.
        begun: all that comes before the first image is done.
    """

    document: Document
    gate: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    pace: Pace = field(default_factory=Pace)
    paused: bool = False
    begun: bool = False

    @property
    def state(self) -> State:
        """What it does."""
        if self.paused:
            return "paused"
        if not self.begun:
            return "preparing"
        return "running" if self.gate.is_set() else "waiting"

    def regate(self) -> None:
        """Let the thread go on with the next image, or not."""
        disk = self.document.save_state
        is_behind = disk.pending >= MOST_PENDING or (disk.error is not None and disk.pending > 0)
        if self.paused or is_behind:
            self.pace.rest()
            self.gate.clear()
        else:
            if self.begun:
                self.pace.go()
            self.gate.set()


class BackgroundRun(QObject):
    """Starts, pauses and ends one `Work` at a time, with a thread of its own.

    Args:
        workspace: what is open.
        settings: what models may run on.
        name: of the thread.
        parent: Qt parent.
    """

    running_changed = Signal(bool)
    """Whether there is a run, paused ones too."""
    progressed = Signal(object)
    """How far it is."""
    finished = Signal(object)
    """A report of what came of it."""
    failed = Signal(object)
    """A `UserError`: it cannot begin, or not go on."""

    BUSY = ""
    """Why a second one cannot begin."""
    REMEDY = ""
    """What to do when the model cannot do it."""

    def __init__(
        self,
        workspace: Workspace,
        settings: SettingsStore,
        name: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._settings = settings
        self._name = name
        self._queue: TaskQueue | None = None
        self._job: Work | None = None
        workspace.project_closing.connect(self._leave)

    @property
    def running(self) -> bool:
        """Whether there is a run, paused ones too."""
        return self._job is not None

    @property
    def paused(self) -> bool:
        """Whether the user has paused it."""
        return self._job is not None and self._job.paused

    def pause(self) -> None:
        """Finish the images at hand and wait for `go_on`."""
        self._set_paused(True)

    def go_on(self) -> None:
        """Work again after `pause`."""
        self._set_paused(False)

    def stop(self) -> None:
        """End the run; what was proposed stays."""
        raise NotImplementedError

    def close(self) -> None:
        """End the thread; what it works at is not waited for."""
        self._leave()
        if self._queue is not None:
            self._queue.close(patience=CLOSING_S)
            self._queue = None

    # --- For subclasses ---

    def _tell(self) -> None:
        """Emit `progressed`, if there is a run."""
        raise NotImplementedError

    def _leave(self) -> None:
        """The project is closed."""
        self.stop()

    def _free_document(self) -> Document:
        """The open project, if another run can begin.

        Raises:
            UserError: nothing is open, or a run goes on already.
        """
        if self._workspace.document is None:
            raise UserError("No project is open.", "Open a folder first.")
        if self._job is not None:
            raise UserError(self.BUSY, "Wait until that is done, or stop it in the status bar.")
        return self._workspace.document

    def _admit(self, job: Work) -> TaskQueue:
        """The run begins; the queue of its thread."""
        self._job = job
        job.document.save_state_changed.connect(self._follow_disk)
        self.running_changed.emit(True)
        self._tell()
        if self._queue is None:
            self._queue = TaskQueue(self._name, self)
        return self._queue

    def _dismiss(self, job: Work, *slots: str) -> None:
        """The run has ended; nothing more is heard of these slots of the queue."""
        self._job = None
        job.document.save_state_changed.disconnect(self._follow_disk)
        job.stopped.set()
        job.gate.set()
        if self._queue is not None:
            for slot in slots:
                self._queue.cancel(slot)
        self.running_changed.emit(False)

    def _say(self, error: Exception) -> None:
        """Tell people, if it is for them.

        Raises:
            Exception: it is not.
        """
        if isinstance(error, UserError):
            self.failed.emit(error)
        elif isinstance(error, ModelError):
            self.failed.emit(UserError(str(error), self.REMEDY))
        else:
            raise error

    def _set_paused(self, paused: bool) -> None:
        if (job := self._job) is not None and job.paused != paused:
            job.paused = paused
            job.regate()
            self._tell()

    def _follow_disk(self, _: object) -> None:
        if (job := self._job) is not None:
            before = job.gate.is_set()
            job.regate()
            if job.gate.is_set() != before:
                self._tell()
