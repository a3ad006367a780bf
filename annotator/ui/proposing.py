"""`ProposingField`: how far everything mode is, in the status bar, with a button that stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from annotator.core.durations import duration
from annotator.services.everything import FEWER, Cost, Progress
from annotator.ui.work_field import WorkField

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from annotator.services.everything import Everything
    from annotator.ui.message_bar import MessageBar

COST = "cost of proposing"
"""Key of the message about a search that takes long."""
READING_MS = 30_000


class ProposingField(WorkField):
    """Shown while objects are being proposed.

    Args:
        everything: the search.
        messages: where a search that will take long is explained.
        parent: Qt parent.
    """

    def __init__(
        self, everything: Everything, messages: MessageBar, parent: QWidget | None = None
    ) -> None:
        super().__init__("proposing objects", everything.stop, "Stop proposing (Esc)", parent)
        self._everything = everything
        self._messages = messages
        everything.running_changed.connect(self._show_running)
        everything.progressed.connect(self._show_progress)
        everything.costly.connect(self._explain)

    def _show_running(self, running: bool) -> None:
        self.setVisible(running)
        if not running:
            self._messages.dismiss(COST)

    def _show_progress(self, progress: Progress) -> None:
        found = "1 object" if progress.found == 1 else f"{progress.found} objects"
        tip = f"In {progress.key}. Go on working: clicks come first."
        self.tell(f"Proposing… {found}", tip, progress.share)

    def _explain(self, cost: Cost) -> None:
        actions = [("Stop", self._everything.stop)]
        if cost.fewer is not None:
            text = f"Use {FEWER} × {FEWER} points: {duration(cost.fewer)}"
            actions.insert(0, (text, lambda: self._everything.restart(FEWER)))
        banner = self._messages.show_message(
            f"Proposing everything here takes {duration(cost.seconds)}: {cost.model} is asked "
            f"about {cost.points} points.",
            "Go on working meanwhile: clicks come first.",
            actions=actions,
            key=COST,
        )
        banner.set_fade_after(READING_MS)
