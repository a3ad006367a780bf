"""The five best names for the object at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QStyleOptionViewItem, QWidget

from annotator.ui.rows import (
    GAP,
    Index,
    RowDelegate,
    key_rect,
    paint_bar,
    paint_key,
    paint_name,
    paint_placeholder,
    paint_soft,
    paint_swatch,
    row_height,
    small,
    swatch_rect,
)
from models.api import Suggestion

ROWS = 5
BAR_WIDTH = 56
"""Length of a full bar where there is room, device-independent pixels."""
UNKNOWN_COLOR = "#808080"

_Role = Qt.ItemDataRole


def percent(score: float) -> str:
    """A probability for people."""
    if 0 < score < 0.01:
        return "<1 %"
    return f"{min(max(score, 0.0), 1.0):.0%}".replace("%", " %")


class SuggestionModel(QAbstractListModel):
    """Names with scores; changes in place, so that the view neither flickers nor jumps."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._suggestions: tuple[Suggestion, ...] = ()
        self._colors: Mapping[str, str] = {}

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """What is shown, best first."""
        return self._suggestions

    def color(self, name: str) -> str:
        """The colour of a class, "#rrggbb"; grey for a name that is not one yet."""
        return self._colors.get(name, UNKNOWN_COLOR)

    def show(self, suggestions: tuple[Suggestion, ...], colors: Mapping[str, str]) -> None:
        """Replace what is shown."""
        new, old = suggestions[:ROWS], self._suggestions
        if new == old and colors == self._colors:
            return
        self._colors = colors
        if len(new) > len(old):
            self.beginInsertRows(QModelIndex(), len(old), len(new) - 1)
            self._suggestions = new
            self.endInsertRows()
        elif len(new) < len(old):
            self.beginRemoveRows(QModelIndex(), len(new), len(old) - 1)
            self._suggestions = new
            self.endRemoveRows()
        else:
            self._suggestions = new
        if new:
            self.dataChanged.emit(self.index(0), self.index(len(new) - 1))

    def rowCount(self, parent: Index | None = None) -> int:
        """Number of suggestions, at most five."""
        return 0 if parent is not None and parent.isValid() else len(self._suggestions)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        """Name and texts for people."""
        suggestion = self._suggestions[index.row()]
        if role == _Role.DisplayRole:
            return suggestion.name
        if role == _Role.ToolTipRole:
            keys = f"Shift+{index.row() + 1}"
            return f"Name it {suggestion.name} ({percent(suggestion.score)}) — {keys}"
        if role == _Role.AccessibleTextRole:
            return f"{suggestion.name}, {percent(suggestion.score)}, Shift+{index.row() + 1}"
        return None


class _Delegate(RowDelegate):
    """Key cap, swatch, name, bar, number."""

    def paint_content(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one suggestion."""
        model = index.model()
        assert isinstance(model, SuggestionModel)
        suggestion = model.suggestions[index.row()]
        area = option.rect.adjusted(GAP + 2, 0, -GAP - 2, 0)
        painter.setFont(small(option.font))
        metrics = painter.fontMetrics()
        cap = key_rect(metrics, area, area.left(), f"⇧{index.row() + 1}")
        paint_key(painter, cap, f"⇧{index.row() + 1}", option.palette)
        number = QRect(area)
        number.setLeft(area.right() - metrics.horizontalAdvance("100 %"))
        paint_soft(painter, number, percent(suggestion.score), option.palette)
        right = number.left() - GAP
        length = min(max(area.width() // 4, BAR_WIDTH // 2), BAR_WIDTH)
        bar = QRect(right - length, area.center().y() - 2, length, 6)
        paint_bar(painter, bar, suggestion.score, option.palette)
        right = bar.left() - GAP
        swatch = swatch_rect(area, cap.right() + 1 + GAP)
        paint_swatch(painter, swatch, model.color(suggestion.name), option.palette)
        left = swatch.right() + 1 + GAP
        painter.setFont(option.font)
        room = QRect(left, area.top(), right - left, area.height())
        paint_name(painter, room, suggestion.name, option.palette.color(QPalette.ColorRole.Text))


class SuggestionList(QListView):
    """Five rows of fixed height; clicking leaves the keyboard focus where it is."""

    accepted = Signal(str)
    """The user chose this name."""
    left = Signal()
    """The user wants back to the canvas."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = SuggestionModel(self)
        self._placeholder = ""
        self.setModel(self._model)
        self.setItemDelegate(_Delegate(self))
        self.setAccessibleName("Suggested names")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(ROWS * row_height(QFontMetrics(self.font())) + 2)
        self.clicked.connect(self._accept)

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """What is shown, best first."""
        return self._model.suggestions

    def show_suggestions(
        self, suggestions: tuple[Suggestion, ...], colors: Mapping[str, str], placeholder: str
    ) -> None:
        """Replace the rows; `placeholder` is what an empty list says."""
        self._model.show(suggestions, colors)
        if placeholder != self._placeholder:
            self._placeholder = placeholder
            self.viewport().update()

    def _accept(self, index: QModelIndex) -> None:
        if index.isValid():
            self.accepted.emit(self._model.suggestions[index.row()].name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter accepts the current row, Esc goes back to the canvas."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._accept(self.currentIndex())
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows, or what will be here."""
        super().paintEvent(event)
        if not self._model.suggestions:
            paint_placeholder(self, self._placeholder)

    def minimumSizeHint(self) -> QSize:
        """Narrow panels are fine."""
        return QSize(120, self.height())
