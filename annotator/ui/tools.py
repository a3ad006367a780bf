"""The tools: one generator per gesture, reading from the press to the release.

A gesture is started with the press; the canvas sends it every further `GestureEvent` until it
returns. Escape closes the generator, so what a gesture shows is taken down in `finally`. A tool is
one entry of `TOOLS`. Tools that change pixels stand in `annotator.ui.pixel_tools`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from annotator.core.errors import UserError
from annotator.ui import magnetic_tools, pixel_tools, vertex_tool
from annotator.ui.gestures import (
    DRAG,
    NEAR,
    Gesture,
    GestureEvent,
    Ghost,
    Grip,
    PolygonSketch,
    Resizing,
    RubberBand,
    Surface,
    clamped,
    distance,
    inside,
    resized,
    rounded,
    scaled,
    spanned,
)
from models.api import Box, Point, Prompt

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation


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
    if distance(press, event) <= DRAG:
        surface.workspace.set_draft(surface.workspace.draft.without(grip.target))


def _drag_mark(surface: Surface, press: GestureEvent, grip: Grip) -> Gesture:
    before = surface.workspace.draft
    mark = before.marks[grip.target]
    moved = done = False
    try:
        event = yield
        while event.kind != "release":
            moved = moved or distance(press, event) > DRAG / 2
            if moved:
                x, y = clamped(surface, event.x, event.y)
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
    if found and distance(press, event) <= DRAG:
        surface.workspace.select(surface.workspace.selection ^ {found[0]})


def _prompt(surface: Surface, press: GestureEvent) -> Gesture:
    positive = press.button == "left" and not press.shift
    draft = surface.workspace.draft
    box: Box | None = None
    if inside(surface, press):
        # A button is down for a tenth of a second.
        surface.workspace.begin(draft.with_point(_clicked(surface, press, positive)))
    try:
        event = yield
        while event.kind != "release":
            if positive and (box is not None or distance(press, event) > DRAG):
                box = spanned(surface, press, event)
                surface.sketch(RubberBand(box, "prompt"))
                if box.width >= 1 and box.height >= 1:
                    surface.ask_preview(Prompt(draft.prompt.points, box))
            event = yield
    finally:
        surface.sketch(None)
    if box is not None:
        if box.width >= 1 and box.height >= 1:
            surface.workspace.set_draft(surface.workspace.draft.with_box(box))
    elif inside(surface, press):
        point = _clicked(surface, press, positive)
        surface.workspace.set_draft(surface.workspace.draft.with_point(point))


def _clicked(surface: Surface, press: GestureEvent, positive: bool) -> Point:
    return Point(*clamped(surface, press.x, press.y), positive)


# --- Rectangle ---


def box(surface: Surface, press: GestureEvent) -> Gesture:
    """Drag from corner to corner, or click two corners; Shift makes a square."""
    if press.button != "left":
        return
    dragged = released = False
    try:
        event = yield
        while True:
            dragged = dragged or (not released and distance(press, event) > DRAG)
            if event.kind in ("press", "double") and event.button == "right":
                return
            if event.kind == "release":
                if dragged:
                    break
                released = True
            if released and event.kind in ("press", "double") and distance(press, event) > DRAG:
                break
            if event.kind == "move":
                frame = rounded(spanned(surface, press, event))
                surface.sketch(RubberBand(frame, "shape"))
            event = yield
    finally:
        surface.sketch(None)
    shape = rounded(spanned(surface, press, event))
    if shape.width >= 1 and shape.height >= 1:
        surface.workspace.add_shape(shape)


# --- Polygon ---


def polygon(surface: Surface, press: GestureEvent) -> Gesture:
    """Click the corners; a double click, Enter or a click on the first corner closes."""
    if press.button != "left":
        return
    corners = [clamped(surface, press.x, press.y)]
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
    x, y = clamped(surface, x, y)
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
    elif press.alt:
        yield from _list(surface, press)
    elif not press.shift and not press.ctrl and not chosen.isdisjoint(found):
        yield from _move(surface, press)
    else:
        yield from _enclose(surface, press)


def _list(surface: Surface, press: GestureEvent) -> Gesture:
    event = yield
    while event.kind != "release":
        event = yield
    surface.open_pick_list(event)


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
            x, y = clamped(surface, event.x, event.y)
            after = scaled(
                shape, grip.side, x, y, ratio=event.shift, centred=event.ctrl or event.alt
            )
            after = rounded(after.clipped(*surface.image_size()))
            surface.sketch(Resizing(grip.target, after))
            event = yield
    finally:
        surface.sketch(None)
    if distance(press, event) > 0 and after != shape and after.width >= 1 and after.height >= 1:
        surface.workspace.replace_shape(grip.target, after, "Resize")


def _move(surface: Surface, press: GestureEvent) -> Gesture:
    ghost = Ghost(0, 0)
    dragged = False
    try:
        event = yield
        while event.kind != "release":
            dragged = dragged or distance(press, event) > DRAG
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
            dragged = dragged or distance(press, event) > DRAG
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
        paints: it changes pixels with the brush.
        draws: Enter, Escape and Backspace belong to its gesture.
    """

    id: str
    gesture: Callable[[Surface, GestureEvent], Gesture]
    cursor: Qt.CursorShape
    precise: bool = False
    hovers: bool = False
    kept: bool = False
    paints: bool = False
    draws: bool = False


TOOLS: Mapping[str, Tool] = {
    tool.id: tool
    for tool in (
        Tool("smart", smart, Qt.CursorShape.CrossCursor, precise=True, hovers=True),
        Tool("box", box, Qt.CursorShape.CrossCursor, precise=True, draws=True),
        Tool("polygon", polygon, Qt.CursorShape.CrossCursor, precise=True, kept=True, draws=True),
        Tool(
            "magnetic",
            magnetic_tools.magnetic,
            Qt.CursorShape.CrossCursor,
            precise=True,
            kept=True,
            draws=True,
        ),
        Tool("brush", pixel_tools.paint, Qt.CursorShape.CrossCursor, paints=True),
        Tool(
            "eraser",
            partial(pixel_tools.paint, erases=True),
            Qt.CursorShape.CrossCursor,
            paints=True,
        ),
        Tool("lasso", pixel_tools.lasso, Qt.CursorShape.CrossCursor),
        Tool("outline", pixel_tools.redraw, Qt.CursorShape.CrossCursor, draws=True),
        Tool("vertices", vertex_tool.vertices, Qt.CursorShape.ArrowCursor),
        Tool("fill", pixel_tools.fill, Qt.CursorShape.CrossCursor),
        Tool("knife", pixel_tools.cut, Qt.CursorShape.CrossCursor),
        Tool("select", select, Qt.CursorShape.ArrowCursor),
        Tool("pan", pan, Qt.CursorShape.OpenHandCursor),
    )
}
"""Every tool by its id."""
