"""What is drawn over the image: objects, candidates, marks, sketches. Drawing only, no truth.

Painters come with image coordinates (objects, candidates) or with viewport coordinates (marks,
tags, crosshair); `unit` is the length of one viewport pixel in image pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontMetricsF,
    QImage,
    QPainter,
    QPainterPath,
    QPen,
    QPolygonF,
)

from annotator.core.annotation import Annotation
from annotator.core.mask import Mask
from models.api import Box, MaskCandidate

if TYPE_CHECKING:
    from annotator.core import raster
    from annotator.ui.canvas_pixels import Rings

UNNAMED = "#ffffff"
"""Colour of objects without a class; no class of the palette has it."""
OPEN = "#39c5ff"
"""Colour of what is not accepted and has no class: no finished object looks like it."""
POSITIVE = QColor("#1fae4b")
NEGATIVE = QColor("#e0352b")
NEW_LINE = QColor("#ffd54a")
"""A stretch of outline that is being drawn: seen on objects of any class."""
MARK_RADIUS = 8.0
HANDLE_SIZE = 9.0
EXACT_FROM = 4.0
"""Viewport pixels per image pixel from which outlines follow the pixels exactly."""
WHOLE_LIMIT = 1 << 21
"""Masks with larger boxes are traced only where they are seen."""
SMOOTH_RING = 400.0
"""Brushes of a larger diameter (viewport pixels) have a plain ring."""
INTRICATE = 3000
"""So are outlines with more corners: every tile would stroke all of them."""
SPECKLED = 600
"""With so many corners in one tile, lines are thin."""
TINY = 4.0
"""Objects smaller than this many viewport pixels are drawn as a dot."""

_DASH, _GAP = 6.0, 4.0
"""Lengths in the outline of a proposal, viewport pixels."""

_DARK, _LIGHT = QColor(0, 0, 0, 150), QColor(255, 255, 255, 190)
_MARGIN = 6.0
_SHARES = {
    "selected": 1.15,
    "candidate": 0.85,
    "preview": 0.45,
    "hovered": 0.3,
    "proposed": 0.35,
    "proposed dense": 0.35,
    "proposed selected": 0.6,
}
"""How much of the opacity of fills each kind has."""
_AS_PROPOSED = {"object": "proposed", "dense": "proposed dense", "selected": "proposed selected"}


@dataclass(frozen=True, slots=True)
class Style:
    """How one outline is drawn: a fill, and strokes from the widest to the narrowest."""

    fill: QBrush
    strokes: tuple[QPen, ...]


def luminance(color: QColor) -> float:
    """Perceived brightness, 0 to 1."""
    return 0.299 * color.redF() + 0.587 * color.greenF() + 0.114 * color.blueF()


def brightened(color: QColor) -> QColor:
    """The same hue, light enough to be seen on a photograph."""
    hue, saturation, value = color.hsvHueF(), color.hsvSaturationF(), color.valueF()
    return QColor.fromHsvF(max(hue, 0.0), min(saturation, 0.85), max(value, 0.95))


def _pen(color: QColor, width: float, unit: float, *, dashed: bool = False) -> QPen:
    pen = QPen(color, width * unit)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    pen.setCapStyle(Qt.PenCapStyle.FlatCap if dashed else Qt.PenCapStyle.SquareCap)
    if dashed:
        pen.setDashPattern([4.0, 3.0])
    return pen


@lru_cache(maxsize=512)
def style(name: str, kind: str, opacity: float, unit: float) -> Style:
    """The style of an outline.

    Args:
        name: "#rrggbb" of the class, "" for objects without one.
        kind: "object", "dense" (one of very many), "selected", "hovered", "candidate" or
            "preview"; "proposed", "proposed dense" and "proposed selected" for proposals.
        opacity: of the fill, 0 to 1.
        unit: image pixels per viewport pixel.
    """
    proposed = kind.startswith("proposed")
    color = QColor(name or (OPEN if proposed else UNNAMED))
    fill = QColor(color)
    casing = _DARK if luminance(color) > 0.3 else _LIGHT
    # White hides what is beneath more than a colour does.
    fill.setAlphaF(min(opacity * _SHARES.get(kind, 1.0) * (1.0 if name or proposed else 0.6), 1.0))
    strokes: tuple[QPen, ...]
    if proposed:
        strokes = _proposed_strokes(color, kind, unit)
    elif kind == "selected":
        strokes = (
            _pen(QColor(0, 0, 0, 190), 5.6, unit),
            _pen(QColor(255, 255, 255), 3.4, unit),
            _pen(color if name else QColor(90, 90, 90), 1.5, unit),
        )
    elif kind == "dense":
        strokes = (_hairline(_DARK if luminance(color) > 0.3 else _LIGHT), _hairline(color))
    elif kind == "hovered":
        strokes = (_pen(QColor(0, 0, 0, 150), 3.8, unit), _pen(QColor(255, 255, 255), 1.8, unit))
    elif kind == "candidate":
        # Opaque: Qt takes four times as long for long lines that let something through.
        strokes = (_pen(QColor(20, 20, 20), 4.4, unit), _pen(brightened(color), 2.6, unit))
    elif kind == "preview":
        strokes = (_pen(QColor(40, 40, 40), 2.2, unit), _pen(brightened(color), 1.3, unit))
    else:
        strokes = (_pen(casing, 3.2, unit), _pen(color, 1.5, unit))
    return Style(QBrush(fill), strokes)


def _proposed_strokes(color: QColor, kind: str, unit: float) -> tuple[QPen, ...]:
    """Short dashes with nothing beneath them: the image shows through, unlike any object's line."""
    bright = brightened(color)
    if kind == "proposed dense":
        return (_hairline(bright, dashed=True),)
    if kind == "proposed selected":
        white = _pen(QColor(255, 255, 255), 3.4, unit)
        return (
            _pen(QColor(0, 0, 0, 190), 5.6, unit),
            white,
            _dashes(bright.darker(170), 3.4, unit),
        )
    return (_dashes(QColor(0, 0, 0, 200), 3.6, unit), _dashes(bright, 2.0, unit))


def _dashes(color: QColor, width: float, unit: float) -> QPen:
    """Dashes of the same length at any width, so that one lies inside the other."""
    pen = QPen(color, width * unit)
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    pen.setDashPattern([_DASH / width, _GAP / width])
    return pen


def thin(look: Style) -> Style:
    """The same with lines of one device pixel."""
    return Style(look.fill, tuple(_hairline(pen.color()) for pen in look.strokes[-2:]))


def _hairline(color: QColor, *, dashed: bool = False) -> QPen:
    """One device pixel wide: drawn ten times quicker than wider lines."""
    pen = QPen(color, 1.0)
    pen.setCosmetic(True)
    if dashed:
        pen.setDashPattern([_DASH, _GAP])
    return pen


def draw_path(painter: QPainter, path: QPainterPath, look: Style) -> None:
    """Fill and stroke."""
    if look.strokes[0].isCosmetic():
        painter.fillPath(path, look.fill)
        # One device pixel to the right and down, in the image, which may be turned.
        mapping = painter.transform()
        a, b = mapping.m11(), mapping.m12()
        x, y = (a + b) / (a * a + b * b), (a - b) / (a * a + b * b)
        for shadow in look.strokes[:-1]:
            painter.translate(x, y)
            painter.strokePath(path, shadow)
            painter.translate(-x, -y)
        painter.strokePath(path, look.strokes[-1])
        return
    # A line all around hides the edge of the fill.
    dashed = look.strokes[0].style() != Qt.PenStyle.SolidLine
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, dashed)
    painter.fillPath(path, look.fill)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for pen in look.strokes:
        painter.strokePath(path, pen)


def ring_path(rings: Rings) -> QPainterPath:
    """Closed rings as one path; holes stay open (odd-even rule)."""
    path = QPainterPath()
    for ring in rings:
        path.addPolygon(QPolygonF([QPointF(x, y) for x, y in ring.tolist()]))
        path.closeSubpath()
    return path


def _rect(box: Box) -> QRectF:
    return QRectF(box.x0, box.y0, box.width, box.height)


class AnnotationItem:
    """Draws one annotation. Rebuilt when the annotation changes; keeps only its outline.

    Args:
        annotation: what to draw.
        color: "#rrggbb" of its class, "" without one.
        before: the drawing of an earlier state; its outline is kept where the shape is the same.
    """

    __slots__ = ("_paths", "annotation", "bounds", "color")

    def __init__(
        self, annotation: Annotation, color: str, before: AnnotationItem | None = None
    ) -> None:
        from annotator.core.shapes import bounds

        self.annotation = annotation
        self.color = color
        self.bounds: Box
        self._paths: dict[int, QPainterPath]
        if before is not None and before.annotation.shape == annotation.shape:
            self.bounds, self._paths = before.bounds, before._paths
        else:
            self.bounds, self._paths = bounds(annotation), {}

    def hit(self, x: float, y: float, slack: float = 0.0) -> bool:
        """Whether an image position lies on the object; `slack` helps with very small ones."""
        box = self.bounds
        if not (box.x0 - slack <= x <= box.x1 + slack and box.y0 - slack <= y <= box.y1 + slack):
            return False
        shape = self.annotation.shape
        if isinstance(shape, Box) or max(box.width, box.height) < 2 * slack:
            return True
        from annotator.core import raster

        return raster.contains(shape, x, y)

    def paint(
        self,
        painter: QPainter,
        area: Box,
        unit: float,
        opacity: float,
        kind: str = "object",
        *,
        quick: bool = False,
    ) -> None:
        """Draw the part inside `area` (image pixels).

        Args:
            painter: counts image pixels.
            area: what must be drawn, image pixels.
            unit: image pixels per viewport pixel.
            opacity: of the fill, 0 to 1.
            kind: as in `style`, for an object.
            quick: it is drawn in every frame, so intricate outlines are thin.
        """
        if self.annotation.proposed:
            kind = _AS_PROPOSED.get(kind, kind)
        if max(self.bounds.width, self.bounds.height) < TINY * unit:
            self._paint_dot(painter, unit, strong=kind.endswith(("selected", "hovered")))
        elif isinstance(self.annotation.shape, Box):
            look = style(self.color, kind, opacity * 0.25, unit)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            path = QPainterPath()
            path.addRect(_rect(self.annotation.shape))
            draw_path(painter, path, look)
        elif unit <= 1 / EXACT_FROM:
            self._paint_pixels(painter, area, style(self.color, kind, opacity, unit), unit)
        else:
            look = style(self.color, kind, opacity, unit)
            self.prepare(unit)
            whole = self._paths.get(_shrink(unit))
            if quick and whole is not None and whole.elementCount() > INTRICATE:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
                draw_path(painter, whole, thin(look))
                return
            path = self._outline(self.annotation.shape, area, unit)
            # Around specks so dense, wide smooth lines take seconds and hide what is beneath.
            smooth = path is whole or path.elementCount() <= SPECKLED
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, smooth)
            draw_path(painter, path, look if smooth else thin(look))

    def _paint_dot(self, painter: QPainter, unit: float, *, strong: bool) -> None:
        x, y = self.bounds.x0 + self.bounds.width / 2, self.bounds.y0 + self.bounds.height / 2
        size = TINY * unit
        border = QColor("white") if strong else _DARK
        painter.fillRect(QRectF(x - size * 0.7, y - size * 0.7, size * 1.4, size * 1.4), border)
        color = QColor(self.color or (OPEN if self.annotation.proposed else UNNAMED))
        painter.fillRect(QRectF(x - size / 2, y - size / 2, size, size), color)

    def prepare(self, unit: float) -> bool:
        """Trace the outline `paint` will need; False when there was nothing to do."""
        shape, shrink = self.annotation.shape, _shrink(unit)
        if (
            isinstance(shape, Box)
            or shrink in self._paths
            or unit <= 1 / EXACT_FROM
            or max(self.bounds.width, self.bounds.height) < TINY * unit
            or (shrink == 1 and self._large)
        ):
            return False
        from annotator.ui import canvas_pixels

        self._paths[shrink] = ring_path(canvas_pixels.mask_rings(shape, self.bounds, shrink))
        return True

    @property
    def _large(self) -> bool:
        return self.bounds.width * self.bounds.height > WHOLE_LIMIT

    def _outline(self, mask: Mask, area: Box, unit: float) -> QPainterPath:
        shrink = _shrink(unit)
        if shrink == 1 and self._large:
            return self._part(mask, area, unit, shrink)
        self.prepare(unit)
        path = self._paths[shrink]
        if path.elementCount() <= INTRICATE:
            return path
        return self._part(mask, area, unit, shrink)

    def _part(self, mask: Mask, area: Box, unit: float, shrink: int) -> QPainterPath:
        """The outline of what is seen; tiles of one coarse grid, so that they fit together."""
        from annotator.ui import canvas_pixels

        margin, corner = _MARGIN * unit + 2, self.bounds
        x0 = (area.x0 - margin - corner.x0) // shrink * shrink + corner.x0
        y0 = (area.y0 - margin - corner.y0) // shrink * shrink + corner.y0
        wider = Box(x0, y0, area.x1 + margin, area.y1 + margin)
        piece = canvas_pixels.part(mask, self.bounds, wider)
        return ring_path(canvas_pixels.piece_rings(piece, shrink) if piece is not None else [])

    def _paint_pixels(self, painter: QPainter, area: Box, look: Style, unit: float) -> None:
        """Pixel squares and their exact boundary; work follows the visible pixels."""
        from annotator.ui import canvas_pixels

        shape = self.annotation.shape
        margin = _MARGIN * unit + 2
        wider = Box(area.x0 - margin, area.y0 - margin, area.x1 + margin, area.y1 + margin)
        if isinstance(shape, Box):
            return
        piece = canvas_pixels.part(shape, self.bounds, wider)
        if piece is None or not piece.pixels.any():
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        _draw_piece(painter, piece, look.fill.color())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        path = QPainterPath()
        edges = canvas_pixels.piece_edges(piece)
        for y, x0, x1 in edges.horizontal.tolist():
            path.moveTo(x0, y)
            path.lineTo(x1, y)
        for x, y0, y1 in edges.vertical.tolist():
            path.moveTo(x, y0)
            path.lineTo(x, y1)
        for pen in look.strokes:
            painter.strokePath(path, _stitched(pen) if pen.dashPattern() else pen)


def _stitched(pen: QPen) -> QPen:
    """Dashes for lines along pixel edges: over every corner of pixels, open between them."""
    stitched = QPen(pen)
    half = 0.5 / pen.widthF()
    stitched.setDashPattern([half, half])
    stitched.setDashOffset(half / 2)
    return stitched


def _shrink(unit: float) -> int:
    """How much coarser than the image an outline may be at this zoom."""
    return 1 if unit <= 2 else 2 if unit <= 8 else 8


def _draw_piece(painter: QPainter, piece: raster.Crop, color: QColor) -> None:
    from annotator.ui import canvas_pixels

    h, w = piece.pixels.shape
    alpha = color.alpha()
    r, g, b = (part * alpha // 255 for part in (color.red(), color.green(), color.blue()))
    argb = canvas_pixels.tinted(piece.pixels, alpha << 24 | r << 16 | g << 8 | b)
    image = QImage(argb.data, w, h, 4 * w, QImage.Format.Format_ARGB32_Premultiplied)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    painter.drawImage(QRectF(piece.x, piece.y, w, h), image)


class CandidateItem:
    """Draws one candidate of a segmenter at any zoom from a contour traced once.

    Args:
        candidate: the logits and where they lie.
    """

    __slots__ = ("bounds", "candidate", "path")

    def __init__(self, candidate: MaskCandidate) -> None:
        from annotator.ui import canvas_pixels

        self.candidate = candidate
        self.path = ring_path(canvas_pixels.candidate_rings(candidate))
        self.bounds = self.path.boundingRect()

    def paint(self, painter: QPainter, color: str, kind: str, opacity: float, unit: float) -> None:
        """Draw it as "candidate", "preview" or "object" (accepted, being finished)."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_path(painter, self.path, style(color, kind, opacity, unit))


# --- Prompt marks; viewport coordinates ---


def draw_point(painter: QPainter, at: QPointF, *, positive: bool, hovered: bool) -> None:
    """A click: a green disc with a plus, or a red diamond with a minus."""
    device = painter.device()
    # A picture of it: drawing its curves anew in every frame takes longer than all the rest.
    mark = _mark(positive, hovered, device.devicePixelRatioF() if device is not None else 1.0)
    half = mark.deviceIndependentSize() / 2
    painter.drawImage(at - QPointF(half.width(), half.height()), mark)


@lru_cache(maxsize=16)
def _mark(positive: bool, hovered: bool, ratio: float) -> QImage:
    radius = MARK_RADIUS + (2.0 if hovered else 0.0)
    side = math.ceil((2.5 * radius + 4.0) * ratio)
    image = QImage(side, side, QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(Qt.GlobalColor.transparent)
    at = QPointF(side / 2 / ratio, side / 2 / ratio)
    shape = QPainterPath()
    if positive:
        shape.addEllipse(at, radius, radius)
    else:
        reach = radius * 1.25
        shape.addPolygon(
            QPolygonF(
                [
                    at + QPointF(0, -reach), at + QPointF(reach, 0),
                    at + QPointF(0, reach), at + QPointF(-reach, 0),
                ]
            )
        )  # fmt: skip
        shape.closeSubpath()
    with QPainter(image) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.strokePath(shape, QPen(QColor(0, 0, 0, 130), 4.0))
        painter.fillPath(shape, POSITIVE if positive else NEGATIVE)
        painter.strokePath(shape, QPen(QColor("white"), 1.8))
        sign = QPen(QColor("white"), 2.2)
        sign.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(sign)
        arm = radius * 0.45
        painter.drawLine(at - QPointF(arm, 0), at + QPointF(arm, 0))
        if positive:
            painter.drawLine(at - QPointF(0, arm), at + QPointF(0, arm))
    return image


def draw_frame(painter: QPainter, frame: QRectF, color: QColor, *, dashed: bool = False) -> None:
    """A rectangle that reads on any background."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(_pen(QColor(0, 0, 0, 150), 3.4, 1.0))
    painter.drawRect(frame)
    painter.setPen(_pen(color, 1.6, 1.0, dashed=dashed))
    painter.drawRect(frame)


def handle_points(frame: QRectF) -> dict[tuple[int, int], QPointF]:
    """The eight handles of a frame by side: (-1, 0 or 1 horizontally, the same vertically)."""
    xs = {-1: frame.left(), 0: frame.center().x(), 1: frame.right()}
    ys = {-1: frame.top(), 0: frame.center().y(), 1: frame.bottom()}
    return {
        (i, j): QPointF(xs[i], ys[j]) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)
    }


def draw_handles(
    painter: QPainter, frame: QRectF, color: QColor, hovered: tuple[int, int] | None = None
) -> None:
    """Eight squares; middles are left out where they would crowd the corners."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for grip, at in handle_points(frame).items():
        if (grip[0] == 0 and frame.width() < 4 * HANDLE_SIZE) or (
            grip[1] == 0 and frame.height() < 4 * HANDLE_SIZE
        ):
            continue
        size = HANDLE_SIZE + (3.0 if grip == hovered else 0.0)
        square = QRectF(at - QPointF(size / 2, size / 2), QSizeF(size, size))
        painter.setPen(QPen(QColor(0, 0, 0, 190), 1.4))
        painter.setBrush(color if grip == hovered else QColor("white"))
        painter.drawRoundedRect(square, 1.5, 1.5)


def draw_spinner(painter: QPainter, at: QPointF, turn: float) -> None:
    """A quiet arc around a mark; `turn` counts rounds."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    radius = MARK_RADIUS + 6.0
    frame = QRectF(at.x() - radius, at.y() - radius, 2 * radius, 2 * radius)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for color, width in ((QColor(0, 0, 0, 130), 4.2), (QColor(255, 255, 255, 235), 2.2)):
        pen = QPen(color, width)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawArc(frame, round(-turn * 5760) % 5760, 1700)


# --- Sketches of shapes being drawn; viewport coordinates ---


def draw_sketch(
    painter: QPainter,
    vertices: Sequence[QPointF],
    pointer: QPointF | None,
    color: QColor,
    *,
    closing: bool,
) -> None:
    """An unfinished polygon with its rubber line."""
    if not vertices:
        return
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    outline = [*vertices, *([] if pointer is None or closing else [pointer])]
    if len(outline) > 2:
        fill = QColor(color)
        fill.setAlphaF(0.18)
        area = QPainterPath()
        area.addPolygon(QPolygonF(outline))
        painter.fillPath(area, fill)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    line = QPolygonF(list(vertices))
    for shade, width in ((QColor(0, 0, 0, 150), 3.6), (brightened(color), 1.8)):
        painter.setPen(_pen(shade, width, 1.0))
        painter.drawPolyline(line)
        if pointer is not None:
            end = vertices[0] if closing else pointer
            painter.setPen(_pen(shade, width, 1.0, dashed=width < 3))
            painter.drawLine(vertices[-1], end)
    for place, vertex in enumerate(vertices):
        big = place == 0 and closing
        radius = 6.5 if big else 4.5 if place == 0 else 3.5
        painter.setPen(QPen(QColor(0, 0, 0, 190), 1.4))
        painter.setBrush(brightened(color) if big else QColor("white"))
        painter.drawEllipse(vertex, radius, radius)


def draw_path_sketch(
    painter: QPainter, path: Sequence[QPointF], color: QColor, *, closed: bool
) -> None:
    """A line drawn by hand; `closed`: what it encloses is meant."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    shape = QPainterPath()
    shape.addPolygon(QPolygonF(list(path)))
    if closed:
        fill = QColor(color)
        fill.setAlphaF(0.18)
        painter.fillPath(shape, fill)
        painter.strokePath(_closing(path), _pen(QColor(255, 255, 255, 200), 1.2, 1.0, dashed=True))
    painter.strokePath(shape, _pen(QColor(0, 0, 0, 160), 3.6, 1.0))
    painter.strokePath(shape, _pen(color, 1.8, 1.0))


def draw_knots(painter: QPainter, places: Sequence[QPointF]) -> None:
    """Where a line was clicked; the first place is larger, a click on it closes the line."""
    painter.setPen(QPen(QColor(0, 0, 0, 190), 1.4))
    painter.setBrush(QColor("white"))
    for place, at in enumerate(places):
        radius = 3.5 if place else 4.5
        painter.drawEllipse(at, radius, radius)


def _closing(path: Sequence[QPointF]) -> QPainterPath:
    line = QPainterPath(path[-1])
    line.lineTo(path[0])
    return line


def draw_ring(painter: QPainter, frame: QRectF, *, removes: bool, text: str) -> None:
    """The brush: a circle of its size, red where it takes away, and its size in words."""
    # Large circles take long with smooth edges, and look the same.
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, frame.width() < SMOOTH_RING)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    color = QColor("#ff8a80") if removes else QColor("white")
    for pen in (_pen(QColor(0, 0, 0, 170), 3.2, 1.0), _pen(color, 1.4, 1.0)):
        painter.setPen(pen)
        painter.drawEllipse(frame)
    if text:
        metrics = QFontMetricsF(painter.font())
        label = QRectF(
            frame.right() + 6, frame.bottom() + 2, metrics.horizontalAdvance(text) + 10,
            metrics.height() + 4,
        )  # fmt: skip
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 170))
        painter.drawRoundedRect(label, 3, 3)
        painter.setPen(QColor("white"))
        painter.drawText(label, Qt.AlignmentFlag.AlignCenter, text)


def draw_crosshair(painter: QPainter, at: QPointF, width: int, height: int) -> None:
    """Two lines through the pointer, open at the pointer itself."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    x, y, gap = math.floor(at.x()) + 0.5, math.floor(at.y()) + 0.5, 14.0
    lines = (
        (QPointF(0, y), QPointF(x - gap, y)),
        (QPointF(x + gap, y), QPointF(width, y)),
        (QPointF(x, 0), QPointF(x, y - gap)),
        (QPointF(x, y + gap), QPointF(x, height)),
    )
    for color, dash in ((QColor(0, 0, 0, 150), None), (QColor(255, 255, 255, 210), [5.0, 5.0])):
        pen = QPen(color, 1.0)
        if dash is not None:
            pen.setDashPattern(dash)
        painter.setPen(pen)
        for start, end in lines:
            painter.drawLine(start, end)


def draw_tag(painter: QPainter, text: str, color: str, corner: QPointF, viewport: QRectF) -> None:
    """A class name above the top left corner of an object, kept inside the viewport."""
    font = QFont(painter.font())
    font.setPointSizeF(max(font.pointSizeF() * 0.92, 7.5))
    metrics = QFontMetricsF(font)
    text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, 220)
    size = QSizeF(metrics.horizontalAdvance(text) + 12, metrics.height() + 4)
    x = min(max(corner.x(), viewport.left() + 2), viewport.right() - size.width() - 2)
    y = min(
        max(corner.y() - size.height() - 4, viewport.top() + 2),
        viewport.bottom() - size.height() - 2,
    )
    back = QColor(color or UNNAMED)
    frame = QRectF(QPointF(round(x), round(y)), size)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(0, 0, 0, 120), 1.0))
    painter.setBrush(back)
    painter.drawRoundedRect(frame, 3.5, 3.5)
    painter.setFont(font)
    painter.setPen(QColor("#101010") if luminance(back) > 0.5 else QColor("white"))
    painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, text)
