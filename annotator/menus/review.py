"""The menu Review, for people who check."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    Command("image.mark_reviewed", "Image Is Done", ("M",), "reviewed", "Review", enabled="project",
        checkable=True, hint="Say that this image is finished; once more takes it back"),
    Command("review.image_look", "Image Needs Another Look", ("Shift+M",), "", "Review",
        enabled="project", checkable=True, hint="Find it again with the next image to review"),
    Command("review.image_rejected", "Image Is Rejected", ("Ctrl+Shift+M",), "", "Review",
        enabled="project", checkable=True,
        hint="It stays in the project, and out of exports and of work on many images"),
    Command("review.object_done", "Object Is Done", ("Y",), "", "Review", True, "object",
        checkable=True, hint="Say that the selected objects are right"),
    Command("review.object_look", "Object Needs Another Look", ("Shift+Y",), "", "Review",
        enabled="object", checkable=True,
        hint="Somebody has to look at the selected objects again"),
    Command("review.object_rejected", "Object Is Rejected", ("Ctrl+Shift+Y",), "", "Review",
        enabled="object", checkable=True,
        hint="The selected objects stay in the project, and out of exports"),
    Command("review.comment", "Comment…", ("Ctrl+M",), "", "Review", True, "project",
        hint="Say something about the selected objects, or about the image if none is selected"),
    Command("review.next", "Next Image to Review", ("Ctrl+Shift+D",), "next", "Review", True,
        "project",
        hint="The next image of the list with objects that is not done, or that needs another "
        "look"),
    Command("review.check", "Check the Folder", ("F7",), "warning", "Review", True, "project",
        hint="Look for specks, holes, overlaps, doubles, missing names, odd sizes, equal images"),
    Command("review.statistics", "Statistics…", ("F8",), "", "Review", enabled="project",
        hint="Plots of classes, sizes, places and progress; as PNG and CSV"),
)  # fmt: skip
