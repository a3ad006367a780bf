"""Key maps: which keys run which command. Only differences from the standard map are listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from PySide6.QtCore import QKeyCombination, Qt
from PySide6.QtGui import QKeySequence

from annotator.actions import Bindings
from annotator.menus import COMMANDS, command
from annotator.menus.command import Command
from annotator.menus.gestures import RESERVED

STANDARD = "standard"

_LABELME: Bindings = MappingProxyType(
    {
        # X-AnyLabeling R and P, labelme Ctrl+R and Ctrl+N.
        "tool.box": ("R", "Ctrl+R"),
        "tool.polygon": ("P", "Ctrl+N"),
        "view.turn_right": ("Ctrl+Alt+Right",),
        "view.turn_left": ("Ctrl+Alt+Left",),
        # X-AnyLabeling F finishes and B clears; labelme Enter and Esc.
        "prompt.accept": ("F", "Return", "Enter"),
        "prompt.clear": ("B", "Esc"),
        # X-AnyLabeling paints with Shift+B.
        "tool.brush": ("Shift+B",),
        "tool.eraser": ("Ctrl+Shift+B",),
        # Ctrl+H hides in X-AnyLabeling, T in labelme.
        "view.hide_masks": ("Ctrl+H", "T"),
        "edit.hide": ("Alt+H",),
        "view.fit": ("Ctrl+F",),
        "view.actual": ("Ctrl+0", "Ctrl+1"),
        "image.filter": ("Ctrl+Shift+F",),
        "edit.rename": ("Ctrl+E", "F2"),
    }
)

_CVAT: Bindings = MappingProxyType(
    {
        "image.next": ("F", "PgDown"),
        "image.previous": ("D", "PgUp"),
        "image.next_untouched": ("Shift+F",),
        "view.fit": ("Ctrl+0",),
        # N ends a drawing in CVAT.
        "prompt.accept": ("N", "Return", "Enter"),
        "class.new": ("Shift+N",),
        "view.hide_masks": ("T", "H"),
        # Ctrl+digit names the selected object.
        **{f"class.{digit}": (f"Ctrl+{digit}", str(digit)) for digit in range(1, 10)},
        "view.actual": ("Alt+1",),
    }
)

TITLES: Mapping[str, str] = MappingProxyType(
    {STANDARD: "Standard", "labelme": "labelme / X-AnyLabeling", "cvat": "CVAT"}
)
"""Key map id to what people read."""

DIFFERENCES: Mapping[str, Bindings] = MappingProxyType(
    {STANDARD: MappingProxyType({}), "labelme": _LABELME, "cvat": _CVAT}
)
"""Key map id to the commands whose keys are not the standard ones."""

# Two commands may share a key when their conditions can never hold at once: with a prompt open
# nothing is selected (see `Workspace.set_draft`), so Backspace takes back a point or deletes. Of
# these groups only one holds.
_APART = (
    frozenset({"prompt", "candidate", "candidates"}),
    frozenset({"selection", "object", "proposal", "only_proposals"}),
    frozenset({"proposing"}),
)
# Delete deletes where an accepted object is selected, and rejects where only proposals are.
_OPPOSITES = {"object", "only_proposals"}


@dataclass(frozen=True, slots=True)
class Conflict:
    """One key sequence that several commands claim.

    Attributes:
        keys: portable text, for example "Ctrl+D".
        commands: ids that claim it, in table order; a single one when the canvas needs the key.
        reserved: what the canvas uses the key for, or "".
    """

    keys: str
    commands: tuple[str, ...]
    reserved: str = ""


def normal(keys: str) -> str:
    """The one way this program writes a key sequence; "" when it is none."""
    sequence = QKeySequence.fromString(keys, QKeySequence.SequenceFormat.PortableText)
    if any(chord.key() == Qt.Key.Key_unknown for chord in chords(sequence)):
        return ""
    # Qt reports Shift+Tab as Backtab.
    return sequence.toString(QKeySequence.SequenceFormat.PortableText).replace("Backtab", "Tab")


def chords(sequence: QKeySequence) -> tuple[QKeyCombination, ...]:
    """The key combinations of a sequence, to be pressed one after the other."""
    # PySide's annotations do not know that a QKeySequence can be indexed.
    return tuple(sequence[place] for place in range(sequence.count()))  # type: ignore[index]


def native(keys: str) -> str:
    """A key sequence the way this system writes it (⌘S on a Mac)."""
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)


def default_keys(keymap: str, command_id: str) -> tuple[str, ...]:
    """The keys a command has in a key map before the user changes anything."""
    return DIFFERENCES.get(keymap, {}).get(command_id, command(command_id).shortcuts)


def bindings(
    keymap: str = STANDARD, overrides: Bindings | None = None
) -> dict[str, tuple[str, ...]]:
    """Command id to keys, for every command.

    Args:
        keymap: id of a key map; an unknown one counts as the standard map.
        overrides: the user's own keys by command id; unknown ids are ignored.
    """
    own = overrides or {}
    return {row.id: own.get(row.id, default_keys(keymap, row.id)) for row in COMMANDS}


def can_share(one: Command, other: Command) -> bool:
    """Whether two commands are never enabled at the same time."""
    if {one.enabled, other.enabled} == _OPPOSITES:
        return True
    groups = [place for place, group in enumerate(_APART) for row in (one, other)
              if row.enabled in group]  # fmt: skip
    return len(set(groups)) == 2


def conflicts(keys_of: Bindings) -> tuple[Conflict, ...]:
    """All keys that more than one command claims, or that the canvas needs."""
    owners: dict[str, list[str]] = defaultdict(list)
    for command_id, sequences in keys_of.items():
        for keys in dict.fromkeys(normal(text) for text in sequences):
            owners[keys].append(command_id)
    found = []
    for keys, ids in owners.items():
        clashing = _clashing(ids)
        if keys in RESERVED or clashing:
            found.append(Conflict(keys, clashing or tuple(ids), RESERVED.get(keys, "")))
    return tuple(found)


def _clashing(ids: Sequence[str]) -> tuple[str, ...]:
    rows = [command(command_id) for command_id in ids]
    return tuple(
        row.id
        for row in rows
        if any(row is not other and not can_share(row, other) for other in rows)
    )


def claimants(keys_of: Bindings, command_id: str, keys: str) -> tuple[str, ...]:
    """The other commands that would have to give up `keys` if `command_id` got it."""
    wanted, row = normal(keys), command(command_id)
    return tuple(
        other
        for other, sequences in keys_of.items()
        if other != command_id
        and wanted in map(normal, sequences)
        and not can_share(row, command(other))
    )


def with_keys(
    keymap: str, overrides: Bindings, command_id: str, keys: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """The user's overrides after giving a command exactly these keys.

    A command back at the keys of its map is no longer an override.
    """
    wanted = tuple(dict.fromkeys(text for text in map(normal, keys) if text))
    result = {key: value for key, value in overrides.items() if key != command_id}
    if wanted != tuple(map(normal, default_keys(keymap, command_id))):
        result[command_id] = wanted
    return result


def stolen(
    keymap: str, overrides: Bindings, command_id: str, keys: str
) -> dict[str, tuple[str, ...]]:
    """Overrides after `command_id` took `keys` as its main key; others lose it."""
    current = bindings(keymap, overrides)
    result: Bindings = overrides
    for other in claimants(current, command_id, keys):
        kept = [text for text in current[other] if normal(text) != normal(keys)]
        result = with_keys(keymap, result, other, kept)
    return with_keys(keymap, result, command_id, (keys, *current[command_id][1:]))


def swapped(
    keymap: str, overrides: Bindings, command_id: str, keys: str
) -> dict[str, tuple[str, ...]]:
    """Like `stolen`, but the loser gets the key `command_id` had in exchange."""
    before = bindings(keymap, overrides)
    losers = claimants(before, command_id, keys)
    result = stolen(keymap, overrides, command_id, keys)
    if len(losers) == 1 and before[command_id]:
        after = bindings(keymap, result)
        given = before[command_id][0]
        result = with_keys(keymap, result, losers[0], (given, *after[losers[0]]))
    return result
