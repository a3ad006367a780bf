"""What the commands that change pixels do, and when they make sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from annotator.services.carrying import Carrying
from annotator.services.mask_editing import OVERLAPS, Overlap

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

    from annotator.services.workspace import Workspace
    from annotator.ui.canvas import Canvas


def handlers(workspace: Workspace, canvas: Canvas) -> dict[str, Callable[[], object]]:
    """Command id to function."""
    from annotator.ui.mask_popover import MaskPopover

    masks, popover = workspace.masks, MaskPopover(canvas)
    made: dict[str, Callable[[], object]] = {
        "mask.refine": workspace.refine_selected,
        "edit.paste_in_place": partial(workspace.paste, in_place=True),
        "edit.copy_to_next": Carrying(workspace).copy_to_next,
        "edit.pick": canvas.open_pick_list,
        "class.repeat": partial(_repeat_class, workspace),
        "view.selection": lambda: canvas.center_on(workspace.selection, closer=True),
        "view.turn_right": partial(canvas.turning.turn, 1),
        "view.turn_left": partial(canvas.turning.turn, -1),
        "view.upright": canvas.turning.reset,
        "mask.fill_holes": masks.fill_holes,
        "mask.remove_specks": partial(popover.open, "specks"),
        "mask.smooth": partial(popover.open, "smooth"),
        "mask.grow": partial(masks.grow, 1),
        "mask.shrink": partial(masks.grow, -1),
        "mask.split": partial(masks.split, 8),
        "mask.split_4": partial(masks.split, 4),
        "mask.keep_largest": masks.keep_largest,
        "brush.smaller": partial(_resize, canvas, -1),
        "brush.larger": partial(_resize, canvas, 1),
    }
    for operation in ("union", "subtract", "intersect", "exclude"):
        made[f"mask.{operation}"] = partial(masks.combine, operation)
    for overlap in OVERLAPS:
        made[f"overlap.{overlap}"] = partial(_choose_overlap, workspace, overlap)
    return made


def _resize(canvas: Canvas, step: int) -> None:
    """Of the brush; of vertices: how many are shown."""
    if canvas.vertices.target() is not None:
        canvas.vertices.set_detail(canvas.vertices.detail - step)
    else:
        canvas.painting.resize(step)


def _repeat_class(workspace: Workspace) -> None:
    if workspace.active_category is not None:
        workspace.choose_category(workspace.active_category)
    else:
        workspace.name_wanted.emit()


def _choose_overlap(workspace: Workspace, overlap: Overlap) -> None:
    """Once more means: no longer."""
    masks = workspace.masks
    masks.set_overlap("allowed" if masks.overlap == overlap else overlap)


def conditions(workspace: Workspace, *, prompt: bool) -> Mapping[str, bool]:
    """Which of the conditions about masks hold.

    Args:
        workspace: what is open.
        prompt: whether a prompt or an unfinished shape is open.
    """
    return {"several": len(workspace.selection) > 1 and not prompt}


def show_checks(workspace: Workspace, actions: Mapping[str, QAction]) -> None:
    """Check what holds."""
    actions[f"overlap.{workspace.masks.overlap}"].setChecked(True)
