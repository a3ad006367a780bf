"""Colour and super-category of one class, beside the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QFormLayout, QLabel, QMenu, QPushButton, QWidget

from annotator.core.annotation import Category
from annotator.ui.class_menu import add_colors
from annotator.ui.labels import soft_label
from annotator.ui.name_edit import NameEdit
from annotator.ui.rows import paint_ring, paint_swatch
from annotator.ui.theme import soft_text

SIDE = 14


class ClassLook(QWidget):
    """What a class looks like and belongs to.

    Args:
        groups: super-categories to complete.
        parent: Qt parent.
    """

    recolored = Signal(str)
    """The user chose this colour, "#rrggbb"."""
    regrouped = Signal(str)
    """The user wrote this super-category; may be empty."""

    def __init__(self, groups: Sequence[str], parent: QWidget) -> None:
        super().__init__(parent)
        self._category: Category | None = None
        self.title = QLabel(self)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.uses = soft_label("", self)
        self.color = QPushButton(self)
        self.color.setAutoDefault(False)
        self.color.setIconSize(QSize(SIDE, SIDE))
        self.color.setAccessibleName("Colour of the class")
        self.color.clicked.connect(self._open_colors)
        self.group = NameEdit(groups, self)
        self.group.setPlaceholderText("None")
        self.group.setAccessibleName("Super-category of the class")
        self.group.editingFinished.connect(self._take_group)
        self.group.chosen.connect(self._take_group)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.title)
        form.addRow("&Colour:", self.color)
        form.addRow("&Super-category:", self.group)
        form.addRow(self.uses)

    def show_class(self, category: Category | None, uses: str) -> None:
        """Show another class, None for none.

        Args:
            category: its colour may be "" while nobody has chosen one.
            uses: who has it.
        """
        self._category = category
        for widget in (self.color, self.group):
            widget.setEnabled(category is not None)
        name = "No class in this line" if category is None else category.name
        room = self.width() or 240
        self.title.setText(
            self.title.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, room)
        )
        color = "" if category is None else category.color
        self.color.setText(color or ("Chosen for you" if category is not None else ""))
        self.color.setIcon(self._swatch(color) if category is not None else QIcon())
        if not self.group.hasFocus() or category is None:
            self.group.setText("" if category is None else category.supercategory)
        self.uses.setText(uses)

    def _swatch(self, color: str) -> QIcon:
        ratio = self.devicePixelRatioF()
        pixmap = QPixmap(QSize(SIDE, SIDE) * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = pixmap.rect()
        area.setSize(QSize(SIDE, SIDE))
        if color:
            paint_swatch(painter, area, color, self.palette())
        else:
            paint_ring(painter, area, soft_text(self.palette()).name(), self.palette())
        painter.end()
        return QIcon(pixmap)

    def _open_colors(self) -> None:
        if self._category is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        add_colors(menu, self, self._category.name, self._category.color, self.recolored.emit)
        menu.popup(self.color.mapToGlobal(self.color.rect().bottomLeft()))

    def _take_group(self) -> None:
        if self._category is not None and self.group.name() != self._category.supercategory:
            self.regrouped.emit(self.group.name())
