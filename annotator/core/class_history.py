"""What one step changed in the list of classes, exact enough to take back after later steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from annotator.core.annotation import Category

Places = tuple[tuple[int, Category], ...]
"""Classes with their place in the list."""


@dataclass(frozen=True, slots=True)
class ClassChange:
    """The difference between two lists of classes.

    Attributes:
        before: classes that are gone or changed, places in the old list.
        after: classes that are new or changed, places in the new list.
        old_order: ids of the old list where classes of both lists changed places, else ().
        new_order: ids of the new list, likewise.
    """

    before: Places
    after: Places
    old_order: tuple[int, ...] = ()
    new_order: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.before or self.after or self.old_order)

    @property
    def inverse(self) -> ClassChange:
        """The change that takes this one back."""
        return ClassChange(self.after, self.before, self.new_order, self.old_order)


def class_difference(old: Sequence[Category], new: Sequence[Category]) -> ClassChange:
    """The change from one list to another."""
    known, coming = {c.id: c for c in old}, {c.id: c for c in new}
    # Nearly all are the very same objects, and comparing 20,000 classes takes a while.
    before = tuple((i, c) for i, c in enumerate(old) if _differs(coming.get(c.id), c))
    after = tuple((i, c) for i, c in enumerate(new) if _differs(known.get(c.id), c))
    moved = [c.id for c in old if c.id in coming] != [c.id for c in new if c.id in known]
    orders = (tuple(known), tuple(coming)) if moved else ((), ())
    return ClassChange(before, after, *orders)


def _differs(one: Category | None, other: Category) -> bool:
    return one is not other and one != other


def changed_classes(
    classes: Sequence[Category], change: ClassChange, users: Callable[[int], str]
) -> tuple[list[Category], list[str]]:
    """The list after a change, where nothing newer speaks against it.

    Args:
        classes: the list as it is now; other steps may have changed it since.
        change: from what the list was before to what it shall be.
        users: who has a class, in words; "" if nobody has, and it may go.

    Returns:
        The new list, and a sentence for every class that was left as it is.
    """
    old, new = {c.id: c for _, c in change.before}, {c.id: c for _, c in change.after}
    left: list[str] = []
    result: list[Category] = []
    for category in classes:
        if category.id not in old or category == new.get(category.id):
            result.append(category)
        elif category != old[category.id]:
            left.append(f"“{category.name}” was changed since.")
            result.append(category)
        elif category.id in new:
            result.append(new[category.id])
        elif have := users(category.id):
            left.append(f"“{category.name}” stays: it has {have}.")
            result.append(category)
    for place, category in change.after:
        if category.id not in old:
            # The history of an image may have brought it back already, but at the end.
            result = [c for c in result if c.id != category.id]
            result.insert(place, category)
    present = {category.id for category in result}
    if change.new_order and present == set(change.new_order):
        by_id = {category.id: category for category in result}
        result = [by_id[number] for number in change.new_order]
    return _without_clashes(result, classes, left), left


def _without_clashes(
    result: list[Category], before: Sequence[Category], left: list[str]
) -> list[Category]:
    """No name twice: of two classes, the one that had the name before the change keeps it."""
    own = {c.id: c for c in before}
    taken: dict[str, int] = {}
    for category in sorted(result, key=lambda c: own.get(c.id) != c):
        taken.setdefault(category.name, category.id)
    kept = []
    for category in result:
        if taken[category.name] == category.id:
            kept.append(category)
            continue
        left.append(f"Another class is called “{category.name}” now.")
        if category.id in own:
            kept.append(own[category.id])
    return kept
