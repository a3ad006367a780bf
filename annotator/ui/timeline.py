"""`TimelineView`: rows are tracks, columns the images of a sequence; paints only what is seen."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from annotator.core.tracks import Mark, Row, TrackId
from annotator.ui.rows import row_height, small
from annotator.ui.theme import mixed, soft_text

if TYPE_CHECKING:
    from annotator.core.annotation import Category
    from annotator.services.timeline import Timeline
    from annotator.services.workspace import Workspace

ZOOMS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Widths of an image, device-independent pixels."""
_GAP = 6
_SAYS = {
    Mark.NOTHING: "not marked",
    Mark.PROPOSED: "proposed",
    Mark.ACCEPTED: "accepted",
    Mark.EDITED: "marked or corrected by a person",
}


class TimelineView(QAbstractScrollArea):
    """The tracks of the open sequence.

    Args:
        workspace: shows images.
        timeline: what there is, and which track is chosen.
        parent: Qt parent.
    """

    left = Signal()
    """The user pressed Esc: back to the canvas."""
    menu_wanted = Signal(QPoint)
    """Commands for the chosen track shall be offered, at this place of the screen."""

    def __init__(
        self, workspace: Workspace, timeline: Timeline, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._timeline = timeline
        self._cell = 8
        self._classes: dict[int | None, Category] = {}
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Tracks")
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.viewport().setMouseTracking(False)
        timeline.changed.connect(self._refresh)
        timeline.chosen_changed.connect(self._reveal_row)
        workspace.image_shown.connect(lambda _: self._reveal_image())

    def sizeHint(self) -> QSize:
        """A handful of rows."""
        height = row_height(self.fontMetrics())
        return QSize(60 * self.fontMetrics().height(), 6 * height)

    def minimumSizeHint(self) -> QSize:
        """Two rows and the ruler."""
        height = row_height(self.fontMetrics())
        return QSize(20 * self.fontMetrics().height(), 3 * height)

    # --- Places ---

    @property
    def _row_height(self) -> int:
        return row_height(self.fontMetrics())

    @property
    def header(self) -> int:
        """Width of the names, device-independent pixels."""
        return min(12 * self.fontMetrics().height(), self.viewport().width() // 3)

    def cell_rect(self, row: int, place: int) -> QRect:
        """Where a track has an image, in the viewport."""
        x = self.header + place * self._cell - self.horizontalScrollBar().value()
        y = (row + 1) * self._row_height - self.verticalScrollBar().value()
        return QRect(x, y, self._cell, self._row_height)

    def _at(self, position: QPoint) -> tuple[int | None, int | None]:
        """Number of the row and place of the image at a point; None beside them."""
        row = place = None
        if position.y() >= self._row_height:
            number = (position.y() + self.verticalScrollBar().value()) // self._row_height - 1
            row = number if 0 <= number < len(self._timeline.rows()) else None
        if position.x() >= self.header:
            number = (position.x() - self.header + self.horizontalScrollBar().value()) // self._cell
            place = number if 0 <= number < len(self._timeline.keys) else None
        return row, place

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Scroll bars follow."""
        super().resizeEvent(event)
        self._set_ranges()

    def _set_ranges(self) -> None:
        area = self.viewport().size()
        wide = len(self._timeline.keys) * self._cell - (area.width() - self.header)
        high = (len(self._timeline.rows()) + 1) * self._row_height - area.height()
        for bar, most, page, step in (
            (self.horizontalScrollBar(), wide, area.width() - self.header, 4 * self._cell),
            (self.verticalScrollBar(), high, area.height(), self._row_height),
        ):
            bar.setRange(0, max(most, 0))
            bar.setPageStep(max(page, 1))
            bar.setSingleStep(step)

    def _refresh(self) -> None:
        document = self._workspace.document
        self._classes = {c.id: c for c in document.categories()} if document is not None else {}
        self._set_ranges()
        self.viewport().update()

    def _reveal_row(self) -> None:
        rows = self._timeline.rows()
        number = next((i for i, r in enumerate(rows) if r.track == self._timeline.chosen), None)
        if number is not None:
            bar, height = self.verticalScrollBar(), self._row_height
            shown = self.viewport().height() - 2 * height
            bar.setValue(min(max(bar.value(), number * height - shown), number * height))
        self.viewport().update()

    def _reveal_image(self) -> None:
        place = self._timeline.place(self._workspace.key)
        if place is not None:
            bar, room = self.horizontalScrollBar(), self.viewport().width() - self.header
            x, margin = place * self._cell, min(room // 4, 20 * self._cell)
            if not bar.value() + margin <= x < bar.value() + room - margin:
                bar.setValue(x - room // 2)
        self.viewport().update()

    # --- Painting ---

    def paintEvent(self, event: QPaintEvent) -> None:
        """Visible rows, of these only visible images, in stretches of what is alike."""
        painter = QPainter(self.viewport())
        palette = self.palette()
        painter.fillRect(event.rect(), palette.color(QPalette.ColorRole.Base))
        rows, keys = self._timeline.rows(), self._timeline.keys
        if not rows:
            self._paint_nothing(painter)
            return
        height, scrolled = self._row_height, self.horizontalScrollBar().value()
        room = self.viewport().width() - self.header
        begin = scrolled // self._cell
        end = min((scrolled + room) // self._cell + 1, len(keys))
        top = self.verticalScrollBar().value() // height
        bottom = min(top + self.viewport().height() // height + 1, len(rows))
        for number in range(top, bottom):
            self._paint_row(painter, number, rows[number], begin, end)
        self._paint_ruler(painter, begin, end)
        self._paint_current(painter)

    def _paint_nothing(self, painter: QPainter) -> None:
        reading = self._timeline.reading
        text = (
            "Reading the tracks…"
            if reading
            else "No tracks yet. Mark an object and choose Tracks, Track Through… "
            "(or press W to follow it into the next image)."
        )
        painter.setPen(soft_text(self.palette()))
        area = self.viewport().rect().adjusted(12, 0, -12, 0)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(area, int(flags), text)

    def _paint_row(self, painter: QPainter, number: int, row: Row, begin: int, end: int) -> None:
        palette, role = self.palette(), QPalette.ColorRole
        line = QRect(0, self.cell_rect(number, 0).y(), self.viewport().width(), self._row_height)
        chosen = row.track == self._timeline.chosen
        if chosen:
            share = 0.3 if self.hasFocus() else 0.18
            tint = mixed(palette.color(role.Highlight), palette.color(role.Base), share)
            painter.fillRect(line, tint)
        painter.setClipRect(line.adjusted(self.header, 0, 0, 0))
        color, first_last = QColor(self._color_of(row)), row.span
        place = begin
        for mark, alike in groupby(row.marks[begin:end]):
            count = sum(1 for _ in alike)
            area = QRectF(self.cell_rect(number, place))
            area.setWidth(count * self._cell)
            if mark or first_last[0] < place <= first_last[1]:
                self._paint_stretch(painter, area, Mark(mark), count, color)
            place += count
        painter.setClipping(False)
        self._paint_header(painter, line, row, chosen=chosen)

    def _paint_stretch(
        self, painter: QPainter, area: QRectF, mark: Mark, count: int, color: QColor
    ) -> None:
        palette = self.palette()
        base, text = (palette.color(r) for r in (QPalette.ColorRole.Base, QPalette.ColorRole.Text))
        inner = area.adjusted(0, 5, 0, -5)
        if mark == Mark.NOTHING:
            painter.setPen(QPen(mixed(text, base, 0.45), 1, Qt.PenStyle.DotLine))
            middle = area.center().y()
            painter.drawLine(QPointF(area.left(), middle), QPointF(area.right(), middle))
            return
        solid = mixed(color, base, 0.85)
        if mark == Mark.PROPOSED:
            painter.fillRect(inner, mixed(color, base, 0.28))
            painter.setPen(QPen(solid, 1, Qt.PenStyle.DashLine))
            for y in (inner.top(), inner.bottom() - 1):
                painter.drawLine(QPointF(inner.left(), y), QPointF(inner.right(), y))
            return
        painter.fillRect(inner, solid)
        if mark == Mark.EDITED:
            self._paint_diamonds(painter, inner, count, solid)

    def _paint_diamonds(self, painter: QPainter, area: QRectF, count: int, around: QColor) -> None:
        """A mark in each image that a person has drawn or corrected."""
        ink = QColor("white") if around.lightness() < 140 else QColor("black")
        if self._cell < 6:
            painter.fillRect(QRectF(area.left(), area.center().y() - 1, area.width(), 2), ink)
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        reach = min(self._cell / 2 - 1, 3.5)
        for number in range(count):
            middle = QPointF(area.left() + (number + 0.5) * self._cell, area.center().y())
            painter.drawPolygon(
                QPolygonF([
                    middle + QPointF(0, -reach), middle + QPointF(reach, 0),
                    middle + QPointF(0, reach), middle + QPointF(-reach, 0),
                ])
            )  # fmt: skip
        painter.restore()

    def _paint_header(self, painter: QPainter, line: QRect, row: Row, *, chosen: bool) -> None:
        palette, role = self.palette(), QPalette.ColorRole
        area = QRect(line.left(), line.top(), self.header, line.height())
        if not chosen:
            painter.fillRect(area, palette.color(role.Base))
        side = self.fontMetrics().height() * 2 // 3
        box = QRect(_GAP, area.center().y() - side // 2, side, side)
        painter.fillRect(box, QColor(self._color_of(row)))
        text = QRect(area.adjusted(2 * _GAP + side, 0, -_GAP, 0))
        tail = f" {row.track}" if isinstance(row.track, int) else f" ({row.track})"
        metrics = self.fontMetrics()
        number = metrics.horizontalAdvance(tail)
        name = metrics.elidedText(
            self.name_of(row), Qt.TextElideMode.ElideRight, max(text.width() - number, 0)
        )
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(palette.color(role.Text))
        painter.drawText(text, int(middle), name)
        painter.setPen(soft_text(palette))
        rest = text.adjusted(metrics.horizontalAdvance(name), 0, 0, 0)
        painter.drawText(rest, int(middle), tail)

    def _paint_ruler(self, painter: QPainter, begin: int, end: int) -> None:
        palette, role = self.palette(), QPalette.ColorRole
        ruler = QRect(0, 0, self.viewport().width(), self._row_height)
        painter.fillRect(ruler, palette.color(role.AlternateBase))
        painter.setFont(small(self.font()))
        painter.setPen(soft_text(palette))
        widest = painter.fontMetrics().horizontalAdvance(f"{len(self._timeline.keys):,}") + 12
        steps = (s * 10**power for power in range(7) for s in (1, 2, 5))
        step = next(s for s in steps if s * self._cell >= widest)
        for place in range(begin - begin % step, end, step):
            x = self.cell_rect(0, place).x()
            if x >= self.header:
                painter.drawLine(x, self._row_height - 4, x, self._row_height - 1)
                painter.drawText(x + 2, self._row_height - 6, f"{place:,}")
        text = f"{len(self._timeline.rows()):,} tracks · {len(self._timeline.keys):,} images"
        area = QRect(_GAP, 0, self.header - _GAP, self._row_height)
        painter.fillRect(QRect(0, 0, self.header, self._row_height),
                         palette.color(role.AlternateBase))  # fmt: skip
        painter.drawText(area, int(Qt.AlignmentFlag.AlignVCenter), text)
        painter.setFont(self.font())

    def _paint_current(self, painter: QPainter) -> None:
        place = self._timeline.place(self._workspace.key)
        if place is None:
            return
        area = self.cell_rect(0, place)
        if area.right() < self.header:
            return
        accent = self.palette().color(QPalette.ColorRole.Highlight)
        faint = QColor(accent)
        faint.setAlphaF(0.22)
        column = QRect(area.x(), 0, max(self._cell, 2), self.viewport().height())
        painter.setClipRect(self.viewport().rect().adjusted(self.header, 0, 0, 0))
        painter.fillRect(column, faint)
        painter.fillRect(QRect(column.x(), 0, 2, column.height()), accent)
        painter.setClipping(False)

    def _color_of(self, row: Row) -> str:
        category = self._classes.get(row.category_id)
        return "#808080" if category is None else category.color

    def name_of(self, row: Row) -> str:
        """The class of a track, for people."""
        category = self._classes.get(row.category_id)
        return "unnamed" if category is None else category.name

    # --- Mouse and keys ---

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the image, with the object of the track selected."""
        row, place = self._at(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton:
            self._go(row, place)
        elif event.button() == Qt.MouseButton.RightButton and row is not None:
            self._timeline.choose(self._timeline.rows()[row].track)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Dragging goes through the images."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            _, place = self._at(event.position().toPoint())
            key = None if place is None else self._timeline.keys[place]
            if key is not None and key != self._workspace.key:
                self._workspace.show(key)

    def _go(self, row: int | None, place: int | None) -> None:
        track: TrackId | None = None if row is None else self._timeline.rows()[row].track
        if place is None:
            if track is not None:
                self._timeline.choose(track)
            return
        key = self._timeline.keys[place]
        if track is None:
            self._workspace.show(key)
        else:
            self._timeline.show(track, key)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer what can be done to the chosen track."""
        if self._timeline.chosen is not None:
            self.menu_wanted.emit(event.globalPos())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """With Ctrl: wider or narrower images, around the pointer."""
        if not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
            return
        self.zoom(1 if event.angleDelta().y() > 0 else -1, round(event.position().x()))

    def zoom(self, step: int, x: int | None = None) -> None:
        """Wider (1) or narrower (-1) images; what is at x stays there."""
        x = self.header if x is None else max(x, self.header)
        bar = self.horizontalScrollBar()
        place = (x - self.header + bar.value()) / self._cell
        index = min(max(ZOOMS.index(self._cell) + step, 0), len(ZOOMS) - 1)
        self._cell = ZOOMS[index]
        self._set_ranges()
        bar.setValue(round(place * self._cell - (x - self.header)))
        self.viewport().update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move between tracks and images, Home and End to the ends of the track."""
        actions: dict[int, Callable[[], None]] = {
            Qt.Key.Key_Up: lambda: self._step_row(-1),
            Qt.Key.Key_Down: lambda: self._step_row(1),
            Qt.Key.Key_Left: lambda: self._step_image(-1),
            Qt.Key.Key_Right: lambda: self._step_image(1),
            Qt.Key.Key_Home: lambda: self._show_end(0),
            Qt.Key.Key_End: lambda: self._show_end(1),
            Qt.Key.Key_Plus: lambda: self.zoom(1),
            Qt.Key.Key_Minus: lambda: self.zoom(-1),
            Qt.Key.Key_Escape: self.left.emit,
        }
        action = actions.get(event.key())
        if action is not None:
            action()
        else:
            super().keyPressEvent(event)

    def _step_row(self, step: int) -> None:
        tracks = [row.track for row in self._timeline.rows()]
        chosen = self._timeline.chosen
        if tracks:
            now = tracks.index(chosen) + step if chosen in tracks else 0
            self._timeline.choose(tracks[min(max(now, 0), len(tracks) - 1)])

    def _step_image(self, step: int) -> None:
        place = self._timeline.place(self._workspace.key)
        if place is not None and 0 <= place + step < len(self._timeline.keys):
            self._show(place + step)

    def _show_end(self, which: int) -> None:
        row = self._timeline.row(self._timeline.chosen)
        if row is not None:
            self._show(row.span[which])

    def _show(self, place: int) -> None:
        chosen, key = self._timeline.chosen, self._timeline.keys[place]
        if chosen is None:
            self._workspace.show(key)
        else:
            self._timeline.show(chosen, key)

    def viewportEvent(self, event: QEvent) -> bool:
        """Tool tips say what is there."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            row, place = self._at(event.pos())
            QToolTip.showText(event.globalPos(), self._tip(row, place), self.viewport())
            return True
        return super().viewportEvent(event)

    def _tip(self, number: int | None, place: int | None) -> str:
        from html import escape

        key = "" if place is None else self._timeline.keys[place]
        if number is None:
            return escape(key)
        row = self._timeline.rows()[number]
        name = f"{self.name_of(row)}, track {row.track}: {row.filled:,} images"
        if place is None:
            return escape(name)
        return escape(f"{name}\n{key}: {_SAYS[Mark(row.marks[place])]}").replace("\n", "<br>")
