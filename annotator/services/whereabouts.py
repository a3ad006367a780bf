"""`Whereabouts`: in which image an object is, asked by a background thread."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from annotator.core.tracks import Cell
from annotator.services import journal
from annotator.services.store import Reader, explain_failure
from annotator.services.track_journal import load_cells

T = TypeVar("T")
CHUNK = 500
"""Objects in one query."""
SETTLE_S = 5.0
"""How long edits made before may take to become durable; then what is there has to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is.

    Attributes:
        key: of its image.
        category_id: its class.
        proposed: whether nobody has accepted it.
    """

    key: str
    category_id: int | None
    proposed: bool


class Whereabouts:
    """Reads the journal, after all edits made before the question are in it.

    Args:
        reader: a connection nobody else uses.
        path: the journal.
        settle: waits until all edits are durable, for so many seconds at most.
    """

    def __init__(self, reader: Reader, path: Path, settle: Callable[[float], object]) -> None:
        self._reader = reader
        self._path = path
        self._settle = settle
        self._closed = False
        self._lock = threading.Lock()

    def find(self, ids: Sequence[int]) -> dict[int, Place]:
        """Those of the objects that there are.

        Raises:
            UserError: the journal cannot be read.
        """
        found: dict[int, Place] = {}
        self._settle(SETTLE_S)
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            rows = self._read(lambda db, some=chunk: journal.load_places(db, some)) or []  # type: ignore[misc]
            found |= {number: Place(key, name, new) for number, key, name, new in rows}
        return found

    def undescribed(self, space: str) -> list[tuple[str, int]]:
        """Image key and id of all accepted objects without a vector, image after image.

        Raises:
            UserError: the journal cannot be read.
        """
        self._settle(SETTLE_S)
        return self._read(lambda db: journal.load_undescribed(db, space)) or []

    def sequence(self, keys: Sequence[str]) -> Iterator[tuple[str, list[Cell]]]:
        """What the table of tracks needs to know of the objects of each image that has some.

        Args:
            keys: images of one folder.

        Raises:
            UserError: the journal cannot be read.
        """
        self._settle(SETTLE_S)
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            yield from self._read(lambda db, some=chunk: load_cells(db, some)) or []  # type: ignore[misc]

    def close(self) -> None:
        """Let go of the journal; from now on nothing is found. From any thread."""
        with self._lock:
            self._closed = True
            self._reader.close()

    def _read(self, action: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._lock:
            if self._closed:
                return None
            try:
                return action(self._reader.connection())
            except sqlite3.Error as error:
                raise explain_failure(error, self._path) from error
