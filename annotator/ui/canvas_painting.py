"""`Painting`: the brush of a canvas, and the object whose pixels are being changed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QRect, QRectF, QSize, QTimer
from PySide6.QtGui import QColor, QEventPoint, QPainter, QPointingDevice, QTabletEvent

from annotator.core.errors import UserError
from annotator.ui import items
from annotator.ui.canvas_view import Frame
from annotator.ui.gestures import Notches

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation
    from annotator.core.raster import Crop
    from annotator.ui.canvas import Canvas
    from annotator.ui.live_mask import LiveMask
    from models.api import Box

SMALLEST, LARGEST = 1.0, 1000.0
"""Diameter of the brush, image pixels."""
_STEP = 1.15
"""Factor of one notch of the wheel."""
_TOLD_MS = 900
"""How long the size is written beside the brush after it was changed."""
_LIGHT = 0.1
"""Share of the brush that the lightest touch of a pen has."""


class Painting(QObject):
    """What the tools that change pixels need of a canvas.

    Args:
        canvas: shows it.
    """

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._live: LiveMask | None = None
        self._target: int | None = None
        self._settling = False
        self._ring: QRectF | None = None
        self._removing = False
        self._telling = QTimer(self, singleShot=True, interval=_TOLD_MS)
        self._telling.timeout.connect(self.show_ring)
        self._notches = Notches()
        self.pressure = 1.0
        """Of the pen, 0 to 1; 1 while there is none."""
        self.pen_removes = False
        """Whether the pen is held upside down."""
        self.last: tuple[str | None, float, float] | None = None
        """Image and place where the last stroke ended."""

    # --- The object that changes ---

    @property
    def lifted(self) -> frozenset[int]:
        """Objects that are not drawn where they were, because they are drawn here."""
        shown = self._target is not None and not self._settling
        return frozenset((self._target,)) if shown and self._target is not None else frozenset()

    def begin(self, annotation: Annotation | None) -> LiveMask:
        """Show an object, or a new one (None), in the state that gestures give it."""
        from annotator.ui.live_mask import LiveMask

        self.end()
        workspace = self._canvas.workspace
        mask = None if annotation is None else workspace.masks.mask_of(annotation)
        color = self._canvas.color_of(
            workspace.active_category if annotation is None else annotation.category_id
        )
        opacity = self._canvas.mask_opacity
        self._live = LiveMask(
            mask, self._canvas.image_size(), QColor(color or items.UNNAMED), opacity
        )
        self._target = None if annotation is None else annotation.id
        self._settling = False
        self._canvas.sketch(None)
        return self._live

    def change(self, crop: Crop | None, *, remove: bool) -> None:
        """Add pixels to the object shown, or remove them; only their part is painted again."""
        if crop is None or self._live is None:
            return
        self.touched(self._live.remove(crop) if remove else self._live.add(crop))

    def touched(self, box: Box | None) -> None:
        """Paint a part of the image again."""
        if box is not None:
            rect = self._canvas.frame().rect(box).toAlignedRect().adjusted(-4, -4, 4, 4)
            self._canvas.viewport().update(rect)

    def end(self) -> None:
        """Show nothing."""
        if self._live is not None:
            self._live = self._target = None
            self._settling = False
            self._canvas.sketch(None)

    def settle(self) -> None:
        """The change is made: go on showing it until the object itself is drawn."""
        self._settling = True
        self._canvas.sketch(None)

    def commit(self, verb: str) -> None:
        """Make the object what is shown: one undo step."""
        live, target = self._live, self._target
        if live is None:
            return
        mask = live.result()
        self.settle()
        workspace = self._canvas.workspace
        if target is not None:
            workspace.masks.put(target, mask, verb)
        elif mask != live.before:
            workspace.add_shape(mask)

    def paint_live(self, painter: QPainter, frame: Frame, size: QSize, *, drawn: bool) -> None:
        """Draw the object that changes; `drawn`: all objects are drawn as they are now."""
        if self._settling and drawn:
            self._live = self._target = None
            self._settling = False
        if self._live is not None:
            painter.save()
            painter.scale(1 / frame.scale, 1 / frame.scale)
            self._live.paint(painter, frame.view, size)
            painter.restore()

    # --- The brush ---

    @property
    def size(self) -> float:
        """Diameter, image pixels."""
        return self._canvas.brush_size

    def radius(self, pressure: float = 1.0) -> float:
        """Of the brush under a pen pressed like this."""
        return self.size / 2 * (_LIGHT + (1 - _LIGHT) * min(max(pressure, 0.0), 1.0))

    def resize(self, steps: float) -> None:
        """Make the brush larger (or smaller) by notches of the wheel."""
        size = self.size * _STEP**steps
        # Small brushes go by whole pixels: every notch changes something.
        size = size if size > 12 else self.size + math.copysign(1, steps)
        self._canvas.set_brush_size(float(min(max(round(size), SMALLEST), LARGEST)))
        self._telling.start()
        self.show_ring()
        self._canvas.workspace.noticed.emit(f"Brush: {self.size:g} pixels")

    def wheel(self, angle: int) -> None:
        """Alt and the wheel: the size of the brush."""
        steps = self._notches.turn(angle)
        if steps:
            self.resize(steps)

    def tablet(self, event: QTabletEvent) -> None:
        """Note how the pen is held; Qt makes mouse events of what is ignored here."""
        down = event.type() in (QTabletEvent.Type.TabletPress, QTabletEvent.Type.TabletMove)
        touches = down and event.points()[0].state() != QEventPoint.State.Released
        self.pressure = event.pressure() if touches and event.pressure() > 0 else 1.0
        self.pen_removes = down and event.pointerType() is QPointingDevice.PointerType.Eraser
        event.ignore()

    def show_ring(self, removing: bool | None = None) -> None:
        """Draw the brush where the pointer is now; `removing`: it takes away."""
        self._removing = self._removing if removing is None else removing
        before, self._ring = self._ring, self._place()
        for rect in (before, self._ring):
            if rect is not None:
                self._canvas.viewport().update(_around(rect))

    def _place(self) -> QRectF | None:
        at = self._canvas.brush_pointer()
        if at is None:
            return None
        radius = self.size / 2 / self._canvas.reach(1)
        return QRectF(at.x() - radius, at.y() - radius, 2 * radius, 2 * radius)

    def paint_ring(self, painter: QPainter) -> None:
        """Draw the brush; the painter counts viewport pixels."""
        self._ring = self._place()
        if self._ring is not None:
            text = f"{self.size:g} px" if self._telling.isActive() else ""
            items.draw_ring(painter, self._ring, removes=self._removing, text=text)

    def removes(self, removes: bool, *, button: str, swapped: bool) -> bool:
        """Whether a gesture takes away.

        Args:
            removes: what the tool does with the left button alone.
            button: the right one does the opposite.
            swapped: so does a modifier key.
        """
        return (removes != (button == "right" or swapped)) or self.pen_removes

    def target(self, at: tuple[float, float], *, create: bool) -> Annotation | None:
        """The selected object; with none selected and `create` off, the topmost at a place.

        Raises:
            UserError: there is none to change.
        """
        workspace = self._canvas.workspace
        chosen = workspace.masks.editable()
        if chosen is not None or create:
            return chosen
        found = self._canvas.objects_at(*at)
        if not found:
            raise UserError("There is no object here.", "Select the one to change first.")
        workspace.select(found[:1])
        return workspace.masks.editable()


def _around(rect: QRectF) -> QRect:
    """What must be painted when a ring appears or goes: with its line and its text."""
    return rect.toAlignedRect().adjusted(-4, -4, 110, 28)
