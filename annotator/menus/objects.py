"""The menu Objects: commands on the pixels of selected objects."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    Command("mask.refine", "Refine with the Model", ("Shift+Q",), "smart", "Objects",
        enabled="selection",
        hint="Clicks add to the selected object what the model finds there, or take it away; "
        "everything else stays"),
    Command("mask.fill_holes", "Fill Holes", ("Shift+I",), "", "Objects", enabled="selection",
        hint="Fill every hole of the selected objects"),
    Command("mask.remove_specks", "Remove Specks…", ("Shift+X",), "", "Objects",
        enabled="selection", hint="Remove small pieces of the selected objects, with a preview"),
    Command("mask.smooth", "Smooth…", ("Shift+U",), "", "Objects", enabled="selection",
        hint="Smooth the outlines of the selected objects, with a preview; the area stays"),
    Command("mask.grow", "Grow by 1 Pixel", ("Shift+G",), "", "Objects", enabled="selection",
        repeats=True, hint="The selected objects, on all sides"),
    Command("mask.shrink", "Shrink by 1 Pixel", ("Ctrl+Shift+G",), "", "Objects",
        enabled="selection", repeats=True, hint="The selected objects, on all sides"),
    Command("mask.split", "Split into Pieces", ("Shift+P",), "", "Objects", True, "selection",
        hint="Every connected piece becomes an object; pixels that touch by a corner stay together "
        "(8-connectivity)"),
    Command("mask.split_4", "Split into Pieces, Also at Corners", (), "", "Objects",
        enabled="selection", hint="Pixels that touch by a corner only are apart (4-connectivity)"),
    Command("mask.keep_largest", "Keep Largest Piece", ("Shift+K",), "", "Objects",
        enabled="selection",
        hint="Remove all other pieces of the selected objects (8-connectivity)"),
    *(
        Command(f"mask.{operation}", text, (chord,), "", "Objects", operation == "union", "several",
            hint=hint)
        for operation, text, chord, hint in (
            ("union", "Union", "Ctrl+J",
             "One object of all selected ones; the largest gives the name"),
            ("subtract", "Subtract", "Ctrl+Shift+J",
             "Take the other selected objects out of the largest one; they stay"),
            ("intersect", "Intersect", "Ctrl+K", "Keep only what all selected objects cover"),
            ("exclude", "Exclude", "Ctrl+Shift+K",
             "Keep what only one of the selected objects covers"),
        )
    ),
    *(
        Command(f"overlap.{overlap}", text, chords, "", "Objects/Overlap", overlap == "allowed",
            "project", checkable=True, group="overlap", hint=hint)
        for overlap, text, chords, hint in (
            ("allowed", "Objects May Overlap", (), "Several objects may have a pixel"),
            ("takes", "No Overlap: New Objects Take Pixels", ("Shift+O",),
             "A pixel belongs to the highest layer; a new object is the highest"),
            ("leaves", "No Overlap: New Objects Leave Pixels", (),
             "A pixel belongs to the highest layer; a new object is the lowest"),
        )
    ),
)  # fmt: skip
