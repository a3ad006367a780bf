"""`Command`: one row of the table of everything the user can do."""

from __future__ import annotations

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
