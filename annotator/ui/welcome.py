"""The page shown while no folder is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QCommandLinkButton,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

SHOWN_FOLDERS = 6


class WelcomePage(QWidget):
    """Says what to do first: open a folder, go on with a recent one, or try the sample."""

    open_wanted = Signal()
    """The user wants to choose a folder."""
    sample_wanted = Signal()
    """The user wants to try the bundled sample."""
    folder_chosen = Signal(str)
    """The user chose this recent folder."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel("Annotator")
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * 2.2)
        font.setWeight(QFont.Weight.DemiBold)
        title.setFont(font)
        line = QLabel("Click an object, name it, keep it as COCO.")
        open_button = QPushButton("Open a folder of images…")
        open_button.setDefault(True)
        open_button.clicked.connect(self.open_wanted)
        sample = QPushButton("Try the sample folder")
        sample.clicked.connect(self.sample_wanted)
        hint = QLabel("You can also drop a folder or images anywhere on this window.")
        hint.setForegroundRole(hint.foregroundRole().PlaceholderText)
        self._recent_title = QLabel("Recent folders")
        self._recent = QVBoxLayout()
        self._recent.setSpacing(0)
        buttons = QHBoxLayout()
        for button in (open_button, sample):
            button.setMinimumHeight(self.fontMetrics().height() * 2)
            buttons.addWidget(button)
        buttons.addStretch()
        column = QVBoxLayout()
        column.setSpacing(self.fontMetrics().height() // 2)
        column.addStretch(2)
        for widget in (title, line):
            column.addWidget(widget)
        column.addSpacing(self.fontMetrics().height())
        column.addLayout(buttons)
        column.addWidget(hint)
        column.addSpacing(self.fontMetrics().height())
        column.addWidget(self._recent_title)
        column.addLayout(self._recent)
        column.addStretch(3)
        row = QHBoxLayout(self)
        row.addStretch()
        row.addLayout(column)
        row.addStretch()
        self.show_recent(())

    def show_recent(self, folders: Sequence[str]) -> None:
        """List these folders, newest first."""
        while (item := self._recent.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        self._recent_title.setVisible(bool(folders))
        for folder in folders[:SHOWN_FOLDERS]:
            button = QCommandLinkButton(Path(folder).name or folder, folder)
            button.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.clicked.connect(lambda _=False, folder=folder: self.folder_chosen.emit(folder))
            self._recent.addWidget(button)
