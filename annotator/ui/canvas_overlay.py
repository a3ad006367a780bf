"""What the canvas draws fresh in every frame: candidates, marks, sketches, tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter

from annotator.ui import items
from annotator.ui.canvas_view import Frame
from annotator.ui.gestures import (
    Ghost,
    Grip,
    PathSketch,
    PolygonSketch,
    Resizing,
    RubberBand,
    Sketch,
)
from annotator.ui.items import AnnotationItem, CandidateItem
from models.api import Box, MaskCandidate, Point

MOST_TAGS = 12
MOST_GHOSTS = 150


@dataclass(slots=True)
class Overlay:
    """The state of everything drawn fresh.

    Attributes:
        candidate: the candidate shown for the open prompt.
        preview: what the pointer or the box being dragged would give.
        finishing: accepted objects whose exact masks are being made, each with its colour.
        marks: points and box of the open prompt.
        mark_hovered: the mark under the pointer.
        handle_hovered: the handle of a box annotation under the pointer.
        sketch: the shape being drawn or moved.
        selected: the selected objects, bottom first.
        hovered: the object under the pointer or pointed at in a list.
        names: class names by category id.
        color: "#rrggbb" of the active class.
        opacity: of mask fills.
        handles: whether selected boxes show their handles.
        pointer: viewport position for the crosshair, or None.
        turn: rounds of the spinner, or None.
    """

    candidate: CandidateItem | None = None
    preview: CandidateItem | None = None
    finishing: tuple[tuple[CandidateItem, str], ...] = ()
    marks: tuple[Point | Box, ...] = ()
    mark_hovered: Grip | None = None
    handle_hovered: Grip | None = None
    sketch: Sketch | None = None
    selected: tuple[AnnotationItem, ...] = ()
    hovered: AnnotationItem | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    color: str = ""
    opacity: float = 0.45
    handles: bool = False
    pointer: QPointF | None = None
    turn: float | None = None

    def paint(self, painter: QPainter, frame: Frame) -> None:
        """Draw everything; the painter counts viewport pixels."""
        painter.save()
        frame.enter_image(painter)
        self._paint_regions(painter, frame)
        painter.restore()
        self._paint_handles(painter, frame)
        self._paint_tags(painter, frame)
        self._paint_marks(painter, frame)
        self._paint_sketch(painter, frame)
        if self.pointer is not None:
            items.draw_crosshair(painter, self.pointer, frame.width, frame.height)

    def _paint_regions(self, painter: QPainter, frame: Frame) -> None:
        for item, color in self.finishing:
            item.paint(painter, color, "object", self.opacity, frame.unit)
        if self.hovered is not None and not isinstance(self.sketch, Ghost):
            self.hovered.paint(painter, frame.area, frame.unit, self.opacity, "hovered", quick=True)
        if isinstance(self.sketch, Ghost):
            self._paint_ghosts(painter, frame, self.sketch)
        shown = self.preview or self.candidate
        if shown is not None:
            kind = "preview" if shown is self.preview else "candidate"
            shown.paint(painter, self._active(), kind, self.opacity, frame.unit)

    def _active(self) -> str:
        return self.color or items.OPEN

    def _paint_ghosts(self, painter: QPainter, frame: Frame, ghost: Ghost) -> None:
        area = frame.area
        moved = Box(area.x0 - ghost.dx, area.y0 - ghost.dy, area.x1 - ghost.dx, area.y1 - ghost.dy)
        painter.save()
        painter.translate(ghost.dx, ghost.dy)
        if len(self.selected) <= MOST_GHOSTS:
            for item in self.selected:
                item.paint(painter, moved, frame.unit, self.opacity, "selected", quick=True)
        else:
            look = items.style("", "selected", 0.0, frame.unit)
            painter.setPen(look.strokes[1])
            for item in self.selected:
                box = item.bounds
                painter.drawRect(QRectF(box.x0, box.y0, box.width, box.height))
        painter.restore()

    def _paint_handles(self, painter: QPainter, frame: Frame) -> None:
        if not self.handles or isinstance(self.sketch, Ghost):
            return
        for item in self.selected[:MOST_TAGS]:
            shape = item.annotation.shape
            if (
                isinstance(self.sketch, Resizing)
                and self.sketch.annotation_id == item.annotation.id
            ):
                shape = self.sketch.box
                items.draw_frame(painter, frame.rect(shape), QColor("white"))
            if isinstance(shape, Box) and not item.annotation.locked:
                grip = self.handle_hovered
                held = grip is not None and grip.target == item.annotation.id
                side = frame.view.on_screen(*grip.side) if grip is not None and held else None
                items.draw_handles(
                    painter, frame.rect(shape), QColor(item.color or "#808080"), side
                )

    def _paint_tags(self, painter: QPainter, frame: Frame) -> None:
        if self.sketch is not None:
            return
        viewport = QRectF(0, 0, frame.width, frame.height)
        tagged = list(self.selected) if len(self.selected) <= MOST_TAGS else []
        if self.hovered is not None and self.hovered not in tagged:
            tagged.append(self.hovered)
        for item in tagged:
            if not viewport.intersects(frame.rect(item.bounds)):
                continue
            number = item.annotation.category_id
            text = "no name" if number is None else self.names.get(number, "?")
            if item.annotation.proposed:
                text += " · proposed"
            corner = frame.rect(item.bounds).topLeft()
            proposed_color = items.OPEN if item.annotation.proposed else ""
            items.draw_tag(painter, text, item.color or proposed_color, corner, viewport)

    def _paint_marks(self, painter: QPainter, frame: Frame) -> None:
        hovered = self.mark_hovered
        for place, mark in enumerate(self.marks):
            if isinstance(mark, Box):
                color = items.brightened(QColor(self._active()))
                rect = frame.rect(mark)
                items.draw_frame(painter, rect, color)
                held = hovered is not None and hovered.target == place
                side = frame.view.on_screen(*hovered.side) if hovered is not None and held else None
                items.draw_handles(painter, rect, color, side)
        for place, mark in enumerate(self.marks):
            if isinstance(mark, Point):
                near = hovered is not None and hovered.target == place
                at = frame.point(mark.x, mark.y)
                items.draw_point(painter, at, positive=mark.positive, hovered=near)
        if self.turn is not None and self.marks:
            items.draw_spinner(painter, self._spinner_place(frame, self.marks[-1]), self.turn)

    def _spinner_place(self, frame: Frame, mark: Point | Box) -> QPointF:
        if isinstance(mark, Point):
            return frame.point(mark.x, mark.y)
        return frame.point(mark.x1, mark.y1)

    def _paint_sketch(self, painter: QPainter, frame: Frame) -> None:
        sketch = self.sketch
        if isinstance(sketch, RubberBand):
            plain = sketch.purpose == "selection"
            color = QColor("white") if plain else items.brightened(QColor(self._active()))
            rect = frame.rect(sketch.box)
            if plain:
                painter.fillRect(rect, QColor(255, 255, 255, 28))
            items.draw_frame(painter, rect, color, dashed=plain)
        elif isinstance(sketch, PathSketch):
            color = items.brightened(QColor(self._active()))
            if sketch.removes or sketch.stretch:
                color = items.NEGATIVE if sketch.removes else items.NEW_LINE
            path = [frame.point(x, y) for x, y in sketch.path]
            items.draw_path_sketch(painter, path, color, closed=sketch.closed)
            items.draw_knots(painter, [frame.point(x, y) for x, y in sketch.knots])
        elif isinstance(sketch, PolygonSketch):
            corners = [frame.point(x, y) for x, y in sketch.corners]
            pointer = frame.point(*sketch.pointer) if sketch.pointer is not None else None
            items.draw_sketch(
                painter, corners, pointer, QColor(self._active()), closing=sketch.closing
            )


class CandidateItems:
    """Keeps the contour of each candidate while it is shown, so that it is traced once."""

    def __init__(self) -> None:
        self._known: dict[int, CandidateItem] = {}

    def item(self, candidate: MaskCandidate) -> CandidateItem:
        """The drawing of a candidate."""
        known = self._known.get(id(candidate))
        if known is None or known.candidate is not candidate:
            known = CandidateItem(candidate)
            self._known[id(candidate)] = known
        return known

    def keep(self, shown: Iterable[MaskCandidate]) -> None:
        """Forget all others."""
        wanted = {id(candidate) for candidate in shown}
        self._known = {number: item for number, item in self._known.items() if number in wanted}
