"""`ProjectClasses`: the classes of a project and those removed before; every change is checked."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from annotator.core.annotation import Annotation, Category
from annotator.core.class_history import ClassChange, changed_classes
from annotator.core.errors import UserError
from annotator.core.history import Change
from annotator.core.vocabulary import clean_name
from annotator.core.vocabulary_plan import NEW, colors_after, settle
from annotator.services import journal


class ProjectClasses:
    """Belongs to a `Document`, whose methods of similar names say what these do.

    Args:
        db: the journal, to read from.
        changed: called after every change; True for one that can be taken back by itself.
    """

    def __init__(self, db: sqlite3.Connection, changed: Callable[[bool], None]) -> None:
        self.listed, self.removed = journal.load_categories(db)
        self._objects, self._proposals = journal.load_usage(db)
        self._last = journal.load_counter(db, "category")
        self._changed = changed

    def get(self, category_id: int) -> Category:
        """One class. Raises KeyError for an unknown id."""
        for category in self.listed:
            if category.id == category_id:
                return category
        raise KeyError(category_id)

    def add(self, name: str, color: str) -> Category:
        """The class with this name, made if there is none."""
        name = _cleaned(name)
        for category in self.listed:
            if category.name == name or clean_name(category.name) == name:
                return category
        # A class removed before comes back as it was, so that its history still means it.
        old = next((category for category in self.removed if category.name == name), None)
        if old is not None:
            self.removed.remove(old)
        else:
            self._last += 1
            color = color or next(colors_after(self.listed))
        category = old or Category(self._last, name, color)
        self.listed.append(category)
        self._changed(True)
        return category

    def replace_all(self, classes: Sequence[Category], *, is_step: bool = True) -> None:
        """Have these in this order; those missing are kept as removed ones."""
        ids = {category.id for category in classes}
        gone = [category for category in self.listed if category.id not in ids]
        self.removed = [*(c for c in self.removed if c.id not in ids), *gone]
        self._last = max(self._last, *ids, 0)
        self.listed = list(classes)
        self._changed(is_step)

    def settled(self, wanted: Sequence[Category]) -> list[Category]:
        """The classes with ids and colours, checked."""
        present = {category.id: category.name for category in self.listed}
        ids = {category.id for category in wanted} - {NEW}
        if len(ids) < sum(category.id != NEW for category in wanted) or not ids <= present.keys():
            raise ValueError("category ids are repeated or unknown")
        # Names of imported files stay as they came while nobody changes them.
        clean = [
            c if present.get(c.id) == c.name else replace(c, name=_cleaned(c.name)) for c in wanted
        ]
        for name, count in Counter(category.name for category in clean).items():
            if count > 1:
                raise UserError(f"{count} classes are called “{name}”.", "Give each its own name.")
        for category in self.listed:
            if category.id not in ids:
                self._check_unused(category)
        return settle(clean, self.removed, self._last)

    def change(self, category: Category) -> None:
        """Rename, recolour or regroup a class."""
        old = self.get(category.id)
        name = _cleaned(category.name)
        if any(clean_name(c.name) == name and c.id != category.id for c in self.listed):
            raise UserError(f"There is already a class “{name}”.", "Choose another name.")
        category = replace(category, name=name)
        if category != old:
            self.listed[self.listed.index(old)] = category
            self._changed(True)

    def move(self, category_id: int, position: int) -> None:
        """Put a class at this place of the list."""
        category = self.get(category_id)
        self.listed.remove(category)
        self.listed.insert(max(position, 0), category)
        self._changed(True)

    def remove(self, category_id: int) -> None:
        """Remove a class nobody has."""
        category = self.get(category_id)
        self._check_unused(category)
        self.listed.remove(category)
        self.removed.append(category)
        self._changed(True)

    def count(self, annotation: Annotation, step: int) -> None:
        """An object came (1) or went (-1)."""
        if annotation.category_id is not None:
            usage = self._proposals if annotation.proposed else self._objects
            usage[annotation.category_id] += step

    def usage(self) -> dict[int, int]:
        """How many annotations of the project every class has; proposals do not count."""
        return {category.id: self._objects[category.id] for category in self.listed}

    def users(self, category_id: int) -> str:
        """Who has a class, "3 objects" or "1 proposal", "" if nobody has."""
        for usage, noun in ((self._objects, "object"), (self._proposals, "proposal")):
            if count := usage[category_id]:
                return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
        return ""

    def _check_unused(self, category: Category) -> None:
        if users := self.users(category.id):
            have = "has" if users.startswith("1 ") else "have"
            raise UserError(
                f"{users} {have} the class “{category.name}”.", "Give them another class first."
            )

    def revive(self, change: Change) -> None:
        """An undone deletion may bring objects of a removed class back."""
        wanted = {annotation.category_id for _, annotation in change.after}
        back = [category for category in self.removed if category.id in wanted]
        for category in back:
            self.removed.remove(category)
            self.listed.append(self._with_free_name(category))
        if back:
            self._changed(False)

    def _with_free_name(self, category: Category) -> Category:
        taken = {c.name for c in self.listed}
        while category.name in taken:
            category = replace(category, name=f"{category.name} ({category.id})")
        return category

    def restore(self, change: ClassChange) -> list[str]:
        """Change the classes as the history says; a sentence for every one left as it is."""
        classes, left = changed_classes(self.listed, change, self.users)
        self.replace_all(classes, is_step=False)
        return left


def _cleaned(name: str) -> str:
    name = clean_name(name)
    if not name:
        raise UserError("A class needs a name.", "Type one.")
    return name
