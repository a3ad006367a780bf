"""`Saving`: everything between a document and the disk, and how safe the work is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services import journal
from annotator.services.coco_export import CocoExporter, CocoState, Listeners
from annotator.services.operations import Operation
from annotator.services.project_folder import Place
from annotator.services.store import Courier, Reader, SaveState, Store, explain_failure

T = TypeVar("T")
CLOSING = 10.0
"""Seconds `close` waits for a disk that does not answer."""


class Saving(QObject):
    """Writes the journal and then the COCO file, each on a thread of its own.

    Args:
        place: where the files are.
        db: the journal.
        coco_path: the COCO file.
        coco_state: what is known of it.
        parent: Qt parent.
    """

    state_changed = Signal(object)
    """The new `SaveState`."""
    saved = Signal(object)
    """Sequence of `Operation` that are durable."""
    reported = Signal(object)
    """A `UserError` for people; the work goes on."""
    measured = Signal(object)
    """Sizes read from files: list of key, width, height, orientation."""

    def __init__(
        self,
        place: Place,
        db: sqlite3.Connection,
        coco_path: Path,
        coco_state: CocoState,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._place = place
        self._unsaved = 0
        self._unsaved_exported = 0
        self._generation = journal.load_counter(db, "generation")
        self._written = coco_state.generation
        self._errors: dict[str, UserError | None] = {}
        self._state = SaveState()
        self._courier = Courier(self)
        self.store = Store(place.journal, db, self._post_saved, self._post_error("journal"))
        """The thread that writes the journal."""
        self._reader = self.reader()
        # Opens the files now, so that reading goes on when the folder vanishes later.
        self._reader.connection().execute("SELECT count(*) FROM notes").fetchone()
        self.exporter = CocoExporter(
            place.folder,
            coco_path,
            place.coco_state,
            coco_state,
            self.reader(),
            self._listeners(),
        )
        """The thread that writes the COCO file."""
        if self._generation > self._written:
            self.exporter.follow()
        self._refresh()

    def _listeners(self) -> Listeners:
        post = self._courier.post
        return Listeners(
            written=lambda generation: post(lambda: self._take_written(generation)),
            failing=self._post_error("coco"),
            reported=self.announce,
            measured=lambda sizes: post(lambda: self.measured.emit(sizes)),
            put=self.store.put,
            settle=self.store.flush,
        )

    @property
    def state(self) -> SaveState:
        """How safe the work is."""
        return self._state

    def put(self, operation: Operation) -> None:
        """Write this after all that was put before; returns at once."""
        self._unsaved += operation.is_work
        self._unsaved_exported += operation.is_exported
        self.store.put(operation)
        if operation.is_work or operation.is_exported:
            self._refresh()

    def announce(self, notice: UserError) -> None:
        """Emit `reported` a moment later; from any thread."""
        self._courier.post(lambda: self.reported.emit(notice))

    def reader(self) -> Reader:
        """Reads the journal on one thread; whoever gets it closes it."""
        return Reader(self._place.journal, self.store.epoch)

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Read something on the thread of the document.

        Raises:
            UserError: the journal cannot be read.
        """
        try:
            return question(self._reader.connection())
        except sqlite3.OperationalError as error:
            raise explain_failure(error, self._place.journal) from error
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise journal.damaged(self._place.journal, str(error)) from error

    def close(self) -> UserError | None:
        """Finish, and end the threads; where the last edits are if the disk does not take them."""
        from annotator.services.opening import put_aside, rescue_path

        self.store.flush(CLOSING)
        self.exporter.close()
        aside = rescue_path(self._place)
        lost = self.store.close(CLOSING / 2, aside)
        self._reader.close()
        if any(operation.is_work for operation in lost):
            return put_aside(self._place, aside, lost, self._errors.get("journal"))
        return None

    def _post_saved(self, batch: Sequence[Operation], generation: int) -> None:
        if generation:
            self.exporter.follow()
        self._courier.post(lambda: self._take_saved(batch, generation))

    def _post_error(self, name: str) -> Callable[[UserError | None], None]:
        return lambda error: self._courier.post(lambda: self._take_error(name, error))

    def _take_saved(self, batch: Sequence[Operation], generation: int) -> None:
        self._generation = max(self._generation, generation)
        for operation in batch:
            self._unsaved -= operation.is_work
            self._unsaved_exported -= operation.is_exported
        self._refresh()
        self.saved.emit(batch)

    def _take_written(self, generation: int) -> None:
        self._written = max(self._written, generation)
        self._refresh()

    def _take_error(self, name: str, error: UserError | None) -> None:
        self._errors[name] = error
        self._refresh()

    def _refresh(self) -> None:
        behind = self._unsaved_exported > 0 or self._generation > self._written
        error = self._errors.get("journal") or self._errors.get("coco")
        state = SaveState(self._unsaved, behind, error)
        if state != self._state:
            self._state = state
            self.state_changed.emit(state)
