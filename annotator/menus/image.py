"""The menu Image."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    Command("image.next", "Next Image", ("D", "PgDown"), "next", "Image", enabled="project",
        repeats=True, hint="The next image of the list"),
    Command("image.previous", "Previous Image", ("A", "PgUp"), "previous", "Image",
        enabled="project", repeats=True, hint="The previous image of the list"),
    Command("image.next_untouched", "Next Untouched Image", ("Shift+D",), "next-untouched", "Image",
        enabled="project", hint="The next image nobody has worked on"),
    Command("image.first", "First Image", ("Ctrl+Home",), "", "Image", enabled="project",
        hint="The first image of the list"),
    Command("image.last", "Last Image", ("Ctrl+End",), "", "Image", enabled="project",
        hint="The last image of the list"),
    Command("image.goto", "Go to Image…", ("Ctrl+G",), "goto", "Image", True, "project",
        hint="Type part of a file name"),
    Command("image.filter", "Filter Images…", ("Ctrl+F",), "filter", "Image", enabled="project",
        hint="Show only some images in the list"),
    Command("image.reload", "Read Again from Disk", ("F5",), "reload", "Image", True, "image",
        hint="Read the image file again"),
)  # fmt: skip
