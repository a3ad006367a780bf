"""`Turning`: by how far each image is shown turned. A matter of the view: no data ever changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.ui.canvas import Canvas

NOTE = "turns"
"""Note of the project: quarter turns clockwise, 1 to 3, by the key of the image."""
_ALL = ""
"""Stands for every image while all are turned alike."""


class Turning(QObject):
    """Remembers the turn of each image with the project.

    Args:
        canvas: shows the images.
        settings: whether all images are turned alike.
    """

    def __init__(self, canvas: Canvas, settings: SettingsStore) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._settings = settings

    @property
    def _document(self) -> Document | None:
        return self._canvas.workspace.document

    def _known(self) -> dict[str, int]:
        note = self._document.note(NOTE) if self._document is not None else None
        return note if isinstance(note, dict) else {}

    def _place(self, key: str) -> str:
        return _ALL if self._settings.settings.turn_alike else key

    def of(self, key: str) -> int:
        """Quarter turns by which to show an image that is coming, 0 to 3."""
        turn = self._known().get(self._place(key), 0)
        return turn if turn in (1, 2, 3) else 0

    def turn(self, steps: int) -> None:
        """Show the current image turned by further quarter turns, clockwise."""
        key = self._canvas.shown_key
        if key is None or not self._canvas.has_image:
            return
        turn = (self._canvas.turn + steps) % 4
        self._canvas.show_turned(turn)
        if self._document is not None:
            place = self._place(key)
            others = {known: value for known, value in self._known().items() if known != place}
            self._document.set_note(NOTE, {**others, place: turn} if turn else others)
        self._canvas.workspace.noticed.emit(
            f"The view is turned by {90 * turn}°; the image stays as it is."
            if turn
            else "The view is upright."
        )

    def reset(self) -> None:
        """Show the current image upright."""
        self.turn(-self._canvas.turn)
