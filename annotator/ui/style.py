"""Fusion, with check boxes, radio buttons and text fields one can see on a dark window.

Fusion draws their frames in a shade of the window colour, which disappears in the dark, and edges
tool bars with white. Everything else is Fusion's own drawing.
"""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QProxyStyle, QStyle, QStyleOption, QWidget

from annotator.ui.theme import mixed

_Primitive = QStyle.PrimitiveElement
_BOXES = frozenset({_Primitive.PE_IndicatorCheckBox, _Primitive.PE_IndicatorItemViewItemCheck})


class AppStyle(QProxyStyle):
    """The style of the application."""

    def __init__(self) -> None:
        super().__init__("Fusion")
        self.setObjectName("fusion")

    def drawPrimitive(
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        """Draw the indicators and frames here, all else as Fusion does."""
        if element in _BOXES or element == _Primitive.PE_IndicatorRadioButton:
            _draw_indicator(option, painter, round_one=element not in _BOXES)
            return
        if element == _Primitive.PE_IndicatorToolBarSeparator:
            _draw_separator(option, painter)
            return
        super().drawPrimitive(element, option, painter, widget)
        if element == _Primitive.PE_FrameLineEdit:
            _draw_field_frame(option, painter)

    def drawControl(
        self,
        element: QStyle.ControlElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        """Flat tool bars; Fusion edges them with white, which glares in the dark."""
        if element != QStyle.ControlElement.CE_ToolBar:
            super().drawControl(element, option, painter, widget)
            return
        painter.fillRect(option.rect, option.palette.color(QPalette.ColorRole.Window))
        line = mixed(
            option.palette.color(QPalette.ColorRole.Mid),
            option.palette.color(QPalette.ColorRole.Window),
            0.7,
        )
        painter.fillRect(option.rect.adjusted(0, option.rect.height() - 1, 0, 0), line)


def _draw_indicator(option: QStyleOption, painter: QPainter, *, round_one: bool) -> None:
    state, palette = option.state, option.palette
    flag, role = QStyle.StateFlag, QPalette.ColorRole
    marked = bool(state & (flag.State_On | flag.State_NoChange))
    enabled = bool(state & flag.State_Enabled)
    accent, base = palette.color(role.Highlight), palette.color(role.Base)
    frame = mixed(palette.color(role.WindowText), palette.color(role.Window), 0.65)
    if enabled and state & (flag.State_MouseOver | flag.State_HasFocus):
        frame = palette.color(role.Link)
    fill = accent if marked else base
    if state & flag.State_Sunken:
        fill = mixed(fill, palette.color(role.WindowText), 0.85)
    side = min(option.rect.width(), option.rect.height()) - 1.0
    box = QRectF(0, 0, side, side)
    box.moveCenter(QRectF(option.rect).center())
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(accent if marked else frame, 1.0))
    painter.setBrush(fill)
    radius = side / 2 if round_one else side * 0.22
    painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), radius, radius)
    if marked:
        ink = palette.color(role.HighlightedText)
        _draw_mark(painter, box, ink, round_one, bool(state & flag.State_NoChange))
    painter.restore()


def _draw_separator(option: QStyleOption, painter: QPainter) -> None:
    area, line = option.rect, option.palette.color(QPalette.ColorRole.Mid)
    if option.state & QStyle.StateFlag.State_Horizontal:
        painter.fillRect(area.center().x(), area.top() + 5, 1, area.height() - 10, line)
    else:
        painter.fillRect(area.left() + 5, area.center().y(), area.width() - 10, 1, line)


def _draw_field_frame(option: QStyleOption, painter: QPainter) -> None:
    role = QPalette.ColorRole
    if option.state & QStyle.StateFlag.State_HasFocus:
        return
    ink = mixed(option.palette.color(role.WindowText), option.palette.color(role.Window), 0.3)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(ink, 1.0))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(QRectF(option.rect).adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)
    painter.restore()


def _draw_mark(painter: QPainter, box: QRectF, ink: QColor, round_one: bool, partial: bool) -> None:
    side = box.width()
    if round_one:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        painter.drawEllipse(box.center(), side * 0.2, side * 0.2)
        return
    pen = QPen(ink, max(1.4, side * 0.13))
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    shape = ((0.28, 0.5), (0.72, 0.5)) if partial else ((0.26, 0.53), (0.43, 0.70), (0.75, 0.32))
    points = [QPointF(box.left() + x * side, box.top() + y * side) for x, y in shape]
    painter.drawPolyline(QPolygonF(points))
