"""The commands of people who check; rows of the table in `annotator.actions`."""

from __future__ import annotations

from collections.abc import Iterable

from annotator.command import Command

PANEL = Command(
    "view.checks_panel", "Checks Panel", (), "warning", "View/Panels", checkable=True,
    hint="What may be wrong in the folder, and repairing it",
)  # fmt: skip


def review() -> Iterable[Command]:
    """Rows of the menu Review."""
    yield Command(
        "image.mark_reviewed", "Image Is Done", ("M",), "reviewed", "Review", enabled="project",
        checkable=True, hint="Say that this image is finished; once more takes it back",
    )  # fmt: skip
    yield Command(
        "review.image_look", "Image Needs Another Look", ("Shift+M",), "", "Review",
        enabled="project", checkable=True, hint="Find it again with the next image to review",
    )  # fmt: skip
    yield Command(
        "review.image_rejected", "Image Is Rejected", ("Ctrl+Shift+M",), "", "Review",
        enabled="project", checkable=True,
        hint="It stays in the project, and out of exports and of work on many images",
    )  # fmt: skip
    yield Command(
        "review.object_done", "Object Is Done", ("Y",), "", "Review", True, "object",
        checkable=True, hint="Say that the selected objects are right",
    )  # fmt: skip
    yield Command(
        "review.object_look", "Object Needs Another Look", ("Shift+Y",), "", "Review",
        enabled="object", checkable=True, hint="Somebody has to look at the selected objects again",
    )  # fmt: skip
    yield Command(
        "review.object_rejected", "Object Is Rejected", ("Ctrl+Shift+Y",), "", "Review",
        enabled="object", checkable=True,
        hint="The selected objects stay in the project, and out of exports",
    )  # fmt: skip
    yield Command(
        "review.comment", "Comment…", ("Ctrl+M",), "", "Review", True, "project",
        hint="Say something about the selected objects, or about the image if none is selected",
    )  # fmt: skip
    yield Command(
        "review.next", "Next Image to Review", ("Ctrl+Shift+D",), "next", "Review", True,
        "project", hint="The next image of the list with objects that is not done, or that needs "
        "another look",
    )  # fmt: skip
    yield Command(
        "review.check", "Check the Folder", ("F7",), "warning", "Review", True, "project",
        hint="Look for specks, holes, overlaps, doubles, missing names, odd sizes, equal images",
    )  # fmt: skip
    yield Command(
        "review.statistics", "Statistics…", ("F8",), "", "Review", enabled="project",
        hint="Plots of classes, sizes, places and progress; as PNG and CSV",
    )  # fmt: skip
