"""What the commands of people who check do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QInputDialog, QWidget

from annotator.core.annotation import Status
from annotator.services import reviewing

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

    from annotator.services.workspace import Workspace

_IMAGE = {
    "image.mark_reviewed": Status.DONE,
    "review.image_look": Status.LOOK,
    "review.image_rejected": Status.REJECTED,
}
_OBJECT = {
    "review.object_done": Status.DONE,
    "review.object_look": Status.LOOK,
    "review.object_rejected": Status.REJECTED,
}


def handlers(workspace: Workspace, parent: QWidget) -> dict[str, Callable[[], object]]:
    """Command id to function."""
    made: dict[str, Callable[[], object]] = {
        "review.comment": partial(ask_comment, workspace, parent),
        "review.next": workspace.show_next_to_review,
    }
    for command_id, status in _IMAGE.items():
        made[command_id] = partial(reviewing.toggle_image_status, workspace, status)
    for command_id, status in _OBJECT.items():
        made[command_id] = partial(reviewing.toggle_object_status, workspace, status)
    return made


def ask_comment(workspace: Workspace, parent: QWidget) -> None:
    """A line for what somebody has to say."""
    count = len(reviewing.judged(workspace))
    whom = "this image" if not count else "the object" if count == 1 else f"{count:,} objects"
    dialog = QInputDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle("Comment")
    dialog.setLabelText(f"What is there to say about {whom}?")
    dialog.setTextValue(reviewing.comment(workspace))
    dialog.textValueSelected.connect(partial(reviewing.set_comment, workspace))
    dialog.resize(480, dialog.sizeHint().height())
    dialog.open()


def show_checks(workspace: Workspace, actions: Mapping[str, QAction]) -> None:
    """Check what holds for the current image and the selected objects."""
    document, key = workspace.document, workspace.key
    status = document.record(key).status if document is not None and key is not None else None
    for command_id, one in _IMAGE.items():
        actions[command_id].setChecked(status is one)
    chosen = {a.status for a in reviewing.judged(workspace)}
    for command_id, one in _OBJECT.items():
        actions[command_id].setChecked(chosen == {one})
