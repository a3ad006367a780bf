"""`View`: which part of the image is in the viewport, as a value. `Adjustment`: how it is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter

from models.api import Box

MAX_ZOOM = 128.0
"""Device pixels per image pixel."""
MIN_SIDE = 48.0
"""Device pixels the longest side of the image keeps when zoomed out."""
FIT_MARGIN = 12
"""Device pixels around a fitted image."""
CLOSE = 8.0
"""Device pixels per image pixel at which a selection is close enough."""
STEP = 1.25
"""Factor of one zoom command."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Brightness, contrast and gamma, for viewing only.

    A value v (0 to 1) is shown as clip((v + brightness - 0.5) * contrast + 0.5) ** (1 / gamma).

    Attributes:
        brightness: -1 to 1, 0 changes nothing.
        contrast: factor, 0.05 to 20, 1 changes nothing.
        gamma: 0.1 to 10, 1 changes nothing; above 1 lightens the shadows.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    gamma: float = 1.0

    @property
    def neutral(self) -> bool:
        """Whether pixels are shown as they are."""
        return self == Adjustment()


@dataclass(frozen=True, slots=True)
class View:
    """The mapping between image pixels and device pixels of the viewport.

    The image's origin lies at whole device pixels, so a pan moves everything by whole pixels and
    what is already drawn can be shifted.

    Attributes:
        zoom: device pixels per image pixel.
        left: device pixels between the image's left edge and the viewport's, positive when the
            image begins outside.
        top: the same, vertically.
    """

    zoom: float = 1.0
    left: int = 0
    top: int = 0

    def to_device(self, x: float, y: float) -> tuple[float, float]:
        """Image position to device pixels of the viewport."""
        return x * self.zoom - self.left, y * self.zoom - self.top

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Device pixels of the viewport to image position."""
        return (x + self.left) / self.zoom, (y + self.top) / self.zoom

    def panned(self, dx: int, dy: int) -> View:
        """The image moved by whole device pixels to the right and down."""
        return replace(self, left=self.left - dx, top=self.top - dy)

    def box(self, width: float, height: float) -> Box:
        """The part of the image plane seen in a viewport of this size (device pixels)."""
        x0, y0 = self.to_image(0, 0)
        x1, y1 = self.to_image(width, height)
        return Box(x0, y0, x1, y1)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things lie in the viewport.

    Attributes:
        view: image to device pixels.
        scale: device pixels per viewport pixel.
        width: of the viewport in viewport pixels; likewise height.
    """

    view: View
    scale: float
    width: int
    height: int

    @property
    def unit(self) -> float:
        """Image pixels per viewport pixel."""
        return self.scale / self.view.zoom

    @property
    def area(self) -> Box:
        """The part of the image plane that is seen."""
        return self.view.box(self.width * self.scale, self.height * self.scale)

    def point(self, x: float, y: float) -> QPointF:
        """Image position to viewport position."""
        device_x, device_y = self.view.to_device(x, y)
        return QPointF(device_x / self.scale, device_y / self.scale)

    def rect(self, box: Box) -> QRectF:
        """Image rectangle to viewport rectangle."""
        return QRectF(self.point(box.x0, box.y0), self.point(box.x1, box.y1))

    def enter_image(self, painter: QPainter) -> None:
        """Let the painter count image pixels (call inside save and restore)."""
        painter.translate(-self.view.left / self.scale, -self.view.top / self.scale)
        painter.scale(self.view.zoom / self.scale, self.view.zoom / self.scale)


def anchored(zoom: float, x: float, y: float, at_x: float, at_y: float) -> View:
    """The view of this zoom that shows image position x, y at a device position."""
    return View(zoom, round(x * zoom - at_x), round(y * zoom - at_y))


def fitted(size: tuple[int, int], viewport: tuple[int, int], margin: int = FIT_MARGIN) -> View:
    """The whole image, as large as it can be (small images at most 8 times enlarged)."""
    (width, height), (view_width, view_height) = size, viewport
    room_x, room_y = max(view_width - 2 * margin, 1), max(view_height - 2 * margin, 1)
    zoom = min(room_x / max(width, 1), room_y / max(height, 1), 8.0)
    return anchored(zoom, width / 2, height / 2, view_width / 2, view_height / 2)


def framed(box: Box, viewport: tuple[int, int], zoom: float) -> View:
    """The box in the middle, at this zoom or at one where it fits."""
    room = min(
        viewport[0] / max(box.width * 1.25, 1e-6), viewport[1] / max(box.height * 1.25, 1e-6)
    )
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return anchored(min(zoom, room), x, y, viewport[0] / 2, viewport[1] / 2)


def limited(zoom: float, size: tuple[int, int], viewport: tuple[int, int]) -> float:
    """The nearest zoom that is allowed for an image of this size."""
    fit = fitted(size, viewport).zoom
    smallest = min(MIN_SIDE / max(*size, 1), fit / 2, 1.0)
    return min(max(zoom, smallest), MAX_ZOOM)


def kept_near(view: View, size: tuple[int, int], viewport: tuple[int, int]) -> View:
    """The view moved so that the middle of the viewport shows some of the image."""
    width, height = (side * view.zoom for side in size)
    middle_x, middle_y = viewport[0] / 2, viewport[1] / 2
    left = min(max(view.left, math.ceil(-middle_x)), math.floor(max(width - middle_x, -middle_x)))
    top = min(max(view.top, math.ceil(-middle_y)), math.floor(max(height - middle_y, -middle_y)))
    return replace(view, left=left, top=top)


def stepped(zoom: float, step: int) -> float:
    """One zoom command further in (1) or out (-1); stops at 100 % on the way."""
    after = zoom * STEP**step
    passes = (zoom < 1.0 < after) or (after < 1.0 < zoom)
    return 1.0 if passes and not math.isclose(zoom, 1.0, rel_tol=1e-3) else after
