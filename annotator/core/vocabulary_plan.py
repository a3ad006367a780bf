"""From the classes of a project and an edited vocabulary to the classes it shall have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from annotator.core.annotation import IS_THING, Category
from annotator.core.palette import free_colors
from annotator.core.vocabulary import Entry, clean_name, same_name

NEW = -1
"""Id of a class the project does not have yet; files of others may use 0."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a vocabulary would change.

    Attributes:
        categories: all classes in their new order; new ones have the id `NEW`.
        by_line: the class each line means.
        added: names.
        renamed: old and new name.
        changed: names of classes with other synonyms, another colour or super-category, or
            that became stuff or things.
        removed: names.
        kept: names of classes that cannot go, and why.
        is_reordered: classes that stay come in another order.
    """

    categories: tuple[Category, ...]
    by_line: Mapping[int, Category]
    added: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    is_reordered: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether everything stays as it is."""
        return not (self.added or self.renamed or self.changed or self.removed or self.is_reordered)

    @property
    def summary(self) -> str:
        """Numbers for people: "3 new, 1 renamed, 2 removed"."""
        parts = [
            f"{len(names):,} {word}"
            for names, word in (
                (self.added, "new"),
                (self.renamed, "renamed"),
                (self.changed, "changed"),
                (self.removed, "removed"),
                (self.kept, "kept"),
            )
            if names
        ]
        parts += ["other order"] if self.is_reordered else []
        return ", ".join(parts) or "No changes"


def plan(
    present: Sequence[Category],
    entries: Sequence[Entry],
    written_at: Mapping[int, int],
    in_use: Callable[[int], str],
) -> Plan:
    """Find out which entry means which class.

    The same name means the same class; then a name that differs in upper case only; then a line
    in which a class stood that no other line names: it was renamed.

    Args:
        present: the classes as they are.
        entries: the classes as they shall be, names unique.
        written_at: line to the id of the class that stood there before somebody edited it.
        in_use: why a class cannot be removed, "" if it can.
    """
    met = _match(present, entries, written_at)
    by_id = {category.id: category for category in present}
    wanted = [_combine(by_id.get(n), entry) for n, entry in zip(met, entries, strict=True)]
    named = set(met)
    left = [category for category in present if category.id not in named]
    why = {category.id: in_use(category.id) for category in left}
    categories = _with_kept(wanted, [c for c in present if c.id in named or why[c.id]])
    pairs = [(by_id[c.id], c) for c in wanted if c.id != NEW]
    stay = [category.id for category in categories if category.id != NEW]
    known = set(stay)
    return Plan(
        tuple(categories),
        {entry.line: category for entry, category in zip(entries, wanted, strict=True)},
        tuple(category.name for category in wanted if category.id == NEW),
        tuple((old.name, new.name) for old, new in pairs if old.name != new.name),
        tuple(new.name for old, new in pairs if new != old and new.name == old.name),
        tuple(category.name for category in left if not why[category.id]),
        tuple((category.name, why[category.id]) for category in left if why[category.id]),
        stay != [category.id for category in present if category.id in known],
    )


def _with_kept(wanted: Sequence[Category], staying: Sequence[Category]) -> list[Category]:
    """The wanted classes, and behind those they stood behind the ones that cannot go."""
    named = {category.id for category in wanted}
    behind: dict[int, list[Category]] = {}
    anchor = NEW
    for category in staying:
        if category.id in named:
            anchor = category.id
        else:
            behind.setdefault(anchor, []).append(category)
    result = behind.get(NEW, [])
    for category in wanted:
        result.append(category)
        if category.id != NEW:
            result += behind.get(category.id, [])
    return result


def _match(
    present: Sequence[Category], entries: Sequence[Entry], written_at: Mapping[int, int]
) -> list[int]:
    """For every entry the id of its class, `NEW` for none."""
    met = [NEW] * len(entries)
    free = {category.id: clean_name(category.name) for category in present}

    def take(key: Callable[[str], str]) -> None:
        ids: dict[str, int] = {}
        for number, name in free.items():
            ids.setdefault(key(name), number)
        for place, entry in enumerate(entries):
            if met[place] == NEW and (number := ids.pop(key(entry.name), NEW)) != NEW:
                met[place] = number
                del free[number]

    take(str)
    take(same_name)
    for place, entry in enumerate(entries):
        number = written_at.get(entry.line, NEW)
        if met[place] == NEW and number in free:
            met[place] = number
            del free[number]
    return met


def _combine(old: Category | None, entry: Entry) -> Category:
    """The class with what the entry says about it."""
    upper = entry.supercategory
    if old is None:
        extra = {} if entry.is_thing in (None, True) else {IS_THING: 0}
        return Category(NEW, entry.name, entry.color, upper or "", extra, entry.synonyms)
    same = clean_name(old.name) == entry.name
    as_before = tuple(map(clean_name, old.synonyms)) == entry.synonyms
    return replace(
        old,
        name=old.name if same else entry.name,
        color=entry.color or old.color,
        supercategory=old.supercategory if upper is None else upper,
        synonyms=old.synonyms if as_before else entry.synonyms,
        extra=old.extra
        if entry.is_thing in (None, old.is_thing)
        else {**old.extra, IS_THING: int(not old.is_thing)},
    )


def settle(wanted: Iterable[Category], removed: Iterable[Category], last: int) -> list[Category]:
    """The classes with ids and colours.

    Args:
        wanted: in their order, names unique.
        removed: classes there were once; a new one of that name gets its id, so that the history
            of its objects still means it.
        last: the highest id ever used.
    """
    wanted = list(wanted)
    before = {category.name: category for category in removed}
    colors = colors_after(wanted)
    result = []
    for category in wanted:
        if category.id == NEW:
            old = before.get(category.name)
            last += old is None
            color = category.color or (old.color if old is not None else next(colors))
            category = replace(category, id=last if old is None else old.id, color=color)
        result.append(category)
    return result


def colors_after(classes: Iterable[Category]) -> Iterator[str]:
    """Colours for further classes, those that none of these has first."""
    known = [category.color for category in classes if category.color]
    return free_colors(known, len(known))
