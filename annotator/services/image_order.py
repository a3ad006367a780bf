"""The order of the images: as the folder is scanned, whatever was known before."""

from __future__ import annotations

from collections.abc import Sequence


class ImageOrder:
    """Known keys, of which the first ones have been seen by the scan that is going on.

    A scan brings all images of the folder in their natural order, in batches. What it has brought
    stands in front in that order; what was known before and has not come yet follows. So a new
    file finds its place among old ones without sorting, and missing files end up behind.

    Args:
        keys: the order of the last time.
    """

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self._cursor = 0
        self._seen: set[str] = set()

    def place(self, batch: Sequence[str]) -> int:
        """Take the next batch of a scan; the place of its first key, -1 if nothing changed."""
        if not batch:
            return -1
        if self._cursor and self.keys[0] == batch[0]:
            self._cursor = 0
            self._seen.clear()
        first = self._cursor
        again = self._seen.intersection(batch)
        self._seen.update(batch)
        end = first + len(batch)
        if not again and self.keys[first:end] == batch:
            self._cursor = end
            return -1
        members = set(batch)
        front = self.keys[:first]
        if again:
            front = [key for key in front if key not in again]
            first = len(front)
        behind = [key for key in self.keys[self._cursor :] if key not in members]
        self._cursor = first + len(batch)
        self.keys = [*front, *batch, *behind]
        return first
