"""What named objects look like: one growing table of vectors per space, kept up to date."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Living = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]

Row = tuple[int, int | None, bytes]
"""Annotation id, category id (None: no name, or the object is deleted), float32 vector."""


class NameMemory:
    """Vectors of one space, oldest first.

    Args:
        rows: what the journal holds, oldest first.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        found = list(rows)
        # A model that changed the length of its vectors starts anew: the last one counts.
        size = len(found[-1][2]) // 4 if found else 0
        found = [row for row in found if len(row[2]) == 4 * size]
        self._fill(found, size)

    def _fill(self, found: list[Row], size: int) -> None:
        import numpy as np

        self._size = size
        self._ids = np.array([row[0] for row in found], np.int64)
        self._categories = np.array([-1 if r[1] is None else r[1] for r in found], np.int64)
        joined = b"".join(row[2] for row in found)
        self._vectors = np.frombuffer(joined, np.float32).reshape(len(found), size).copy()
        self._count = len(found)
        self._places = {row[0]: place for place, row in enumerate(found)}
        self._living: Living | None = None

    def set(self, annotation: int, category: int | None, vector: NDArray[np.float32]) -> None:
        """Add or replace the vector of an object."""
        if vector.size != self._size:
            self._fill([], int(vector.size))
        place = self._places.get(annotation, self._count)
        if place == self._count:
            self._grow()
            self._places[annotation] = place
            self._count += 1
        self._ids[place] = annotation
        self._vectors[place] = vector
        self._categories[place] = -1 if category is None else category
        self._living = None

    def vector(self, annotation: int) -> NDArray[np.float32] | None:
        """The vector of an object, named or not, (d,), or None."""
        place = self._places.get(annotation)
        return None if place is None else self._vectors[place]

    def rename(self, annotation: int, category: int | None) -> None:
        """The object has another class now, or None: no class, or it is gone."""
        place = self._places.get(annotation)
        if place is not None:
            self._categories[place] = -1 if category is None else category
            self._living = None

    def living(self) -> Living:
        """Annotation ids (n,), category ids (n,), vectors (n, d) of objects that have a name."""
        if self._living is None:
            named = self._categories[: self._count] >= 0
            # Usually everything is named: then views, no copies.
            chosen = slice(self._count) if named.all() else named.nonzero()[0]
            self._living = (self._ids[chosen], self._categories[chosen].copy(),
                            self._vectors[chosen])  # fmt: skip
        return self._living

    def every(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids (n,) and vectors (n, d) of all objects, also of those that have no name or are gone.

        Views: a vector that is set meanwhile is seen in them.
        """
        return self._ids[: self._count], self._vectors[: self._count]

    def _grow(self) -> None:
        import numpy as np

        if self._count < self._ids.size:
            return
        room = max(64, self._count)
        self._ids = np.concatenate((self._ids, np.zeros(room, np.int64)))
        self._categories = np.concatenate((self._categories, np.full(room, -1, np.int64)))
        self._vectors = np.concatenate((self._vectors, np.zeros((room, self._size), np.float32)))
