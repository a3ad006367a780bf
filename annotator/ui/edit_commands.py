"""What the commands of the menu Edit do, and when they make sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

    from annotator.services.workspace import Workspace
    from annotator.ui.canvas import Canvas

FLAGS = {"edit.crowd": "is_crowd", "edit.lock": "locked"}
"""Checkable commands that are a flag of the selected objects."""


def handlers(
    workspace: Workspace, canvas: Canvas, actions: Mapping[str, QAction]
) -> dict[str, Callable[[], object]]:
    """Command id to function."""

    def toggle(command_id: str) -> None:
        is_on = actions[command_id].isChecked()
        workspace.set_flag(workspace.selection, FLAGS[command_id], is_on)

    def undo() -> None:
        if not canvas.undo():
            workspace.undo()

    return {
        "edit.undo": undo,
        "edit.redo": workspace.redo,
        "edit.cut": workspace.cut,
        "edit.copy": workspace.copy,
        "edit.paste": workspace.paste,
        "edit.duplicate": workspace.duplicate,
        "edit.delete": workspace.delete_selected,
        "edit.select_all": workspace.select_all,
        "edit.select_none": lambda: workspace.select(()),
        "edit.select_next": partial(workspace.select_step, 1),
        "edit.select_previous": partial(workspace.select_step, -1),
        **{command_id: partial(toggle, command_id) for command_id in FLAGS},
        "edit.hide": lambda: workspace.set_flag(workspace.selection, "hidden", True),
        "edit.show_all": lambda: workspace.set_flag(
            (a.id for a in workspace.annotations), "hidden", False
        ),
        "edit.raise": lambda: workspace.restack(workspace.selection, 1, up=True),
        "edit.lower": lambda: workspace.restack(workspace.selection, 1, up=False),
        "edit.to_top": lambda: workspace.restack(workspace.selection, None, up=True),
        "edit.to_bottom": lambda: workspace.restack(workspace.selection, None, up=False),
    }


def conditions(workspace: Workspace, *, prompt: bool) -> Mapping[str, bool]:
    """Which of the conditions about selecting and undoing hold.

    Args:
        workspace: what is open.
        prompt: whether a prompt or an unfinished shape is open.
    """
    undo, redo = _steps(workspace, prompt=prompt)
    return {
        "selection": bool(workspace.selection) and not prompt,
        "objects": bool(workspace.annotations),
        "clipboard": workspace.can_paste,
        "undo": bool(undo),
        "redo": bool(redo),
    }


def show_state(workspace: Workspace, actions: Mapping[str, QAction], *, prompt: bool) -> None:
    """Check marks and what is undone next."""
    chosen = workspace.selected
    for command_id, flag in FLAGS.items():
        actions[command_id].setChecked(bool(chosen) and all(getattr(a, flag) for a in chosen))
    for verb, text in zip(("Undo", "Redo"), _steps(workspace, prompt=prompt), strict=True):
        actions[f"edit.{verb.lower()}"].setText(f"{verb} {text}" if text else verb)


def _steps(workspace: Workspace, *, prompt: bool) -> tuple[str | None, str | None]:
    """What would be undone and done again."""
    document, key = workspace.document, workspace.key
    undo = redo = None
    if document is not None and key is not None:
        undo, redo = document.undo_text(key), document.redo_text(key)
    return "last point" if prompt else undo, redo
