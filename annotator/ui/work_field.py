"""`WorkField`: how far a long work in the background is, in the status bar, with a way to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QToolButton, QWidget

from annotator.core.durations import duration
from annotator.ui.icons import icon

if TYPE_CHECKING:
    from annotator.services.background_run import BackgroundRun, State

PARTS = 1000
SLOW = 0.2
"""Images a second below which people are told seconds an image."""


class Counted(Protocol):
    """How far a `BackgroundRun` is; see the `Progress` of each."""

    @property
    def done(self) -> int:
        """Images."""

    @property
    def total(self) -> int:
        """Images."""

    @property
    def rate(self) -> float | None:
        """Images a second."""

    @property
    def left(self) -> float | None:
        """Seconds."""

    @property
    def state(self) -> State:
        """What it does."""


def words(progress: Counted, doing: str, task: str) -> str:
    """How far it is, in a line.

    Args:
        progress: of the run.
        doing: "Tracking".
        task: "track".
    """
    if progress.state == "preparing":
        return f"Preparing to {task}…"
    text = f"{progress.done:,} of {progress.total:,}"
    if progress.state == "paused":
        return f"{doing} paused at {text}"
    if progress.state == "waiting":
        return f"{doing} waits for the disk at {text}"
    if progress.rate is not None and progress.left is not None:
        # "0.0/s" says nothing of a model that takes half a minute.
        slow = progress.rate < SLOW
        rate = f"{duration(1 / progress.rate)} an image" if slow else f"{progress.rate:.1f}/s"
        text += f" · {rate} · {duration(progress.left)} left"
    return f"{doing} {text}"


class WorkField(QWidget):
    """A line of text, a bar, and a button; hidden until somebody shows it.

    Args:
        doing: what is being done, for screen readers: "proposing objects".
        stop: what the button does.
        tip: of the button.
        parent: Qt parent.
    """

    def __init__(
        self, doing: str, stop: Callable[[], None], tip: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._text = QLabel(self)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, PARTS)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(f"Progress of {doing}")
        side = self.fontMetrics().height()
        self._bar.setFixedSize(6 * side, max(side // 2, 6))
        end = self.button()
        end.setIcon(icon("close"))
        end.setToolTip(tip)
        end.setAccessibleName(f"Stop {doing}")
        end.clicked.connect(stop)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        for widget in (self._text, self._bar, end):
            self._row.addWidget(widget)
        self.hide()

    def button(self) -> QToolButton:
        """A flat one as high as the text."""
        button, side = QToolButton(self), self.fontMetrics().height()
        button.setIconSize(QSize(side, side))
        button.setAutoRaise(True)
        return button

    def tell(self, text: str, tip: str, share: float) -> None:
        """Show how far it is.

        Args:
            text: a few words.
            tip: more of them.
            share: of the work, 0 to 1.
        """
        self._text.setText(text)
        self._text.setToolTip(tip)
        self._bar.setValue(round(share * PARTS))


class RunField(WorkField):
    """One for a `BackgroundRun`: it can be paused, too.

    Args:
        run: the work.
        doing: "tracking objects".
        tip: of the button that ends it.
        parent: Qt parent.
    """

    def __init__(
        self, run: BackgroundRun, doing: str, tip: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(doing, run.stop, tip, parent)
        self._doing = doing
        self.pause = self.button()
        self.pause.clicked.connect(lambda: run.go_on() if run.paused else run.pause())
        self._row.insertWidget(2, self.pause)
        run.running_changed.connect(self.setVisible)

    def tell_state(self, state: State) -> None:
        """Offer to pause it, or to go on."""
        paused = state == "paused"
        self.pause.setEnabled(state != "preparing")
        self.pause.setIcon(icon("play" if paused else "pause"))
        self.pause.setToolTip(f"{'Go on' if paused else 'Pause'} {self._doing}")
        self.pause.setAccessibleName(self.pause.toolTip())
