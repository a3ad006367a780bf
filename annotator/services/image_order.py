"""The order of the images: as the folder is scanned, whatever was known before."""

from __future__ import annotations

from collections.abc import Sequence


class ImageOrder:
    """Known keys and the place where the next ones of a scan belong.

    A scan brings all images of the folder in their natural order, in batches: each one goes behind
    the one before. So a new file finds its place among old ones without sorting.

    Args:
        keys: the order of the last time.

    Attributes:
        keys: the order now. Replaced, never changed in place.
        is_rearranged: known keys have another place than at the beginning.
    """

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.is_rearranged = False
        self._cursor = 0

    def place(self, batch: Sequence[str], *, are_new: bool = False) -> int:
        """Take the next batch; the place of its first key, -1 if nothing changed.

        Args:
            batch: different keys.
            are_new: none of them is known, which is quicker.
        """
        if not batch:
            return -1
        if are_new:
            at = self._cursor
            self.is_rearranged |= at < len(self.keys)
            self.keys = [*self.keys[:at], *batch, *self.keys[at:]]
            self._cursor = at + len(batch)
            return at
        start = self._find(batch)
        if start >= 0:
            self._cursor = start + len(batch)
            return -1
        members = set(batch)
        front = [key for key in self.keys[: self._cursor] if key not in members]
        behind = [key for key in self.keys[self._cursor :] if key not in members]
        self.is_rearranged |= len(front) < len(self.keys)
        self._cursor = len(front) + len(batch)
        self.keys = [*front, *batch, *behind]
        return len(front)

    def _find(self, batch: Sequence[str]) -> int:
        """Where exactly these keys stand already in this order, -1 if nowhere."""
        size, wanted = len(batch), list(batch)
        if self.keys[self._cursor : self._cursor + size] == wanted:
            return self._cursor
        try:
            start = self.keys.index(wanted[0])
        except ValueError:
            return -1
        return start if self.keys[start : start + size] == wanted else -1
