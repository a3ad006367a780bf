"""`ClassMerging`: one class becomes part of another one in all images, as one step."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services.history_journal import load_keys_with_class
from annotator.services.slices import Slices
from annotator.services.store import explain_failure
from annotator.services.task_queue import TaskQueue

if TYPE_CHECKING:
    from annotator.services.document import Document

SETTLE_S = 5.0
"""Seconds edits made before may take to become durable."""
ROUNDS = 3
"""Somebody may go on giving objects the old class meanwhile."""


class ClassMerging(QObject):
    """Finds the objects on a thread and renames them in slices.

    Args:
        document: the project; its child.
    """

    finished = Signal(int)
    """The classes are one: how many images changed."""
    failed = Signal(object)
    """A `UserError`; what was done can be taken back."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self._document = document
        self._queue = TaskQueue("classes", self)
        self._slices = Slices(self)
        self._group = self._images = 0

    def merge(self, old: int, new: int) -> None:
        """All objects and proposals of a class get another one; then the class is removed.

        Args:
            old: id of the class that goes.
            new: id of the class that stays.
        """
        document = self._document
        names = document.category(old).name, document.category(new).name
        self._group = document.history.begin("classes", "Merge {} into {}".format(*names))
        self._images = 0
        self._find(old, new, ROUNDS)

    def close(self) -> None:
        """End it here; what is done can be taken back."""
        self._slices.stop()
        self._queue.close()

    def _find(self, old: int, new: int, rounds: int) -> None:
        reader, flush = self._document.reader(), self._document.flush
        path = self._document.project_dir / "journal.sqlite"

        def find() -> Sequence[str]:
            flush(SETTLE_S)
            try:
                return load_keys_with_class(reader.connection(), old)
            except sqlite3.Error as error:
                raise explain_failure(error, path) from error
            finally:
                reader.close()

        self._queue.submit(
            "find", find, lambda keys: self._rename(keys, old, new, rounds), self._fail
        )

    def _rename(self, keys: Sequence[str], old: int, new: int, rounds: int) -> None:
        self._slices.start(self._work(keys, old, new), lambda _: self._end(old, new, rounds))

    def _work(self, keys: Sequence[str], old: int, new: int) -> Generator[str, None, None]:
        document = self._document
        text = f"Merge {document.category(old).name} into {document.category(new).name}"
        for key in keys:
            after = tuple(
                replace(a, category_id=new) if a.category_id == old else a
                for a in document.annotations(key)
            )
            with document.history.inside(self._group):
                self._images += bool(document.edit(key, after, text))
            yield key

    def _end(self, old: int, new: int, rounds: int) -> None:
        if self._document.category_users(old) and rounds:
            self._find(old, new, rounds - 1)
            return
        try:
            with self._document.history.inside(self._group):
                self._document.remove_category(old)
        except UserError as error:
            self.failed.emit(error)
            return
        self.finished.emit(self._images)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self.failed.emit(error)
