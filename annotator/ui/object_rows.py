"""A list of objects of any images: crop, names, a bar; for similar objects and doubtful names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPalette,
)
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QStyleOptionViewItem, QWidget

from annotator.ui.icons import draw
from annotator.ui.rows import (
    GAP,
    Index,
    RowDelegate,
    paint_bar,
    paint_name,
    paint_placeholder,
    paint_ring,
    paint_soft,
    paint_swatch,
    replace_rows,
    small,
    swatch_rect,
)
from annotator.ui.theme import mixed, soft_text

PICTURE = 44
"""Side of the crop, device-independent pixels."""
MARGIN = 5
MARK = 12
REST_MS = 250
"""How long the keyboard has to rest on a row before its object is shown on the canvas."""

_Role = Qt.ItemDataRole
_Key = Qt.Key


@dataclass(frozen=True, slots=True)
class Name:
    """A class in a row: text, "#rrggbb", and whether it is only proposed."""

    text: str
    color: str
    proposed: bool = False


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object.

    Attributes:
        key: of its image.
        id: the annotation.
        names: the one it has, then the one it may get.
        value: length of the bar, 0 to 1.
        number: what the bar means, for people.
        detail: second line.
        marked: a person has said yes to it.
        tip: all of it in words.
        cut: where the second line is cut short.
    """

    key: str
    id: int
    names: tuple[Name, ...]
    value: float
    number: str
    detail: str
    marked: bool = False
    tip: str = ""
    cut: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle


class ObjectRowModel(QAbstractListModel):
    """Rows as they are given."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: Sequence[ObjectRow] = ()

    def show(self, rows: Sequence[ObjectRow]) -> None:
        """Other rows; only what differs is announced."""
        replace_rows(self, self.rows, rows, lambda row: row.id, self._assign)

    def _assign(self, rows: Sequence[ObjectRow]) -> None:
        self.rows = rows

    def rowCount(self, parent: Index | None = None) -> int:
        """Number of objects."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        """Texts for people."""
        row = self.rows[index.row()]
        if role == _Role.DisplayRole:
            return " → ".join(name.text for name in row.names)
        if role in (_Role.ToolTipRole, _Role.AccessibleTextRole):
            return row.tip
        return None


class _Delegate(RowDelegate):
    """Crop on the left; names above, bar, number and detail below."""

    def __init__(
        self, picture: Callable[[ObjectRow], QImage | None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._picture = picture

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """The same for every row."""
        height = max(PICTURE, 2 * option.fontMetrics.height() + 4) + 2 * MARGIN
        return QSize(140, height)

    def paint_content(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one object."""
        model = index.model()
        assert isinstance(model, ObjectRowModel)
        row, palette = model.rows[index.row()], option.palette
        area = option.rect.adjusted(GAP + 2, MARGIN, -GAP - 2, -MARGIN)
        box = QRect(area.left(), area.center().y() - PICTURE // 2 + 1, PICTURE, PICTURE)
        self._paint_picture(painter, box, row, palette)
        left = box.right() + 1 + GAP + 2
        half = area.height() // 2
        top = QRect(left, area.top(), area.right() - left + 1, half)
        if row.marked:
            mark = QRect(top.right() - MARK, top.center().y() - MARK // 2, MARK, MARK)
            draw(painter, "accept", mark.topLeft(), MARK, soft_text(palette))
            top.setRight(mark.left() - GAP)
        painter.setFont(option.font)
        _paint_names(painter, top, row, palette)
        painter.setFont(small(option.font))
        _paint_measure(painter, QRect(left, area.top() + half, area.right() - left + 1, half),
                       row, palette)  # fmt: skip

    def _paint_picture(
        self, painter: QPainter, box: QRect, row: ObjectRow, palette: QPalette
    ) -> None:
        image = self._picture(row)
        ink, base = palette.color(QPalette.ColorRole.Text), palette.color(QPalette.ColorRole.Base)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mixed(ink, base, 0.09))
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(box), 4, 4)
        painter.drawPath(outline)
        if image is None:
            return
        if image.isNull():
            corner = box.center() - QRect(0, 0, 18, 18).center()
            draw(painter, "warning", corner, 18, soft_text(palette))
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setClipPath(outline, Qt.ClipOperation.IntersectClip)
        size = image.size().scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(box.topLeft(), size)
        place.moveCenter(box.center())
        painter.drawImage(place, image)
        painter.restore()


def _paint_names(painter: QPainter, area: QRect, row: ObjectRow, palette: QPalette) -> None:
    ink = palette.color(QPalette.ColorRole.Text)
    left = area.left()
    shares = len(row.names)
    for number, name in enumerate(row.names):
        if number:
            arrow = painter.fontMetrics().horizontalAdvance("→") + 1
            painter.setPen(soft_text(palette))
            place = QRect(left, area.top(), arrow, area.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, "→")
            left = place.right() + 1 + GAP
        swatch = swatch_rect(area, left)
        (paint_ring if name.proposed else paint_swatch)(painter, swatch, name.color, palette)
        left = swatch.right() + 1 + GAP
        # The first of two names leaves room for the second.
        right = area.right() if number == shares - 1 else left + (area.right() - left) // 2 - 12
        room = QRect(left, area.top(), max(right - left, 0), area.height())
        left += min(paint_name(painter, room, name.text, ink), room.width()) + GAP


def _paint_measure(painter: QPainter, area: QRect, row: ObjectRow, palette: QPalette) -> None:
    length = min(max(area.width() // 4, 28), 64)
    bar = QRect(area.left(), area.center().y() - 2, length, 6)
    paint_bar(painter, bar, row.value, palette)
    metrics = painter.fontMetrics()
    number = QRect(bar.right() + 1 + GAP, area.top(), metrics.horizontalAdvance("100 %"),
                   area.height())  # fmt: skip
    paint_soft(painter, number, row.number, palette)
    left = number.right() + 1 + 2 * GAP
    room = QRect(left, area.top(), max(area.right() - left, 0), area.height())
    shown = metrics.elidedText(row.detail, row.cut, room.width())
    paint_soft(painter, room, shown, palette)


class ObjectRows(QListView):
    """The list. What the user does is told; nothing is done here.

    Args:
        name: for screen readers.
        picture: the crop of an object: None while it is made, null if it cannot be.
        many: whether several rows can be selected.
        parent: Qt parent.
    """

    shown = Signal(object)
    """The user moved to this `ObjectRow`, by a click or by resting on it with the keyboard."""
    accepted = Signal()
    """Enter, or a double click."""
    confirmed = Signal()
    """Space."""
    picked = Signal()
    """Other rows are selected."""
    left = Signal()
    """Esc: back to the canvas."""

    def __init__(
        self,
        name: str,
        picture: Callable[[ObjectRow], QImage | None],
        *,
        many: bool,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.model_ = ObjectRowModel(self)
        self.placeholder = ""
        mode = QAbstractItemView.SelectionMode
        self.setModel(self.model_)
        self.setItemDelegate(_Delegate(picture, self))
        self.setAccessibleName(name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setSelectionMode(mode.ExtendedSelection if many else mode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._tell_shown)
        self.selectionModel().selectionChanged.connect(lambda *_: self.picked.emit())
        self.doubleClicked.connect(lambda _: self.accepted.emit())

    def show_rows(self, rows: Sequence[ObjectRow], placeholder: str) -> None:
        """Other rows; selection, current row and focus stay where their objects are."""
        current = self.row(self.currentIndex())
        selected = {row.id for row in self.chosen()}
        if tuple(rows) != tuple(self.model_.rows):
            self.model_.show(tuple(rows))
            self._restore(current, selected)
        if placeholder != self.placeholder:
            self.placeholder = placeholder
            self.viewport().update()
        self.picked.emit()

    def _restore(self, current: ObjectRow | None, selected: Iterable[int]) -> None:
        places = {row.id: place for place, row in enumerate(self.model_.rows)}
        flag, selection = QItemSelectionModel.SelectionFlag, self.selectionModel()
        wanted = {places[number] for number in selected if number in places}
        if wanted and wanted != {index.row() for index in self.selectedIndexes()}:
            self.clearSelection()
            for place in wanted:
                selection.select(self.model_.index(place), flag.Select)
        if current is not None and current.id in places:
            index = self.model_.index(places[current.id])
            if index != self.currentIndex():
                selection.setCurrentIndex(index, flag.NoUpdate)

    def row(self, index: QModelIndex) -> ObjectRow | None:
        """The object of a row."""
        return self.model_.rows[index.row()] if index.isValid() else None

    def chosen(self) -> list[ObjectRow]:
        """The selected objects, in the order of the list."""
        places = sorted(index.row() for index in self.selectedIndexes())
        return [self.model_.rows[place] for place in places]

    def rest(self) -> None:
        """The user stays on the current row: it is shown in a moment."""
        self._rest.start()

    def _tell_shown(self) -> None:
        row = self.row(self.currentIndex())
        if row is not None and self.hasFocus():
            self.shown.emit(row)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A plain click shows the object; with Ctrl and Shift it only selects."""
        super().mouseReleaseEvent(event)
        row = self.row(self.indexAt(event.position().toPoint()))
        plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        if row is not None and plain and event.button() == Qt.MouseButton.LeftButton:
            self._rest.stop()
            self.shown.emit(row)

    def event(self, event: QEvent) -> bool:
        """Keep the keys of this list from the window's commands."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            everything = event.key() == _Key.Key_A and event.modifiers() == _CONTROL
            if everything or (event.key() in _OWN and not event.modifiers() & ~_KEYPAD):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter, Space and Esc; the other keys move through the list."""
        if event.modifiers() & ~_KEYPAD or event.key() not in _OWN:
            before = self.currentIndex().row()
            super().keyPressEvent(event)
            if self.currentIndex().row() != before and not event.modifiers() & ~_KEYPAD:
                self._rest.start()
        elif event.key() == _Key.Key_Space:
            self.confirmed.emit()
        elif event.key() == _Key.Key_Escape:
            self.left.emit()
        else:
            self.accepted.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows, or why there are none."""
        super().paintEvent(event)
        if not self.model_.rows:
            paint_placeholder(self, self.placeholder)

    def minimumSizeHint(self) -> QSize:
        """Two rows."""
        return QSize(140, 2 * (PICTURE + 2 * MARGIN))


_OWN = frozenset({_Key.Key_Return, _Key.Key_Enter, _Key.Key_Space, _Key.Key_Escape})
_CONTROL = Qt.KeyboardModifier.ControlModifier
_KEYPAD = Qt.KeyboardModifier.KeypadModifier
