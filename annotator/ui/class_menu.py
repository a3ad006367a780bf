"""The context menu of a class: name, colour, super-category, order."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QColorDialog, QGridLayout, QMenu, QToolButton, QWidget, QWidgetAction

from annotator.core.annotation import Category
from annotator.core.palette import COLORS
from annotator.ui.class_list import ClassList
from annotator.ui.icons import icon
from annotator.ui.rows import paint_swatch

COLUMNS = 7


def build_class_menu(view: ClassList, row: int, category: Category) -> QMenu:
    """What can be done with one class."""
    menu = QMenu(view)
    rename = menu.addAction(icon("pencil"), "Rename\tF2")
    rename.triggered.connect(lambda: view.edit_name(row))
    colors = menu.addMenu("Colour")
    add_colors(
        colors,
        view,
        category.name,
        category.color,
        lambda color: view.recolored.emit(category.id, color),
    )
    _add_groups(view, menu.addMenu("Super-category"), row, category)
    stuff = menu.addAction("Stuff (cannot be counted: sky, grass)")
    stuff.setCheckable(True)
    stuff.setChecked(not category.is_thing)
    stuff.triggered.connect(lambda checked: view.counted.emit(category.id, not checked))
    menu.addSeparator()
    place = view.model_.rows[row].position
    up = menu.addAction(icon("raise"), "Move up\tAlt+Up")
    up.setEnabled(place > 0)
    up.triggered.connect(lambda: view.model_.moved.emit(category.id, place - 1))
    down = menu.addAction(icon("lower"), "Move down\tAlt+Down")
    down.setEnabled(place < len(view.model_.categories) - 1)
    down.triggered.connect(lambda: view.model_.moved.emit(category.id, place + 1))
    menu.addSeparator()
    every = menu.addAction("Select all objects of this class")
    every.setEnabled(view.model_.count_here(category.id) > 0)
    every.triggered.connect(lambda: view.objects_wanted.emit(category.id))
    delete = menu.addAction(icon("trash"), "Delete class\tDel")
    delete.triggered.connect(lambda: view.removed.emit(category.id))
    return menu


def add_colors(
    menu: QMenu, owner: QWidget, name: str, current: str, choose: Callable[[str], None]
) -> None:
    """Fill a menu with colours and the way to any other.

    Args:
        menu: closed, with those it came from, when a colour is chosen.
        owner: parent of the colour dialog.
        name: of the class, for the dialog's title.
        current: "#rrggbb", or "" for none.
        choose: called with "#rrggbb".
    """
    menu.addAction(_swatches(menu, current, choose))
    other = menu.addAction("Other…")
    other.triggered.connect(lambda: _open_color_dialog(owner, name, current, choose))


def _swatches(menu: QMenu, current: str, choose: Callable[[str], None]) -> QWidgetAction:
    grid_widget = QWidget(menu)
    grid = QGridLayout(grid_widget)
    grid.setContentsMargins(8, 8, 8, 8)
    grid.setSpacing(4)
    for place, color in enumerate(COLORS):
        button = _SwatchButton(color, checked=color.lower() == current.lower())
        button.clicked.connect(lambda _=False, c=color: _recolor(menu, c, choose))
        grid.addWidget(button, *divmod(place, COLUMNS))
    action = QWidgetAction(menu)
    action.setDefaultWidget(grid_widget)
    return action


def _recolor(menu: QMenu, color: str, choose: Callable[[str], None]) -> None:
    choose(color)
    opened: QWidget | None = menu
    while isinstance(opened, QMenu):
        opened.close()
        opened = opened.parentWidget()


def _open_color_dialog(
    owner: QWidget, name: str, current: str, choose: Callable[[str], None]
) -> None:
    dialog = QColorDialog(QColor(current), owner)
    dialog.setWindowTitle(f"Colour of {name}")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.colorSelected.connect(lambda color: choose(color.name()))
    dialog.open()


def _add_groups(view: ClassList, menu: QMenu, row: int, category: Category) -> None:
    known = sorted({c.supercategory for c in view.model_.categories if c.supercategory})
    for name in ("", *known):
        action = menu.addAction(name.replace("&", "&&") or "None")
        action.setCheckable(True)
        action.setChecked(name == category.supercategory)
        action.triggered.connect(lambda _=False, n=name: view.model_.regrouped.emit(category.id, n))
    menu.addSeparator()
    menu.addAction("New super-category…").triggered.connect(lambda: view.edit_group(row))


class _SwatchButton(QToolButton):
    """One colour of the table."""

    def __init__(self, color: str, *, checked: bool) -> None:
        super().__init__()
        self._color = color
        self.setCheckable(True)
        self.setChecked(checked)
        self.setFixedSize(26, 26)
        self.setAccessibleName(color)
        self.setToolTip(color)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The colour; a ring around the one in use or in focus."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.isChecked() or self.hasFocus() or self.underMouse():
            painter.setPen(self.palette().color(QPalette.ColorRole.Text))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 5, 5)
        paint_swatch(painter, self.rect().adjusted(4, 4, -4, -4), self._color, self.palette())
        painter.end()
