"""What a person who checks says about images and objects: a status and a comment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from annotator.core.annotation import Annotation, Annotations, Status

if TYPE_CHECKING:
    from annotator.services.workspace import Workspace

WORDS = {
    Status.TODO: "to do",
    Status.DONE: "done",
    Status.LOOK: "needs another look",
    Status.REJECTED: "rejected",
}


def judged(workspace: Workspace) -> Annotations:
    """The selected objects that can have a status: proposals wait for another decision."""
    return tuple(a for a in workspace.selected if not a.proposed)


def toggle_object_status(workspace: Workspace, status: Status) -> None:
    """Give the selected objects this status, as one step; once more takes it back."""
    chosen = judged(workspace)
    if chosen and all(a.status is status for a in chosen):
        status = Status.TODO
    _change(workspace, f"Status: {WORDS[status]}", lambda a: replace(a, status=status))


def toggle_image_status(workspace: Workspace, status: Status) -> None:
    """Give the current image this status; once more takes it back."""
    document, key = workspace.document, workspace.key
    if document is not None and key is not None:
        same = document.record(key).status is status
        workspace.set_status(Status.TODO if same else status)


def comment(workspace: Workspace) -> str:
    """What was said about the selected objects, or about the image while none is selected."""
    chosen = judged(workspace)
    if chosen:
        comments = {a.comment for a in chosen}
        return comments.pop() if len(comments) == 1 else ""
    document, key = workspace.document, workspace.key
    return document.record(key).comment if document is not None and key is not None else ""


def set_comment(workspace: Workspace, text: str) -> None:
    """Say something about the selected objects (one step), or about the image."""
    text = text.strip()
    document, key = workspace.document, workspace.key
    if document is None or key is None:
        return
    if judged(workspace):
        _change(workspace, "Comment", lambda a: replace(a, comment=text))
    else:
        document.set_review(key, document.record(key).status, text)


def _change(workspace: Workspace, text: str, alter: Callable[[Annotation], Annotation]) -> None:
    # Also for locked objects: what is said about them does not change them.
    document, key = workspace.document, workspace.key
    chosen = {a.id for a in judged(workspace)}
    if document is not None and key is not None and chosen:
        before = document.annotations(key)
        document.edit(key, tuple(alter(a) if a.id in chosen else a for a in before), text)
