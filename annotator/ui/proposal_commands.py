"""What the commands about proposals do, and when they make sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotator.services.proposals import FolderDecision
    from annotator.services.workspace import Workspace
    from annotator.ui.message_bar import MessageBar


def handlers(workspace: Workspace) -> dict[str, Callable[[], object]]:
    """Command id to function."""
    proposals = workspace.proposals
    return {
        "proposals.accept": workspace.accept_or_ask,
        "proposals.reject": workspace.delete_selected,
        "proposals.next": partial(proposals.select_step, 1),
        "proposals.previous": partial(proposals.select_step, -1),
        "proposals.accept_shown": partial(proposals.decide_shown, accept=True),
        "proposals.reject_shown": partial(proposals.decide_shown, accept=False),
        "proposals.next_image": workspace.show_next_proposals,
        "proposals.accept_folder": partial(proposals.decide_everywhere, accept=True),
        "proposals.reject_folder": partial(proposals.decide_everywhere, accept=False),
        "proposals.take_back": proposals.take_back,
    }


def conditions(workspace: Workspace, *, prompt: bool) -> Mapping[str, bool]:
    """Which of the conditions about proposals hold.

    Args:
        workspace: what is open.
        prompt: whether a prompt or an unfinished shape is open.
    """
    marks = {a.proposed for a in workspace.selected} if not prompt else set()
    return {
        "object": False in marks,
        "proposal": True in marks,
        "only_proposals": marks == {True},
        "proposals": bool(workspace.proposals.shown(workspace.annotations)),
        "folder_decision": workspace.proposals.last is not None,
    }


def tell_finished(workspace: Workspace, messages: MessageBar, done: FolderDecision) -> None:
    """Say what a decision for the folder did, and offer to take it back."""
    actions = [("Take back", workspace.proposals.take_back)] if done.steps else []
    messages.show_message(done.text, level="success", actions=actions, key="folder decision")
