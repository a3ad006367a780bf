"""The tools that change pixels: brush, eraser, lasso, outline, fill and knife.

All change the one selected object; brush, lasso and fill begin a new one when nothing is selected.
The right button, Ctrl or Alt turn adding into removing.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import pairwise
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.ui import magnetic_tools
from annotator.ui.gestures import (
    DRAG,
    Gesture,
    GestureEvent,
    PathSketch,
    Surface,
    clamped,
    distance,
)

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation

REACH = 14.0
"""Viewport pixels the ends of a new stretch may be from the outline."""
TOLERANCE = 24
"""Difference of colour a click of the fill tool allows, 0 to 255."""
_NEAR = 1.5
"""Viewport pixels between two places of a line drawn by hand."""

Spot = tuple[float, float]


def _removes(surface: Surface, press: GestureEvent, removes: bool = False) -> bool:
    swapped = press.ctrl or press.alt
    return surface.painting.removes(removes, button=press.button, swapped=swapped)


def _target(surface: Surface, press: GestureEvent, *, create: bool) -> Annotation | None:
    """What the gesture changes, None for a new object.

    Raises:
        UserError: nothing can be changed.
    """
    return surface.painting.target((press.x, press.y), create=create)


# --- Brush and eraser ---


def paint(surface: Surface, press: GestureEvent, *, erases: bool = False) -> Gesture:
    """Paint or erase with a disk; with Shift in straight lines from where the last stroke ended."""
    removes = _removes(surface, press, erases)
    painting, size = surface.painting, surface.image_size()
    try:
        target = _target(surface, press, create=not removes)
    except UserError as error:
        surface.workspace.reported.emit(error)
        return
    from annotator.core.editing import drawing

    key = surface.workspace.key
    painting.begin(target)
    painting.show_ring(removes)
    done = False
    event = press
    radius = painting.radius(press.pressure)
    here: Spot = (press.x, press.y)
    if press.shift and painting.last is not None and painting.last[0] == key:
        here = painting.last[1:]
    try:
        while True:
            to, to_radius = (event.x, event.y), painting.radius(event.pressure)
            if event.shift and event.kind == "move":
                surface.sketch(PathSketch((here, to), removes=removes))
            elif event.kind != "release" or to != here:
                surface.sketch(None) if event.kind == "release" or event.shift else None
                painting.change(
                    drawing.stroke(here, to, (radius, to_radius), *size), remove=removes
                )
                here, radius = to, to_radius
            if event.kind == "release":
                break
            event = yield
        done = True
    finally:
        if not done:
            painting.end()
            painting.show_ring(erases)
    surface.sketch(None)
    painting.last = (key, *here)
    painting.commit("Erase from" if removes else "Paint on")
    painting.show_ring(erases)


# --- Lines drawn by hand ---


def _draw(
    surface: Surface, press: GestureEvent, *, closed: bool, removes: bool, straight: bool = False
) -> Generator[None, GestureEvent, tuple[Spot, ...]]:
    """Follow the pointer; `yield from` gives the path, () after a mere click."""
    path: list[Spot] = [clamped(surface, press.x, press.y) if closed else (press.x, press.y)]
    dragged = False
    try:
        event = yield
        while event.kind != "release":
            if event.kind == "take_back":
                return ()
            if event.kind != "move":
                event = yield
                continue
            dragged = dragged or distance(press, event) > DRAG
            spot = clamped(surface, event.x, event.y) if closed else (event.x, event.y)
            if straight:
                path = [path[0], spot]
            elif math.dist(path[-1], spot) >= surface.reach(_NEAR):
                path.append(spot)
            if dragged:
                stretch = not closed and not removes
                surface.sketch(PathSketch(tuple(path), closed, removes, stretch=stretch))
            event = yield
    finally:
        surface.sketch(None)
    return tuple(path) if dragged else ()


def lasso(surface: Surface, press: GestureEvent) -> Gesture:
    """Draw around what to add to the object, or to remove from it."""
    removes = _removes(surface, press)
    path = yield from _draw(surface, press, closed=True, removes=removes)
    if len(path) < 3:
        return
    workspace = surface.workspace
    workspace.masks.finish()
    try:
        target = _target(surface, press, create=not removes)
    except UserError as error:
        workspace.reported.emit(error)
        return
    workspace.masks.enclose(target, path, remove=removes, begin=workspace.add_shape)


def redraw(surface: Surface, press: GestureEvent) -> Gesture:
    """Draw a new stretch of the outline by hand, or click along an edge of the image."""
    if press.button != "left":
        return
    path = yield from _draw(surface, press, closed=False, removes=False)
    path = path or (yield from magnetic_tools.stretch(surface, press))
    if not path:
        return
    from annotator.core import raster
    from annotator.core.editing.outlines import redrawn

    workspace = surface.workspace
    try:
        target = _target(surface, press, create=False)
        if target is None:
            return
        mask = workspace.masks.mask_of(target)
        piece = redrawn(mask, path, surface.reach(REACH))
        if piece is None:
            raise UserError(
                "The line does not begin and end at the outline.",
                "Draw from the outline of the selected object to another place of it.",
            )
    except UserError as error:
        workspace.reported.emit(error)
        return
    workspace.masks.put(target.id, raster.patched(mask, piece), "Redraw")


def cut(surface: Surface, press: GestureEvent) -> Gesture:
    """Divide objects in two: a straight line, or with Ctrl one drawn by hand."""
    if press.button != "left":
        return
    path = yield from _draw(surface, press, closed=False, removes=True, straight=not press.ctrl)
    if not path:
        return
    workspace = surface.workspace
    chosen = [a.id for a in workspace.selected]
    if not chosen:
        chosen = _crossed(surface, path)
    missed = UserError(
        "The line does not divide an object.",
        "Begin and end beside the object; select it if others lie above it.",
    )
    workspace.masks.cut(chosen, path, lambda: workspace.reported.emit(missed))


def _crossed(surface: Surface, path: tuple[Spot, ...]) -> list[int]:
    """The topmost object under the middle of a line."""
    length = [0.0]
    for one, other in pairwise(path):
        length.append(length[-1] + math.dist(one, other))
    for share in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8):
        place = next(i for i, at in enumerate(length) if at >= share * length[-1])
        span = max(length[place] - length[place - 1], 1e-9)
        part = (share * length[-1] - length[place - 1]) / span
        (xa, ya), (xb, yb) = path[place - 1], path[place]
        found = surface.objects_at(xa + (xb - xa) * part, ya + (yb - ya) * part)
        if found:
            return found[:1]
    return []


# --- Fill ---


def fill(surface: Surface, press: GestureEvent) -> Gesture:
    """Fill a hole, or pixels of about one colour; dragging to the right allows more colours."""
    removes = _removes(surface, press)
    width, height = surface.image_size()
    image = surface.workspace.image
    inside = 0 <= press.x < width and 0 <= press.y < height
    if image is None or not image.complete or not inside:
        return
    try:
        target = _target(surface, press, create=not removes)
    except UserError as error:
        surface.workspace.reported.emit(error)
        return
    from annotator.core import raster
    from annotator.core.editing import regions

    x, y = int(press.x), int(press.y)
    live = surface.painting.begin(target)
    hole = None if removes or target is None else regions.hole_at(live.before, x, y)
    area = raster.crop(live.before) if removes else None
    done, shown = False, -1
    event = press
    try:
        while True:
            tolerance = _tolerance(press, event)
            if tolerance != shown:
                surface.painting.touched(live.restore())
                crop = hole or regions.flood(image.pixels, x, y, tolerance, area)
                surface.painting.change(crop, remove=removes)
                if shown >= 0 and hole is None:
                    surface.workspace.noticed.emit(f"Fill: colours that differ by {tolerance}")
                shown = tolerance
            if event.kind == "release":
                break
            event = yield
        done = True
    finally:
        if not done:
            surface.painting.end()
    surface.painting.commit("Erase from" if removes else "Fill")


def _tolerance(press: GestureEvent, event: GestureEvent) -> int:
    moved = event.view_x - press.view_x
    return round(min(max(TOLERANCE + (moved / 3 if abs(moved) > DRAG else 0), 0), 255))
