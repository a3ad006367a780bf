"""How one image looks in the list: thumbnail, name, sub-folder, state, number of objects."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QIcon,
    QImage,
    QPainter,
    QPainterPath,
    QPalette,
    QPen,
    QPixmap,
)
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from annotator.core.annotation import ImageRecord, ImageState
from annotator.ui import icons
from annotator.ui.image_model import ImageModel
from annotator.ui.theme import is_dark, mixed, soft_text

PICTURE = QSize(64, 48)
_MARGIN = 6
_GAP = 10
MARK = 12

_COLORS = {
    # Okabe and Ito's amber, blue and green, darker on white and lighter on black.
    ImageState.PROPOSALS: ("#b87a00", "#f0b429"),
    ImageState.ANNOTATED: ("#0072b2", "#56b4e9"),
    ImageState.REVIEWED: ("#00805d", "#2fc79a"),
    ImageState.LOOK: ("#c4461f", "#ff8f66"),
}

STATE_NAMES = {
    ImageState.UNTOUCHED: "untouched",
    ImageState.PROPOSALS: "with proposals",
    ImageState.ANNOTATED: "annotated",
    ImageState.REVIEWED: "reviewed",
    ImageState.LOOK: "that need another look",
    ImageState.REJECTED: "rejected",
}


def state_color(state: ImageState, palette: QPalette) -> QColor:
    """The colour of a state's mark on this palette's base."""
    if state not in _COLORS:
        base = palette.color(QPalette.ColorRole.Base)
        return mixed(soft_text(palette), base, 0.75)
    return QColor(_COLORS[state][is_dark(palette)])


def draw_state(painter: QPainter, box: QRectF, state: ImageState, color: QColor) -> None:
    """Ring, diamond, disc, disc with a tick, ring with a dot, cross: not by colour alone."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    middle, radius = box.center(), min(box.width(), box.height()) / 2
    if state is ImageState.UNTOUCHED:
        painter.setPen(QPen(color, 1.4))
        painter.drawEllipse(middle, radius - 2.2, radius - 2.2)
    elif state is ImageState.PROPOSALS:
        painter.setPen(QPen(color, 1.8, j=Qt.PenJoinStyle.MiterJoin))
        reach = radius - 1.4
        offsets = ((0, -reach), (reach, 0), (0, reach), (-reach, 0))
        painter.drawPolygon([middle + QPointF(dx, dy) for dx, dy in offsets])
    elif state is ImageState.ANNOTATED:
        painter.setBrush(color)
        painter.drawEllipse(middle, radius - 2, radius - 2)
    elif state is ImageState.LOOK:
        painter.setBrush(color)
        painter.drawEllipse(middle, 2, 2)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color, 1.8))
        painter.drawEllipse(middle, radius - 1.2, radius - 1.2)
    elif state is ImageState.REJECTED:
        painter.setPen(QPen(color, 1.8, c=Qt.PenCapStyle.RoundCap))
        reach = radius - 2.6
        for slope in (1, -1):
            corner = QPointF(reach, slope * reach)
            painter.drawLine(middle - corner, middle + corner)
    else:
        _draw_ticked_disc(painter, middle, radius, color)
    painter.restore()


def _draw_ticked_disc(painter: QPainter, middle: QPointF, radius: float, color: QColor) -> None:
    disc = QPainterPath()
    disc.addEllipse(middle, radius, radius)
    painter.fillPath(disc, color)
    tick = QPainterPath(middle + QPointF(-0.48, 0.02) * radius)
    tick.lineTo(middle + QPointF(-0.12, 0.38) * radius)
    tick.lineTo(middle + QPointF(0.5, -0.34) * radius)
    paper = QColor("#ffffff") if color.lightnessF() < 0.42 else QColor("#10241d")
    pen = QPen(paper, radius * 0.3, c=Qt.PenCapStyle.RoundCap, j=Qt.PenJoinStyle.RoundJoin)
    painter.strokePath(tick, pen)


def state_icon(state: ImageState, palette: QPalette, ratio: float) -> QIcon:
    """The mark of a state for a button."""
    side = round(MARK * ratio)
    pixmap = QPixmap(side, side)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    draw_state(painter, QRectF(0, 0, MARK, MARK), state, state_color(state, palette))
    painter.end()
    return QIcon(pixmap)


def row_height(font: QFont) -> int:
    """Two lines of text or the thumbnail, and some air."""
    return max(PICTURE.height(), 2 * QFontMetrics(font).height()) + 2 * _MARGIN


class ImageRow(QStyledItemDelegate):
    """Paints rows straight from the document's record; nothing is kept per row.

    The filled row is the image on the canvas; the tinted rows are chosen for work on many images;
    the ring is where the keyboard is in the list.

    Args:
        model: the rows.
        thumbnail: gives the picture of a key: None while it is being made, null if it cannot be.
        parent: Qt parent.
    """

    def __init__(
        self,
        model: ImageModel,
        thumbnail: Callable[[str], QImage | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._model = model
        self._thumbnail = thumbnail

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """The same for every row."""
        return QSize(160, row_height(option.font))

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Paint one row."""
        record = self._model.record(index.row())
        palette, chosen = option.palette, self._model.is_current(index.row())
        painter.save()
        self._paint_ground(painter, option, chosen)
        row = option.rect.adjusted(_MARGIN, _MARGIN, -_MARGIN - 2, -_MARGIN)
        picture = QRect(row.left(), row.center().y() - PICTURE.height() // 2 + 1, 0, 0)
        picture.setSize(PICTURE)
        self._paint_picture(painter, picture, record.key, palette)
        ink = QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text
        text = palette.color(ink)
        dim = mixed(text, palette.color(QPalette.ColorRole.Highlight), 0.78)
        dim = dim if chosen else soft_text(palette)
        mark = QRect(row.right() - MARK + 1, 0, MARK, MARK)
        mark.moveCenter(QRect(mark.left(), row.top(), MARK, row.height()).center())
        color = text if chosen else state_color(record.state, palette)
        draw_state(painter, QRectF(mark), record.state, color)
        right = self._paint_count(painter, option.font, mark.left() - 5, row, record, dim)
        words = QRect(picture.right() + _GAP, row.top(), 0, row.height())
        words.setRight(right - 6)
        _paint_name(painter, option.font, words, record.key, text, dim)
        painter.restore()

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem, chosen: bool) -> None:
        palette = option.palette
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        focused = bool(option.state & QStyle.StateFlag.State_HasFocus)
        ground = QRectF(option.rect).adjusted(2, 1, -2, -1)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        accent = palette.color(QPalette.ColorRole.Highlight)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected:
            # The table has painted its own selection beneath.
            painter.fillRect(option.rect, palette.color(QPalette.ColorRole.Base))
        if chosen:
            painter.setBrush(accent)
            painter.drawRoundedRect(ground, 5, 5)
        elif selected:
            painter.setBrush(mixed(accent, palette.color(QPalette.ColorRole.Base), 0.28))
            painter.drawRoundedRect(ground, 5, 5)
        elif hovered:
            base = palette.color(QPalette.ColorRole.Base)
            painter.setBrush(mixed(palette.color(QPalette.ColorRole.Text), base, 0.06))
            painter.drawRoundedRect(ground, 5, 5)
        if focused:
            ring = palette.color(QPalette.ColorRole.HighlightedText) if chosen else accent
            ring.setAlphaF(0.7)
            painter.setPen(QPen(ring, 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(ground.adjusted(1, 1, -1, -1), 4, 4)

    def _paint_picture(self, painter: QPainter, box: QRect, key: str, palette: QPalette) -> None:
        image = self._thumbnail(key)
        painter.setPen(Qt.PenStyle.NoPen)
        base, text = palette.color(QPalette.ColorRole.Base), palette.color(QPalette.ColorRole.Text)
        if image is None or image.isNull():
            painter.setBrush(mixed(text, base, 0.09))
            painter.drawRoundedRect(box, 4, 4)
            if image is not None:
                corner = box.center() - QRect(0, 0, 18, 18).center()
                icons.draw(painter, "warning", corner, 18, soft_text(palette))
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = image.size().scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(box.topLeft(), size.expandedTo(QSize(4, 4)))
        place.moveCenter(box.center())
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(place), 4, 4)
        painter.setClipPath(outline, Qt.ClipOperation.IntersectClip)
        painter.drawImage(place, image)
        painter.setClipping(False)

    def _paint_count(
        self, painter: QPainter, font: QFont, right: int, row: QRect, record: ImageRecord,
        color: QColor,
    ) -> int:  # fmt: skip
        """Draw "12 +3": objects and proposals, right-aligned; the new right edge for the name."""
        parts = [f"{record.count:,}"] if record.count else []
        parts += [f"+{record.proposals:,}"] if record.proposals else []
        if not parts:
            return right
        text = " ".join(parts)
        width = QFontMetrics(font).horizontalAdvance(text)
        painter.setFont(font)
        painter.setPen(color)
        box = QRect(right - width, row.top(), width, row.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, text)
        return right - width


def _paint_name(
    painter: QPainter, font: QFont, box: QRect, key: str, text: QColor, dim: QColor
) -> None:
    folder, _, name = key.rpartition("/")
    metrics = QFontMetrics(font)
    height = metrics.height()
    top = box.top() + (box.height() - height * (2 if folder else 1)) // 2
    painter.setFont(font)
    painter.setPen(text)
    # Files of one folder mostly differ at the end of their names.
    shown = metrics.elidedText(name, Qt.TextElideMode.ElideLeft, box.width())
    line = QRect(box.left(), top, box.width(), height)
    painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, shown)
    if folder:
        painter.setPen(dim)
        shown = metrics.elidedText(folder, Qt.TextElideMode.ElideLeft, box.width())
        painter.drawText(line.translated(0, height), Qt.AlignmentFlag.AlignVCenter, shown)
