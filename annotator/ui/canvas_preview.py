"""`Previewer`: at most one preview question at a time, always about the newest prompt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer

from models.api import Prompt

if TYPE_CHECKING:
    from annotator.services.workspace import Workspace

PATIENCE = 1.0
"""Seconds after which an unanswered question no longer holds back the next one."""


class Previewer(QObject):
    """Turns many pointer moves into as many previews as the model can answer.

    Args:
        workspace: asked for previews.
        parent: Qt parent.
    """

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._waiting: Prompt | None = None
        self._asked_at: float | None = None
        self._next = QTimer(self)
        self._next.setSingleShot(True)
        self._next.setTimerType(Qt.TimerType.PreciseTimer)
        self._next.timeout.connect(self._ask_waiting)
        workspace.preview_changed.connect(self._take_answer)

    def ask(self, prompt: Prompt) -> None:
        """Show what this prompt would give, as soon as the model is free."""
        self._waiting = prompt
        overdue = self._asked_at is not None and time.monotonic() - self._asked_at > PATIENCE
        if self._asked_at is None or overdue:
            self._ask_waiting()

    def end(self) -> None:
        """Show no preview."""
        asked = self._asked_at is not None or self._waiting is not None
        self._waiting = self._asked_at = None
        self._next.stop()
        if asked:
            self._workspace.preview(None)

    def clear(self) -> None:
        """Take down what is shown, too."""
        self._asked_at = 0.0
        self.end()

    def _ask_waiting(self) -> None:
        prompt, self._waiting = self._waiting, None
        if prompt is None:
            return
        self._asked_at = time.monotonic()
        self._workspace.preview(prompt)

    def _take_answer(self, _candidate: object) -> None:
        self._asked_at = None
        if self._waiting is not None:
            # Not at once: the answer is drawn first.
            self._next.start(0)
