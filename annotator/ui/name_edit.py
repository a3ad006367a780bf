"""A line edit for the name of a class, with fuzzy completion below it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QStringListModel, Signal
from PySide6.QtWidgets import QCompleter, QLineEdit, QWidget

SHOWN = 10


class NameEdit(QLineEdit):
    """Completes the names given; any other text can be entered as well.

    Args:
        names: what can be completed.
        parent: Qt parent.
    """

    chosen = Signal()
    """A completion was taken over; `text` is the name."""

    def __init__(self, names: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names = list(names)
        self._found = QStringListModel(self)
        completer = QCompleter(self._found, self)
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        completer.setMaxVisibleItems(SHOWN)
        completer.activated.connect(self._take)
        self.setCompleter(completer)
        self.textEdited.connect(self._complete)

    def _complete(self, text: str) -> None:
        from annotator.core.fuzzy import complete

        # An empty field completes nothing: a list of everything would only be in the way.
        found = complete(text, self._names, SHOWN) if text.strip() else []
        self._found.setStringList([self._names[hit.index] for hit in found])

    def _take(self, name: str) -> None:
        self.setText(name)
        self.chosen.emit()

    def name(self) -> str:
        """What was entered, with single blanks.

        Upper case and accents do not make another name when exactly that class exists.
        """
        clean = " ".join(self.text().split())
        same = [name for name in self._names if name.casefold() == clean.casefold()]
        return same[0] if len(same) == 1 else clean
