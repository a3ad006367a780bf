"""Drawing along the edges of the image: the magnetic polygon, and stretches of an outline."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.ui.gestures import (
    NEAR,
    Gesture,
    GestureEvent,
    PathSketch,
    Surface,
    clamped,
)

if TYPE_CHECKING:
    from annotator.ui.wires import Wires

Spot = tuple[float, float]


class Trail:
    """The clicks so far and the lines between them.

    Args:
        surface: the canvas.
        first: the first click.
        snap: whether clicks are moved to edges.
    """

    def __init__(self, surface: Surface, first: Spot, *, snap: bool) -> None:
        self._surface = surface
        self._wires: Wires = surface.new_wires()
        self._lines: list[tuple[Spot, ...]] = []
        self._first = first
        self._wires.begin(first, snap=snap)

    @property
    def count(self) -> int:
        """Clicks so far."""
        return len(self._lines) + 1

    @property
    def spots(self) -> tuple[Spot, ...]:
        """Everything that is fixed."""
        return tuple(spot for line in self._lines for spot in line) or (self._first,)

    @property
    def knots(self) -> tuple[Spot, ...]:
        """Where clicks are."""
        begin = self._lines[0][0] if self._lines else self._first
        return (begin, *(line[-1] for line in self._lines))

    def to(self, spot: Spot, *, snap: bool) -> tuple[Spot, ...]:
        """The line from the last click to a place; without snapping a straight one."""
        line = self._wires.path(spot, snap=snap)
        return line if snap else (line[0], spot)

    def add(self, spot: Spot, *, snap: bool) -> None:
        """Fix the line to a place."""
        line = self.to(spot, snap=snap)
        self._lines.append(line)
        self._wires.begin(line[-1], snap=False)

    def take_back(self) -> bool:
        """Forget the last line; False when there is none."""
        if not self._lines:
            return False
        self._lines.pop()
        self._wires.begin(self.knots[-1], snap=not self._lines)
        return True

    def end(self) -> None:
        """It is not needed any more."""
        self._wires.end()


def _snaps(event: GestureEvent) -> bool:
    """Ctrl or Alt draw a straight line."""
    return not (event.ctrl or event.alt)


def _at_first(surface: Surface, trail: Trail, spot: Spot) -> bool:
    return trail.count >= 3 and math.dist(spot, trail.knots[0]) <= surface.reach(NEAR)


def magnetic(surface: Surface, press: GestureEvent) -> Gesture:
    """Click along an edge: the line follows it; the first place, a double click or Enter close."""
    if press.button != "left":
        return
    trail = Trail(surface, clamped(surface, press.x, press.y), snap=_snaps(press))
    try:
        while True:
            event = yield
            spot = clamped(surface, event.x, event.y)
            if event.kind == "take_back" or (event.kind == "press" and event.button == "right"):
                if not trail.take_back():
                    return
                surface.sketch(PathSketch(trail.spots, knots=trail.knots))
            elif event.kind == "move":
                closing = _at_first(surface, trail, spot)
                line = trail.to(trail.knots[0] if closing else spot, snap=_snaps(event))
                path = (*trail.spots, *line)
                surface.sketch(PathSketch(path, closed=trail.count > 1, knots=trail.knots))
            elif event.kind in ("accept", "double") or (
                event.kind == "press" and _at_first(surface, trail, spot)
            ):
                if _close(surface, trail):
                    return
            elif event.kind == "press":
                trail.add(spot, snap=_snaps(event))
    finally:
        surface.sketch(None)
        trail.end()


def _close(surface: Surface, trail: Trail) -> bool:
    """Keep what the line encloses; says what is wrong otherwise."""
    from annotator.core import raster
    from annotator.core.editing import drawing

    size = surface.image_size()
    path = (*trail.spots, *trail.to(trail.knots[0], snap=True))
    crop = drawing.polygon(path, *size) if trail.count >= 3 else None
    if crop is None or not crop.pixels.any():
        surface.workspace.reported.emit(
            UserError("The line encloses nothing.", "Click at least three places, or press Esc.")
        )
        return False
    surface.workspace.add_shape(raster.from_crop(crop, *size))
    return True


def stretch(
    surface: Surface, press: GestureEvent
) -> Generator[None, GestureEvent, tuple[Spot, ...]]:
    """After a first click: the way to the last one along edges; `yield from` gives it.

    A double click or Enter ends it; a right click takes back the last place.
    """
    trail = Trail(surface, (press.x, press.y), snap=False)
    event = press
    try:
        while True:
            before = event
            event = yield
            spot = (event.x, event.y)
            if event.kind == "move":
                surface.sketch(
                    PathSketch((*trail.spots, *trail.to(spot, snap=_snaps(event))),
                               knots=trail.knots, stretch=True)
                )  # fmt: skip
            elif event.kind == "take_back" or (event.kind == "press" and event.button == "right"):
                if not trail.take_back():
                    return ()
                surface.sketch(PathSketch(trail.spots, knots=trail.knots, stretch=True))
            elif event.kind == "accept":
                if before.kind == "move":
                    trail.add((before.x, before.y), snap=_snaps(before))
                return trail.spots
            elif event.kind == "double":
                return trail.spots
            elif event.kind == "press":
                trail.add(spot, snap=_snaps(event))
    finally:
        surface.sketch(None)
        trail.end()
