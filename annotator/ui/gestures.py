"""What gestures are made of: events, sketches, and what a gesture can ask of the canvas."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.api import Box, Prompt

if TYPE_CHECKING:
    from annotator.services.workspace import Workspace
    from annotator.ui.canvas_painting import Painting
    from annotator.ui.vertex_editing import VertexEditor
    from annotator.ui.wires import Wires

DRAG = 4.0
"""Viewport pixels the pointer must move before a press counts as a drag."""
NEAR = 9.0
"""Viewport pixels within which a mark, a handle or the first corner of a polygon is caught."""


@dataclass(frozen=True, slots=True)
class GestureEvent:
    """One thing that happened during a gesture.

    Attributes:
        kind: "press", "move", "release", "double" (the second press of a double click), or the
            commands "accept" and "take_back".
        x: image pixels, not clipped to the image; likewise y.
        view_x: viewport pixels; likewise view_y.
        button: "left" or "right" for presses and releases.
        shift: modifier key; likewise ctrl and alt.
        pressure: of a pen, 0 to 1; 1 for a mouse.
        twice: a press that is the second one of a double click.
    """

    kind: str
    x: float = 0.0
    y: float = 0.0
    view_x: float = 0.0
    view_y: float = 0.0
    button: str = "left"
    shift: bool = False
    ctrl: bool = False
    alt: bool = False
    pressure: float = 1.0
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Grip:
    """What is caught of a mark or a frame: the side, (0, 0) for a point.

    Attributes:
        target: index of the mark in the draft, or id of the annotation.
        side: -1, 0 or 1 horizontally and vertically.
    """

    target: int
    side: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class RubberBand:
    """A rectangle being dragged: "prompt", "shape" or "selection"."""

    box: Box
    purpose: str


@dataclass(frozen=True, slots=True)
class PolygonSketch:
    """Corners clicked so far and where the next one would be; `closing`: at the first corner."""

    corners: tuple[tuple[float, float], ...]
    pointer: tuple[float, float] | None
    closing: bool = False


@dataclass(frozen=True, slots=True)
class PathSketch:
    """A line drawn by hand: open, or "closed" by a straight line; `removes`: it takes away.

    `knots` are the places that were clicked; `stretch`: the line is a new part of an outline.
    """

    path: tuple[tuple[float, float], ...]
    closed: bool = False
    removes: bool = False
    knots: tuple[tuple[float, float], ...] = ()
    stretch: bool = False


@dataclass(frozen=True, slots=True)
class Ghost:
    """The selected objects on their way, by whole image pixels."""

    dx: int
    dy: int


@dataclass(frozen=True, slots=True)
class Resizing:
    """A box annotation while one of its handles is dragged."""

    annotation_id: int
    box: Box


Sketch = RubberBand | PolygonSketch | PathSketch | Ghost | Resizing
Gesture = Generator[None, GestureEvent, None]


class Surface(Protocol):
    """What a gesture can ask of the canvas."""

    last_pick: tuple[float, float] | None

    @property
    def painting(self) -> Painting:
        """The object whose pixels are being changed, and the brush."""

    @property
    def vertices(self) -> VertexEditor:
        """The vertices of the selected mask."""

    def new_wires(self) -> Wires:
        """Lines that follow the edges of the image; whoever asks for them ends them."""

    @property
    def workspace(self) -> Workspace:
        """What is open."""

    def image_size(self) -> tuple[int, int]:
        """Width and height of the current image."""

    def reach(self, pixels: float) -> float:
        """Viewport pixels in image pixels."""

    def sketch(self, sketch: Sketch | None) -> None:
        """Show an unfinished shape."""

    def ask_preview(self, prompt: Prompt) -> None:
        """Show what a prompt would give; the newest wins, one question at a time."""

    def mark_at(self, x: float, y: float) -> Grip | None:
        """The prompt mark at an image position."""

    def handle_at(self, x: float, y: float) -> Grip | None:
        """The handle of a selected box annotation at an image position."""

    def objects_at(self, x: float, y: float) -> list[int]:
        """Ids of the objects at an image position that can be selected, topmost first."""

    def objects_in(self, box: Box) -> list[int]:
        """Ids of the objects that lie in a box and can be selected."""

    def pan(self, dx: float, dy: float) -> None:
        """Move the view by viewport pixels."""

    def open_pick_list(self, event: GestureEvent) -> None:
        """Let the user choose among all objects at a place."""

    def open_menu(self, event: GestureEvent, annotation_id: int | None) -> None:
        """Ask the window for the context menu."""


class Notches:
    """Counts the notches of a wheel; fine wheels and touch pads send parts of one."""

    def __init__(self) -> None:
        self._rest = 0

    def turn(self, angle: int) -> int:
        """Whole notches after a further turn, eighths of a degree."""
        self._rest += angle
        whole = int(self._rest / 120)
        self._rest -= whole * 120
        return whole


def distance(first: GestureEvent, second: GestureEvent) -> float:
    """Viewport pixels between two events."""
    return math.hypot(first.view_x - second.view_x, first.view_y - second.view_y)


def clamped(surface: Surface, x: float, y: float) -> tuple[float, float]:
    """The nearest position on the image."""
    width, height = surface.image_size()
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))


def inside(surface: Surface, event: GestureEvent, slack: float = 8.0) -> bool:
    """On the image or a few viewport pixels beside it."""
    x, y = clamped(surface, event.x, event.y)
    return math.hypot(event.x - x, event.y - y) <= surface.reach(slack)


def spanned(surface: Surface, start: GestureEvent, end: GestureEvent) -> Box:
    """The box between two events on the image; Shift: square; Ctrl, Alt: around the first."""
    x, y = end.x, end.y
    if end.shift:
        side = max(abs(x - start.x), abs(y - start.y))
        x = start.x + math.copysign(side, x - start.x)
        y = start.y + math.copysign(side, y - start.y)
    centred = end.ctrl or end.alt
    x0, y0 = (2 * start.x - x, 2 * start.y - y) if centred else (start.x, start.y)
    return Box.spanning(x0, y0, x, y).clipped(*surface.image_size())


def resized(box: Box, side: tuple[int, int], x: float, y: float) -> Box:
    """The box with the side or corner that is held moved to a position."""
    x0, x1 = (x if side[0] < 0 else box.x0), (x if side[0] > 0 else box.x1)
    y0, y1 = (y if side[1] < 0 else box.y0), (y if side[1] > 0 else box.y1)
    return Box.spanning(x0, y0, x1, y1)


def scaled(
    box: Box, side: tuple[int, int], x: float, y: float, *, ratio: bool, centred: bool
) -> Box:
    """`resized` with the ratio of its sides kept, or with its centre, or with both.

    Args:
        box: before; its sides have a length.
        side: what is held, see `Grip`.
        x: where it is held now; likewise y.
        y: see x.
        ratio: keep the ratio of the sides.
        centred: keep the centre; otherwise what is opposite stays.
    """
    middle = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    spans = (box.x0, box.x1, side[0], x, middle[0]), (box.y0, box.y1, side[1], y, middle[1])
    anchors, factors = [], []
    for low, high, held, at, centre in spans:
        anchor = centre if centred or not held else (high if held < 0 else low)
        grip = low if held < 0 else high
        anchors.append(anchor)
        factors.append((at - anchor) / (grip - anchor) if held else 1.0)
    if ratio:
        pulled = [abs(f) for f, held in zip(factors, side, strict=True) if held]
        factors = [math.copysign(max(pulled), f) for f in factors]
    (x0, x1), (y0, y1) = (
        (anchor + (low - anchor) * factor, anchor + (high - anchor) * factor)
        for (low, high, *_), anchor, factor in zip(spans, anchors, factors, strict=True)
    )
    return Box.spanning(x0, y0, x1, y1)


def rounded(box: Box) -> Box:
    """On whole pixels."""
    return Box(*(float(round(v)) for v in (box.x0, box.y0, box.x1, box.y1)))
