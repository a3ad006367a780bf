"""The menu Tools: how one draws, and the open prompt."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    *(
        Command(f"tool.{tool}", text, keys, icon, "Tools", checkable=True, group="tool", hint=hint)
        for tool, text, keys, icon, hint in (
            ("smart", "Smart Tool", ("Q",), "smart", "Click an object or drag a box around it"),
            ("box", "Rectangle", ("R",), "box", "Drag a plain rectangle"),
            ("polygon", "Polygon", ("P",), "polygon", "Draw an outline corner by corner"),
            ("magnetic", "Magnetic Polygon", ("Shift+T",), "magnetic",
             "Click along an edge: the outline follows it"),
            ("brush", "Brush", ("B",), "brush", "Paint on the selected object, or begin a new one"),
            ("eraser", "Eraser", ("Shift+B",), "eraser", "Erase from the selected object"),
            ("lasso", "Lasso", ("O",), "lasso",
             "Draw around what to add to the object, or to remove"),
            ("outline", "Redraw Outline", ("U",), "outline", "Draw a stretch of the outline anew"),
            ("vertices", "Vertices", ("Z",), "vertices",
             "Drag the vertices of the selected object"),
            ("fill", "Fill", ("I",), "fill", "Fill a hole, or pixels of about one colour"),
            ("knife", "Knife", ("C",), "knife", "Cut an object in two along a line"),
            ("select", "Select", ("V",), "select", "Select, move and change objects"),
            ("pan", "Pan", ("Shift+V",), "pan", "Move the view; Space-drag does so in every tool"),
        )
    ),
    Command("brush.smaller", "Smaller Brush", ("[",), "", "Tools", True, "image", repeats=True,
        hint="Also Alt and the wheel"),
    Command("brush.larger", "Larger Brush", ("]",), "", "Tools", enabled="image", repeats=True,
        hint="Also Alt and the wheel"),
    Command("prompt.accept", "Accept Object", ("Return", "Enter"), "accept", "Tools", True,
        "candidate", hint="Keep the mask that is shown"),
    Command("prompt.clear", "Clear Prompt", ("Esc",), "clear", "Tools", enabled="prompt",
        hint="Forget the points and the box"),
    Command("prompt.take_back", "Take Back Last Point", ("Backspace",), "take-back", "Tools",
        enabled="prompt", repeats=True, hint="Remove the newest point or box"),
    Command("prompt.next_candidate", "Next Candidate", ("Tab",), "candidates", "Tools",
        enabled="candidates", repeats=True, hint="Part, object, whole: show the next mask"),
    Command("prompt.previous_candidate", "Previous Candidate", ("Shift+Tab",), "", "Tools",
        enabled="candidates", repeats=True, hint="Show the mask before"),
    Command("model.adapt", "Adapt the Model to This Project…", (), "model", "Tools", True,
        "project", hint="Train the built-in model further on what you accepted, in the background"),
)  # fmt: skip
