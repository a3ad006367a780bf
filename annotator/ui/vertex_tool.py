"""The vertex tool: drag, put in and erase the vertices of the selected mask."""

from __future__ import annotations

from annotator.ui.gestures import (
    DRAG,
    Gesture,
    GestureEvent,
    RubberBand,
    Surface,
    distance,
)
from annotator.ui.vertex_editing import Handle
from models.api import Box


def vertices(surface: Surface, press: GestureEvent) -> Gesture:
    """Drag a vertex or a line; double click puts one in, right click or Alt+click erases one."""
    editor = surface.vertices
    handle = editor.vertex_at(press.x, press.y)
    place = editor.ring_at(press.x, press.y)
    if handle is not None and (press.alt or press.button == "right"):
        yield from _erase(surface, press, handle)
    elif press.button == "right":
        return
    elif handle is not None and (press.shift or press.ctrl):
        editor.choose(editor.chosen ^ {handle})
    elif handle is not None:
        if handle not in editor.chosen:
            editor.choose((handle,))
        yield from _drag(surface, press)
    elif place is not None and press.twice:
        editor.insert(place, press.x, press.y)
    elif place is not None:
        yield from _drag_line(surface, press, place)
    else:
        yield from _enclose(surface, press)


def _erase(surface: Surface, press: GestureEvent, handle: Handle) -> Gesture:
    event = yield
    while event.kind != "release":
        event = yield
    if distance(press, event) <= DRAG:
        chosen = surface.vertices.chosen
        surface.vertices.erase(chosen if handle in chosen else (handle,))


def _drag(surface: Surface, press: GestureEvent) -> Gesture:
    """Move all chosen vertices."""
    dragged = done = False
    try:
        event = yield
        while event.kind != "release":
            dragged = dragged or distance(press, event) > DRAG / 2
            if dragged:
                surface.vertices.show_moved(event.x - press.x, event.y - press.y)
            event = yield
        done = True
    finally:
        if not done:
            surface.vertices.show_moved(0, 0)
    if dragged:
        surface.vertices.move(event.x - press.x, event.y - press.y)


def _drag_line(surface: Surface, press: GestureEvent, place: int) -> Gesture:
    """A line that is dragged gets a vertex there."""
    event = yield
    while event.kind != "release" and distance(press, event) <= DRAG:
        event = yield
    if event.kind != "release":
        surface.vertices.insert(place, press.x, press.y)
        yield from _drag(surface, press)
    else:
        surface.vertices.choose(())


def _enclose(surface: Surface, press: GestureEvent) -> Gesture:
    """Choose the vertices in a frame; a mere click selects the object there."""
    editor, before = surface.vertices, surface.vertices.chosen
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
        found = editor.inside(Box.spanning(press.x, press.y, event.x, event.y))
        editor.choose(before | found if press.shift or press.ctrl else found)
        return
    here = surface.objects_at(press.x, press.y)
    if before or surface.workspace.selection.intersection(here):
        editor.choose(())
    else:
        surface.workspace.select(here[:1])
