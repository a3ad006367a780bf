"""What the mouse and the canvas' own keys do."""

from __future__ import annotations

from collections.abc import Mapping

GESTURES: tuple[tuple[str, str, str], ...] = (
    ("Smart tool", "Click", "Point on the object"),
    ("Smart tool", "Right click · Shift+Click", "Point that does not belong to it"),
    ("Smart tool", "Drag", "Box around the object; points may follow"),
    ("Smart tool", "Drag a point or a side of the box", "Move it"),
    ("Smart tool", "Right click a point · Alt+Click it · Delete over it", "Remove it"),
    ("Smart tool", "Alt+Wheel", "Next or previous candidate: part, object, whole"),
    ("Smart tool", "Tap Space", "Accept"),
    ("Smart tool", "Ctrl+Click", "Select an object"),
    ("Rectangle", "Drag · click two corners", "Draw it; Shift: a square; Ctrl: from its centre"),
    ("Polygon", "Click", "Next corner; with Shift in steps of 45°"),
    ("Polygon", "Right click", "Take back the last corner"),
    ("Polygon", "Double click · click the first corner", "Close the outline"),
    ("Refine with the model", "Click · right click", "Add what is missing · take away what is not"),
    ("Refine with the model", "Enter · Esc", "Keep it as the same object · leave it as it was"),
    ("Magnetic polygon", "Click", "Next place: the line to it follows edges; Ctrl: straight"),
    ("Magnetic polygon", "Right click", "Take back the last place"),
    ("Magnetic polygon", "Double click · click the first place", "Close the outline"),
    ("Brush and eraser", "Drag", "Paint on the selected object; a new one if none is selected"),
    ("Brush and eraser", "Right drag · Ctrl+Drag · Alt+Drag", "The other one: erase, or paint"),
    ("Brush and eraser", "Alt+Wheel", "Size of the brush"),
    ("Brush and eraser", "Shift+Click · Shift while dragging", "A straight stroke from the last"),
    ("Brush and eraser", "Tap Space", "Done with this object: the next stroke begins a new one"),
    ("Lasso", "Drag · right drag", "Add what is enclosed · remove it"),
    ("Redraw outline", "Drag from outline to outline", "The line is the new outline there"),
    ("Redraw outline", "Click along an edge · double click", "The line follows edges · done"),
    ("Vertices", "Drag a vertex or a line", "Move it; a line gets a vertex"),
    ("Vertices", "Double click a line", "Put a vertex in; nothing else changes"),
    ("Vertices", "Right click · Alt+Click · Delete", "Erase the vertex, or all chosen ones"),
    ("Vertices", "Drag elsewhere · Ctrl+Click", "Choose several; they move together"),
    ("Vertices", "Arrow keys · Shift+Arrow keys", "Move the chosen vertices by 1 · by 10 pixels"),
    ("Vertices", "Alt+Wheel", "Show more vertices, or fewer; no pixel changes"),
    ("Fill", "Click · right click", "Add the hole or the colour · remove the colour"),
    ("Fill", "Drag sideways", "More colours, or fewer"),
    ("Knife", "Drag · Ctrl+Drag", "Cut along a straight line · along a line drawn by hand"),
    ("Tracks", "Click", "Show that image with the object selected"),
    ("Tracks", "Drag", "Go through the images"),
    ("Tracks", "Ctrl+Wheel", "Wider or narrower images"),
    ("Tracks", "Arrow keys · Home · End", "Other track or image · first and last image of it"),
    ("Select", "Click", "Select; once more: what lies beneath"),
    ("Select", "Ctrl+Click · Shift+Click", "Add to the selection"),
    ("Select", "Drag a selected object", "Move the selected objects"),
    ("Select", "Drag elsewhere", "Select what the frame encloses"),
    ("Select", "Alt+Click", "List all objects there, also those beneath others"),
    ("Select", "Drag a handle", "Resize a rectangle; Shift: same ratio; Ctrl: same centre"),
    ("Select", "Arrow keys · Shift+Arrow keys", "Move the selected objects by 1 · by 10 pixels"),
    ("Similar objects", "Enter · Space", "Give the name to the chosen rows · show the object"),
    ("Review names", "Enter · Space", "Change the name · it is right, do not ask again"),
    ("View", "Wheel", "Zoom at the pointer (or scroll, see Settings)"),
    ("View", "Ctrl+Wheel", "Zoom at the pointer, whatever the setting"),
    ("View", "Shift+Wheel", "Scroll sideways"),
    ("View", "Middle drag · Space+Drag", "Move the view, in every tool"),
    ("View", "Arrow keys", "Move the view while nothing is selected"),
)
"""For the shortcut sheet: where, gesture, effect."""

RESERVED: Mapping[str, str] = {
    # The canvas must see these go down and up by itself: a tap of Space accepts, holding it pans;
    # as a QAction it would fire on the way down and never pan.
    "Space": "Accept with a tap, pan while held",
    **{
        f"{shift}{arrow}": "Move the selected objects, or the view"
        for shift in ("", "Shift+")
        for arrow in ("Left", "Right", "Up", "Down")
    },
}
"""Keys the canvas handles itself; no command can have them."""
