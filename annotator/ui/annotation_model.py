"""Rows of the object list: the model, and the delegate that paints them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QPoint,
    QRect,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QPainter, QPalette
from PySide6.QtWidgets import QLineEdit, QStyleOptionViewItem, QWidget

from annotator.core.annotation import STATE_OF, Annotation, Annotations, Category, Source, Status
from annotator.core.proposals import area_of
from annotator.services.reviewing import WORDS
from annotator.ui.icons import draw
from annotator.ui.image_row import MARK, draw_state, state_color
from annotator.ui.rows import (
    GAP,
    Index,
    RowDelegate,
    paint_name,
    paint_ring,
    paint_soft,
    paint_swatch,
    replace_rows,
    small,
    swatch_rect,
)
from annotator.ui.suggestion_list import UNKNOWN_COLOR, percent
from annotator.ui.theme import mixed, soft_text

if TYPE_CHECKING:
    from annotator.ui.name_edit import NameEdit

MIME = "application/x-annotator-objects"
UNNAMED = "No name"
ICON = 16
ROOMY = 270
"""Width from which rows show units, device-independent pixels."""

ORIGIN_ICONS = {Source.PERSON: "pencil", Source.MODEL: "model", Source.IMPORT: "import"}

_Role = Qt.ItemDataRole


def compact(pixels: int) -> str:
    """An area in few characters: "950", "12.3k", "1.2M"."""
    for limit, least, unit in ((1_000_000, 1_000_000, "M"), (1000, 10_000, "k")):
        if pixels >= least:
            value = pixels / limit
            return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}"
    return f"{pixels:,}"


def origin_text(annotation: Annotation) -> str:
    """Who made an annotation, for people."""
    origin = annotation.origin
    if origin.source is Source.PERSON:
        return "Drawn by hand"
    if origin.source is Source.IMPORT:
        return f"Imported, made by {origin.model}" if origin.model else "Imported"
    version = f" {origin.version}" if origin.version else ""
    return f"Made with {origin.model}{version}" if origin.model else "Made with a model"


def placed(annotations: Annotations, ids: Collection[int], above: int | None) -> Annotations:
    """The annotations with some of them moved directly above another one.

    Args:
        annotations: bottom layer first.
        ids: the ones to move; they keep their order.
        above: id of the annotation below them afterwards; None puts them at the bottom.
    """
    chosen = [a for a in annotations if a.id in ids]
    order = [a.id for a in annotations]
    # A target among the moved ones stands for the nearest one below it that stays.
    place = order.index(above) + 1 if above in order else 0
    below = [a for a in annotations[:place] if a.id not in ids]
    rest = [a for a in annotations[place:] if a.id not in ids]
    return (*below, *chosen, *rest)


class AnnotationModel(QAbstractListModel):
    """The objects of one image, top layer first, of all classes or of one.

    A change touches only the rows it concerns, so that scroll position and focus stay.
    """

    renamed = Signal(int, str)
    """The user gave the annotation with this id the class with this name."""
    moved = Signal(object, object)
    """frozenset of ids the user dragged, and the id they should lie above (None: bottom)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Annotation, ...] = ()
        self._places: dict[int, int] | None = None
        self._categories: Mapping[int, Category] = {}

    @property
    def rows(self) -> Annotations:
        """What is shown, top layer first."""
        return self._rows

    @property
    def names(self) -> list[str]:
        """Names of all classes."""
        return [category.name for category in self._categories.values()]

    def category(self, annotation: Annotation) -> Category | None:
        """The class of an annotation."""
        return self._categories.get(annotation.category_id or 0)

    def name(self, annotation: Annotation) -> str:
        """The name of an annotation's class, for people."""
        category = self.category(annotation)
        return category.name if category is not None else UNNAMED

    def place(self, annotation_id: int) -> int | None:
        """The row of an annotation."""
        if self._places is None:
            self._places = {a.id: row for row, a in enumerate(self._rows)}
        return self._places.get(annotation_id)

    def set_categories(self, categories: Sequence[Category]) -> None:
        """Names and colours changed."""
        self._categories = {category.id: category for category in categories}
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))

    def show(self, rows: Annotations) -> None:
        """Replace what is shown; `rows` are top layer first."""
        if rows != self._rows:
            replace_rows(self, self._rows, rows, lambda a: a.id, self._set)

    def _set(self, rows: Sequence[Annotation]) -> None:
        self._rows = tuple(rows)
        self._places = None

    # --- Qt ---

    def rowCount(self, parent: Index | None = None) -> int:
        """Number of objects shown."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        """Name and texts for people."""
        annotation = self._rows[index.row()]
        if role == _Role.DisplayRole:
            return self.name(annotation)
        if role == _Role.EditRole:
            return self.name(annotation) if self.category(annotation) else ""
        if role == _Role.ToolTipRole:
            return "\n".join(self._facts(annotation))
        if role == _Role.AccessibleTextRole:
            return ", ".join(self._facts(annotation))
        return None

    def _facts(self, annotation: Annotation) -> list[str]:
        facts = [self.name(annotation), f"{area_of(annotation.shape):,} pixels"]
        origin = origin_text(annotation)
        if annotation.origin.score is not None:
            origin += f", {percent(annotation.origin.score)} sure"
        if annotation.origin.stability is not None:
            origin += f", {percent(annotation.origin.stability)} stable"
        facts.append(origin)
        if annotation.proposed:
            facts.insert(0, "Proposal: Enter accepts, Delete rejects")
        for flag, text in (
            (annotation.is_crowd, "Crowd"),
            (annotation.hidden, "Hidden"),
            (annotation.locked, "Locked"),
        ):
            facts += [text] if flag else []
        if annotation.status is not Status.TODO:
            facts.append(f"Status: {WORDS[annotation.status]}")
        if annotation.comment:
            facts.append(f"“{annotation.comment}”")
        facts += [f"{key}: {value}" for key, value in list(annotation.attributes.items())[:8]]
        return facts

    def setData(self, index: Index, value: Any, role: int = _Role.EditRole) -> bool:
        """Pass on the name of the class that was typed."""
        annotation, name = self._rows[index.row()], " ".join(str(value).split())
        if role == _Role.EditRole and name and name != self.data(index, _Role.EditRole):
            self.renamed.emit(annotation.id, name)
        return role == _Role.EditRole

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Objects can be selected, renamed and dragged."""
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        return (
            Qt.ItemFlag.ItemIsEnabled
            | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsEditable
            | Qt.ItemFlag.ItemIsDragEnabled
        )

    def supportedDropActions(self) -> Qt.DropAction:
        """Rows are only moved."""
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:
        """Only rows of this list can be dropped."""
        return [MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """The ids of the objects that are dragged."""
        data = QMimeData()
        ids = " ".join(str(self._rows[index.row()].id) for index in indexes)
        data.setData(MIME, ids.encode())
        return data

    def dropMimeData(
        self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: Index
    ) -> bool:
        """Move the dragged objects in front of a row."""
        if not data.hasFormat(MIME):
            return False
        ids = frozenset(int(text) for text in bytes(data.data(MIME).data()).decode().split())
        target = row if row >= 0 else parent.row() if parent.isValid() else len(self._rows)
        below = next((a.id for a in self._rows[target:] if a.id not in ids), None)
        self.moved.emit(ids, below)
        return True


class AnnotationDelegate(RowDelegate):
    """Eye, lock, swatch, name; crowd, area, score and origin at the right end."""

    @staticmethod
    def switch_at(area: QRect, position: QPoint) -> str | None:
        """Which switch of a row is under a point: "hidden", "locked" or None."""
        for flag, left in (("hidden", GAP), ("locked", GAP + ICON + 4)):
            zone = QRect(area.left() + left - 2, area.top(), ICON + 4, area.height())
            if zone.contains(position):
                return flag
        return None

    def paint_content(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one object."""
        from PySide6.QtWidgets import QStyle

        model = index.model()
        assert isinstance(model, AnnotationModel)
        annotation, palette, area = model.rows[index.row()], option.palette, option.rect
        text, soft = palette.color(QPalette.ColorRole.Text), soft_text(palette)
        faint = mixed(soft, palette.color(QPalette.ColorRole.Base), 0.45)
        active = option.state & (QStyle.StateFlag.State_MouseOver | QStyle.StateFlag.State_Selected)
        top = area.center().y() - ICON // 2 + 1
        eye = QPoint(area.left() + GAP, top)
        if annotation.hidden:
            draw(painter, "eye-off", eye, ICON, text)
        else:
            draw(painter, "eye", eye, ICON, soft if active else faint)
        lock = QPoint(area.left() + GAP + ICON + 4, top)
        if annotation.locked:
            draw(painter, "lock", lock, ICON, text)
        elif active:
            draw(painter, "unlock", lock, ICON, faint)
        category = model.category(annotation)
        swatch = swatch_rect(area, lock.x() + ICON + GAP)
        color = category.color if category else UNKNOWN_COLOR
        (paint_ring if annotation.proposed else paint_swatch)(painter, swatch, color, palette)
        left = swatch.right() + 1 + GAP
        right = self._paint_facts(painter, option, annotation, left + area.width() // 4)
        font = QFont(option.font)
        font.setItalic(category is None)
        painter.setFont(font)
        room = QRect(left, area.top(), right - GAP - left, area.height())
        dimmed = annotation.hidden or category is None
        paint_name(painter, room, model.name(annotation), soft if dimmed else text)

    def _paint_facts(
        self, painter: QPainter, option: QStyleOptionViewItem, annotation: Annotation, least: int
    ) -> int:
        """Small facts from the right end inwards while there is room; returns where they begin."""
        painter.setFont(small(option.font))
        soft, metrics = soft_text(option.palette), painter.fontMetrics()
        area, right = option.rect, option.rect.right() - GAP
        icon = ORIGIN_ICONS[annotation.origin.source]
        side = 14
        draw(painter, icon, QPoint(right - side, area.center().y() - side // 2 + 1), side, soft)
        right -= side + GAP
        score = annotation.origin.score
        # A column of its own keeps the areas below each other.
        column = metrics.horizontalAdvance("00 %")
        unit = " px" if area.width() >= ROOMY else ""
        for text, least_width in (
            (percent(score) if score is not None else "", column),
            (compact(area_of(annotation.shape)) + unit, 0),
        ):
            width = max(metrics.horizontalAdvance(text), least_width)
            if right - width < least:
                return right
            fact = QRect(right - width + 1, area.top(), width, area.height())
            paint_soft(painter, fact, text, option.palette)
            right -= width + GAP
        mark = STATE_OF.get(annotation.status)
        if mark is not None:
            box = QRect(right - MARK, area.center().y() - MARK // 2 + 1, MARK, MARK)
            draw_state(painter, box.toRectF(), mark, state_color(mark, option.palette))
            right -= MARK + GAP
        if annotation.is_crowd:
            right = self._paint_badge(painter, option, "crowd", right, soft)
        if annotation.proposed and right - metrics.horizontalAdvance("proposed") - 8 > least:
            right = self._paint_badge(painter, option, "proposed", right, soft)
        return right

    @staticmethod
    def _paint_badge(
        painter: QPainter, option: QStyleOptionViewItem, text: str, right: int, color: QColor
    ) -> int:
        metrics = painter.fontMetrics()
        width, height = metrics.horizontalAdvance(text) + 8, metrics.height()
        place = QRect(right - width, option.rect.center().y() - height // 2 + 1, width, height)
        painter.setPen(color)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(place.toRectF().adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, text)
        return place.left() - GAP

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> NameEdit:
        """A field that completes the names of the classes."""
        from annotator.ui.name_edit import NameEdit

        model = index.model()
        editor = NameEdit(model.names if isinstance(model, AnnotationModel) else (), parent)
        editor.setAccessibleName("Class of this object")
        editor.setPlaceholderText("Class")
        editor.chosen.connect(lambda: self._finish(editor))
        return editor

    def _finish(self, editor: NameEdit) -> None:
        self.commitData.emit(editor)
        self.closeEditor.emit(editor, RowDelegate.EndEditHint.NoHint)

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Show the present name, selected."""
        if isinstance(editor, QLineEdit):
            editor.setText(str(index.data(_Role.EditRole) or ""))
            editor.selectAll()

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        """Hand over what was typed."""
        from annotator.ui.name_edit import NameEdit

        if isinstance(editor, NameEdit):
            model.setData(index, editor.name())

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        """From the swatch to the edge."""
        editor.setGeometry(option.rect.adjusted(GAP + 2 * ICON + 6, 0, -2, 0))
