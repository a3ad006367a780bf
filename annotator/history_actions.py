"""The commands about the history; rows of the table in `annotator.actions`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from annotator.command import Command

CONDITIONS: Mapping[str, str] = {
    "undo_project": "there is a step of the whole project to take back",
    "redo_project": "a step of the whole project was taken back last",
}


def edit() -> Iterable[Command]:
    """Taking back what was done in many images."""
    yield Command(
        "edit.undo_project", "Undo in the Whole Project", ("Ctrl+Alt+Z",), "", "Edit",
        enabled="undo_project",
        hint="Take back the last decision for the folder, import, run or change of classes as one",
    )  # fmt: skip
    yield Command(
        "edit.redo_project", "Redo in the Whole Project", ("Ctrl+Alt+Y",), "", "Edit",
        enabled="redo_project", hint="Do again what was taken back in the whole project",
    )  # fmt: skip


def panels() -> Iterable[Command]:
    """The panel."""
    yield Command(
        "view.history_panel", "History Panel", ("Shift+H",), "clock", "View/Panels",
        checkable=True, hint="Every step of this image and of the project; go back to any of them",
    )  # fmt: skip
