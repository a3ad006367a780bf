"""What stands around the rows of the image list: text filter, states, progress."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QToolButton, QVBoxLayout, QWidget

from annotator.core.annotation import ImageState
from annotator.ui.icons import icon
from annotator.ui.image_model import STATES
from annotator.ui.image_row import STATE_NAMES, state_color, state_icon
from annotator.ui.theme import mixed

ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_MOVES = (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp)
RARE = (ImageState.LOOK, ImageState.REJECTED)
"""States whose chips are only there while some image has them."""


class FilterBox(QLineEdit):
    """The text filter. Enter and the arrow keys lead into the list."""

    accepted = Signal()
    moved = Signal()
    escaped = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setPlaceholderText("Filter images")
        self.setToolTip(
            "Words of the file name or folder (/), or a query: class:dog area:<500 state:look"
        )
        self.setAccessibleName("Filter images by name or query")
        self.setClearButtonEnabled(True)
        self.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that belong to the list behind the filter."""
        if event.key() in ENTER:
            self.accepted.emit()
        elif event.key() in _MOVES:
            self.moved.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        else:
            super().keyPressEvent(event)


class StateChips(QWidget):
    """One toggle per state with its number of images; none pressed: all states."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self._chips: dict[ImageState, QToolButton] = {}
        for state in STATES:
            chip = QToolButton(self)
            chip.setCheckable(True)
            chip.setAutoRaise(True)
            chip.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            chip.setIconSize(QSize(12, 12))
            chip.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            chip.toggled.connect(self.changed)
            chip.setVisible(state not in RARE)
            row.addWidget(chip)
            self._chips[state] = chip
        row.addStretch(1)
        self.setFocusProxy(self._chips[STATES[0]])
        self._draw_icons()

    @property
    def states(self) -> frozenset[ImageState]:
        """The pressed ones."""
        return frozenset(state for state, chip in self._chips.items() if chip.isChecked())

    def set_states(self, states: frozenset[ImageState]) -> None:
        """Press these, without a signal."""
        with QSignalBlocker(self):
            for state, chip in self._chips.items():
                chip.setChecked(state in states)
                chip.setVisible(not self._is_idle(state))

    def _is_idle(self, state: ImageState) -> bool:
        """Whether nobody needs the chip: a rare state without images, and not filtered by."""
        chip = self._chips[state]
        return state in RARE and not chip.isChecked() and chip.text() in ("", "0")

    def show_counts(self, counts: dict[ImageState, int]) -> None:
        """Update the numbers."""
        for state, chip in self._chips.items():
            text = f"{counts[state]:,}"
            if chip.text() != text:
                chip.setText(text)
                words = f"Only images {STATE_NAMES[state]} ({text})"
                if state in (ImageState.UNTOUCHED, ImageState.REJECTED):
                    words = f"Only {STATE_NAMES[state]} images ({text})"
                chip.setToolTip(words)
                chip.setAccessibleName(words)
            chip.setVisible(not self._is_idle(state))

    def changeEvent(self, event: QEvent) -> None:
        """Draw the marks again in the colours of another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw_icons()

    def _draw_icons(self) -> None:
        for state, chip in self._chips.items():
            chip.setIcon(state_icon(state, self.palette(), self.devicePixelRatioF()))


class ImageProgress(QWidget):
    """A thin bar and "37 of 512 annotated"."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._shares = (0.0, 0.0, 0.0)
        self._label.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 7, 2, 0)
        column.addWidget(self._label)
        self.setAccessibleName("Progress")

    def show_counts(
        self, counts: dict[ImageState, int], total: int, filtered: bool, shown: int
    ) -> None:
        """Update bar and text."""
        reviewed, look = counts[ImageState.REVIEWED], counts[ImageState.LOOK]
        rejected = counts[ImageState.REJECTED]
        done = reviewed + look + counts[ImageState.ANNOTATED]
        # Nobody has to annotate a rejected image: without it, the bar comes to its end.
        total -= rejected
        parts = [f"{done:,} of {total:,} annotated"] if total or rejected else []
        if reviewed:
            parts.append(f"{reviewed:,} reviewed")
        if look:
            parts.append(f"{look:,} to look at again")
        if rejected:
            parts.append(f"{rejected:,} rejected")
        if filtered:
            parts.append(f"{shown:,} listed")
        self._label.setText(" · ".join(parts))
        self._label.setToolTip(self._label.text())
        shares = (0.0, 0.0, 0.0)
        if total > 0:
            shares = (done / total, (reviewed + look) / total, reviewed / total)
        if shares != self._shares:
            self._shares = shares
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The bar: annotated, over it what needs another look, over that what is reviewed."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        palette = self.palette()
        ink, ground = QPalette.ColorRole.WindowText, QPalette.ColorRole.Window
        bar = QRect(2, 1, self.width() - 4, 3)
        painter.setBrush(mixed(palette.color(ink), palette.color(ground), 0.14))
        painter.drawRoundedRect(bar, 1.5, 1.5)
        states = (ImageState.ANNOTATED, ImageState.LOOK, ImageState.REVIEWED)
        for share, state in zip(self._shares, states, strict=True):
            if share > 0:
                bar.setWidth(max(3, round((self.width() - 4) * share)))
                painter.setBrush(state_color(state, palette))
                painter.drawRoundedRect(bar, 1.5, 1.5)
        painter.end()
