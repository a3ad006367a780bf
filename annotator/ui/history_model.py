"""The rows of the history: steps of an image, or group steps of the project, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QIcon, QPalette, QPixmap
from PySide6.QtWidgets import QApplication

from annotator.services.history_journal import ABANDONED, DONE, UNDONE, GroupRow, StepRow
from annotator.services.image_history import SIDE, ImageHistory, Look, Steps

Index = QModelIndex | QPersistentModelIndex
ORIGINS = {"person": "by hand", "model": "by a model", "import": "imported"}
STATES = {DONE: "", UNDONE: "undone", ABANDONED: "undone, on another line"}
BEGINNING = "Before the first step"


def moment(time: float, now: datetime | None = None) -> str:
    """When something was, as short as it is clear: “14:03”, “12 Nov 14:03”, “12 Nov 2025 14:03”."""
    then, now = datetime.fromtimestamp(time).astimezone(), now or datetime.now().astimezone()
    clock = f"{then:%H:%M}"
    if then.date() == now.date():
        return f"today {clock}"
    day = f"{then.day} {then:%b}"
    return f"{day} {clock}" if then.year == now.year else f"{day} {then.year} {clock}"


def _role(state: int) -> Any:
    """Undone steps are paler."""
    if state == DONE:
        return None
    return QApplication.palette().color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)


class StepModel(QAbstractListModel):
    """Every step of the image that is shown.

    Args:
        history: draws what steps changed.
    """

    def __init__(self, history: ImageHistory) -> None:
        super().__init__()
        self._history = history
        self._rows: Sequence[StepRow] = ()
        self._tip = 0
        self._places: dict[int, int] = {}
        history.looked.connect(self._take)

    def show(self, steps: Steps | None) -> None:
        """Other steps."""
        self.beginResetModel()
        self._rows = tuple(reversed(steps.rows)) if steps is not None else ()
        self._tip = steps.tip if steps is not None else 0
        self._places = {row.id: place for place, row in enumerate(self._rows)}
        self.endResetModel()

    def step_at(self, place: int) -> StepRow | None:
        """The step of a row, None for the last one, which is the beginning."""
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def number_at(self, place: int) -> int:
        """Its number; that of the state before the first step for the last row."""
        row = self.step_at(place)
        if row is not None:
            return row.id
        return self._rows[-1].parent if self._rows else 0

    def current(self) -> int:
        """The row of the current state."""
        return self._places.get(self._tip, len(self._rows))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Steps, and the beginning."""
        return 0 if parent.isValid() or not self._rows else len(self._rows) + 1

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What Qt asks for."""
        place = index.row()
        row = self.step_at(place)
        is_current = place == self.current()
        if role == Qt.ItemDataRole.FontRole:
            font = QFont(QApplication.font())
            font.setBold(is_current)
            return font
        if role == Qt.ItemDataRole.SizeHintRole:
            height = QFontMetrics(QApplication.font()).height() * 3 + 8
            return QSize(0, max(height, SIDE + 6))
        if row is None:
            if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
                return BEGINNING + ("  ●" if is_current else "")
            return None
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(row)
        if role == Qt.ItemDataRole.ForegroundRole:
            return _role(row.state)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._text(row, is_current=is_current)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{self._text(row, is_current=is_current)}\nReturn goes there."
        return None

    def _text(self, row: StepRow, *, is_current: bool) -> str:
        look = self._history.look(row.id)
        details = [moment(row.time), ORIGINS.get(row.origin, row.origin)]
        if STATES[row.state]:
            details.append(STATES[row.state])
        changed = f"\n{look.words}" if look is not None else "\n…"
        return f"{row.text}{'  ●' if is_current else ''}{changed}\n{' · '.join(details)}"

    def _picture(self, row: StepRow) -> QIcon | None:
        look = self._history.look(row.id)
        if look is None:
            return None
        icon = QIcon(pixmap := QPixmap.fromImage(look.picture))
        # Qt would tint it where the row is selected.
        icon.addPixmap(pixmap, QIcon.Mode.Selected)
        return icon

    def _take(self, look: Look) -> None:
        if (place := self._places.get(look.step)) is not None:
            index = self.index(place)
            self.dataChanged.emit(index, index)


class GroupModel(QAbstractListModel):
    """The group steps of the project, newest first."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[GroupRow] = ()

    def show(self, rows: Sequence[GroupRow]) -> None:
        """Other rows."""
        self.beginResetModel()
        self._rows = tuple(reversed(rows))
        self.endResetModel()

    def group_at(self, place: int) -> GroupRow | None:
        """The group step of a row."""
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """All of them."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What Qt asks for."""
        row = self.group_at(index.row())
        if row is None:
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            undone = f" · {STATES[row.state]}" if STATES[row.state] else ""
            return f"{row.text}\n{moment(row.time)}{undone}"
        if role == Qt.ItemDataRole.ForegroundRole:
            return _role(row.state)
        return None
