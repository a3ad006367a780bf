"""The classes of the project as a list that is searched, renamed, coloured and put in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QEvent,
    QMimeData,
    QModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QLineEdit,
    QListView,
    QStyleOptionViewItem,
    QWidget,
)

from annotator.core.annotation import Category
from annotator.ui.icons import draw
from annotator.ui.rows import (
    GAP,
    Index,
    RowDelegate,
    key_rect,
    paint_key,
    paint_name,
    paint_placeholder,
    paint_soft,
    paint_swatch,
    replace_rows,
    small,
    swatch_rect,
)
from annotator.ui.theme import soft_text

if TYPE_CHECKING:
    from PySide6.QtWidgets import QMenu

    from annotator.core.fuzzy import Span

DIGITS = 9
"""Classes that have a key of their own."""
MIME = "application/x-annotator-class"

_Role = Qt.ItemDataRole
_Key = Qt.Key


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One row.

    Attributes:
        name: the class's name, or the name a new class would get.
        category: None for the row that offers a new class.
        position: place among all classes, -1 for a new one.
        spans: characters that match what was typed, of the synonym if there is one.
        synonym: the other name of the class that matches, "" when its own does.
    """

    name: str
    category: Category | None
    position: int
    spans: tuple[Span, ...] = ()
    synonym: str = ""


class ClassModel(QAbstractListModel):
    """The classes that fit what is typed, and the offer of a new one."""

    renamed = Signal(int, str)
    """The user gave the class with this id another name."""
    regrouped = Signal(int, str)
    """The user gave the class with this id another super-category."""
    moved = Signal(int, int)
    """The user moved the class with this id to this position."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._categories: tuple[Category, ...] = ()
        self._counts: Mapping[int, int] = {}
        self._here: Mapping[int | None, int] = {}
        self._active: int | None = None
        self._query = ""
        self._rows: list[ClassRow] = []
        self.edits_group = False

    # --- What is shown ---

    @property
    def categories(self) -> tuple[Category, ...]:
        """All classes in their order."""
        return self._categories

    @property
    def rows(self) -> Sequence[ClassRow]:
        """What is shown now."""
        return self._rows

    @property
    def query(self) -> str:
        """What was typed."""
        return self._query

    @property
    def active(self) -> int | None:
        """The class new objects get."""
        return self._active

    def place(self, category_id: int) -> int:
        """The row of a class, -1 when it is not shown."""
        ids = [row.category.id if row.category is not None else None for row in self._rows]
        return ids.index(category_id) if category_id in ids else -1

    def count(self, category_id: int) -> int:
        """Number of objects of a class in the project."""
        return self._counts.get(category_id, 0)

    def count_here(self, category_id: int) -> int:
        """Number of objects of a class in the current image."""
        return self._here.get(category_id, 0)

    def set_categories(self, categories: tuple[Category, ...]) -> None:
        """Replace the classes."""
        if categories != self._categories:
            self._categories = categories
            rows = self._fitting()
            replace_rows(self, self._rows, rows, lambda r: r.category and r.category.id, self._set)

    def _set(self, rows: Sequence[ClassRow]) -> None:
        self._rows = list(rows)

    def search(self, query: str) -> None:
        """Show only what fits; an empty query shows everything."""
        clean = " ".join(query.split())
        if clean != self._query:
            self._query = clean
            self.beginResetModel()
            self._rows = self._fitting()
            self.endResetModel()

    def set_active(self, category_id: int | None) -> None:
        """Mark another class."""
        self._active = category_id
        self._repaint()

    def set_counts(self, counts: Mapping[int, int], here: Mapping[int | None, int]) -> None:
        """Numbers of objects by class id, in the project and in the current image."""
        if counts != self._counts or here != self._here:
            self._counts, self._here = counts, here
            self._repaint()

    def _fitting(self) -> list[ClassRow]:
        classes, query = self._categories, self._query
        if not query:
            return [ClassRow(c.name, c, place) for place, c in enumerate(classes)]
        from annotator.core.fuzzy import fold

        rows, literal = _matching(query, classes)
        if any(category.name == query for category in classes):
            return rows
        new = ClassRow(query, None, -1)
        # Enter must not replace a word by one that merely resembles it: unless a class contains
        # what was typed, the new class comes first.
        if literal:
            same = fold(rows[0].synonym or rows[0].name) == fold(query)
            return [*rows[:1], new, *rows[1:]] if same else [*rows, new]
        return [new, *rows]

    def _repaint(self) -> None:
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))

    # --- Qt ---

    def rowCount(self, parent: Index | None = None) -> int:
        """Number of rows shown."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        """Name and texts for people."""
        row = self._rows[index.row()]
        if role == _Role.EditRole and row.category is not None:
            return row.category.supercategory if self.edits_group else row.name
        if role == _Role.DisplayRole:
            return row.name if row.category is not None else f"Create “{row.name}”"
        if role == _Role.ToolTipRole:
            return self._tip(row)
        if role == _Role.AccessibleTextRole:
            return self._tip(row).replace("\n", ", ")
        return None

    def _tip(self, row: ClassRow) -> str:
        if row.category is None:
            return f"Make “{row.name}” a class and use it\nCtrl+Enter"
        lines = [row.name]
        if row.category.synonyms:
            lines.append(f"Also: {', '.join(row.category.synonyms)}")
        if row.category.supercategory:
            lines.append(f"Super-category: {row.category.supercategory}")
        number, here = self.count(row.category.id), self.count_here(row.category.id)
        lines.append(f"{number:,} object{'s' if number != 1 else ''}, {here:,} in this image")
        if row.category.id == self._active:
            lines.append("New objects get this class")
        if row.position < DIGITS:
            lines.append(f"Key: {row.position + 1}")
        return "\n".join(lines)

    def setData(self, index: Index, value: Any, role: int = _Role.EditRole) -> bool:
        """Pass on what was typed over a name."""
        category = self._rows[index.row()].category
        if role != _Role.EditRole or category is None:
            return False
        text = " ".join(str(value).split())
        if self.edits_group:
            if text != category.supercategory:
                self.regrouped.emit(category.id, text)
        elif text != category.name:
            self.renamed.emit(category.id, text)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Classes can be edited and, while all are shown, dragged."""
        movable = Qt.ItemFlag.ItemIsDropEnabled if not self._query else Qt.ItemFlag.NoItemFlags
        if not index.isValid():
            return movable
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if self._rows[index.row()].category is not None:
            flags |= Qt.ItemFlag.ItemIsEditable
            if not self._query:
                flags |= Qt.ItemFlag.ItemIsDragEnabled
        return flags

    def supportedDropActions(self) -> Qt.DropAction:
        """Rows are only moved."""
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:
        """Only rows of this list can be dropped."""
        return [MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """The id of the class that is dragged."""
        data = QMimeData()
        ids = [row.category.id for i in indexes if (row := self._rows[i.row()]).category]
        data.setData(MIME, str(ids[0] if ids else 0).encode())
        return data

    def dropMimeData(
        self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: Index
    ) -> bool:
        """Move the dragged class in front of a row."""
        if not data.hasFormat(MIME) or self._query:
            return False
        category_id = int(bytes(data.data(MIME).data()).decode() or 0)
        ids = [category.id for category in self._categories]
        if category_id not in ids:
            return False
        target = row if row >= 0 else parent.row() if parent.isValid() else len(ids)
        start = ids.index(category_id)
        position = target - 1 if target > start else target
        if position != start:
            self.moved.emit(category_id, position)
        return True


def _matching(query: str, classes: Sequence[Category]) -> tuple[list[ClassRow], bool]:
    """A row for every class with a name or a synonym that fits, best first.

    Also whether the best one contains what was typed.
    """
    from annotator.core.fuzzy import complete

    # All names first: of equal matches the name counts, not a synonym.
    names = [(place, "") for place in range(len(classes))]
    names += [(place, other) for place, c in enumerate(classes) for other in c.synonyms]
    texts = [other or classes[place].name for place, other in names]
    found = complete(query, texts, len(texts)) if texts else []
    rows: dict[int, ClassRow] = {}
    for hit in found:
        place, synonym = names[hit.index]
        category = classes[place]
        rows.setdefault(place, ClassRow(category.name, category, place, hit.spans, synonym))
    return list(rows.values()), bool(found) and found[0].literal


class _Delegate(RowDelegate):
    """Marker of the active class, swatch, name, super-category, number, key cap."""

    def paint_content(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one class, or the offer of a new one."""
        model = index.model()
        assert isinstance(model, ClassModel)
        row = model.rows[index.row()]
        area = option.rect.adjusted(GAP + 2, 0, -GAP - 2, 0)
        if row.category is None:
            self._paint_new(painter, area, option, index)
            return
        active = row.category.id == model.active
        right = self._paint_end(painter, area, option, row, model.count(row.category.id))
        text = option.palette.color(QPalette.ColorRole.Text)
        swatch = swatch_rect(area, area.left() + 14)
        if active:
            self._paint_marker(painter, area, text)
        paint_swatch(painter, swatch, row.category.color, option.palette)
        font = QFont(option.font)
        font.setBold(active)
        painter.setFont(font)
        left = swatch.right() + 1 + GAP
        room = QRect(left, area.top(), right - left, area.height())
        used = paint_name(painter, room, row.name, text, () if row.synonym else row.spans)
        beside = row.synonym or row.category.supercategory
        if beside and room.width() - used > 40:
            painter.setFont(small(option.font))
            rest = room.adjusted(used + GAP, 0, 0, 0)
            spans = row.spans if row.synonym else ()
            paint_name(painter, rest, beside, soft_text(option.palette), spans)

    @staticmethod
    def _paint_marker(painter: QPainter, area: QRect, color: QColor) -> None:
        """A triangle that points at the active class."""
        x, y = area.left() + 2, area.center().y() + 1
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        painter.drawPolygon([QPoint(x, y - 4), QPoint(x + 6, y), QPoint(x, y + 4)])

    @staticmethod
    def _paint_end(
        painter: QPainter, area: QRect, option: QStyleOptionViewItem, row: ClassRow, count: int
    ) -> int:
        """Key cap and number at the right end; returns where they begin."""
        painter.setFont(small(option.font))
        metrics = painter.fontMetrics()
        cap = key_rect(metrics, area, 0, "9")
        cap.moveRight(area.right())
        if row.position < DIGITS:
            paint_key(painter, cap, str(row.position + 1), option.palette)
        if not count:
            return cap.left() - GAP
        number = QRect(area)
        number.setRight(cap.left() - GAP - 1)
        number.setLeft(number.right() - metrics.horizontalAdvance(str(count)))
        paint_soft(painter, number, str(count), option.palette)
        return number.left() - GAP

    @staticmethod
    def _paint_new(
        painter: QPainter, area: QRect, option: QStyleOptionViewItem, index: Index
    ) -> None:
        text = option.palette.color(QPalette.ColorRole.Text)
        swatch = swatch_rect(area, area.left() + 14)
        draw(painter, "plus", swatch.topLeft(), swatch.width(), text)
        painter.setFont(small(option.font))
        keys = "Ctrl+↵"
        cap = key_rect(painter.fontMetrics(), area, 0, keys)
        cap.moveRight(area.right())
        paint_key(painter, cap, keys, option.palette)
        painter.setFont(option.font)
        left = swatch.right() + 1 + GAP
        room = QRect(left, area.top(), cap.left() - GAP - left, area.height())
        paint_name(painter, room, str(index.data(_Role.DisplayRole)), text)

    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> QLineEdit:
        """A line edit for the name, or for the super-category."""
        model = index.model()
        editor = QLineEdit(parent)
        group = isinstance(model, ClassModel) and model.edits_group
        editor.setPlaceholderText("Super-category" if group else "Name")
        editor.setAccessibleName("Super-category" if group else "Class name")
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Show what is being replaced, selected."""
        if isinstance(editor, QLineEdit):
            editor.setText(str(index.data(_Role.EditRole) or ""))
            editor.selectAll()

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        """Hand over what was typed."""
        if isinstance(editor, QLineEdit):
            model.setData(index, editor.text())

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        """Over the name, from the swatch to the edge."""
        editor.setGeometry(option.rect.adjusted(36, 0, -2, 0))


class ClassList(QListView):
    """The list itself: choosing, inline renaming, context menu, dragging."""

    chosen = Signal(object)
    """The user chose this `ClassRow`."""
    recolored = Signal(int, str)
    """The user gave the class with this id this colour, "#rrggbb"."""
    counted = Signal(int, bool)
    """The user said whether the class with this id can be counted; else it is stuff, like sky."""
    removed = Signal(int)
    """The user wants the class with this id gone."""
    objects_wanted = Signal(int)
    """The user wants all objects of this class selected."""
    left = Signal()
    """The user wants back to the canvas."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model_ = ClassModel(self)
        self.setModel(self.model_)
        self.setItemDelegate(_Delegate(self))
        self.setAccessibleName("Classes")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        # A click chooses and must not take the keyboard away from the canvas.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDragDropOverwriteMode(False)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._open_menu)
        self.clicked.connect(self._choose)
        self.doubleClicked.connect(lambda index: self.edit_name(index.row()))

    # --- What the panel calls ---

    def highlight(self, row: int) -> None:
        """Make a row the one Enter chooses; -1 for none."""
        if 0 <= row < self.model_.rowCount():
            self.setCurrentIndex(self.model_.index(row))
        else:
            self.setCurrentIndex(QModelIndex())

    def reveal(self, category_id: int) -> None:
        """Scroll to a class."""
        self.scrollTo(self.model_.index(self.model_.place(category_id)))

    def step(self, step: int) -> None:
        """Move the highlight."""
        count = self.model_.rowCount()
        if not count:
            return
        row = self.currentIndex().row()
        start = row if row >= 0 else (-1 if step > 0 else count)
        self.highlight(min(max(start + step, 0), count - 1))

    def highlighted(self) -> ClassRow | None:
        """The row Enter chooses."""
        index = self.currentIndex()
        return self.model_.rows[index.row()] if index.isValid() else None

    def page(self) -> int:
        """Rows that fit into the view."""
        return max(self.viewport().height() // max(self.sizeHintForRow(0), 1) - 1, 1)

    def edit_name(self, row: int) -> None:
        """Rename a class in place."""
        self._edit(row, group=False)

    def edit_group(self, row: int) -> None:
        """Type a super-category in place."""
        self._edit(row, group=True)

    def _edit(self, row: int, *, group: bool) -> None:
        index = self.model_.index(row)
        if index.isValid() and self.model_.rows[row].category is not None:
            self.model_.edits_group = group
            self.setCurrentIndex(index)
            self.edit(index)

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid():
            self.chosen.emit(self.model_.rows[index.row()])

    # --- Context menu ---

    def _open_menu(self, position: QPoint) -> None:
        index = self.indexAt(position)
        if index.isValid() and (category := self.model_.rows[index.row()].category) is not None:
            self.highlight(index.row())
            menu = self.build_menu(index.row(), category)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.aboutToHide.connect(self._calm_down)
            menu.popup(self.viewport().mapToGlobal(position))

    def _calm_down(self) -> None:
        """The row the menu was about is no longer special, unless the keyboard is here."""
        if not self.hasFocus():
            self.highlight(-1)

    def build_menu(self, row: int, category: Category) -> QMenu:
        """What can be done with one class."""
        from annotator.ui.class_menu import build_class_menu

        return build_class_menu(self, row, category)

    # --- Qt events ---

    def event(self, event: QEvent) -> bool:
        """Keep the keys of this list from the window's commands."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            alt = event.modifiers() == Qt.KeyboardModifier.AltModifier
            if event.key() in (_Key.Key_F2, _Key.Key_Delete, _Key.Key_Escape) or (
                alt and event.key() in (_Key.Key_Up, _Key.Key_Down)
            ):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter chooses, F2 renames, Delete removes, Alt and arrows move the class."""
        if self.state() == QAbstractItemView.State.EditingState:
            # What the editor does not use climbs up here.
            event.accept()
            return
        row, key = self.highlighted(), event.key()
        alt = event.modifiers() == Qt.KeyboardModifier.AltModifier
        if key == _Key.Key_Escape:
            self.left.emit()
        elif row is None:
            super().keyPressEvent(event)
        elif key in (_Key.Key_Return, _Key.Key_Enter):
            self.chosen.emit(row)
        elif row.category is not None and key == _Key.Key_F2:
            self.edit_name(self.currentIndex().row())
        elif row.category is not None and key == _Key.Key_Delete:
            self.removed.emit(row.category.id)
        elif row.category is not None and alt and key in (_Key.Key_Up, _Key.Key_Down):
            place = row.position + (1 if key == _Key.Key_Down else -1)
            if 0 <= place < len(self.model_.categories):
                self.model_.moved.emit(row.category.id, place)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows, or what will be here."""
        super().paintEvent(event)
        if not self.model_.rows:
            paint_placeholder(self, "No classes yet. Type a name above and press Enter.")

    def minimumSizeHint(self) -> QSize:
        """A few rows."""
        return QSize(120, 4 * max(self.sizeHintForRow(0), self.fontMetrics().height()))
