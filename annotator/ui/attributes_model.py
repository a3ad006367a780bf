"""Keys and values of the selected objects as a table, and the delegate that paints it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, Qt, Signal
from PySide6.QtGui import QFont, QPainter, QPalette
from PySide6.QtWidgets import QCompleter, QLineEdit, QStyleOptionViewItem, QWidget

from annotator.core.annotation import Annotations
from annotator.ui.rows import GAP, Index, RowDelegate, paint_name, paint_soft, replace_rows, small
from annotator.ui.theme import soft_text

Value = str | float | bool

KEY, VALUE = 0, 1
"""Columns."""

_WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,17})", re.ASCII)
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_Role = Qt.ItemDataRole


def parse_value(text: str) -> Value:
    """What was meant: true or false, a number, else text.

    Quotes make text of anything ("12" in quotes is not a number); 007 is text, too.
    """
    clean = text.strip()
    if len(clean) >= 2 and clean[0] == clean[-1] == '"':
        return clean[1:-1]
    if clean.casefold() in ("true", "false"):
        return clean.casefold() == "true"
    if _WHOLE.fullmatch(clean):
        return int(clean)
    if _NUMBER.fullmatch(clean):
        number = float(clean)
        return number if math.isfinite(number) else clean
    return clean


def value_text(value: Value) -> str:
    """The value as it is typed: `parse_value` gives it back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
        return str(int(value)) if whole else repr(value)
    return value if parse_value(value) == value and value else f'"{value}"'


def kind_of(value: Value) -> str:
    """The type of a value, for people."""
    if isinstance(value, bool):
        return "true/false"
    return "number" if isinstance(value, int | float) else "text"


@dataclass(frozen=True, slots=True)
class AttributeRow:
    """One key.

    Attributes:
        key: the key.
        value: what all selected objects have, None where they differ.
        everywhere: whether all of them have the key.
    """

    key: str
    value: Value | None
    everywhere: bool = True


def rows_of(annotations: Annotations) -> list[AttributeRow]:
    """All keys of the annotations, in the order they are met."""
    keys = dict.fromkeys(key for a in annotations for key in a.attributes)
    rows = []
    for key in keys:
        values = [a.attributes[key] for a in annotations if key in a.attributes]
        # 1 and True are equal, but not the same value.
        same = all(v == values[0] and kind_of(v) == kind_of(values[0]) for v in values)
        everywhere = len(values) == len(annotations)
        rows.append(AttributeRow(key, values[0] if same and everywhere else None, everywhere))
    return rows


class AttributesModel(QAbstractTableModel):
    """The keys, and one empty row to add another."""

    value_set = Signal(str, object)
    """The user gave this key this value."""
    key_renamed = Signal(str, str)
    """The user gave a key another name."""
    key_removed = Signal(str)
    """The user wants this key gone."""
    refused = Signal(str)
    """What was typed cannot be used, and why; "" once it can."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[AttributeRow] = []
        self._new_key = ""
        self._editable = True
        self._known: Mapping[str, Sequence[Value]] = {}

    @property
    def rows(self) -> Sequence[AttributeRow]:
        """The keys, without the empty row."""
        return self._rows

    @property
    def new_key(self) -> str:
        """What was typed as a new key that has no value yet."""
        return self._new_key

    @property
    def known(self) -> Mapping[str, Sequence[Value]]:
        """Keys used in this image and their values, for completion."""
        return self._known

    def show(
        self,
        rows: list[AttributeRow],
        known: Mapping[str, Sequence[Value]],
        *,
        editable: bool,
        keep_new: bool,
    ) -> None:
        """Replace what is shown; `keep_new` keeps a key that waits for its value."""
        new_key = self._new_key if keep_new else ""
        if rows == self._rows and new_key == self._new_key and editable == self._editable:
            self._known = known
            return
        self._known, self._new_key = known, new_key
        if editable != self._editable:
            self.beginResetModel()
            self._rows, self._editable = rows, editable
            self.endResetModel()
        else:
            replace_rows(self, self._rows, rows, lambda row: row.key, self._set, 2)

    def _set(self, rows: Sequence[AttributeRow]) -> None:
        self._rows = list(rows)

    # --- Qt ---

    def rowCount(self, parent: Index | None = None) -> int:
        """The keys and, while they can be edited, the empty row."""
        if parent is not None and parent.isValid():
            return 0
        return len(self._rows) + int(self._editable)

    def columnCount(self, parent: Index | None = None) -> int:
        """Key and value."""
        return 0 if parent is not None and parent.isValid() else 2

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole
    ) -> Any:
        """Titles of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == _Role.DisplayRole:
            return ("Key", "Value")[section]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Everything can be edited; the empty row needs its key first."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        blank = index.row() >= len(self._rows) and index.column() == VALUE and not self._new_key
        if self._editable and not blank:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        """Texts of keys and values."""
        if role not in (_Role.DisplayRole, _Role.EditRole, _Role.ToolTipRole):
            return None
        if index.row() >= len(self._rows):
            typed = self._new_key if index.column() == KEY else ""
            hint = "Add an attribute…" if index.column() == KEY and not typed else typed
            return typed if role == _Role.EditRole else hint
        row = self._rows[index.row()]
        if index.column() == KEY:
            return row.key
        if row.value is None:
            return "" if role == _Role.EditRole else self._mixed(row)
        return value_text(row.value) if role == _Role.EditRole else _shown(row.value)

    @staticmethod
    def _mixed(row: AttributeRow) -> str:
        return "several values" if row.everywhere else "not in all of them"

    def setData(self, index: Index, value: Any, role: int = _Role.EditRole) -> bool:
        """Check what was typed and pass it on."""
        if role != _Role.EditRole:
            return False
        text = str(value)
        if index.column() == KEY:
            return self._set_key(index.row(), " ".join(text.split()))
        if index.row() >= len(self._rows):
            key, self._new_key = self._new_key, ""
            self.refused.emit("")
            self.value_set.emit(key, parse_value(text))
            return True
        row = self._rows[index.row()]
        # An empty editor over several values was only looked at.
        if text != self.data(index, _Role.EditRole):
            self.refused.emit("")
            self.value_set.emit(row.key, parse_value(text))
        return True

    def _set_key(self, place: int, key: str) -> bool:
        old = self._rows[place].key if place < len(self._rows) else self._new_key
        if key == old:
            return True
        if any(row.key == key for row in self._rows):
            self.refused.emit(f"There is already a key “{key}”.")
            return False
        if place < len(self._rows):
            if not key:
                self.refused.emit("A key needs a name. Press Del to remove it.")
                return False
            self.refused.emit("")
            self.key_renamed.emit(old, key)
            return True
        self._new_key = key
        self.refused.emit(f"Now a value for “{key}”." if key else "")
        self.dataChanged.emit(self.index(place, KEY), self.index(place, VALUE))
        return True


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else value_text(value)


class AttributesDelegate(RowDelegate):
    """Keys, and values with their type."""

    def paint_content(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one cell."""
        model = index.model()
        assert isinstance(model, AttributesModel)
        palette, area = option.palette, option.rect.adjusted(GAP + 2, 0, -GAP, 0)
        row = model.rows[index.row()] if index.row() < len(model.rows) else None
        color = palette.color(QPalette.ColorRole.Text)
        vague = (row is None and not model.new_key) or (
            row is not None and index.column() == VALUE and row.value is None
        )
        if row is not None and index.column() == VALUE and row.value is not None:
            painter.setFont(small(option.font))
            kind = kind_of(row.value)
            room = painter.fontMetrics().horizontalAdvance(kind) + GAP
            if room < area.width() // 2:
                paint_soft(painter, area, kind, palette)
                area.setRight(area.right() - room)
        font = QFont(option.font)
        font.setItalic(vague)
        painter.setFont(font)
        text = str(index.data(_Role.DisplayRole) or "")
        paint_name(painter, area, text, soft_text(palette) if vague else color)

    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> QLineEdit:
        """A line edit that completes what this image uses already."""
        editor = QLineEdit(parent)
        model = index.model()
        key = index.column() == KEY
        editor.setAccessibleName("Key" if key else "Value")
        editor.setPlaceholderText("Key" if key else "Text, number, true or false")
        if isinstance(model, AttributesModel):
            editor.setCompleter(_completer(model, index, editor))
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Show what is being replaced, selected."""
        if isinstance(editor, QLineEdit):
            editor.setText(str(index.data(_Role.EditRole) or ""))
            editor.selectAll()

    def setModelData(self, editor: QWidget, model: Any, index: Index) -> None:
        """Hand over what was typed."""
        if isinstance(editor, QLineEdit):
            model.setData(index, editor.text())

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        """The whole cell."""
        editor.setGeometry(option.rect)


def _completer(model: AttributesModel, index: Index, editor: QLineEdit) -> QCompleter:
    here = {row.key for row in model.rows}
    if index.column() == KEY:
        words = sorted(key for key in model.known if key not in here)
    else:
        key = str(model.index(index.row(), KEY).data(_Role.EditRole) or "")
        words = list(dict.fromkeys(value_text(value) for value in model.known.get(key, ())))
    completer = QCompleter(words, editor)
    completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
    return completer
