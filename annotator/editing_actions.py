"""The commands that change the pixels of objects; rows of the table in `annotator.actions`."""

from __future__ import annotations

from collections.abc import Iterable

from annotator.command import Command

MAGNETIC = (
    "magnetic", "Magnetic Polygon", ("Shift+T",), "magnetic",
    "Click along an edge: the outline follows it",
)  # fmt: skip
"""A tool that draws: id, text, keys, icon, hint."""

PIXEL_TOOLS: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    ("brush", "Brush", ("B",), "brush", "Paint on the selected object, or begin a new one"),
    ("eraser", "Eraser", ("Shift+B",), "eraser", "Erase from the selected object"),
    ("lasso", "Lasso", ("O",), "lasso", "Draw around what to add to the object, or to remove"),
    ("outline", "Redraw Outline", ("U",), "outline", "Draw a stretch of the outline anew"),
    ("vertices", "Vertices", ("Z",), "vertices", "Drag the vertices of the selected object"),
    ("fill", "Fill", ("I",), "fill", "Fill a hole, or pixels of about one colour"),
    ("knife", "Knife", ("C",), "knife", "Cut an object in two along a line"),
)
"""Tools that change pixels: id, text, keys, icon, hint."""

GESTURES: tuple[tuple[str, str, str], ...] = (
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
)
"""What the mouse does with them, for the shortcut sheet."""


def brush() -> Iterable[Command]:
    """Rows of the menu Tools."""
    yield Command(
        "brush.smaller", "Smaller Brush", ("[",), "", "Tools", True, "image", repeats=True,
        hint="Also Alt and the wheel",
    )  # fmt: skip
    yield Command(
        "brush.larger", "Larger Brush", ("]",), "", "Tools", enabled="image", repeats=True,
        hint="Also Alt and the wheel",
    )  # fmt: skip


def copies() -> Iterable[Command]:
    """Rows of the menu Edit."""
    yield Command(
        "edit.paste_in_place", "Paste in Place", ("Ctrl+Shift+V",), "paste", "Edit",
        enabled="clipboard", hint="Insert the copied objects exactly where they were",
    )  # fmt: skip
    yield Command(
        "edit.copy_to_next", "Copy to the Next Image", ("Ctrl+Shift+C",), "propagate", "Edit",
        enabled="selection", hint="Show the next image with copies of the selected objects",
    )  # fmt: skip
    yield Command(
        "edit.pick", "Objects under the Pointer…", ("Ctrl+.",), "layers", "Edit",
        enabled="objects", hint="Choose among all objects there, also those beneath others",
    )  # fmt: skip


def objects() -> Iterable[Command]:
    """Rows of the menu Objects."""
    yield Command(
        "mask.refine", "Refine with the Model", ("Shift+Q",), "smart", "Objects",
        enabled="selection",
        hint="Clicks add to the selected object what the model finds there, or take it away; "
        "everything else stays",
    )  # fmt: skip
    yield Command(
        "mask.fill_holes", "Fill Holes", ("Shift+I",), "", "Objects", enabled="selection",
        hint="Fill every hole of the selected objects",
    )  # fmt: skip
    yield Command(
        "mask.remove_specks", "Remove Specks…", ("Shift+X",), "", "Objects", enabled="selection",
        hint="Remove small pieces of the selected objects, with a preview",
    )  # fmt: skip
    yield Command(
        "mask.smooth", "Smooth…", ("Shift+U",), "", "Objects", enabled="selection",
        hint="Smooth the outlines of the selected objects, with a preview; the area stays",
    )  # fmt: skip
    yield Command(
        "mask.grow", "Grow by 1 Pixel", ("Shift+G",), "", "Objects", enabled="selection",
        repeats=True, hint="The selected objects, on all sides",
    )  # fmt: skip
    yield Command(
        "mask.shrink", "Shrink by 1 Pixel", ("Ctrl+Shift+G",), "", "Objects",
        enabled="selection", repeats=True, hint="The selected objects, on all sides",
    )  # fmt: skip
    yield Command(
        "mask.split", "Split into Pieces", ("Shift+P",), "", "Objects", True, "selection",
        hint="Every connected piece becomes an object; pixels that touch by a corner stay "
        "together (8-connectivity)",
    )  # fmt: skip
    yield Command(
        "mask.split_4", "Split into Pieces, Also at Corners", (), "", "Objects",
        enabled="selection",
        hint="Pixels that touch by a corner only are apart (4-connectivity)",
    )  # fmt: skip
    yield Command(
        "mask.keep_largest", "Keep Largest Piece", ("Shift+K",), "", "Objects",
        enabled="selection", hint="Remove all other pieces of the selected objects "
        "(8-connectivity)",
    )  # fmt: skip
    yield from _together()


def _together() -> Iterable[Command]:
    for operation, text, chord, hint in (
        ("union", "Union", "Ctrl+J", "One object of all selected ones; the largest gives the name"),
        ("subtract", "Subtract", "Ctrl+Shift+J",
         "Take the other selected objects out of the largest one; they stay"),
        ("intersect", "Intersect", "Ctrl+K", "Keep only what all selected objects cover"),
        ("exclude", "Exclude", "Ctrl+Shift+K", "Keep what only one of the selected objects covers"),
    ):  # fmt: skip
        yield Command(
            f"mask.{operation}", text, (chord,), "", "Objects", operation == "union", "several",
            hint=hint,
        )  # fmt: skip
    for overlap, text, chords, hint in (
        ("allowed", "Objects May Overlap", (), "Several objects may have a pixel"),
        ("takes", "No Overlap: New Objects Take Pixels", ("Shift+O",),
         "A pixel belongs to the highest layer; a new object is the highest"),
        ("leaves", "No Overlap: New Objects Leave Pixels", (),
         "A pixel belongs to the highest layer; a new object is the lowest"),
    ):  # fmt: skip
        yield Command(
            f"overlap.{overlap}", text, chords, "", "Objects/Overlap", overlap == "allowed",
            "project", checkable=True, group="overlap", hint=hint,
        )  # fmt: skip
