"""`VertexEditor`: the outlines of the selected mask as vertices, and what is done to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPainterPath, QPen, QPolygonF

from annotator.core.mask import Mask
from annotator.services.task_queue import TaskQueue, unexpected
from annotator.ui import items
from annotator.ui.detail_bar import DetailBar
from annotator.ui.gestures import DRAG, NEAR, Notches
from annotator.ui.nudging import ARROWS, steps

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation
    from annotator.core.editing.vertices import Ring
    from annotator.ui.canvas import Canvas
    from annotator.ui.canvas_view import Frame
    from models.api import Box

Handle = tuple[int, int]
"""The number of a ring, and that of a vertex on it."""
Spot = tuple[float, float]

DETAILS = (0.0, 0.8, 1.2, 1.6, 2.2, 3.0, 4.0, 5.5, 7.5, 10.0, 14.0, 20.0)
"""How far the lines between vertices may be from the outline, image pixels; least first."""
FIRST = 4
"""Place in `DETAILS` at the beginning."""
TOOL = "vertices"
MOST_HANDLES = 3000
"""More are not drawn: they would cover everything."""
MOST_SMOOTH = 1500
"""Lines between more vertices are drawn thin and plain."""
_SIZE = 7.0
_PIECE = 128
"""Vertices in one piece of the lines."""


class VertexEditor(QObject):
    """Shows vertices while its tool is chosen; every change is one undo step.

    Args:
        canvas: shows them.
    """

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._queue: TaskQueue | None = None
        self._target: int | None = None
        self._mask: Mask | None = None
        self._keep: tuple[tuple[Spot, ...], tuple[Spot, ...]] = ((), ())
        self._lines: list[QPainterPath] = []
        self._moving: dict[Handle, Spot] = {}
        self._nudge = (0, 0)
        self._down: set[int] = set()
        self._bar: DetailBar | None = None
        self._notches = Notches()
        self.rings: tuple[Ring, ...] = ()
        """Of the mask as it is; () while they are traced."""
        self.chosen: frozenset[Handle] = frozenset()
        """The vertices that move together."""
        self.hovered: Handle | None = None
        """The vertex under the pointer."""
        self.detail = FIRST
        """Place in `DETAILS`."""

    # --- What is shown ---

    def target(self) -> Annotation | None:
        """The one selected mask that is not locked, while the tool is chosen."""
        workspace = self._canvas.workspace
        if workspace.tool != TOOL or len(workspace.selection) != 1 or workspace.draft:
            return None
        chosen = workspace.selected
        usable = chosen and isinstance(chosen[0].shape, Mask) and not chosen[0].locked
        return chosen[0] if usable else None

    def follow(self) -> None:
        """The tool, the selection or the objects may have changed."""
        target = self.target()
        mask = None if target is None else target.shape
        if target is None or not isinstance(mask, Mask):
            self._forget()
            return
        if target.id != self._target:
            self._keep = ((), ())
            self.chosen = frozenset()
        if target.id != self._target or mask != self._mask:
            self._target, self._mask = target.id, mask
            self._trace()

    def _forget(self) -> None:
        if self._queue is not None:
            self._queue.close()
            self._queue.deleteLater()
            self._queue = None
        self._target = self._mask = None
        self._lines = []
        self._show((), ())
        if self._bar is not None:
            self._bar.hide()

    def _show(self, rings: tuple[Ring, ...], chosen: Iterable[Handle]) -> None:
        self.rings, self.chosen = rings, frozenset(chosen)
        self.hovered = None
        self._moving = {}
        self._nudge = (0, 0)
        self._down.clear()
        self._canvas.viewport().update()

    def _trace(self) -> None:
        """Find the vertices of the mask, on a thread: outlines may have very many corners."""
        if self._mask is None:
            return
        if self._queue is None:
            self._queue = TaskQueue("vertices", self)
        # Nothing can be caught until the new vertices are there.
        self.rings = ()
        keep, moved = self._keep
        self._queue.submit(
            "trace",
            partial(_traced, self._mask, DETAILS[self.detail], keep, moved),
            self._take,
            unexpected,
        )

    def _take(self, found: tuple[tuple[Ring, ...], tuple[Handle, ...], list[QPainterPath]]) -> None:
        rings, chosen, self._lines = found
        self._show(rings, chosen)
        if self._bar is None:
            self._bar = DetailBar(len(DETAILS), self._canvas.viewport())
            self._bar.moved.connect(lambda place: self.set_detail(len(DETAILS) - 1 - place))
        count = sum(len(ring.shown) for ring in self.rings)
        self._bar.tell(len(DETAILS) - 1 - self.detail, count)

    def set_detail(self, place: int) -> None:
        """Show more vertices (0: every corner of a pixel) or fewer; no pixel changes."""
        place = min(max(place, 0), len(DETAILS) - 1)
        if place != self.detail:
            self.detail = place
            self._keep = ((), ())
            self._trace()

    def wheel(self, angle: int) -> None:
        """Alt and the wheel: away from you shows more vertices."""
        self.set_detail(self.detail - self._notches.turn(angle))

    # --- What is under the pointer ---

    def vertex_at(self, x: float, y: float) -> Handle | None:
        """The vertex at an image position."""
        found = self._nearest(x, y)
        return found[1] if found and found[0] <= self._canvas.reach(NEAR) else None

    def _nearest(self, x: float, y: float) -> tuple[float, Handle] | None:
        import numpy as np

        best: tuple[float, Handle] | None = None
        for place, ring in enumerate(self.rings):
            distances = np.hypot(*(ring.vertices - (x, y)).T)
            number = int(np.argmin(distances))
            if best is None or distances[number] < best[0]:
                best = float(distances[number]), (place, number)
        return best

    def ring_at(self, x: float, y: float) -> int | None:
        """The ring one of whose lines lies at an image position."""
        import numpy as np

        for place, ring in enumerate(self.rings):
            starts = ring.vertices
            along = np.roll(starts, -1, axis=0) - starts
            lengths = np.maximum((along**2).sum(axis=1), 1e-12)
            share = np.clip((((x, y) - starts) * along).sum(axis=1) / lengths, 0, 1)
            distances = np.hypot(*(starts + along * share[:, None] - (x, y)).T)
            if distances.min() <= self._canvas.reach(DRAG + 1):
                return place
        return None

    def inside(self, box: Box) -> frozenset[Handle]:
        """The vertices in a box."""
        return frozenset(
            (place, number)
            for place, ring in enumerate(self.rings)
            for number, (x, y) in enumerate(ring.vertices.tolist())
            if box.contains(x, y)
        )

    def hover(self, x: float, y: float) -> None:
        """The pointer is here."""
        hovered = self.vertex_at(x, y) if self.rings else None
        if hovered != self.hovered:
            self.hovered = hovered
            self._canvas.viewport().update()

    def choose(self, chosen: Iterable[Handle]) -> None:
        """These vertices move together."""
        self.chosen = frozenset(chosen)
        self._canvas.viewport().update()

    # --- Changing them ---

    def insert(self, place: int, x: float, y: float) -> Handle:
        """One more vertex on a ring, at an image position; no pixel changes."""
        from annotator.core.editing.vertices import inserted

        ring, number = inserted(self.rings[place], (x, y))
        self.rings = (*self.rings[:place], ring, *self.rings[place + 1 :])
        self.choose(((place, number),))
        return place, number

    def show_moved(self, dx: float, dy: float) -> None:
        """Show the chosen vertices this far from where they are."""
        self._moving = self._shifted(dx, dy) if dx or dy else {}
        self._canvas.viewport().update()

    def _shifted(self, dx: float, dy: float) -> dict[Handle, Spot]:
        width, height = self._canvas.image_size()
        moved = {}
        for place, number in self.chosen if self.rings else ():
            x, y = self.rings[place].vertices[number].tolist()
            moved[place, number] = (
                min(max(x + dx, 0.0), float(width)),
                min(max(y + dy, 0.0), float(height)),
            )
        return moved

    def move(self, dx: float, dy: float) -> None:
        """Move the chosen vertices by image pixels: one undo step."""
        self._change({**self._shifted(dx, dy)}, "Reshape")

    def erase(self, handles: Iterable[Handle]) -> None:
        """Erase vertices; a ring of which fewer than three are left is gone."""
        self._change(dict.fromkeys(handles), "Erase vertices of")

    def _change(self, after: Mapping[Handle, Spot | None], verb: str) -> None:
        from annotator.core import raster
        from annotator.core.editing.vertices import changed

        before, target = self._mask, self._target
        if before is None or target is None or not self.rings:
            return
        mask = before
        for place, ring in enumerate(self.rings):
            here = {number: spot for (at, number), spot in after.items() if at == place}
            piece = changed(mask, ring, here) if here else None
            mask = raster.patched(mask, piece) if piece is not None else mask
        kept = [
            (x, y)
            for place, ring in enumerate(self.rings)
            for number, (x, y) in enumerate(ring.vertices.tolist())
            if (place, number) not in after
        ]
        self._keep = tuple(kept), tuple(spot for spot in after.values() if spot is not None)
        self._moving = {at: spot for at, spot in after.items() if spot is not None}
        self._canvas.workspace.masks.put(target, mask, verb)
        if mask == before:
            self._trace()  # nothing changed, so nothing else asks for it

    # --- Keys ---

    def claims(self, key: int) -> bool:
        """Whether a key acts on vertices now."""
        if not self.rings or not self.chosen:
            return False
        return key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_Escape)

    def press(self, event: QKeyEvent) -> bool:
        """Arrows move the chosen vertices, Delete erases them, Escape lets go of them."""
        if not self.rings or not self.chosen:
            return False
        key = event.key()
        if key in ARROWS:
            dx, dy = steps(event, self._canvas.frame().view)
            self._nudge = self._nudge[0] + dx, self._nudge[1] + dy
            self._down.add(key)
            self.show_moved(*self._nudge)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.erase(self.chosen)
        elif key == Qt.Key.Key_Escape:
            self.choose(())
        else:
            return False
        return True

    def holds(self, key: int) -> bool:
        """Whether this key moves vertices now."""
        return key in self._down

    def release(self, keys: set[int]) -> None:
        """Keys are up: the last one keeps the new place."""
        risen = self._down & keys
        self._down -= risen
        if risen and not self._down:
            self.commit_nudge()

    def commit_nudge(self) -> None:
        """All arrow keys of one go are one step."""
        nudge, self._nudge = self._nudge, (0, 0)
        self._down.clear()
        if nudge != (0, 0):
            self.move(*nudge)

    # --- Painting ---

    def paint(self, painter: QPainter, frame: Frame) -> None:
        """Draw lines and vertices; the painter counts viewport pixels."""
        if self._target is None or not self._lines:
            return
        many = sum(len(ring.shown) for ring in self.rings) > MOST_SMOOTH
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not many)
        painter.save()
        frame.enter_image(painter)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        area = frame.area
        seen = QRectF(area.x0, area.y0, area.width, area.height)
        for color, width in ((QColor(0, 0, 0, 150), 3.0), (QColor("white"), 1.2)):
            if many and width > 2:
                continue
            pen = QPen(color, 1.0 if many else width)
            pen.setCosmetic(True)
            painter.setPen(pen)
            for line in self._lines:
                if line.controlPointRect().adjusted(-1, -1, 1, 1).intersects(seen):
                    painter.drawPath(line)
        painter.restore()
        self._paint_moving(painter, frame)
        self._paint_handles(painter, frame)

    def _paint_moving(self, painter: QPainter, frame: Frame) -> None:
        """The new lines beside vertices on their way."""
        for color, width in ((QColor(0, 0, 0, 170), 3.6), (items.NEW_LINE, 1.8)):
            painter.setPen(QPen(color, width))
            for (place, number), spot in self._moving.items():
                if place >= len(self.rings):
                    continue
                ring = self.rings[place].vertices
                for other in (number - 1, number + 1):
                    beside = place, other % len(ring)
                    x, y = self._moving.get(beside, tuple(ring[beside[1]].tolist()))
                    painter.drawLine(frame.point(*spot), frame.point(x, y))

    def _paint_handles(self, painter: QPainter, frame: Frame) -> None:
        area, plain = frame.area, []
        marked: list[tuple[QPointF, bool]] = []
        for place, ring in enumerate(self.rings):
            spots = ring.vertices
            seen = (
                (spots[:, 0] >= area.x0) & (spots[:, 0] <= area.x1)
                & (spots[:, 1] >= area.y0) & (spots[:, 1] <= area.y1)
            )  # fmt: skip
            for number in seen.nonzero()[0].tolist():
                handle = place, number
                at = frame.point(*self._moving.get(handle, tuple(spots[number].tolist())))
                if handle in self.chosen or handle == self.hovered:
                    marked.append((at, handle in self.chosen))
                else:
                    plain.append(_square(at, _SIZE))
                if len(plain) > MOST_HANDLES:
                    return
        painter.setPen(QPen(QColor(0, 0, 0, 190), 1.4))
        painter.setBrush(QColor("white"))
        painter.drawRects(plain)
        for at, chosen in marked:
            painter.setBrush(QColor(items.OPEN) if chosen else QColor("white"))
            painter.drawRect(_square(at, _SIZE + 3))


def _traced(
    mask: Mask, tolerance: float, keep: tuple[Spot, ...], moved: tuple[Spot, ...]
) -> tuple[tuple[Ring, ...], tuple[Handle, ...], list[QPainterPath]]:
    """See `vertices.renewed`; also the lines in short pieces, of which few are on screen."""
    from annotator.core.editing.vertices import renewed

    rings, chosen = renewed(mask, tolerance, keep, moved)
    lines = []
    for ring in rings:
        spots = [QPointF(x, y) for x, y in ring.vertices.tolist()]
        spots.append(spots[0])
        for first in range(0, len(spots) - 1, _PIECE):
            path = QPainterPath()
            path.addPolygon(QPolygonF(spots[first : first + _PIECE + 1]))
            lines.append(path)
    return rings, chosen, lines


def _square(at: QPointF, size: float) -> QRectF:
    return QRectF(at.x() - size / 2, at.y() - size / 2, size, size)
