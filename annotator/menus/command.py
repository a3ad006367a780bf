"""`Command`: one row of the table of everything the user can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One thing the user can do.

    Attributes:
        id: "area.verb"; stable, used in settings and key maps.
        text: what menus and the command palette say; "…" at the end when more is asked.
        shortcuts: the standard key sequences in portable text, the main one first.
        icon: name of a drawing in resources/icons, or "".
        menu: path of the menu, for example "View/Theme"; "" for none.
        separator_before: whether a line sets it off in its menu.
        enabled: a name in `CONDITIONS`, or "" for always.
        checkable: whether it can be on.
        group: commands of one group exclude each other (exactly one is on); "" for none.
        submenu: opens a menu filled at run time.
        held: acts while its key is down (see `annotator.ui.key_guard`).
        repeats: whether holding the key down repeats it.
        hint: one sentence for tooltips, the shortcut sheet and screen readers.
    """

    id: str
    text: str
    shortcuts: tuple[str, ...] = ()
    icon: str = ""
    menu: str = ""
    separator_before: bool = False
    enabled: str = ""
    checkable: bool = False
    group: str = ""
    submenu: bool = False
    held: bool = False
    repeats: bool = False
    hint: str = ""


CONDITIONS: Mapping[str, str] = {
    "project": "a folder is open",
    "image": "an image is shown",
    "prompt": "a prompt or an unfinished shape is open",
    "candidate": "there is something to accept",
    "candidates": "there are several candidates to choose from",
    "suggestions": "there are suggested names",
    "selection": "objects are selected (never together with a prompt)",
    "several": "two objects or more are selected",
    "object": "an accepted object is among the selected ones",
    "proposal": "a proposal is among the selected objects",
    "only_proposals": "proposals are selected, and nothing else",
    "proposals": "proposals are shown in this image",
    "folder_decision": "proposals of the whole folder were decided on",
    "objects": "the image has objects",
    "proposing": "objects are being proposed (and there is neither prompt nor selection)",
    "prelabelling": "the folder is being pre-labelled",
    "tracking": "objects are being tracked",
    "track": "a track is chosen in the panel Tracks",
    "clipboard": "objects were copied",
    "undo": "there is a step, or a point of the prompt, to take back",
    "redo": "there is a step to do again",
    "undo_project": "there is a step of the whole project to take back",
    "redo_project": "a step of the whole project was taken back last",
}
"""Names used in `Command.enabled` and what they mean."""
