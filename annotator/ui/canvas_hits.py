"""What lies under the pointer: marks, handles, objects. Pure functions in image pixels.

`unit` is the length of one viewport pixel in image pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QRectF, Qt

from annotator.ui import items
from annotator.ui.canvas_view import View
from annotator.ui.gestures import DRAG, NEAR, Grip
from annotator.ui.items import AnnotationItem
from models.api import Box, Point

SLACK = 3.0
"""Viewport pixels by which very small objects may be missed."""
_RESIZE_CURSORS = {
    (0, 1): Qt.CursorShape.SizeVerCursor,
    (1, 0): Qt.CursorShape.SizeHorCursor,
    (1, 1): Qt.CursorShape.SizeFDiagCursor,
    (1, -1): Qt.CursorShape.SizeBDiagCursor,
}


def mark_at(marks: Sequence[Point | Box], x: float, y: float, unit: float) -> Grip | None:
    """The prompt mark at a position: points before boxes, newest first."""
    reach = (items.MARK_RADIUS + 3) * unit
    newest_first = list(enumerate(marks))[::-1]
    for place, mark in newest_first:
        if isinstance(mark, Point) and math.hypot(mark.x - x, mark.y - y) <= reach:
            return Grip(place)
    for place, mark in newest_first:
        side = side_at(mark, x, y, unit) if isinstance(mark, Box) else None
        if side is not None:
            return Grip(place, side)
    return None


def side_at(box: Box, x: float, y: float, unit: float) -> tuple[int, int] | None:
    """The handle or edge of a box at a position; corners before sides."""
    frame = QRectF(box.x0, box.y0, box.width, box.height)
    corners_first = sorted(items.handle_points(frame).items(), key=lambda handle: 0 in handle[0])
    for side, at in corners_first:
        if max(abs(at.x() - x), abs(at.y() - y)) <= NEAR * 0.75 * unit:
            return side
    edge = DRAG * unit
    if box.y0 <= y <= box.y1 and min(abs(x - box.x0), abs(x - box.x1)) <= edge:
        return (-1 if abs(x - box.x0) < abs(x - box.x1) else 1, 0)
    if box.x0 <= x <= box.x1 and min(abs(y - box.y0), abs(y - box.y1)) <= edge:
        return (0, -1 if abs(y - box.y0) < abs(y - box.y1) else 1)
    return None


def handle_at(selected: Sequence[AnnotationItem], x: float, y: float, unit: float) -> Grip | None:
    """The handle of a selected box annotation at a position."""
    for item in reversed(selected):
        annotation = item.annotation
        if isinstance(annotation.shape, Box) and not annotation.locked:
            side = side_at(annotation.shape, x, y, unit)
            if side is not None:
                return Grip(annotation.id, side)
    return None


def pickable(drawn: Iterable[AnnotationItem]) -> list[AnnotationItem]:
    """Those that are neither hidden nor locked."""
    return [i for i in drawn if not i.annotation.hidden and not i.annotation.locked]


def items_at(
    drawn: Sequence[AnnotationItem], x: float, y: float, unit: float
) -> list[AnnotationItem]:
    """The objects at a position that can be selected, topmost first."""
    return [item for item in pickable(reversed(drawn)) if item.hit(x, y, SLACK * unit)]


def items_in(drawn: Sequence[AnnotationItem], box: Box) -> list[AnnotationItem]:
    """The objects that lie in a box and can be selected."""
    return [
        item
        for item in pickable(drawn)
        if box.contains(item.bounds.x0, item.bounds.y0)
        and box.contains(item.bounds.x1, item.bounds.y1)
    ]


def grip_cursor(grip: Grip, view: View) -> Qt.CursorShape:
    """The pointer over a handle, or over the mark of a point."""
    if grip.side == (0, 0):
        return Qt.CursorShape.PointingHandCursor
    x, y = view.on_screen(*grip.side)
    return _RESIZE_CURSORS.get((x, y)) or _RESIZE_CURSORS[(-x, -y)]
