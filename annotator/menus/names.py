"""The menu Names."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    Command("class.search", "Find Class…", ("L", "/"), "search", "Names", enabled="project",
        hint="Type a name: completes known classes, Enter makes a new one"),
    Command("class.new", "New Class…", ("N",), "tag-plus", "Names", enabled="project",
        hint="Add a class to the project"),
    Command("class.vocabulary", "Edit Vocabulary…", ("Ctrl+Shift+L",), "list", "Names",
        enabled="project",
        hint="All classes and synonyms as text; lists to import; sentences for text models"),
    *(
        Command(f"class.{digit}", f"Class {digit}", (str(digit),), "tag", "Names/Class by Number",
            digit == 1, "project", hint="Name the open or selected object; later objects follow")
        for digit in range(1, 10)
    ),
    Command("class.repeat", "Last Class Again", ("0",), "tag", "Names", enabled="project",
        hint="Name the open or selected object like the one before"),
    *(
        Command(f"suggestion.{digit}", f"Suggestion {digit}", (f"Shift+{digit}",), "sparkle",
            "Names/Accept Suggestion", enabled="suggestions",
            hint="Give the object this suggested name")
        for digit in range(1, 6)
    ),
    Command("similar.find", "Find Similar Objects", ("S",), "similar", "Names", True, "selection",
        hint="List proposals and objects with another name that look like the selected one"),
    Command("similar.here", "Look for Similar Objects in This Image", ("Shift+S",), "everything",
        "Names/Look for Similar Objects", enabled="image",
        hint="Let the model propose only what looks like the object, under its name"),
    Command("similar.next", "Look for Similar Objects in the Next Images", (), "",
        "Names/Look for Similar Objects", enabled="image",
        hint="The same in the next ten images of the list, in the background"),
    Command("similar.folder", "Look for Similar Objects in the Whole Folder", (), "",
        "Names/Look for Similar Objects", enabled="project",
        hint="The same in every image that is not reviewed, in the background"),
    Command("names.review", "Review Names", ("Shift+R",), "doubt", "Names", True, "project",
        hint="Go through objects whose name does not agree with what they look like"),
    Command("names.look", "Look at All Objects", (), "", "Names", enabled="project",
        hint="Find out what objects look like that nobody has looked at, imported ones for "
        "example"),
)  # fmt: skip
