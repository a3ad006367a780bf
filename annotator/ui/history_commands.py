"""What the commands about the history of the project do, and when they make sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.services.workspace import Workspace


def handlers(workspace: Workspace) -> dict[str, Callable[[], object]]:
    """Command id to function."""
    return {
        "edit.undo_project": lambda: undo(workspace),
        "edit.redo_project": lambda: redo(workspace),
    }


def undo(workspace: Workspace) -> None:
    """Take back the newest group step.

    Raises:
        UserError: another one is under way.
    """
    document = workspace.document
    row = document.history.newest() if document is not None else None
    if document is not None and row is not None:
        document.history.take_back(row.id)


def redo(workspace: Workspace) -> None:
    """Do the group step again that was taken back last.

    Raises:
        UserError: another one is under way.
    """
    document = workspace.document
    row = document.history.newest_undone() if document is not None else None
    if document is not None and row is not None:
        document.history.do_again(row.id)


def conditions(workspace: Workspace) -> Mapping[str, bool]:
    """Which of the conditions hold."""
    document = workspace.document
    return {
        "undo_project": document is not None and document.history.newest() is not None,
        "redo_project": document is not None and document.history.newest_undone() is not None,
    }


def texts(workspace: Workspace) -> dict[str, str]:
    """What the menu says, by command id."""
    document = workspace.document
    found = {"edit.undo_project": "Undo in the Whole Project",
             "edit.redo_project": "Redo in the Whole Project"}  # fmt: skip
    if document is not None:
        rows = (document.history.newest(), document.history.newest_undone())
        for command_id, row in zip(found, rows, strict=True):
            if row is not None:
                text = f"{found[command_id]}: {row.text}"
                found[command_id] = text.replace("&", "&&")
    return found
