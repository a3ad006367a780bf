"""How fast a long work goes, pauses left out."""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST = 2
"""Pieces that have to be done before anything can be said."""
LONG_S = 5.0
"""One piece that takes longer says enough."""
SAYING = 0.3
"""How much of it has to be done."""


class Pace:
    """Counts pieces of work and the time they took.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent = 0.0
        self._since: float | None = None
        self._done = 0
        self._part = 0.0

    def go(self) -> None:
        """The work goes on."""
        if self._since is None:
            self._since = self._clock()

    def rest(self) -> None:
        """The work is interrupted."""
        self._spent, self._since = self.seconds, None

    def count(self) -> None:
        """One piece is done."""
        self._done += 1
        self._part = max(self._part - 1, 0.0)

    def reach(self, part: float) -> None:
        """So much of the pieces at hand is done, 0.5 for half of one; they are counted later."""
        self._part = part

    @property
    def done(self) -> float:
        """Pieces that are done, and what is reached of those at hand."""
        return self._done + self._part

    @property
    def seconds(self) -> float:
        """Time that was worked."""
        running = 0.0 if self._since is None else self._clock() - self._since
        return self._spent + running

    @property
    def rate(self) -> float | None:
        """Pieces a second; None while nobody can say."""
        seconds = self.seconds
        enough = self._done >= LEAST or (self.done >= SAYING and seconds > LONG_S)
        return self.done / seconds if enough and seconds > 0 else None
