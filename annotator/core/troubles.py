"""What went wrong without ending anything: counted by kind, the first few named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

NO_ANSWER = "prompts the model did not answer"
NOT_NUMBERS = "answers of the model that were not numbers"
NOT_USABLE = frozenset({NO_ANSWER, NOT_NUMBERS})
"""What another try may do better."""
MOST_NAMED = 5
"""Examples told of one kind of trouble."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that went wrong without ending anything.

    Attributes:
        what: the kind, as it can be counted: “3 boxes outside of their image”.
        where: which one, for people.
    """

    what: str
    where: str


@dataclass(slots=True)
class Troubles:
    """How often every kind of trouble happened, and where it did first.

    Attributes:
        counts: by kind.
        first: a few places by kind.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[str]] = field(default_factory=dict)

    def add(self, troubles: Iterable[Trouble]) -> None:
        """Count some more."""
        for trouble in troubles:
            self.counts[trouble.what] = self.counts.get(trouble.what, 0) + 1
            named = self.first.setdefault(trouble.what, [])
            if len(named) < MOST_NAMED and trouble.where not in named:
                named.append(trouble.where)

    def sentences(self) -> list[str]:
        """A line for every kind."""
        return [
            f"{count} {what} ({', '.join(self.first[what])}"
            f"{', …' if count > len(self.first[what]) else ''})."
            for what, count in self.counts.items()
        ]
