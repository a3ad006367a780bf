"""What the rows of the name panel and of the object list are painted with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QSize,
    Qt,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QHelpEvent,
    QPainter,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from annotator.ui.theme import mixed, soft_text

if TYPE_CHECKING:
    from PySide6.QtGui import QTextLayout

Index = QModelIndex | QPersistentModelIndex
Row = TypeVar("Row")

GAP = 6
"""Space between the parts of a row, device-independent pixels."""

_MIDDLE = Qt.AlignmentFlag.AlignVCenter


def row_height(metrics: QFontMetrics) -> int:
    """Height of one row, device-independent pixels."""
    return metrics.height() + 10


def small(font: QFont) -> QFont:
    """The font of numbers and key caps."""
    result = QFont(font)
    result.setPointSizeF(max(font.pointSizeF() * 0.86, 6.0))
    return result


class RowDelegate(QStyledItemDelegate):
    """Rows of equal height with a calm background; sub-classes paint the content."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Every row has the same height, so that long lists need no measuring."""
        return QSize(80, row_height(option.fontMetrics))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Background, then the content."""
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(option.font)
        paint_background(painter, option)
        self.paint_content(painter, option, index)
        painter.restore()

    def paint_content(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one row inside `option.rect`."""
        raise NotImplementedError

    def helpEvent(
        self,
        event: QHelpEvent,
        view: QAbstractItemView,
        option: QStyleOptionViewItem,
        index: Index,
    ) -> bool:
        """Tool tips as plain text: a class may be called "<b>"."""
        if event.type() == QEvent.Type.ToolTip and index.isValid():
            from html import escape

            from PySide6.QtWidgets import QToolTip

            text = str(index.data(Qt.ItemDataRole.ToolTipRole) or "")
            QToolTip.showText(event.globalPos(), escape(text).replace("\n", "<br>"), view)
            return True
        return super().helpEvent(event, view, option, index)


def paint_background(painter: QPainter, option: QStyleOptionViewItem) -> None:
    """Tint selected and hovered rows; a bar at the edge says so without colour."""
    # `QStyle` makes a hundred enumerations when it is first imported, some 6 ms.
    from PySide6.QtWidgets import QStyle

    palette, state = option.palette, option.state
    accent, base = (palette.color(r) for r in (QPalette.ColorRole.Highlight, _base(option)))
    area = option.rect.adjusted(2, 1, -2, -1)
    if state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_HasFocus):
        # Tables have filled the cell with the accent already.
        painter.fillRect(option.rect, base)
        focused = bool(state & QStyle.StateFlag.State_HasFocus) or _view_focused(option)
        _fill(painter, area, mixed(accent, base, 0.34 if focused else 0.2))
        _fill(painter, QRect(area.left(), area.top(), 3, area.height()), accent)
    elif state & QStyle.StateFlag.State_MouseOver:
        _fill(painter, area, mixed(palette.color(QPalette.ColorRole.Text), base, 0.07))


def _base(option: QStyleOptionViewItem) -> QPalette.ColorRole:
    return option.widget.backgroundRole() if _bare(option) else QPalette.ColorRole.Base


def _bare(option: QStyleOptionViewItem) -> bool:
    return isinstance(option.widget, QAbstractItemView) and not option.widget.autoFillBackground()


def _view_focused(option: QStyleOptionViewItem) -> bool:
    return isinstance(option.widget, QWidget) and option.widget.hasFocus()


def _fill(painter: QPainter, area: QRect, color: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawRoundedRect(area, 3, 3)


def paint_swatch(painter: QPainter, area: QRect, color: str, palette: QPalette) -> None:
    """The colour of a class, with a rim that shows on every background."""
    text = palette.color(QPalette.ColorRole.Text)
    painter.setPen(QPen(mixed(text, QColor(color), 0.35), 1))
    painter.setBrush(QColor(color))
    painter.drawRoundedRect(area.toRectF().adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)


def paint_ring(painter: QPainter, area: QRect, color: str, palette: QPalette) -> None:
    """The dashed rim of a swatch: the class of something nobody has accepted."""
    # Dark classes on a dark list, and light ones on a light list, need some of the text's colour.
    ink = mixed(palette.color(QPalette.ColorRole.Text), QColor(color), 0.3)
    pen = QPen(ink, 1.8)
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    pen.setDashPattern([1.6, 1.2])
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(area.toRectF().adjusted(1, 1, -1, -1), 2, 2)


def swatch_rect(area: QRect, left: int) -> QRect:
    """A swatch at this x, in the middle of a row."""
    side = min(14, area.height() - 8)
    return QRect(left, area.center().y() - side // 2 + 1, side, side)


def paint_key(painter: QPainter, area: QRect, text: str, palette: QPalette) -> None:
    """A key cap."""
    ink, base = palette.color(QPalette.ColorRole.Text), palette.color(QPalette.ColorRole.Base)
    painter.setPen(QPen(mixed(ink, base, 0.28), 1))
    painter.setBrush(mixed(ink, base, 0.05))
    painter.drawRoundedRect(area.toRectF().adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
    painter.setPen(mixed(ink, base, 0.75))
    painter.drawText(area, Qt.AlignmentFlag.AlignCenter, text)


def paint_bar(painter: QPainter, area: QRect, score: float, palette: QPalette) -> None:
    """A score from 0 to 1; a sliver for none."""
    ink, base = palette.color(QPalette.ColorRole.Text), palette.color(QPalette.ColorRole.Base)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(mixed(ink, base, 0.13))
    painter.drawRoundedRect(area, 3, 3)
    filled = QRect(area)
    filled.setWidth(max(round(area.width() * min(max(score, 0.0), 1.0)), 3))
    painter.setBrush(palette.color(QPalette.ColorRole.Highlight))
    painter.drawRoundedRect(filled, 3, 3)


def key_rect(metrics: QFontMetrics, area: QRect, left: int, text: str) -> QRect:
    """Where a key cap with this text goes: at this x, in the middle of a row."""
    height = min(metrics.height() + 2, area.height() - 6)
    width = max(metrics.horizontalAdvance(text) + 8, height)
    return QRect(left, area.center().y() - height // 2 + 1, width, height)


def paint_soft(painter: QPainter, area: QRect, text: str, palette: QPalette) -> None:
    """Secondary text at the right end of an area."""
    painter.setPen(soft_text(palette))
    painter.drawText(area, Qt.AlignmentFlag.AlignRight | _MIDDLE, text)


def paint_name(
    painter: QPainter,
    area: QRect,
    text: str,
    color: QColor,
    spans: Sequence[tuple[int, int]] = (),
) -> int:
    """A name, elided where it does not fit, with some characters emphasised.

    Returns:
        The width used, pixels.
    """
    from PySide6.QtGui import QTextLayout, QTextOption

    metrics = painter.fontMetrics()
    # Emphasised letters are wider than the others.
    room = area.width() - (2 * len(spans))
    shown = _one_line(text)
    if metrics.horizontalAdvance(shown) > room:
        shown = metrics.elidedText(shown, Qt.TextElideMode.ElideRight, max(room, 0))
    layout = QTextLayout(shown, painter.font())
    option = QTextOption(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignAbsolute)
    option.setWrapMode(QTextOption.WrapMode.NoWrap)
    layout.setTextOption(option)
    layout.setFormats(_formats(shown, text, spans))
    layout.beginLayout()
    line = layout.createLine()
    layout.endLayout()
    if not line.isValid():
        return 0
    top = area.top() + (area.height() - line.height()) / 2
    painter.setPen(color)
    layout.draw(painter, QPointF(area.left(), top))
    return int(line.naturalTextWidth()) + 1


@lru_cache(maxsize=4096)
def _one_line(text: str) -> str:
    # A line break inside a name would make the layout two lines high.
    return " ".join(text.split()) if any(c.isspace() and c != " " for c in text) else text


def _formats(
    shown: str, text: str, spans: Sequence[tuple[int, int]]
) -> list[QTextLayout.FormatRange]:
    if not spans:
        return []
    from PySide6.QtGui import QTextCharFormat, QTextLayout

    emphasis = QTextCharFormat()
    emphasis.setFontWeight(QFont.Weight.Bold)
    emphasis.setFontUnderline(True)
    kept = len(shown) - 1 if shown != text else len(shown)
    formats = []
    for start, end in spans:
        if start < min(end, kept):
            piece = QTextLayout.FormatRange()
            piece.start = _utf16(shown[:start])
            piece.length = _utf16(shown[start : min(end, kept)])
            piece.format = emphasis
            formats.append(piece)
    return formats


def _utf16(text: str) -> int:
    """Qt counts UTF-16 units."""
    return len(text) + sum(ord(c) > 0xFFFF for c in text)


def replace_rows(
    model: QAbstractItemModel,
    old: Sequence[Row],
    new: Sequence[Row],
    key: Callable[[Row], object],
    assign: Callable[[Sequence[Row]], None],
    columns: int = 1,
) -> None:
    """Give a model other rows, announcing only what changes, so that place and focus stay.

    Args:
        model: must take `assign` as its new content at once.
        old: the rows it has; its view may have more below them.
        new: the rows it shall have.
        key: what makes two rows the same although their content differs.
        assign: sets the content.
        columns: number of columns.
    """
    shared = min(len(old), len(new))
    head = next((i for i in range(shared) if key(old[i]) != key(new[i])), shared)
    left = shared - head
    tail = next((i for i in range(left) if key(old[-1 - i]) != key(new[-1 - i])), left)
    top = QModelIndex()
    if head < len(old) - tail:
        model.beginRemoveRows(top, head, len(old) - tail - 1)
        assign([*old[:head], *old[len(old) - tail :]])
        model.endRemoveRows()
    if head < len(new) - tail:
        model.beginInsertRows(top, head, len(new) - tail - 1)
        assign(new)
        model.endInsertRows()
    assign(new)
    if model.rowCount():
        last = model.index(model.rowCount() - 1, columns - 1)
        model.dataChanged.emit(model.index(0, 0), last)


def heading(text: str) -> QLabel:
    """The title of a part of a panel."""
    label = QLabel(text)
    label.setFont(small(label.font()))
    label.setForegroundRole(QPalette.ColorRole.PlaceholderText)
    return label


def paint_placeholder(view: QAbstractItemView, text: str) -> None:
    """Say in an empty list what will be here. Call from its paint event."""
    painter = QPainter(view.viewport())
    painter.setPen(soft_text(view.palette()))
    area = view.viewport().rect().adjusted(12, 6, -12, -6)
    flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
    painter.drawText(area, int(flags), text)
    painter.end()
