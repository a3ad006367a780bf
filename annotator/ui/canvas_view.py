"""`View`: which part of the image is in the viewport, as a value. `Adjustment`: how it is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter, QTransform

from models.api import Box

Length = TypeVar("Length", int, float)

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
_TURNS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Cosine and sine of no, one, two and three quarter turns clockwise; y points down."""


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
        turn: quarter turns clockwise, 0 to 3, about the image's first corner; `left` and `top`
            say where that corner lies.
    """

    zoom: float = 1.0
    left: int = 0
    top: int = 0
    turn: int = 0

    def to_device(self, x: float, y: float) -> tuple[float, float]:
        """Image position to device pixels of the viewport."""
        if self.turn:
            x, y = self.on_screen(x, y)
        return x * self.zoom - self.left, y * self.zoom - self.top

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Device pixels of the viewport to image position."""
        x, y = (x + self.left) / self.zoom, (y + self.top) / self.zoom
        return self.in_image(x, y) if self.turn else (x, y)

    def on_screen(self, dx: Length, dy: Length) -> tuple[Length, Length]:
        """A direction in the image as it is seen."""
        cosine, sine = _TURNS[self.turn]
        return dx * cosine - dy * sine, dx * sine + dy * cosine

    def in_image(self, dx: Length, dy: Length) -> tuple[Length, Length]:
        """A direction on the screen in the image."""
        cosine, sine = _TURNS[self.turn]
        return dx * cosine + dy * sine, dy * cosine - dx * sine

    def seen_size(self, size: tuple[Length, Length]) -> tuple[Length, Length]:
        """Width and height of something in the image as it is seen."""
        return (size[1], size[0]) if self.turn % 2 else size

    def device_box(self, box: Box) -> Box:
        """Image rectangle to device pixels of the viewport."""
        return Box.spanning(*self.to_device(box.x0, box.y0), *self.to_device(box.x1, box.y1))

    def upright(self, x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
        """Where a rectangle of device pixels lies in the image that is zoomed, but not turned.

        Returns:
            Its left and top edge, counted from the image's, its width and its height.
        """
        x, y = x + self.left, y + self.top
        (x0, y0), (x1, y1) = self.in_image(x, y), self.in_image(x + width, y + height)
        return min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)

    @property
    def transform(self) -> QTransform:
        """Image to device pixels, for painters."""
        cosine, sine = (part * self.zoom for part in _TURNS[self.turn])
        return QTransform(cosine, sine, -sine, cosine, -self.left, -self.top)

    def panned(self, dx: int, dy: int) -> View:
        """The image moved by whole device pixels to the right and down."""
        return replace(self, left=self.left - dx, top=self.top - dy)

    def box(self, width: float, height: float) -> Box:
        """The part of the image plane seen in a viewport of this size (device pixels)."""
        return Box.spanning(*self.to_image(0, 0), *self.to_image(width, height))


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
        rect = QRectF(self.point(box.x0, box.y0), self.point(box.x1, box.y1))
        return rect.normalized() if self.view.turn else rect

    def enter_image(self, painter: QPainter) -> None:
        """Let the painter count image pixels (call inside save and restore)."""
        painter.translate(-self.view.left / self.scale, -self.view.top / self.scale)
        painter.scale(self.view.zoom / self.scale, self.view.zoom / self.scale)
        if self.view.turn:
            painter.rotate(90 * self.view.turn)


def anchored(zoom: float, x: float, y: float, at_x: float, at_y: float, turn: int = 0) -> View:
    """The view of this zoom and turn that shows image position x, y at a device position."""
    view = View(zoom, turn=turn)
    x, y = view.to_device(x, y)
    return replace(view, left=round(x - at_x), top=round(y - at_y))


def fitted(
    size: tuple[int, int], viewport: tuple[int, int], turn: int = 0, margin: int = FIT_MARGIN
) -> View:
    """The whole image, as large as it can be (small images at most 8 times enlarged)."""
    (width, height), (view_width, view_height) = View(turn=turn).seen_size(size), viewport
    room_x, room_y = max(view_width - 2 * margin, 1), max(view_height - 2 * margin, 1)
    zoom = min(room_x / max(width, 1), room_y / max(height, 1), 8.0)
    return anchored(zoom, size[0] / 2, size[1] / 2, view_width / 2, view_height / 2, turn)


def framed(box: Box, viewport: tuple[int, int], zoom: float, turn: int = 0) -> View:
    """The box in the middle, at this zoom or at one where it fits."""
    width, height = View(turn=turn).seen_size((box.width, box.height))
    room = min(viewport[0] / max(width * 1.25, 1e-6), viewport[1] / max(height * 1.25, 1e-6))
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return anchored(min(zoom, room), x, y, viewport[0] / 2, viewport[1] / 2, turn)


def enclosing(boxes: Sequence[Box]) -> Box:
    """The smallest box around some."""
    return Box(
        min(b.x0 for b in boxes), min(b.y0 for b in boxes),
        max(b.x1 for b in boxes), max(b.y1 for b in boxes),
    )  # fmt: skip


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes have an area in common."""
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


def limited(zoom: float, size: tuple[int, int], viewport: tuple[int, int], turn: int = 0) -> float:
    """The nearest zoom that is allowed for an image of this size."""
    fit = fitted(size, viewport, turn).zoom
    smallest = min(MIN_SIDE / max(*size, 1), fit / 2, 1.0)
    return min(max(zoom, smallest), MAX_ZOOM)


def kept_near(view: View, size: tuple[int, int], viewport: tuple[int, int]) -> View:
    """The view moved so that the middle of the viewport shows some of the image."""
    image = replace(view, left=0, top=0).device_box(Box(0, 0, *size))
    left = _between(view.left, image.x0 - viewport[0] / 2, image.x1 - viewport[0] / 2)
    top = _between(view.top, image.y0 - viewport[1] / 2, image.y1 - viewport[1] / 2)
    return replace(view, left=left, top=top)


def _between(value: int, low: float, high: float) -> int:
    return min(max(value, math.ceil(low)), math.floor(high))


def stepped(zoom: float, step: int) -> float:
    """One zoom command further in (1) or out (-1); stops at 100 % on the way."""
    after = zoom * STEP**step
    passes = (zoom < 1.0 < after) or (after < 1.0 < zoom)
    return 1.0 if passes and not math.isclose(zoom, 1.0, rel_tol=1e-3) else after
