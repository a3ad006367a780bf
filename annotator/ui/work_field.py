"""`WorkField`: how far a long work in the background is, in the status bar, with a way to stop."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QToolButton, QWidget

from annotator.ui.icons import icon

PARTS = 1000


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
        button = QToolButton(self)
        button.setIcon(icon("close"))
        button.setIconSize(QSize(side, side))
        button.setAutoRaise(True)
        button.setToolTip(tip)
        button.setAccessibleName(f"Stop {doing}")
        button.clicked.connect(stop)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self._text, self._bar, button):
            row.addWidget(widget)
        self.hide()

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
