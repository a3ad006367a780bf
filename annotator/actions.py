"""Commands (`annotator.menus`) become Qt actions, menus and tooltips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from PySide6.QtGui import QAction, QActionGroup, QIcon, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from annotator.menus import COMMANDS, command
from annotator.menus.command import Command

Bindings = Mapping[str, tuple[str, ...]]
"""Command id to its key sequences in portable text, the one shown in menus first."""


def build_actions(
    parent: QWidget,
    run: Callable[[str], None],
    bindings: Bindings,
    icon: Callable[[str], QIcon],
) -> dict[str, QAction]:
    """One QAction per command, owned by `parent` and working anywhere in its window.

    Args:
        parent: the window.
        run: called with the command id when the action is triggered.
        bindings: the key map in use (`annotator.keymaps.bindings`).
        icon: name to icon (`annotator.ui.icons.icon`).
    """
    groups: dict[str, QActionGroup] = {}
    actions: dict[str, QAction] = {}
    for row in COMMANDS:
        if row.group not in groups:
            groups[row.group] = _group(parent, row.group, run)
        action = QAction(row.text, groups[row.group])
        action.setObjectName(row.id)
        action.setCheckable(row.checkable)
        action.setAutoRepeat(row.repeats)
        if row.icon:
            action.setIcon(icon(row.icon))
        if row.id in _ROLES:
            action.setMenuRole(_ROLES[row.id])
        actions[row.id] = action
    apply_bindings(actions, bindings)
    parent.addActions(list(actions.values()))
    return actions


_ROLES = {
    "file.quit": QAction.MenuRole.QuitRole,
    "file.settings": QAction.MenuRole.PreferencesRole,
    "help.about": QAction.MenuRole.AboutRole,
}


def _group(parent: QWidget, name: str, run: Callable[[str], None]) -> QActionGroup:
    # One connection per group instead of one per action: this runs before the first paint.
    group = QActionGroup(parent)
    if not name:
        group.setExclusionPolicy(QActionGroup.ExclusionPolicy.None_)
    group.triggered.connect(lambda action: run(action.objectName()))
    return group


def apply_bindings(actions: Mapping[str, QAction], bindings: Bindings) -> None:
    """Give every action the keys of a key map; tooltips follow."""
    for command_id, action in actions.items():
        sequences = [QKeySequence(text) for text in bindings.get(command_id, ())]
        if sequences != action.shortcuts():
            action.setShortcuts(sequences)
        action.setToolTip(tooltip(action.text(), sequences, command(command_id).hint))


def tooltip(text: str, sequences: Sequence[QKeySequence], hint: str) -> str:
    """The text with its first key in parentheses, and the hint on a second line."""
    keys = sequences[0].toString(QKeySequence.SequenceFormat.NativeText) if sequences else ""
    head = plain(text) + (f" ({keys})" if keys else "")
    return f"{head}\n{hint}" if hint else head


def plain(text: str) -> str:
    """Action text without mnemonic marks and dots."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&").rstrip("…")


def set_enabled(actions: Mapping[str, QAction], conditions: Mapping[str, bool]) -> None:
    """Switch the actions whose condition is named; the others stay as they are."""
    for row in COMMANDS:
        if row.enabled in conditions:
            actions[row.id].setEnabled(conditions[row.enabled])


def show_names(actions: Mapping[str, QAction], prefix: str, names: Sequence[str]) -> None:
    """Write what a digit stands for into "class" or "suggestion" actions, best first."""
    for digit in range(1, 10):
        action = actions.get(f"{prefix}.{digit}")
        if action is not None:
            text = names[digit - 1] if digit <= len(names) else command(action.objectName()).text
            action.setText(text.replace("&", "&&"))


def build_menus(menu_bar: QMenuBar, actions: Mapping[str, QAction]) -> dict[str, QMenu]:
    """Fill the menu bar.

    Returns:
        Menus by path ("View/Theme"), and by command id for rows that open a menu filled at run
        time ("file.open_recent").
    """
    menus: dict[str, QMenu] = {}
    for row in COMMANDS:
        if not row.menu:
            continue
        menu = _menu(menus, menu_bar, row)
        if row.separator_before and not menu.isEmpty():
            menu.addSeparator()
        if row.submenu:
            menus[row.id] = QMenu(menu)
            actions[row.id].setMenu(menus[row.id])
        menu.addAction(actions[row.id])
    _set_mnemonics(menus.values())
    return menus


def _menu(menus: dict[str, QMenu], menu_bar: QMenuBar, row: Command) -> QMenu:
    path = ""
    for name in row.menu.split("/"):
        above, path = menus.get(path), f"{path}/{name}" if path else name
        if path in menus:
            continue
        if above is not None and row.separator_before and not above.isEmpty():
            above.addSeparator()
        title = name if above is not None else f"&{name}"
        menus[path] = above.addMenu(title) if above is not None else menu_bar.addMenu(title)
        menus[path].setToolTipsVisible(False)
    return menus[row.menu]


def _set_mnemonics(menus: Iterable[QMenu]) -> None:
    for menu in menus:
        taken: set[str] = set()
        for action in menu.actions():
            text = action.text()
            for place, letter in enumerate(text):
                if letter.isalnum() and letter.lower() not in taken:
                    taken.add(letter.lower())
                    action.setText(f"{text[:place]}&{text[place:]}")
                    break
