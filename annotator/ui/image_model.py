"""The rows of the image list: which images are shown, in which order, with what state.

Per image it keeps a reference to the key, its lower-case text and one byte of state; everything
else is asked of the document when a row is painted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QElapsedTimer,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    QTimer,
    Signal,
)

from annotator.core.annotation import ImageRecord, ImageState
from annotator.core.paths import natural_path_key

if TYPE_CHECKING:
    from annotator.services.document import Document

STATES = tuple(ImageState)
"""Order of the states everywhere in the list."""

_Rank = tuple[tuple[bool, str], ...]
_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_UNKNOWN = 255
_SLICE_MS = 4
_SLICE_ROWS = 128


class ImageModel(QAbstractListModel):
    """The images of a document that pass the filter, in natural order.

    Args:
        parent: Qt parent.
    """

    counted = Signal()
    """How many images have which state changed; see `counts`."""
    order_changed = Signal()
    """Rows came, went or moved."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self._sticky = ""
        self._text: tuple[str, ...] = ()
        self._wanted: frozenset[int] = frozenset()
        self._only: frozenset[str] | None = None
        self._forget_all()
        self._slices = QTimer(self)
        self._slices.setInterval(0)
        self._slices.timeout.connect(self._do_slice)

    def _forget_all(self) -> None:
        self._keys: list[str] = []
        self._lowered: list[str] = []
        self._states = bytearray()
        self._place: dict[str, int] = {}
        # Images in natural order, None while that is the order of arrival.
        self._order: list[int] | None = None
        self._ranks: list[int] | None = None
        self._rows: list[int] = []
        self._counts = [0] * len(STATES)
        # The first images, in their natural order and with known states, and the greatest of them.
        self._settled = 0
        self._greatest: _Rank = ()
        self._moved = False

    # --- Qt ---

    def rowCount(self, parent: _Index = _ROOT) -> int:
        """Images that pass the filter."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Texts for people who listen or hover; the delegate asks `record` instead."""
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.key_at(index.row())
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            tip = role == Qt.ItemDataRole.ToolTipRole
            return describe(self.record(index.row()), "\n" if tip else ", ")
        return None

    # --- Questions ---

    def key_at(self, row: int) -> str:
        """The key of a row."""
        return self._keys[self._rows[row]]

    def is_current(self, row: int) -> bool:
        """Whether a row is the image shown on the canvas."""
        return self.key_at(row) == self._sticky

    def record(self, row: int) -> ImageRecord:
        """What the document knows about the image of a row."""
        key = self.key_at(row)
        return self._document.record(key) if self._document is not None else ImageRecord(key)

    def row_of(self, key: str) -> int:
        """The row of an image, -1 if it is not shown."""
        place = self._place.get(key)
        if place is None:
            return -1
        row = self._row_at(place)
        return row if row < len(self._rows) and self._rows[row] == place else -1

    def neighbour(self, key: str, step: int) -> str | None:
        """The image `step` rows further, None beyond the ends; also from an image not shown."""
        place = self._place.get(key)
        if place is None:
            row = 0 if step > 0 else -1
        else:
            row = self._row_at(place)
            shown = row < len(self._rows) and self._rows[row] == place
            row += step if shown or step < 0 else step - 1
        return self.key_at(row) if 0 <= row < len(self._rows) else None

    def visible_keys(self) -> list[str]:
        """The keys of all rows."""
        return list(map(self._keys.__getitem__, self._rows))

    @property
    def total(self) -> int:
        """Images of the document, shown or not."""
        return len(self._keys)

    @property
    def counts(self) -> dict[ImageState, int]:
        """How many images of the document have which state."""
        return dict(zip(STATES, self._counts, strict=True))

    @property
    def filtered(self) -> bool:
        """Whether a filter is set."""
        return bool(self._text or self._wanted) or self._only is not None

    # --- Changes ---

    def set_document(self, document: Document | None) -> None:
        """Show the images of another document, or nothing."""
        self.beginResetModel()
        self._slices.stop()
        self._document = document
        self._sticky = ""
        self._forget_all()
        self.endResetModel()
        if document is not None:
            self.add_images()
        self.counted.emit()
        self.order_changed.emit()

    def add_images(self) -> None:
        """Take over the images the document has got; costs as much as there are new ones."""
        if self._document is None:
            return
        keys = self._document.keys()
        known = len(self._keys)
        fresh = [key for key in keys[known:] if key not in self._place]
        if known + len(fresh) != len(keys):  # new ones stand among the known ones
            fresh = [key for key in keys if key not in self._place]
        if fresh:
            self._append(fresh)
            self._slices.start()

    def _append(self, fresh: Sequence[str]) -> None:
        """Shown at once at the end; `_settle` moves those that belong elsewhere."""
        start = len(self._keys)
        places = range(start, start + len(fresh))
        self._keys += fresh
        self._lowered += [key.casefold() for key in fresh]
        self._states += bytes((_UNKNOWN,)) * len(fresh)
        self._place.update(zip(fresh, places, strict=True))
        if self._order is not None:
            self._order += places
            self._ranks = None
        self._insert_at_end(self._passing(places))

    def _insert_at_end(self, places: list[int]) -> None:
        if not places:
            return
        row = len(self._rows)
        self.beginInsertRows(_ROOT, row, row + len(places) - 1)
        self._rows += places
        self.endInsertRows()
        self.order_changed.emit()

    def update_record(self, key: str) -> None:
        """An image has another state or count."""
        place = self._place.get(key)
        if place is None or self._document is None:
            return
        if self._states[place] != _UNKNOWN:
            self._set_state(place, STATES.index(self._document.record(key).state))
            self.counted.emit()
        self.touch(key)

    def touch(self, key: str) -> None:
        """A row must be painted again."""
        if (row := self.row_of(key)) >= 0:
            index = self.index(row)
            self.dataChanged.emit(index, index)

    def _set_state(self, place: int, state: int) -> None:
        before = self._states[place]
        if before != _UNKNOWN:
            self._counts[before] -= 1
        self._states[place] = state
        self._counts[state] += 1
        if self._wanted and before != state:
            self._show_or_hide(place)

    def _show_or_hide(self, place: int) -> None:
        """The state filter may want a row now, or no longer; the current image stays till left."""
        row = self._row_at(place)
        shown = row < len(self._rows) and self._rows[row] == place
        wanted = bool(self._passing((place,))) or self._keys[place] == self._sticky
        if shown == wanted:
            return
        if wanted:
            self.beginInsertRows(_ROOT, row, row)
            self._rows.insert(row, place)
            self.endInsertRows()
        else:
            self.beginRemoveRows(_ROOT, row, row)
            del self._rows[row]
            self.endRemoveRows()
        self.order_changed.emit()

    def keep_shown(self, key: str) -> None:
        """This is the current image: it stays listed although its state no longer passes.

        Otherwise naming the first object would make the image vanish from "untouched" at once.
        """
        before, self._sticky = self._sticky, key
        self.touch(before)
        self.touch(key)
        picky = self._wanted or self._only is not None
        if picky and before != key and (place := self._place.get(before)) is not None:
            self._show_or_hide(place)

    def set_filter(
        self,
        text: str,
        states: Iterable[ImageState],
        only: frozenset[str] | None = None,
        *,
        keep_current: bool = False,
    ) -> None:
        """Show images whose key has all words of the text and whose state is one of these.

        Args:
            text: no words: any key.
            states: none: any state.
            only: of these keys alone; None: of all.
            keep_current: the current image stays until it is left.
        """
        words = tuple(text.casefold().split())
        wanted = frozenset(map(STATES.index, states))
        if (words, wanted, only) != (self._text, self._wanted, self._only):
            stays = self._place[self._sticky] if self.row_of(self._sticky) >= 0 else None
            self._text, self._wanted, self._only = words, wanted, only
            self._refilter(stays if keep_current else None)

    def _refilter(self, stays: int | None = None) -> None:
        everything = range(len(self._keys)) if self._order is None else self._order
        rows = self._passing(everything)
        if stays is not None and not self._passing((stays,)):
            rank = self._rank_of(stays)
            rows.insert(bisect_left(rows, rank, key=self._rank_of), stays)
        if rows == self._rows:
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()
        self.order_changed.emit()

    def _passing(self, places: Iterable[int]) -> list[int]:
        lowered, states, wanted = self._lowered, self._states, self._wanted
        for word in self._text:
            places = [place for place in places if word in lowered[place]]
        if wanted:
            places = [place for place in places if states[place] in wanted]
        if (only := self._only) is not None:
            places = [place for place in places if self._keys[place] in only]
        return list(places)

    def _row_at(self, place: int) -> int:
        """The row of an image, or where it would be."""
        return bisect_left(self._rows, self._rank_of(place), key=self._rank_of)

    def _rank_of(self, place: int) -> int:
        """Where an image stands in the natural order."""
        if self._order is None:
            return place
        if self._ranks is None:
            self._ranks = [0] * len(self._order)
            for rank, image in enumerate(self._order):
                self._ranks[image] = rank
        return self._ranks[place]

    # --- What takes long is done in slices of a few milliseconds ---

    def _do_slice(self) -> None:
        clock = QElapsedTimer()
        clock.start()
        first = self._settled
        while self._settled < len(self._keys) and clock.elapsed() < _SLICE_MS:
            for _ in range(min(_SLICE_ROWS, len(self._keys) - self._settled)):
                self._settle(self._settled)
                self._settled += 1
        if self._settled == len(self._keys):
            self._slices.stop()
        if self._moved:
            self._moved = False
            self._refilter()
        elif self._wanted:
            self._show_settled(range(first, self._settled))
        self.counted.emit()

    def _settle(self, place: int) -> None:
        """Learn the state of the next image, and move it where it belongs in the natural order.

        A folder's scan comes in order; files added to a known folder come last.
        """
        key = self._keys[place]
        if self._document is not None:
            state = STATES.index(self._document.record(key).state)
            self._states[place] = state
            self._counts[state] += 1
        rank = natural_path_key(key)
        if rank >= self._greatest:
            self._greatest = rank
            return
        if self._order is None:
            self._order = list(range(len(self._keys)))
        del self._order[place]
        row = bisect_left(
            self._order, rank, hi=place, key=lambda other: natural_path_key(self._keys[other])
        )
        self._order.insert(row, place)
        self._ranks = None
        self._moved = True

    def _show_settled(self, places: range) -> None:
        """Only now is it known whether the state filter wants these images."""
        if self._order is None and places and (not self._rows or self._rows[-1] < places[0]):
            self._insert_at_end(self._passing(places))
        elif places:
            self._refilter()


def describe(record: ImageRecord, separator: str) -> str:
    """Everything about an image in words."""
    objects = "1 object" if record.count == 1 else f"{record.count} objects"
    words = "needs another look" if record.state is ImageState.LOOK else record.state.value
    parts = [record.key, words, objects]
    if record.proposals:
        parts.append("1 proposal" if record.proposals == 1 else f"{record.proposals} proposals")
    if record.width:
        parts.append(f"{record.width} × {record.height} pixels")
    if record.comment:
        parts.append(f"“{record.comment}”")
    return separator.join(parts)
