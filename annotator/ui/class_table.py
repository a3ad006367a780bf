"""`ClassTable`: what the classes of a file become in the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCompleter,
    QHeaderView,
    QLineEdit,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from annotator.ui.fields import named

if TYPE_CHECKING:
    from annotator.core.annotation import Category
    from annotator.services.document import Document

COLUMNS = ("In the file", "Objects", "Becomes (slanted: a new class)")
_OLD, _COUNT, _NEW = range(3)


class ClassTable(QTableWidget):
    """A row for each class of the file; the last column can be written in.

    Args:
        document: the project, whose classes are offered.
        parent: Qt parent.
    """

    mapping_changed = Signal()
    """Somebody wrote another name."""

    def __init__(self, document: Document, parent: QWidget) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self._document = document
        named(self, "Classes")
        self.setHorizontalHeaderLabels(COLUMNS)
        self.setToolTip("What objects of each class become; empty: no name")
        self.verticalHeader().hide()
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.AllEditTriggers)
        self.setItemDelegateForColumn(_NEW, _NameDelegate(document, self))
        header = self.horizontalHeader()
        header.setSectionResizeMode(_OLD, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_NEW, QHeaderView.ResizeMode.Stretch)
        self.cellChanged.connect(self.mapping_changed)

    def fill(self, categories: Sequence[Category]) -> None:
        """Show the classes of a file, each with its own name."""
        blocker = QSignalBlocker(self)
        self.setRowCount(0)
        self.setRowCount(len(categories))
        for row, category in enumerate(categories):
            for column, text in ((_OLD, category.name), (_COUNT, ""), (_NEW, category.name)):
                item = QTableWidgetItem(text)
                if column != _NEW:
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                if column == _COUNT:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.setItem(row, column, item)
        blocker.unblock()

    def mapping(self) -> dict[str, str]:
        """Names of the file to names of the project, "" for no name."""
        rows = range(self.rowCount())
        return {self._text(row, _OLD): self._text(row, _NEW).strip() for row in rows}

    def tell(self, counts: Mapping[str, int]) -> None:
        """Show how many objects each class has, and which classes would be new."""
        known = {category.name for category in self._document.categories()}
        blocker = QSignalBlocker(self)
        for row in range(self.rowCount()):
            count, new = self.item(row, _COUNT), self.item(row, _NEW)
            if count is None or new is None:
                continue
            count.setText(f"{counts.get(self._text(row, _OLD), 0):,}")
            name = new.text().strip()
            font = new.font()
            font.setItalic(bool(name) and name not in known)
            new.setFont(font)
            new.setToolTip("A new class" if font.italic() else "" if name else "No name")
        blocker.unblock()
        self.viewport().update()

    def _text(self, row: int, column: int) -> str:
        item = self.item(row, column)
        return item.text() if item is not None else ""


class _NameDelegate(QStyledItemDelegate):
    """Edits the name of a class, with those of the project to choose from."""

    def __init__(self, document: Document, parent: QWidget) -> None:
        super().__init__(parent)
        self._document = document

    def createEditor(
        self,
        parent: QWidget,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> QWidget:
        """A line that knows the names."""
        line = named(QLineEdit(parent), "Name of the class in this project")
        line.setPlaceholderText("no name")
        completer = QCompleter([c.name for c in self._document.categories()], line)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        line.setCompleter(completer)
        return line
