"""`Answers`: what the model gives for a prompt, as the canvas shows it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from annotator.ui.canvas_overlay import CandidateItems, Overlay

if TYPE_CHECKING:
    from annotator.ui.canvas import Canvas
    from models.api import MaskCandidate

SPINNER_DELAY_MS = 150
SPINNER_MS = 50


class Answers(QObject):
    """Keeps candidate, preview, accepted masks on their way and spinner of an overlay.

    Args:
        canvas: shows them.
        overlay: what the canvas draws fresh.
    """

    def __init__(self, canvas: Canvas, overlay: Overlay) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._overlay = overlay
        self._candidates = CandidateItems()
        self._finishing: tuple[tuple[str, MaskCandidate], ...] = ()
        self._colors: dict[int, str] = {}
        self._spinner = QTimer(self, singleShot=True)
        self._spinner.timeout.connect(self._spin)
        workspace = canvas.workspace
        workspace.candidates_changed.connect(self._follow_candidates)
        workspace.preview_changed.connect(self._follow_preview)
        workspace.working_changed.connect(self._follow_working)
        workspace.finishing_changed.connect(self._follow_finishing)

    def _follow_candidates(self, _candidates: object) -> None:
        self._overlay.preview = None
        self.show_candidate()
        if self._overlay.candidate is not None:
            # At once: panels, buttons and the status bar, which follow too, come after it.
            self._canvas.viewport().repaint()

    def show_candidate(self) -> None:
        """Show the candidate that was chosen, or none."""
        workspace = self._canvas.workspace
        candidate = workspace.candidate
        shown = None if candidate is None else self._candidates.item(candidate)
        self._overlay.candidate = shown
        self._candidates.keep(workspace.candidates)
        self._canvas.viewport().update()

    def _follow_preview(self, candidate: MaskCandidate | None) -> None:
        if candidate is None and self._canvas.workspace.working:
            # The click was made on what the preview shows: it stays until the answer is there.
            return
        self._overlay.preview = None if candidate is None else self._candidates.item(candidate)
        self._canvas.viewport().update()

    def _follow_working(self, working: bool) -> None:
        self._spinner.stop()
        self._overlay.turn = None
        if working:
            self._spinner.start(SPINNER_DELAY_MS)
        elif self._overlay.preview is not None and not self._canvas.hovering():
            self._overlay.preview = None
        self._canvas.viewport().update()

    def _spin(self) -> None:
        self._overlay.turn = time.monotonic() % 1.0
        self._spinner.start(SPINNER_MS)
        self._canvas.viewport().update()

    def _follow_finishing(self, entries: tuple[tuple[str, MaskCandidate], ...]) -> None:
        color = self._overlay.color
        self._colors = {
            id(candidate): self._colors.get(id(candidate), color) for _, candidate in entries
        }
        self._finishing = entries
        self.show_finishing()

    def show_finishing(self) -> None:
        """Show those accepted objects of the current image whose exact masks are being made."""
        self._overlay.finishing = tuple(
            (self._candidates.item(candidate), self._colors[id(candidate)])
            for key, candidate in self._finishing
            if key == self._canvas.shown_key
        )
        self._canvas.viewport().update()
