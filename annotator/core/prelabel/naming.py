"""Which class what was found gets, and how that is written down. The same wherever it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from annotator.core.vocabulary import clean_name

if TYPE_CHECKING:
    from annotator.core.prelabel.joining import Namer
    from annotator.core.prelabel.proposing import Found


@dataclass(slots=True)
class Tally:
    """What became of what was found.

    Attributes:
        new: proposals.
        known: objects that were there already.
        named: proposals that got a name from the project's memory.
        classes: new ones, in the order they were met.
        skipped: how many boxes were left out by label, because there is no such class.
    """

    new: int = 0
    known: int = 0
    named: int = 0
    classes: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


Named = Sequence[tuple["Found", int | None, str]]
"""What was found, with the id of its class, or None and the name of one to be made, or neither."""


class Names:
    """Gives proposals their class.

    Args:
        namer: knows the classes and the looks of named objects.
        only_existing: leave boxes out that need a new class.
        tally: counts those.
    """

    def __init__(self, namer: Namer, only_existing: bool, tally: Tally) -> None:
        self.known = namer.names
        self._namer = namer
        self._only_existing = only_existing
        self._tally = tally

    def wanted(self, found: Iterable[Found]) -> Named:
        """Each with its class."""
        chosen: list[tuple[Found, int | None, str]] = []
        for one in found:
            label = clean_name(one.name)
            number = self.known.find(label) if label else None
            if not label and one.given is None:
                number = self._namer.by_looks(one)
            if label and number is None and self._only_existing:
                self._tally.skipped[label] += 1
            else:
                chosen.append((one, number, label if number is None else ""))
        return chosen


class Lines:
    """Proposals as a results file has them.

    Args:
        namer: knows the classes and the looks of named objects.
        only_existing: leave boxes out that need a new class.
        numbers: of the classes in the file, by name.
        tally: counts.
    """

    def __init__(
        self, namer: Namer, only_existing: bool, numbers: Mapping[str, int], tally: Tally
    ) -> None:
        self._names = Names(namer, only_existing, tally)
        self._own = {category.id: category.name for category in namer.categories}
        self._numbers = numbers
        self._tally = tally

    def of(self, found: Iterable[Found]) -> list[dict[str, Any]]:
        """What was found in an image; see `annotator.core.prelabel.results_file.line_of`."""
        from annotator.core.prelabel.results_file import line_of

        tally, values = self._tally, []
        for one, number, new_class in self._names.wanted(found):
            name = self._own[number] if number is not None else new_class
            if new_class and new_class not in tally.classes:
                tally.classes.append(new_class)
            tally.named += number is not None and not one.name
            values.append(line_of(one, self._numbers[clean_name(name)] if name else None))
        tally.new += len(values)
        return values
