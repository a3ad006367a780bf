"""`Timeline`: the tracks of the sequence that is open, and the one that is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.tracks import Row, TrackId, TrackTable, cell_of, track_of

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.looks import Looks
    from annotator.services.whereabouts import Whereabouts
    from annotator.services.workspace import Workspace

SLOT = "timeline"
GATHER_MS = 200
"""Images that are still being listed are waited for so long."""


class Timeline(QObject):
    """Reads the sequence once in the background, then follows every edit.

    Nothing is read before somebody looks (`set_watched`).

    Args:
        workspace: what is open.
        looks: its thread reads the journal.
        parent: Qt parent.
    """

    changed = Signal()
    """Tracks, images or what is in them."""
    chosen_changed = Signal()
    """Another track is chosen, or none."""

    def __init__(self, workspace: Workspace, looks: Looks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._looks = looks
        self._table = TrackTable(())
        self._rows: list[Row] | None = []
        self._folder: PurePosixPath | None = None
        self._reading = False
        self._later: set[str] = set()
        self._chosen: TrackId | None = None
        self._watched = False
        self._told = QTimer(self, singleShot=True, interval=0)
        self._told.timeout.connect(self.changed)
        self._gather = QTimer(self, singleShot=True, interval=GATHER_MS)
        self._gather.timeout.connect(self._read)
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closing.connect(self._forget)
        workspace.image_shown.connect(self._follow_image)
        workspace.selection_changed.connect(self._follow_selection)
        if workspace.document is not None:
            self._follow_project(workspace.document)

    # --- What there is ---

    @property
    def keys(self) -> Sequence[str]:
        """The images of the sequence, in their order."""
        return self._table.keys

    @property
    def reading(self) -> bool:
        """Whether the sequence is still being read."""
        return self._reading

    def rows(self) -> list[Row]:
        """Its tracks in the order they begin."""
        if self._rows is None:
            self._rows = self._table.rows()
        return self._rows

    def row(self, track: TrackId | None) -> Row | None:
        """One of them."""
        return None if track is None else self._table.row(track)

    def place(self, key: str | None) -> int | None:
        """Where an image stands, None for one of another sequence."""
        return None if key is None else self._table.place(key)

    def set_watched(self, watched: bool) -> None:
        """Whether anybody looks."""
        if watched and not self._watched:
            self._watched = True
            self._folder = None
            self._follow_image(self._workspace.key or "")
        self._watched = watched

    # --- The chosen one ---

    @property
    def chosen(self) -> TrackId | None:
        """The chosen track, None for none or one that is gone."""
        return self._chosen if self.row(self._chosen) is not None else None

    def choose(self, track: TrackId | None) -> None:
        """Choose another one."""
        if track != self._chosen:
            self._chosen = track
            self.chosen_changed.emit()

    def neighbour(self, step: int) -> str | None:
        """The next (1) or previous (-1) image the chosen track is in, from the current one."""
        row, place = self.row(self._chosen), self.place(self._workspace.key)
        if row is None or place is None:
            return None
        places = range(place + step, len(self.keys) if step > 0 else -1, step)
        found = next((other for other in places if row.marks[other]), None)
        return None if found is None else self.keys[found]

    def show(self, track: TrackId, key: str) -> None:
        """Show an image with the object of a track selected."""
        workspace = self._workspace
        workspace.show(key)
        self.choose(track)
        if not workspace.draft:
            workspace.select(a.id for a in workspace.visible if track_of(a) == track)

    # --- Following the project ---

    def _follow_project(self, document: Document) -> None:
        document.annotations_changed.connect(self._follow_edit)
        document.images_changed.connect(self._follow_images)
        document.categories_changed.connect(self._tell)

    def _forget(self) -> None:
        self._looks.cancel(SLOT)
        self._gather.stop()
        self._folder, self._reading = None, False
        self._table = TrackTable(())
        self.choose(None)
        self._tell()

    def _follow_image(self, key: str) -> None:
        if self._watched and key and PurePosixPath(key).parent != self._folder:
            self._read()

    def _follow_images(self) -> None:
        if self._watched and self._folder is not None:
            self._gather.start()

    def _follow_selection(self, *_: object) -> None:
        chosen = self._workspace.selected
        if len(chosen) == 1 and self.row(track_of(chosen[0])) is not None:
            self.choose(track_of(chosen[0]))

    def _follow_edit(self, key: str) -> None:
        if self._reading:
            self._later.add(key)
            return
        document, place = self._workspace.document, self._table.place(key)
        if document is not None and place is not None:
            self._table.put(place, map(cell_of, document.annotations(key)))
            self._tell()

    def _tell(self) -> None:
        self._rows = None
        if not self._told.isActive():
            self._told.start()

    def _read(self) -> None:
        document, key = self._workspace.document, self._workspace.key
        if document is None or key is None:
            return
        folder = PurePosixPath(key).parent
        if folder != self._folder:
            self._table = TrackTable(())
        self._folder, self._reading = folder, True
        self._later.clear()
        keys = tuple(document.keys())
        self._looks.submit(
            SLOT, lambda where: _table(where, keys, folder), partial(self._take, document, folder)
        )
        self._tell()

    def _take(self, document: Document, folder: PurePosixPath, table: TrackTable) -> None:
        if document is not self._workspace.document or folder != self._folder:
            return
        self._table, self._reading = table, False
        for key in self._later:
            self._follow_edit(key)
        self._later.clear()
        self._follow_selection()
        self._tell()


def _table(where: Whereabouts, keys: Sequence[str], folder: PurePosixPath) -> TrackTable:
    """Runs on the thread."""
    prefix = "" if str(folder) == "." else f"{folder}/"
    inside = [key for key in keys if key.startswith(prefix) and "/" not in key[len(prefix) :]]
    table = TrackTable(inside)
    for key, cells in where.sequence(inside):
        place = table.place(key)
        if place is not None:
            table.put(place, cells)
    return table
