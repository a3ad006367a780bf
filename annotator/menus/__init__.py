"""Commands are data: everything the user can do, one module per menu."""

from __future__ import annotations

from annotator.menus import (
    edit,
    file,
    help,
    image,
    names,
    objects,
    proposals,
    review,
    tools,
    tracks,
    view,
)  # fmt: skip
from annotator.menus.command import Command

COMMANDS: tuple[Command, ...] = (
    *file.ROWS, *edit.ROWS, *objects.ROWS, *image.ROWS, *view.ROWS, *tools.ROWS,
    *proposals.ROWS, *names.ROWS, *review.ROWS, *tracks.ROWS, *help.ROWS,
)  # fmt: skip
"""Everything the user can do, in menu order."""

TOOLBAR: tuple[str, ...] = (
    "tool.smart", "tool.box", "tool.polygon", "tool.magnetic", "",
    "tool.brush", "tool.eraser", "tool.lasso", "tool.outline", "tool.vertices",
    "tool.fill", "tool.knife", "",
    "tool.select", "tool.pan", "",
    "prompt.accept", "prompt.clear", "", "edit.undo", "edit.redo", "",
    "view.zoom_in", "view.zoom_out", "view.fit", "view.actual", "",
    "image.previous", "image.next", "image.mark_reviewed",
)  # fmt: skip
"""Ids of the commands on the tool bar; "" stands for a separator."""


def command(command_id: str) -> Command:
    """The row with this id; KeyError when there is none."""
    return _BY_ID[command_id]


_BY_ID = {row.id: row for row in COMMANDS}
