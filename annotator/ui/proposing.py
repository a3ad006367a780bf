"""`ProposingField`: how far everything mode is, in the status bar, with a button that stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QToolButton, QWidget

from annotator.services.everything import FEWER, Cost, Progress
from annotator.ui.icons import icon

if TYPE_CHECKING:
    from annotator.services.everything import Everything
    from annotator.ui.message_bar import MessageBar

COST = "cost of proposing"
"""Key of the message about a search that takes long."""
READING_MS = 30_000
PARTS = 1000


class ProposingField(QWidget):
    """Shown while objects are being proposed.

    Args:
        everything: the search.
        messages: where a search that will take long is explained.
        parent: Qt parent.
    """

    def __init__(
        self, everything: Everything, messages: MessageBar, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._everything = everything
        self._messages = messages
        self._text = QLabel(self)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, PARTS)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of proposing objects")
        side = self.fontMetrics().height()
        self._bar.setFixedSize(6 * side, max(side // 2, 6))
        stop = QToolButton(self)
        stop.setIcon(icon("close"))
        stop.setIconSize(QSize(side, side))
        stop.setAutoRaise(True)
        stop.setToolTip("Stop proposing (Esc)")
        stop.setAccessibleName("Stop proposing objects")
        stop.clicked.connect(everything.stop)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self._text, self._bar, stop):
            row.addWidget(widget)
        everything.running_changed.connect(self._show_running)
        everything.progressed.connect(self._show_progress)
        everything.costly.connect(self._explain)
        self.hide()

    def _show_running(self, running: bool) -> None:
        self.setVisible(running)
        if not running:
            self._messages.dismiss(COST)

    def _show_progress(self, progress: Progress) -> None:
        found = "1 object" if progress.found == 1 else f"{progress.found} objects"
        self._text.setText(f"Proposing… {found}")
        self._text.setToolTip(f"In {progress.key}. Go on working: clicks come first.")
        self._bar.setValue(round(progress.share * PARTS))

    def _explain(self, cost: Cost) -> None:
        actions = [("Stop", self._everything.stop)]
        if cost.fewer is not None:
            text = f"Use {FEWER} × {FEWER} points: {_duration(cost.fewer)}"
            actions.insert(0, (text, lambda: self._everything.restart(FEWER)))
        banner = self._messages.show_message(
            f"Proposing everything here takes {_duration(cost.seconds)}: {cost.model} is asked "
            f"about {cost.points} points.",
            "Go on working meanwhile: clicks come first.",
            actions=actions,
            key=COST,
        )
        banner.set_fade_after(READING_MS)


def _duration(seconds: float) -> str:
    """Roughly, for people."""
    if seconds < 90:
        return f"about {max(round(seconds / 5) * 5, 5)} s"
    return f"about {round(seconds / 60)} minutes"
