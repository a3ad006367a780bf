"""`ImageView`: one image that can be zoomed and panned, at the screen's rate at any size.

Not a `QGraphicsView`: that keeps integer scroll positions and asks every item in every frame. Here
the view is a value (`View`), the image and the objects are kept pictures that are shifted, and one
`paintEvent` draws it all. Scroll bars are left out: they would take space from the image.

Three kinds of coordinates: image pixels, viewport pixels (Qt's logical pixels) and device pixels
(`View` works in these, so that 100 % means one image pixel per screen pixel on every screen).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QResizeEvent,
    QSinglePointEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from annotator.ui import canvas_view as views
from annotator.ui.canvas_layers import ImageLayer
from annotator.ui.canvas_view import Adjustment, Frame, View

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.services.settings import SettingsStore

FRAME_MS = 16
SCROLL = 64
"""Viewport pixels per arrow key or wheel notch."""


def spot(event: QSinglePointEvent) -> QPointF:
    """Where in the viewport an event happened: a mouse names a pixel, meant is its middle."""
    at = event.position()
    whole = QPointF(at.toPoint())
    return whole + QPointF(0.5, 0.5) if at == whole else at


class ImageView(QAbstractScrollArea):
    """Shows pixels; middle drag, wheel and pinch move the view.

    Args:
        settings: the user's preferences (what the wheel does).
        parent: Qt parent.
    """

    pointer_moved = Signal(object)
    """QPointF under the pointer in image pixels, or None outside; at most once per frame."""
    view_changed = Signal(object)
    """The `Box` of the image plane that is seen now (image pixels)."""
    zoom_changed = Signal(float)
    """Device pixels per image pixel."""
    turn_changed = Signal(int)
    """Quarter turns clockwise by which the image is shown, 0 to 3."""

    def __init__(self, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._view = View()
        self._fit = True
        self._scale = 1.0
        self._image = ImageLayer()
        self._adjustment = Adjustment()
        self._message = ""
        self._panning: QPointF | None = None
        self._pointer: QPointF | None = None
        self._anchor: tuple[QPointF, tuple[float, float]] | None = None
        self._pointer_timer = self._timer(FRAME_MS, self._emit_pointer)
        self._grow_timer = self._timer(0, self._grow)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(160, 120)
        self.viewport().setMouseTracking(True)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def _timer(self, interval: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.timeout.connect(slot)
        return timer

    # --- What is shown ---

    def show_pixels(self, image: LoadedImage, *, again: bool) -> None:
        """Show an image; `again`: better pixels of the one shown, so the view stays."""
        from annotator.ui.canvas_pixels import Pyramid

        before = self._image.pyramid if again else None
        self._image.set_image(Pyramid(image.pixels, image.width, image.height, before))
        self._message = ""
        self._grow_timer.start()
        self.viewport().update()

    def show_message(self, text: str) -> None:
        """Show a text in place of an image."""
        self._grow_timer.stop()
        self._image.set_image(None)
        self._message = text
        self.viewport().update()

    @property
    def has_image(self) -> bool:
        """Whether there are pixels."""
        return self._image.pyramid is not None

    def _grow(self) -> None:
        """One step of making the reduced levels; the better picture is shown when it is there."""
        pyramid = self._image.pyramid
        if pyramid is None:
            return
        before = pyramid.level(self._view.zoom)
        if pyramid.grow():
            self._grow_timer.start()
        after = pyramid.level(self._view.zoom)
        if after.pixels is not before.pixels and after.sx != before.sx:
            self._image.invalidate()
            self.viewport().update()

    # --- The view ---

    def zoom_in(self) -> None:
        """One step closer, at the middle of the viewport."""
        self._zoom_to(views.stepped(self._view.zoom, 1))

    def zoom_out(self) -> None:
        """One step farther away."""
        self._zoom_to(views.stepped(self._view.zoom, -1))

    def actual_size(self) -> None:
        """One image pixel per screen pixel."""
        self._zoom_to(1.0)

    def fit(self) -> None:
        """The whole image, also when the window changes its size."""
        if self._image.pyramid is not None:
            turn = self._view.turn
            self._set_view(views.fitted(self._size(), self._device_size(), turn), fit=True)

    @property
    def turn(self) -> int:
        """Quarter turns clockwise by which the image is shown, 0 to 3."""
        return self._view.turn

    def show_turned(self, turn: int) -> None:
        """Turn what is seen about the middle of the viewport: the view, never the image."""
        if turn == self._view.turn:
            return
        if not self.has_image or self._fit:
            self._view = replace(self._view, turn=turn)
            self.fit()
        else:
            x, y = (side / 2 for side in self._device_size())
            place = self._view.to_image(x, y)
            self._set_view(views.anchored(self._view.zoom, *place, x, y, turn))
        self.turn_changed.emit(turn)

    def zoom(self) -> float:
        """Device pixels per image pixel."""
        return self._view.zoom

    def view_state(self) -> dict[str, float | bool]:
        """What is seen of the current image, as JSON values for `restore_view`."""
        if self._fit:
            return {"fit": True}
        width, height = self._device_size()
        x, y = self._view.to_image(width / 2, height / 2)
        return {"zoom": self._view.zoom / self._scale, "x": x, "y": y}

    def restore_view(self, state: object) -> None:
        """Show what `view_state` described; anything else fits the image."""
        if not self.has_image:
            return
        values = state if isinstance(state, dict) else {}
        numbers = [values.get(name) for name in ("zoom", "x", "y")]
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
            self.fit()
            return
        zoom, x, y = (float(v) for v in numbers if v is not None)
        width, height = self._device_size()
        turn = self._view.turn
        zoom = views.limited(zoom * self._scale, self._size(), (width, height), turn)
        self._set_view(views.anchored(zoom, x, y, width / 2, height / 2, turn))

    def set_adjustment(self, adjustment: Adjustment) -> None:
        """Brightness, contrast and gamma, for viewing only."""
        if adjustment == self._adjustment:
            return
        self._adjustment = adjustment
        self._image.adjust(adjustment)
        self.viewport().update()

    def auto_adjustment(self) -> Adjustment | None:
        """The adjustment that spreads what is seen over the whole range; None without an image."""
        if self._image.pyramid is None:
            return None
        from annotator.ui import canvas_pixels

        width, height = self._size()
        area = self.frame().area.clipped(width, height)
        low, high = canvas_pixels.percentiles(self._image.pyramid, area, 1, 99)
        contrast = min(1 / max(high - low, 0.05), 20.0)
        return Adjustment(0.5 - (low + high) / 2, contrast, 1.0)

    def to_view(self, x: float, y: float) -> QPoint:
        """The viewport position of an image position."""
        point = self.frame().point(x, y)
        return QPoint(round(point.x() - 0.499), round(point.y() - 0.499))

    def to_image(self, point: QPoint | QPointF) -> QPointF:
        """The image position at the middle of a viewport pixel."""
        half = 0.5 if isinstance(point, QPoint) else 0.0
        x, y = (point.x() + half) * self._scale, (point.y() + half) * self._scale
        return QPointF(*self._view.to_image(x, y))

    def reach(self, pixels: float) -> float:
        """Viewport pixels in image pixels."""
        return pixels * self._scale / self._view.zoom

    def image_size(self) -> tuple[int, int]:
        """Width and height of the current image."""
        return self._size()

    def frame(self) -> Frame:
        """Where things lie in the viewport now."""
        viewport = self.viewport()
        return Frame(self._view, self._scale, viewport.width(), viewport.height())

    def _size(self) -> tuple[int, int]:
        pyramid = self._image.pyramid
        return (pyramid.width, pyramid.height) if pyramid is not None else (1, 1)

    def _device_size(self) -> tuple[int, int]:
        viewport = self.viewport()
        return (
            max(round(viewport.width() * self._scale), 1),
            max(round(viewport.height() * self._scale), 1),
        )

    def _set_view(self, view: View, *, fit: bool = False) -> None:
        size, viewport = self._size(), self._device_size()
        view = views.kept_near(view, size, viewport)
        zoomed = view.zoom != self._view.zoom
        self._fit = fit
        self._anchor = None
        self._view = view
        if zoomed:
            self.zoom_changed.emit(view.zoom)
        self.view_changed.emit(view.box(*viewport))
        self._pointer_timer.isActive() or self._pointer_timer.start()
        self.viewport().update()

    def _zoom_to(self, zoom: float, at: QPointF | None = None) -> None:
        """Change the zoom; the image position at `at` (viewport pixels) stays where it is."""
        if self._image.pyramid is None:
            return
        viewport, turn = self._device_size(), self._view.turn
        zoom = views.limited(zoom, self._size(), viewport, turn)
        if at is None:
            x, y = viewport[0] / 2, viewport[1] / 2
            self._set_view(views.anchored(zoom, *self._view.to_image(x, y), x, y, turn))
            return
        # Turning the wheel over one spot must not creep: whole device pixels would add up.
        x, y = at.x() * self._scale, at.y() * self._scale
        kept = self._anchor is not None and self._anchor[0] == at
        spot = self._anchor[1] if kept and self._anchor is not None else self._view.to_image(x, y)
        self._set_view(views.anchored(zoom, *spot, x, y, turn))
        self._anchor = (at, spot)

    def pan(self, dx: float, dy: float) -> None:
        """Move the image by viewport pixels."""
        if self._image.pyramid is not None and (dx or dy):
            moved = self._view.panned(round(dx * self._scale), round(dy * self._scale))
            self._set_view(moved)

    def _sync_size(self) -> None:
        """Follow the size and the pixel ratio of the viewport."""
        scale = self.viewport().devicePixelRatioF()
        if scale != self._scale:
            ratio, self._scale = scale / self._scale, scale
            left, top = round(self._view.left * ratio), round(self._view.top * ratio)
            self._view = replace(self._view, zoom=self._view.zoom * ratio, left=left, top=top)
        self._image.set_around(self._around())

    # --- Painting ---

    def paint_over(self, painter: QPainter, frame: Frame) -> None:
        """Draw on top of the image; the painter counts viewport pixels."""

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The image, or a message; then what lies over it."""
        self._sync_size()
        # `with`: a painter that outlives its paint event through a traceback would crash.
        with QPainter(self.viewport()) as painter:
            if self.has_image:
                self._paint_image(painter)
            else:
                self._paint_empty(painter)
            if self.hasFocus():
                painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), 1))
                painter.drawRect(self.viewport().rect().adjusted(0, 0, -1, -1))

    def _paint_image(self, painter: QPainter) -> None:
        self._image.show(self._view, QSize(*self._device_size()))
        painter.save()
        painter.scale(1 / self._scale, 1 / self._scale)
        self._image.paint(painter)
        painter.restore()
        painter.save()
        self.paint_over(painter, self.frame())
        painter.restore()

    def _paint_empty(self, painter: QPainter) -> None:
        area = self.viewport().rect()
        painter.fillRect(area, self._around())
        painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(area.adjusted(32, 32, -32, -32), flags, self._message)

    def _around(self) -> QColor:
        window = self.palette().color(QPalette.ColorRole.Window)
        return window.darker(112) if window.lightness() > 127 else window.darker(135)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the image fitted, or its middle in the middle."""
        super().resizeEvent(event)
        self._sync_size()
        if self._image.pyramid is None:
            return
        if self._fit:
            self.fit()
        elif event.oldSize().isValid():
            delta = (event.size() - event.oldSize()) / 2
            moved = self._view.panned(
                round(delta.width() * self._scale), round(delta.height() * self._scale)
            )
            self._set_view(moved)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the palette."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self.viewport().update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the focus."""
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Show that the keys go elsewhere."""
        super().focusOutEvent(event)
        self.viewport().update()

    # --- Pointer ---

    def follow_pointer(self, at: QPointF | None) -> None:
        """The pointer is here (viewport pixels), or nowhere."""
        self._pointer = at
        if not self._pointer_timer.isActive():
            self._pointer_timer.start()

    def _emit_pointer(self) -> None:
        if self._pointer is None or self._image.pyramid is None:
            self.pointer_moved.emit(None)
            return
        where = self.to_image(self._pointer)
        width, height = self._size()
        inside = 0 <= where.x() < width and 0 <= where.y() < height
        self.pointer_moved.emit(where if inside else None)

    def start_panning(self, event: QMouseEvent) -> None:
        """Let the image follow the pointer until the button is released."""
        self._panning = spot(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pan."""
        if self._panning is not None:
            delta = spot(event) - self._panning
            self.pan(delta.x(), delta.y())
            self._panning = spot(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End panning."""
        if event.button() in (Qt.MouseButton.MiddleButton, Qt.MouseButton.LeftButton):
            self._panning = None

    def viewportEvent(self, event: QEvent) -> bool:
        """Pinching."""
        if isinstance(event, QNativeGestureEvent):
            if event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
                self._zoom_to(self._view.zoom * (1 + event.value()), spot(event))
            return True
        return super().viewportEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the pointer or scroll, as the settings say; Ctrl always zooms."""
        held = event.modifiers()
        angle, pixels = event.angleDelta(), event.pixelDelta()
        event.accept()
        zooms = self._settings.settings.wheel == "zoom"
        if held & Qt.KeyboardModifier.ShiftModifier:
            self.pan((angle.y() or angle.x()) * SCROLL / 120, 0)
        elif zooms or held & Qt.KeyboardModifier.ControlModifier:
            turn = angle.y() / 360 if pixels.isNull() else pixels.y() / 240
            if turn:
                self._zoom_to(self._view.zoom * 2**turn, spot(event))
        elif not pixels.isNull():
            self.pan(pixels.x(), pixels.y())
        else:
            self.pan(angle.x() * SCROLL / 120, angle.y() * SCROLL / 120)
