"""Layers of the canvas kept as pictures of the viewport: a pan shifts them and draws the new edge.

A frame of the canvas is then two copies and the few things drawn fresh, however many objects the
image has. A layer that is slow to draw (thousands of objects) is refreshed in tiles within a time
budget; until a tile is ready the layer shows its last picture, scaled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap, QRegion

from annotator.ui.canvas_view import Adjustment, View
from models.api import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.ui.canvas_pixels import Lut, Pyramid
    from annotator.ui.items import AnnotationItem

TILE = 192
"""Device pixels; the unit of refreshing within a time budget."""
MARGIN = 160
"""Device pixels the picture of the objects reaches past the viewport on every side."""
CROWD = 250
"""With more objects in view, outlines are one device pixel wide."""
SCATTERED = 64
"""With more changed objects than this, everything is redrawn: in a region of very many pieces every
piece would be a tile of its own."""
BUDGET = 0.005
"""Seconds after which a frame begins no further tile."""
_REACH = 5.0
"""Viewport pixels an outline reaches past its object."""


def _rects(region: QRegion) -> list[QRect]:
    return list(region)  # type: ignore[call-overload,no-any-return] # missing in the stubs


def _alike(one: View, other: View) -> bool:
    """Whether a picture of one view only has to be shifted for the other."""
    return one.zoom == other.zoom and one.turn == other.turn


class _Layer:
    """A picture of the viewport in device pixels, and the region of it that must be redrawn."""

    def __init__(self) -> None:
        self._picture = QPixmap()
        self._view = View()
        self._missing = QRegion()

    @property
    def pending(self) -> bool:
        """Whether parts wait to be redrawn."""
        return not self._missing.isEmpty()

    def invalidate(self, area: QRect | None = None) -> None:
        """Redraw a part (device pixels of the picture), or everything."""
        whole = self._picture.rect()
        self._missing = self._missing.united(whole if area is None else area.intersected(whole))

    def show(self, view: View, size: QSize) -> None:
        """Follow the view: shift what is drawn, or start again."""
        if size != self._picture.size() or not _alike(view, self._view):
            self._restart(size)
        elif view != self._view:
            self._scroll(self._view.left - view.left, self._view.top - view.top)
        self._view = view

    def _restart(self, size: QSize) -> None:
        if size != self._picture.size():
            self._picture = QPixmap(size)
        self._missing = QRegion(self._picture.rect())

    def _scroll(self, dx: int, dy: int) -> None:
        whole = self._picture.rect()
        if abs(dx) >= whole.width() or abs(dy) >= whole.height():
            self._missing = QRegion(whole)
            return
        self._picture.scroll(dx, dy, whole)
        kept = QRegion(whole.translated(dx, dy).intersected(whole))
        moved = self._missing.translated(dx, dy).intersected(whole)
        self._missing = moved.united(QRegion(whole).subtracted(kept))

    def _area(self, rect: QRect) -> Box:
        first = self._view.to_image(rect.left(), rect.top())
        return Box.spanning(*first, *self._view.to_image(rect.right() + 1, rect.bottom() + 1))


class ImageLayer(_Layer):
    """The image itself, on its surroundings."""

    def __init__(self) -> None:
        super().__init__()
        self.pyramid: Pyramid | None = None
        self._table: Lut | None = None
        self._grid = False
        self._around = QColor("gray")

    def set_image(self, pyramid: Pyramid | None) -> None:
        """Show another image, or better pixels of the same."""
        self.pyramid = pyramid
        self.invalidate()

    def set_around(self, color: QColor) -> None:
        """The colour outside the image."""
        if color != self._around:
            self._around = color
            self.invalidate()

    def set_grid(self, shown: bool) -> None:
        """Draw lines between pixels that are large enough."""
        if shown != self._grid:
            self._grid = shown
            self.invalidate()

    def adjust(self, adjustment: Adjustment) -> None:
        """Show the image with this brightness, contrast and gamma."""
        from annotator.ui import canvas_pixels

        self._table = canvas_pixels.lut(adjustment)
        self.invalidate()

    def image_rect(self) -> QRect:
        """Where the image lies in the viewport, device pixels."""
        if self.pyramid is None:
            return QRect()
        view = self._view
        width = max(round(self.pyramid.width * view.zoom), 1)
        height = max(round(self.pyramid.height * view.zoom), 1)
        # The image turns about its first corner: the opposite one may lie on any side of it.
        x, y = view.on_screen(width, height)
        left, top = min(x, 0) - view.left, min(y, 0) - view.top
        return QRect(left, top, abs(x), abs(y))

    def paint(self, painter: QPainter) -> None:
        """Bring the picture up to date and draw it; the painter counts device pixels."""
        if self.pending:
            self._refresh()
        painter.drawPixmap(0, 0, self._picture)

    def _refresh(self) -> None:
        image = self.image_rect()
        with QPainter(self._picture) as onto:
            for rect in _rects(self._missing.subtracted(image)):
                onto.fillRect(rect, self._around)
            for rect in _rects(self._missing.intersected(image)):
                self._refresh_rect(onto, rect)
        self._missing = QRegion()

    def _refresh_rect(self, onto: QPainter, rect: QRect) -> None:
        from annotator.ui import canvas_pixels

        if self.pyramid is None:
            return
        x, y, width, height = rect.x(), rect.y(), rect.width(), rect.height()
        shown = canvas_pixels.render(
            self.pyramid, self._view, x, y, width, height, self._table, grid=self._grid
        )
        picture = QImage(shown.data, width, height, 4 * width, QImage.Format.Format_RGB32)
        onto.drawImage(rect.topLeft(), picture)


class MaskLayer(_Layer):
    """All objects of the image, bottom layer first.

    Its picture reaches past the viewport, so that a pan finds the next strip drawn already and
    tall objects are not drawn again for every few pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self._items: tuple[AnnotationItem, ...] = ()
        self._boxes: NDArray[np.float64] | None = None
        self._selection: frozenset[int] = frozenset()
        self._lifted: frozenset[int] = frozenset()
        self._opacity = 0.45
        self._scale = 1.0
        self._dense = False
        self._visible = QRect()
        self._old = QPixmap()
        self._old_view = View()

    @property
    def pending(self) -> bool:
        """Whether parts wait to be redrawn; never without objects."""
        return bool(self._items) and super().pending

    @property
    def items(self) -> tuple[AnnotationItem, ...]:
        """What is drawn, bottom layer first, hidden objects included."""
        return self._items

    def set_items(self, items: Sequence[AnnotationItem]) -> None:
        """Replace the objects; redraws only where something changed."""
        before, self._items = self._items, tuple(items)
        self._boxes = None
        if not before:
            self.replace_all(items)
            return
        old, new = set(before), set(items)
        if [item for item in before if item in new] != [item for item in items if item in old]:
            self.invalidate()
        else:
            self._touch(old ^ new)

    def replace_all(self, items: Sequence[AnnotationItem]) -> None:
        """Show another image's objects."""
        self._items, self._boxes = tuple(items), None
        self._selection = self._lifted = frozenset()
        self._old = QPixmap()
        if not self._picture.isNull():
            self._picture.fill(Qt.GlobalColor.transparent)
        self.invalidate()

    def set_selection(self, ids: frozenset[int]) -> None:
        """Draw these as selected."""
        changed, self._selection = self._selection ^ ids, ids
        self._touch(item for item in self._items if item.annotation.id in changed)

    def lift(self, ids: frozenset[int]) -> None:
        """Leave these out: they are being dragged."""
        changed, self._lifted = self._lifted ^ ids, ids
        self._touch(item for item in self._items if item.annotation.id in changed)

    def set_opacity(self, opacity: float) -> None:
        """How much of the image the fills cover, 0 to 1."""
        if opacity != self._opacity:
            self._opacity = opacity
            self.invalidate()

    def set_scale(self, scale: float) -> None:
        """Device pixels per viewport pixel."""
        self._scale = scale

    def show(self, view: View, size: QSize) -> None:
        """Follow the view; the picture is shifted only when its margin is used up."""
        wide = QSize(size.width() + 2 * MARGIN, size.height() + 2 * MARGIN)
        off_x, off_y = view.left - MARGIN - self._view.left, view.top - MARGIN - self._view.top
        far = max(abs(off_x), abs(off_y)) > MARGIN * 3 // 4
        if far or wide != self._picture.size() or not _alike(view, self._view):
            super().show(replace(view, left=view.left - MARGIN, top=view.top - MARGIN), wide)
            off_x = off_y = 0
        self._visible = QRect(QPoint(off_x + MARGIN, off_y + MARGIN), size)

    def _touch(self, items: Iterable[AnnotationItem]) -> None:
        touched = list(items)
        if len(touched) > SCATTERED:
            self.invalidate()
            return
        for item in touched:
            self.invalidate(self._device_rect(item.bounds))

    def _device_rect(self, box: Box) -> QRect:
        seen, reach = self._view.device_box(box), _REACH * self._scale
        rect = QRectF(
            seen.x0 - reach, seen.y0 - reach, seen.width + 2 * reach, seen.height + 2 * reach
        )
        return rect.intersected(QRectF(self._picture.rect())).toAlignedRect()

    def _restart(self, size: QSize) -> None:
        done = self._picture.width() * self._picture.height()
        unseen = sum(rect.width() * rect.height() for rect in _rects(self._missing))
        keep = bool(done and unseen < done / 2 and self._items)
        if keep:
            self._old, self._old_view = self._picture, self._view
        if keep or size != self._picture.size():
            self._picture = QPixmap(size)
        if self._items:
            self._picture.fill(Qt.GlobalColor.transparent)
        self._missing = QRegion(self._picture.rect())

    def _scroll(self, dx: int, dy: int) -> None:
        super()._scroll(dx, dy)
        # What was scrolled in is a smeared copy of the border until it is drawn.
        whole = self._picture.rect()
        fresh = QRegion(whole).subtracted(QRegion(whole.translated(dx, dy)))
        with QPainter(self._picture) as onto:
            onto.setCompositionMode(QPainter.CompositionMode.CompositionMode_Clear)
            for rect in _rects(fresh):
                onto.fillRect(rect, Qt.GlobalColor.transparent)

    def paint(self, painter: QPainter) -> bool:
        """Refresh for about `BUDGET`, then draw; True when tiles are still missing."""
        if not self._items:
            return False
        if self.pending:
            self._refresh()
        seen = self._visible
        turned = self._old_view.turn != self._view.turn
        if self._missing.intersects(seen) and not self._old.isNull() and not turned:
            self._paint_old(painter)
        elif not self._missing.intersects(seen):
            self._old = QPixmap()
        painter.drawPixmap(QPoint(0, 0), self._picture, seen)
        return self.pending

    def _paint_old(self, painter: QPainter) -> None:
        """The last complete picture, scaled, where the new one is missing."""
        ratio = self._view.zoom / self._old_view.zoom
        x, y = self._view.to_device(*self._old_view.to_image(0, 0))
        painter.save()
        painter.translate(-self._visible.topLeft())
        painter.setClipRegion(self._missing.intersected(self._visible))
        target = QRectF(x, y, self._old.width() * ratio, self._old.height() * ratio)
        painter.drawPixmap(target, self._old, QRectF(self._old.rect()))
        painter.restore()

    def _refresh(self) -> None:
        end = time.perf_counter() + BUDGET
        self._count_crowd()
        with QPainter(self._picture) as onto:
            onto.setTransform(self._view.transform)
            while self.pending and time.perf_counter() < end:
                tile = self._next_tile()
                if not self._refresh_tile(onto, tile, end):
                    break
                self._missing = self._missing.subtracted(tile)

    def _count_crowd(self) -> None:
        """Choose between full and thin outlines; not to and fro at the limit."""
        count = len(self._seen(self._area(self._picture.rect()), 1.0))
        dense = count > (CROWD * 3 // 4 if self._dense else CROWD)
        if dense != self._dense:
            self._dense = dense
            self.invalidate()

    def _next_tile(self) -> QRect:
        """What is seen comes first."""
        seen = self._missing.intersected(self._visible)
        first = _rects(self._missing if seen.isEmpty() else seen)[0]
        return QRect(first.topLeft(), QSize(min(first.width(), TILE), min(first.height(), TILE)))

    def _refresh_tile(self, onto: QPainter, tile: QRect, end: float) -> bool:
        """Draw one tile; False when the time is over before its outlines are traced."""
        area, unit = self._area(tile), self._scale / self._view.zoom
        seen = self._seen(area, unit)
        for item in seen:
            if item.prepare(unit) and time.perf_counter() > end:
                return False
        onto.save()
        transform = onto.transform()
        onto.resetTransform()
        onto.setClipRect(tile)
        onto.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        onto.fillRect(tile, Qt.GlobalColor.transparent)
        onto.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
        onto.setTransform(transform)
        plain = "dense" if self._dense else "object"
        for item in seen:
            kind = "selected" if item.annotation.id in self._selection else plain
            item.paint(onto, area, unit, self._opacity, kind)
        onto.restore()
        return True

    def _seen(self, area: Box, unit: float) -> list[AnnotationItem]:
        """The objects to draw in an area, bottom first, selected ones on top."""
        import numpy as np

        if self._boxes is None:
            boxes = [item.bounds for item in self._items]
            self._boxes = np.array([(b.x0, b.y0, b.x1, b.y1) for b in boxes]).reshape(-1, 4)
        reach = _REACH * unit
        x0, y0, x1, y1 = self._boxes.T
        near = (
            (x0 - reach < area.x1)
            & (x1 + reach > area.x0)
            & (y0 - reach < area.y1)
            & (y1 + reach > area.y0)
        )
        found = [self._items[place] for place in np.flatnonzero(near).tolist()]
        found = [
            item
            for item in found
            if not item.annotation.hidden and item.annotation.id not in self._lifted
        ]
        chosen = self._selection
        return sorted(found, key=lambda item: item.annotation.id in chosen) if chosen else found
