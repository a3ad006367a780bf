"""The numbers of images and classes in a results file, the same wherever it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from annotator.core.annotation import Category
from annotator.core.formats.coco.dataset import UNNAMED, UNNAMED_ID
from annotator.core.formats.detections.values import ImageNames, Known
from annotator.core.vocabulary import clean_name

Numbered = Iterable[tuple[int, str]]
"""Numbers and names; 0 for a name that has no number of its own."""


class Numbers:
    """Every name with its number; those without one, or with one that is taken, get the next.

    Args:
        first: numbers that stay as they are.
        own: of the project.
        spell: names that are spelt alike are the same.
    """

    def __init__(self, first: Numbered, own: Numbered, spell: Callable[[str], str] = str) -> None:
        self._spell = spell
        self.known: dict[str, int] = {}
        for number, name in first:
            self.known.setdefault(spell(name), number)
        self._taken = set(self.known.values())
        later = list(own)
        self._last = max([*self._taken, *(number for number, _ in later), 0])
        for number, name in later:
            if spell(name) in self.known:
                continue
            if number <= 0 or number in self._taken:
                number = self._next()
            self._taken.add(number)
            self.known[spell(name)] = number

    def _next(self) -> int:
        self._last += 1
        return self._last

    def add(self, names: Iterable[str]) -> None:
        """Number the names that have none yet."""
        for name in names:
            if self._spell(name) not in self.known:
                self.known[self._spell(name)] = self._next()

    def each(self, names: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Names with their numbers; those without one are met once, and not remembered."""
        for name in names:
            number = self.known.get(self._spell(name))
            yield self._next() if number is None else number, name


def class_numbers(
    listed: Mapping[int | str, str], categories: Iterable[Category], labels: Sequence[str]
) -> dict[str, int]:
    """The number of every class by its name.

    Args:
        listed: numbers and names in the file of the boxes.
        categories: of the project.
        labels: all names a source may give.
    """
    first = ((number, name) for number, name in listed.items() if isinstance(number, int))
    numbers = Numbers(first, ((one.id, one.name) for one in categories), clean_name)
    numbers.add(labels)
    return numbers.known


def class_names(numbers: Mapping[str, int]) -> tuple[dict[int, str], int]:
    """Names by number, with one more for what has no name, and that one's number."""
    names = {number: name for name, number in numbers.items()}
    unnamed = UNNAMED_ID
    while unnamed in names:
        unnamed += 1
    names[unnamed] = UNNAMED
    return names, unnamed


def image_numbers(listed: Known, own: Numbered, keys: Sequence[str]) -> Numbers:
    """The numbers of images that have one: in the file of the boxes, or in the project."""
    if not listed.images:
        return Numbers((), own)
    images = ImageNames(keys)
    named = {n: images.named(name) for n, name in listed.images.items() if isinstance(n, int)}
    return Numbers(((n, found[0]) for n, found in named.items() if len(found) == 1), own)
