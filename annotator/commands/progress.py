"""How far a command is: a bar on a terminal, plain lines elsewhere; both on standard error."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from annotator.core.pace import LEAST, LONG_S

LINE_SECONDS = 10.0
BAR_SECONDS = 0.1
SLOW = 0.2
"""Images a second below which people are told seconds an image."""


def say(text: str) -> None:
    """A line for people, above the bar if there is one."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{clear}{text}\n")
    sys.stderr.flush()


class Counts(Protocol):
    """What is counted while it changes."""

    images: int

    @property
    def made(self) -> int:
        """Images that took time: the others say nothing about how long the rest will take."""

    @property
    def done(self) -> int:
        """Images dealt with."""


@contextmanager
def progress(counts: Counts) -> Iterator[Callable[[], None]]:
    """Show how far it is whenever what this gives is called."""
    show: _Bar | _Lines = _Bar(counts) if sys.stderr.isatty() else _Lines(counts)
    try:
        yield show.show
    finally:
        show.end()


class _Pace:
    """How fast new images are prepared; those known already say nothing about it."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self._begin = time.monotonic()

    def words(self) -> str:
        counts = self.counts
        text = f"{counts.done} of {counts.images} images"
        passed = time.monotonic() - self._begin
        if counts.made >= LEAST or (counts.made > 0 and passed > LONG_S):
            rate = counts.made / max(passed, 1e-9)
            left = (counts.images - counts.done) / rate
            # "0.0/s" says nothing of a model that takes half a minute.
            speed = f"{rate:.1f}/s" if rate >= SLOW else f"{_time(1 / rate)} an image"
            text += f", {speed}, {_time(left)} left"
        return text


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class _Bar:
    """One line that is painted over."""

    def __init__(self, counts: Counts) -> None:
        self._pace = _Pace(counts)
        self._at = 0.0

    def show(self) -> None:
        if time.monotonic() - self._at < BAR_SECONDS:
            return
        self._at = time.monotonic()
        width = shutil.get_terminal_size().columns - 1
        words, counts = self._pace.words(), self._pace.counts
        room = min(width - len(words) - 3, 40)
        bar = ""
        if room >= 10:
            full = round(room * counts.done / counts.images)
            bar = f" [{'#' * full}{'.' * (room - full)}]"
        sys.stderr.write(f"\r\x1b[K{(words + bar)[:width]}")
        sys.stderr.flush()

    def end(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


class _Lines:
    """A line at every tenth of the images, or ten seconds."""

    def __init__(self, counts: Counts) -> None:
        self._pace = _Pace(counts)
        self._tenth = 0
        self._at = time.monotonic()

    def show(self) -> None:
        counts, now = self._pace.counts, time.monotonic()
        tenth = 10 * counts.done // counts.images
        if tenth > self._tenth or now - self._at >= LINE_SECONDS:
            self._tenth, self._at = tenth, now
            say(self._pace.words())

    def end(self) -> None:
        """Lines stay."""
