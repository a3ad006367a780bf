"""The tools: one generator per gesture, reading from the press to the release.

A gesture is started with the press; the canvas sends it every further `GestureEvent` until it
returns. Escape closes the generator, so what a gesture shows is taken down in `finally`. A tool is
one entry of `TOOLS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import Qt

from annotator.core.errors import UserError
from models.api import Box, Point, Prompt

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation
    from annotator.services.workspace import Workspace

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
class Ghost:
    """The selected objects on their way, by whole image pixels."""

    dx: int
    dy: int


@dataclass(frozen=True, slots=True)
class Resizing:
    """A box annotation while one of its handles is dragged."""

    annotation_id: int
    box: Box


Sketch = RubberBand | PolygonSketch | Ghost | Resizing
Gesture = Generator[None, GestureEvent, None]


class Surface(Protocol):
    """What a gesture can ask of the canvas."""

    last_pick: tuple[float, float] | None

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

    def open_menu(self, event: GestureEvent, annotation_id: int | None) -> None:
        """Ask the window for the context menu."""


def _distance(first: GestureEvent, second: GestureEvent) -> float:
    return math.hypot(first.view_x - second.view_x, first.view_y - second.view_y)


def _clamped(surface: Surface, x: float, y: float) -> tuple[float, float]:
    width, height = surface.image_size()
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))


def _inside(surface: Surface, event: GestureEvent, slack: float = 8.0) -> bool:
    """On the image or a few viewport pixels beside it."""
    x, y = _clamped(surface, event.x, event.y)
    return math.hypot(event.x - x, event.y - y) <= surface.reach(slack)


def _spanned(surface: Surface, start: GestureEvent, end: GestureEvent) -> Box:
    """The box between two events on the image; Shift makes it square."""
    x, y = end.x, end.y
    if end.shift:
        side = max(abs(x - start.x), abs(y - start.y))
        x = start.x + math.copysign(side, x - start.x)
        y = start.y + math.copysign(side, y - start.y)
    return Box.spanning(start.x, start.y, x, y).clipped(*surface.image_size())


def resized(box: Box, side: tuple[int, int], x: float, y: float) -> Box:
    """The box with the side or corner that is held moved to a position."""
    x0, x1 = (x if side[0] < 0 else box.x0), (x if side[0] > 0 else box.x1)
    y0, y1 = (y if side[1] < 0 else box.y0), (y if side[1] > 0 else box.y1)
    return Box.spanning(x0, y0, x1, y1)


def rounded(box: Box) -> Box:
    """On whole pixels."""
    return Box(*(float(round(v)) for v in (box.x0, box.y0, box.x1, box.y1)))


# --- Smart tool ---


def smart(surface: Surface, press: GestureEvent) -> Gesture:
    """Points, boxes, and the marks that are already there."""
    grip = surface.mark_at(press.x, press.y)
    if grip is not None and (press.alt or press.button == "right"):
        yield from _remove_mark(surface, press, grip)
    elif grip is not None:
        yield from _drag_mark(surface, press, grip)
    elif press.ctrl:
        yield from _toggle(surface, press)
    else:
        yield from _prompt(surface, press)


def _remove_mark(surface: Surface, press: GestureEvent, grip: Grip) -> Gesture:
    event = yield
    while event.kind != "release":
        event = yield
    if _distance(press, event) <= DRAG:
        surface.workspace.set_draft(surface.workspace.draft.without(grip.target))


def _drag_mark(surface: Surface, press: GestureEvent, grip: Grip) -> Gesture:
    before = surface.workspace.draft
    mark = before.marks[grip.target]
    moved = done = False
    try:
        event = yield
        while event.kind != "release":
            moved = moved or _distance(press, event) > DRAG / 2
            if moved:
                x, y = _clamped(surface, event.x, event.y)
                new: Point | Box = (
                    Point(x, y, mark.positive)
                    if isinstance(mark, Point)
                    else resized(mark, grip.side, x, y)
                )
                if isinstance(new, Point) or (new.width and new.height):
                    surface.workspace.set_draft(before.moved(grip.target, new))
            event = yield
        done = True
    finally:
        if moved and not done:
            surface.workspace.set_draft(before)


def _toggle(surface: Surface, press: GestureEvent) -> Gesture:
    event = yield
    while event.kind != "release":
        event = yield
    found = surface.objects_at(press.x, press.y)
    if found and _distance(press, event) <= DRAG:
        surface.workspace.select(surface.workspace.selection ^ {found[0]})


def _prompt(surface: Surface, press: GestureEvent) -> Gesture:
    positive = press.button == "left" and not press.shift
    draft = surface.workspace.draft
    box: Box | None = None
    try:
        event = yield
        while event.kind != "release":
            if positive and (box is not None or _distance(press, event) > DRAG):
                box = _spanned(surface, press, event)
                surface.sketch(RubberBand(box, "prompt"))
                if box.width >= 1 and box.height >= 1:
                    surface.ask_preview(Prompt(draft.prompt.points, box))
            event = yield
    finally:
        surface.sketch(None)
    if box is not None:
        if box.width >= 1 and box.height >= 1:
            surface.workspace.set_draft(surface.workspace.draft.with_box(box))
    elif _inside(surface, press):
        x, y = _clamped(surface, press.x, press.y)
        surface.workspace.set_draft(surface.workspace.draft.with_point(Point(x, y, positive)))


# --- Rectangle ---


def box(surface: Surface, press: GestureEvent) -> Gesture:
    """Drag from corner to corner, or click two corners; Shift makes a square."""
    if press.button != "left":
        return
    dragged = released = False
    try:
        event = yield
        while True:
            dragged = dragged or (not released and _distance(press, event) > DRAG)
            if event.kind in ("press", "double") and event.button == "right":
                return
            if event.kind == "release":
                if dragged:
                    break
                released = True
            if released and event.kind in ("press", "double") and _distance(press, event) > DRAG:
                break
            if event.kind == "move":
                spanned = rounded(_spanned(surface, press, event))
                surface.sketch(RubberBand(spanned, "shape"))
            event = yield
    finally:
        surface.sketch(None)
    shape = rounded(_spanned(surface, press, event))
    if shape.width >= 1 and shape.height >= 1:
        surface.workspace.add_shape(shape)


# --- Polygon ---


def polygon(surface: Surface, press: GestureEvent) -> Gesture:
    """Click the corners; a double click, Enter or a click on the first corner closes."""
    if press.button != "left":
        return
    corners = [_clamped(surface, press.x, press.y)]
    held = True
    event = press
    try:
        while True:
            closing = not held and _at_first(surface, corners, event)
            surface.sketch(
                PolygonSketch(tuple(corners), _next_corner(surface, corners, event, held), closing)
            )
            event = yield
            held = _place(surface, corners, event, held)
            if not corners:
                return
            if _wants_closing(surface, corners, event) and _add_polygon(surface, corners):
                return
    finally:
        surface.sketch(None)


def _place(
    surface: Surface, corners: list[tuple[float, float]], event: GestureEvent, held: bool
) -> bool:
    """Add, adjust or take back a corner; returns whether the newest corner is being dragged."""
    if event.kind == "take_back" or (event.kind == "press" and event.button == "right"):
        corners.pop()
        return False
    if event.kind == "press" and not _at_first(surface, corners, event):
        corners.append(_constrained(surface, corners[-1], event))
        return True
    if event.kind == "move" and held:
        anchor = corners[-2] if len(corners) > 1 else None
        corners[-1] = _constrained(surface, anchor, event)
        return True
    return held and event.kind != "release"


def _next_corner(
    surface: Surface, corners: Sequence[tuple[float, float]], event: GestureEvent, held: bool
) -> tuple[float, float] | None:
    """Where the rubber line ends; None while the newest corner itself follows the pointer."""
    if held or event.kind in ("accept", "take_back"):
        return None
    return _constrained(surface, corners[-1], event)


def _constrained(
    surface: Surface, anchor: tuple[float, float] | None, event: GestureEvent
) -> tuple[float, float]:
    """The event's position on the image; Shift keeps multiples of 45 degrees from the anchor."""
    x, y = event.x, event.y
    if event.shift and anchor is not None:
        angle = round(math.atan2(y - anchor[1], x - anchor[0]) / (math.pi / 4)) * (math.pi / 4)
        along = (x - anchor[0]) * math.cos(angle) + (y - anchor[1]) * math.sin(angle)
        x, y = anchor[0] + along * math.cos(angle), anchor[1] + along * math.sin(angle)
    x, y = _clamped(surface, x, y)
    return round(x, 2), round(y, 2)


def _at_first(
    surface: Surface, corners: Sequence[tuple[float, float]], event: GestureEvent
) -> bool:
    if len(corners) < 3 or event.kind in ("accept", "take_back"):
        return False
    x, y = corners[0]
    return math.hypot(event.x - x, event.y - y) <= surface.reach(NEAR)


def _wants_closing(
    surface: Surface, corners: Sequence[tuple[float, float]], event: GestureEvent
) -> bool:
    if event.kind in ("accept", "double"):
        return event.button == "left"
    left_press = event.kind == "press" and event.button == "left"
    # A corner added just now may itself lie at the first one: then it was no click on it.
    return left_press and _at_first(surface, corners, event) and corners[-1] != (event.x, event.y)


def _add_polygon(surface: Surface, corners: Sequence[tuple[float, float]]) -> bool:
    """Keep the polygon; says what is wrong otherwise."""
    from annotator.core import raster

    workspace = surface.workspace
    if len(corners) < 3:
        workspace.reported.emit(
            UserError("A polygon needs three corners.", "Click the missing ones, or press Esc.")
        )
        return False
    ring = tuple(round(v, 2) for corner in corners for v in corner)
    mask = raster.from_polygons([ring], *surface.image_size())
    if not raster.area(mask):
        workspace.reported.emit(
            UserError("The polygon covers no pixel.", "Move its corners apart, or press Esc.")
        )
        return False
    workspace.add_shape(mask, (ring,))
    return True


# --- Select ---


def select(surface: Surface, press: GestureEvent) -> Gesture:
    """Pick, move and resize objects; a drag that starts elsewhere selects what it encloses."""
    if press.button == "right":
        yield from _menu(surface, press)
        return
    handle = surface.handle_at(press.x, press.y)
    found = surface.objects_at(press.x, press.y)
    chosen = surface.workspace.selection
    if handle is not None:
        yield from _resize(surface, press, handle)
    elif not press.shift and not press.ctrl and not chosen.isdisjoint(found):
        yield from _move(surface, press)
    else:
        yield from _enclose(surface, press)


def _menu(surface: Surface, press: GestureEvent) -> Gesture:
    found = surface.objects_at(press.x, press.y)
    if found and surface.workspace.selection.isdisjoint(found):
        surface.workspace.select(found[:1])
    event = yield
    while event.kind != "release":
        event = yield
    here = [number for number in found if number in surface.workspace.selection]
    surface.open_menu(event, here[0] if here else None)


def _selected_box(surface: Surface, annotation_id: int) -> Annotation | None:
    return next((a for a in surface.workspace.annotations if a.id == annotation_id), None)


def _resize(surface: Surface, press: GestureEvent, grip: Grip) -> Gesture:
    annotation = _selected_box(surface, grip.target)
    shape = annotation.shape if annotation is not None else None
    if not isinstance(shape, Box):
        return
    after = shape
    try:
        event = yield
        while event.kind != "release":
            x, y = _clamped(surface, event.x, event.y)
            after = rounded(resized(shape, grip.side, x, y))
            surface.sketch(Resizing(grip.target, after))
            event = yield
    finally:
        surface.sketch(None)
    if _distance(press, event) > 0 and after != shape and after.width >= 1 and after.height >= 1:
        surface.workspace.replace_shape(grip.target, after, "Resize")


def _move(surface: Surface, press: GestureEvent) -> Gesture:
    ghost = Ghost(0, 0)
    dragged = False
    try:
        event = yield
        while event.kind != "release":
            dragged = dragged or _distance(press, event) > DRAG
            if dragged:
                ghost = Ghost(round(event.x - press.x), round(event.y - press.y))
                surface.sketch(ghost)
            event = yield
    finally:
        surface.sketch(None)
    if dragged:
        surface.workspace.move_selected(ghost.dx, ghost.dy)
    else:
        _pick(surface, press)


def _enclose(surface: Surface, press: GestureEvent) -> Gesture:
    before = surface.workspace.selection
    extend = press.shift or press.ctrl
    dragged = False
    try:
        event = yield
        while event.kind != "release":
            dragged = dragged or _distance(press, event) > DRAG
            if dragged:
                frame = Box.spanning(press.x, press.y, event.x, event.y)
                surface.sketch(RubberBand(frame, "selection"))
            event = yield
    finally:
        surface.sketch(None)
    if dragged:
        found = frozenset(surface.objects_in(Box.spanning(press.x, press.y, event.x, event.y)))
        surface.workspace.select(before | found if extend else found)
    else:
        _pick(surface, press)


def _pick(surface: Surface, press: GestureEvent) -> None:
    """Select what is under the pointer; once more at the same place: what lies beneath it."""
    found = surface.objects_at(press.x, press.y)
    workspace = surface.workspace
    last, surface.last_pick = surface.last_pick, (press.view_x, press.view_y)
    if press.shift or press.ctrl:
        if found:
            workspace.select(workspace.selection ^ {found[0]})
        return
    again = last is not None and math.dist(last, (press.view_x, press.view_y)) <= DRAG
    here = [place for place, number in enumerate(found) if number in workspace.selection]
    if here and not again and len(workspace.selection) == 1:
        return
    place = (here[0] + 1) % len(found) if here and again else 0
    workspace.select(found[place : place + 1])


# --- Pan ---


def pan(surface: Surface, press: GestureEvent) -> Gesture:
    """Drag the image."""
    before = press
    event = yield
    while event.kind != "release":
        surface.pan(event.view_x - before.view_x, event.view_y - before.view_y)
        before = event
        event = yield


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    Attributes:
        id: as in `Workspace.tool`.
        gesture: what a press starts.
        cursor: shape of the pointer.
        precise: the crosshair is shown.
        hovers: shows what a click would give.
        kept: an unfinished gesture waits while another tool or image is used.
    """

    id: str
    gesture: Callable[[Surface, GestureEvent], Gesture]
    cursor: Qt.CursorShape
    precise: bool = False
    hovers: bool = False
    kept: bool = False


TOOLS: Mapping[str, Tool] = {
    tool.id: tool
    for tool in (
        Tool("smart", smart, Qt.CursorShape.CrossCursor, precise=True, hovers=True),
        Tool("box", box, Qt.CursorShape.CrossCursor, precise=True),
        Tool("polygon", polygon, Qt.CursorShape.CrossCursor, precise=True, kept=True),
        Tool("select", select, Qt.CursorShape.ArrowCursor),
        Tool("pan", pan, Qt.CursorShape.OpenHandCursor),
    )
}
"""Every tool by its id."""
