"""`Adaptation`: a model is adapted to a project by a child process, while the user works on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from annotator.core.errors import UserError
from models.adapted import ORIGINAL, AdaptedStore, Parts

PROGRAM = (sys.executable, "-m", "annotator", "adapt")
STOPPING_MS = 8000
"""How long the child may take to stop by itself: a step of the training, or writing a graph."""
CLOSING_MS = 1500
"""Likewise when the window is closing."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to adapt, and how.

    Attributes:
        folder: of the images.
        project_dir: where the journal is.
        name: what the model is adapted to, for people.
        origin: id of the model to begin with.
        parts: what is trained.
    """

    folder: Path
    project_dir: Path
    name: str
    origin: str = ORIGINAL
    parts: Parts = "decoder"

    @property
    def arguments(self) -> list[str]:
        """Of `annotator adapt`."""
        return [
            str(self.folder), f"--project={self.project_dir}", f"--name={self.name}",
            f"--model={self.origin}", f"--parts={self.parts}",
            "--json", "--background",
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        doing: for people.
        share: of everything, 0 to 1.
        seconds_left: roughly; None while nobody knows.
    """

    doing: str
    share: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended.

    Attributes:
        order: what was asked for.
        kind: "adapted", "refused", "failed" or "stopped".
        reason: why it was refused or failed, for people.
        model: id of the adapted model.
        title: what people call it.
        before: mean IoU by prompt, empty if it did not come to that.
        after: likewise.
        objects: how many were measured.
        images: in how many images.
        problems: why some images were left out, one sentence each.
    """

    order: Order
    kind: str
    reason: str = ""
    model: str = ""
    title: str = ""
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    objects: int = 0
    images: int = 0
    problems: tuple[str, ...] = ()


class Adaptation(QObject):
    """One adaptation at a time, in a child process that gives way to this one.

    The child ends by itself when this process does, however that happens: its standard input ends
    then.

    Args:
        parent: Qt parent.
    """

    running_changed = Signal(bool)
    """Whether a model is being adapted."""
    progressed = Signal(object)
    """`Progress`."""
    finished = Signal(object)
    """`Outcome`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._order: Order | None = None
        self._process: QProcess | None = None
        self._last: Mapping[str, Any] = {}
        self._errors = ""
        self._stopping = False
        self._patience = QTimer(self, singleShot=True, interval=STOPPING_MS)
        self._patience.timeout.connect(self._kill)

    @property
    def order(self) -> Order | None:
        """What is being adapted."""
        return self._order

    def start(self, order: Order) -> None:
        """Adapt a model.

        Raises:
            UserError: one is being adapted already.
        """
        if self._order is not None:
            raise UserError(
                f"A model is being adapted to {self._order.name} already.",
                "Wait until that is done, or stop it.",
            )
        self._order, self._last, self._errors, self._stopping = order, {}, "", False
        process = self._process = QProcess(self)
        process.setProcessEnvironment(_environment())
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_errors)
        process.finished.connect(self._end)
        process.errorOccurred.connect(self._fail)
        program, *arguments = PROGRAM
        self.running_changed.emit(True)
        self.progressed.emit(Progress("Starting", 0.0, None))
        process.start(program, [*arguments, *order.arguments])

    def stop(self) -> None:
        """End it; nothing of it is kept."""
        if self._process is not None and not self._stopping:
            self._stopping = True
            self._process.closeWriteChannel()
            self._patience.start()
            self.progressed.emit(Progress("Stopping", 1.0, None))

    def close(self) -> None:
        """End it and wait for that; nobody hears of it."""
        process, self._process = self._process, None
        if process is None:
            return
        self._patience.stop()
        self._order = None
        process.blockSignals(True)
        number = process.processId()
        process.closeWriteChannel()
        if not process.waitForFinished(CLOSING_MS):
            process.kill()
            process.waitForFinished(CLOSING_MS)
            AdaptedStore().discard_work(number)
        process.deleteLater()

    def _read(self) -> None:
        process = self._process
        while process is not None and process.canReadLine():
            try:
                event = json.loads(bytes(process.readLine().data()))
            except ValueError:
                continue  # something a library wrote
            if not isinstance(event, dict):
                continue
            if event.get("event") == "progress" and not self._stopping:
                share, left = float(event["share"]), event.get("seconds_left")
                self.progressed.emit(Progress(str(event["doing"]), share, left))
            self._last = event

    def _read_errors(self) -> None:
        if self._process is not None:
            text = bytes(self._process.readAllStandardError().data()).decode(errors="replace")
            self._errors = (self._errors + text)[-4000:]

    def _kill(self) -> None:
        if self._process is not None:
            number = self._process.processId()
            self._process.kill()
            self._process.waitForFinished(CLOSING_MS)
            AdaptedStore().discard_work(number)

    def _fail(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._end()

    def _end(self, *_: object) -> None:
        process, order = self._process, self._order
        if process is None or order is None:
            return
        self._read()
        self._read_errors()
        self._patience.stop()
        self._process = self._order = None
        process.deleteLater()
        self.running_changed.emit(False)
        self.finished.emit(self._outcome(order))

    def _outcome(self, order: Order) -> Outcome:
        event = self._last
        kind = event.get("event")
        if kind == "adapted":
            return Outcome(
                order, "adapted", model=str(event["id"]), title=str(event["title"]),
                before=event["before"], after=event["after"], objects=int(event["objects"]),
                images=int(event["images"]), problems=tuple(event["problems"]),
            )  # fmt: skip
        if kind in ("refused", "failed"):
            return Outcome(order, str(kind), str(event["reason"]))
        if self._stopping or kind == "stopped":
            return Outcome(order, "stopped")
        lines = self._errors.strip().splitlines()
        last = lines[-1] if lines else "without a word"
        return Outcome(order, "failed", f"The program that adapts models ended: {last}")


def _environment() -> QProcessEnvironment:
    """This one, with this program to be found wherever the child runs."""
    found = QProcessEnvironment.systemEnvironment()
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [found.value("PYTHONPATH")])]
    found.insert("PYTHONPATH", os.pathsep.join(paths))
    return found
