"""The filter field of the image list understands queries: errors, completion, help, answers."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QCompleter, QFrame, QLabel, QLineEdit, QVBoxLayout, QWidget

from annotator.core.query.parsing import QueryError, parse
from annotator.core.query.values import CHOICES, IMAGE_FIELDS, OBJECT_FIELDS
from annotator.services.querying import Querying
from annotator.ui.icons import icon
from annotator.ui.labels import LevelLabel

if TYPE_CHECKING:
    from annotator.core.errors import UserError
    from annotator.services.document import Document

REST_MS = 150
"""How long typing a query rests before it is asked: half a field is a word that no name has."""
SHORTEST = 3
"""Letters of a word before fields are offered for it."""
EXAMPLES = (
    ("class:dog area:<500", "a dog smaller than 500 pixels"),
    ("class:dog count:>3 -class:cat", "more than three dogs, and no cat"),
    ("class:dog (class:cat score:<0.6)", "a dog, and a cat the model doubts"),
    ("state:annotated date:today", "worked on today, and not reviewed"),
    (r"name:/IMG_\d+/ | attr.colour:red", "either of both; expression, attribute"),
)


class QueryFilter(QObject):
    """Turns the text of a field into what is listed.

    Args:
        box: the field.
        parent: the list; the line for messages belongs into it.
    """

    found = Signal(str, object, bool)
    """Words to look for; keys that are meant (None: all); whether it is the answer to a text that
    was answered before, after an edit."""

    def __init__(self, box: QLineEdit, parent: QWidget) -> None:
        super().__init__(parent)
        self._box = box
        self._document: Document | None = None
        self._querying: Querying | None = None
        self._answered = False
        self._rest = QTimer(self, interval=REST_MS, singleShot=True)
        self._rest.timeout.connect(self._ask)
        self.line = LevelLabel("", "", parent)
        self.line.setAccessibleName("What is wrong with the filter")
        self.line.hide()
        self._words = QStringListModel(self)
        self._completer = QCompleter(self._words, self)
        self._completer.setWidget(box)
        self._completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._completer.activated.connect(self._complete)
        self._help: QFrame | None = None
        self._ask_help = QAction(icon("info"), "How to ask", self)
        self._ask_help.setToolTip("How to ask for classes, sizes, scores, dates, …")
        self._ask_help.triggered.connect(self.show_help)
        box.addAction(self._ask_help, QLineEdit.ActionPosition.TrailingPosition)
        box.textEdited.connect(self._offer)

    def open(self, document: Document | None) -> None:
        """Ask about another project, or none."""
        self._rest.stop()
        if self._querying is not None:
            self._querying.close()
            self._querying.deleteLater()
            self._querying = None
        self._document = document

    def apply(self) -> None:
        """Find what the text means: words at once, queries in the background."""
        self._rest.stop()
        try:
            query = parse(self._box.text())
        except QueryError as error:
            # What is listed stays: the query is being typed.
            self._say(f"{error}.", "warning")
            return
        if query.words is None and self._document is not None:
            self._rest.start()
            return
        self._say("", "")
        if self._querying is not None:
            self._querying.ask(None)
        self.found.emit(" ".join(query.words or ()), None, False)

    def _ask(self) -> None:
        if self._document is None:
            return
        query, self._answered = parse(self._box.text()), False
        if self._querying is None:
            self._querying = Querying(self._document, self)
            self._querying.answered.connect(self._take)
            self._querying.progressed.connect(self._show_progress)
            self._querying.failed.connect(self._fail)
        self._querying.ask(query)

    def _take(self, keys: frozenset[str]) -> None:
        self._say("", "")
        again, self._answered = self._answered, True
        self.found.emit("", keys, again)

    def _show_progress(self, done: int, count: int) -> None:
        self._say(f"Reading {count:,} objects, once… {done / max(count, 1):.0%}", "")

    def _fail(self, error: UserError) -> None:
        self._say(str(error), "error")

    def _say(self, text: str, level: str) -> None:
        if text:
            self.line.say(text[0].upper() + text[1:], level)
        self.line.setVisible(bool(text))

    # --- Completion ---

    def _offer(self) -> None:
        before = self._box.text()[: self._box.cursorPosition()]
        words = self.offers(before)
        self._words.setStringList(words)
        if words:
            self._completer.complete()
        elif (popup := self._completer.popup()) is not None:
            popup.hide()

    def offers(self, before: str) -> list[str]:
        """What may stand instead of the last word before the cursor."""
        word = _last(before).lstrip("-(")
        name, colon, value = word.casefold().partition(":")
        if not colon:
            fields = [*IMAGE_FIELDS, *OBJECT_FIELDS]
            close = len(word) >= SHORTEST
            return [f"{f.removesuffix('NAME')}" + ":" * (f != "attr.NAME")
                    for f in fields if close and f.startswith(name)]  # fmt: skip
        value = value.rpartition(",")[2].lstrip('"')
        given = word[: len(word) - len(value)].rstrip('"')
        return [given + v for v in self._values(name) if v.casefold().strip('"').startswith(value)
                and v.casefold() != value][:12]  # fmt: skip

    def _values(self, name: str) -> list[str]:
        if name == "class" and self._document is not None:
            names = (category.name for category in self._document.categories())
            return [f'"{n}"' if _needs_quotes(n) else n for n in names] + ["none"]
        if name == "origin":
            return ["person", "model", "import"]
        if name == "date":
            return ["today", "yesterday"]
        return list(CHOICES.get(name, ()))

    def _complete(self, text: str) -> None:
        at = self._box.cursorPosition()
        before, after = self._box.text()[:at], self._box.text()[at:]
        start = len(before) - len(_last(before).lstrip("-("))
        ended = text if text.endswith((":", ".")) else f"{text} "
        self._box.setText(before[:start] + ended + after.lstrip())
        self._box.setCursorPosition(start + len(ended))

    # --- Help ---

    def show_help(self) -> None:
        """A note with all fields and some examples, below the field."""
        if self._help is None:
            self._help = QFrame(self._box.window(), Qt.WindowType.Popup)
            self._help.setFrameShape(QFrame.Shape.StyledPanel)
            label = QLabel(_help_text(), self._help)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setAccessibleName("How to ask for images")
            QVBoxLayout(self._help).addWidget(label)
        self._help.adjustSize()
        self._help.move(self._box.mapToGlobal(QPoint(0, self._box.height() + 4)))
        self._help.show()


def _last(text: str) -> str:
    """The word at the end, with what is quoted in it."""
    start = 0
    quoted = False
    for place, letter in enumerate(text):
        quoted ^= letter == '"'
        if letter.isspace() and not quoted:
            start = place + 1
    return text[start:]


def _needs_quotes(name: str) -> bool:
    return any(letter.isspace() or letter in ",()|" for letter in name)


def _help_text() -> str:
    def rows(pairs: object) -> str:
        return "".join(
            f"<tr><td><b>{escape(a)}</b>&nbsp;&nbsp;</td><td>{escape(b)}</td></tr>"
            for a, b in pairs  # type: ignore[attr-defined]
        )

    images = [(f"{name}:", text) for name, text in IMAGE_FIELDS.items()]
    objects = [(f"{name}:", text) for name, text in OBJECT_FIELDS.items()]
    return (
        "Words alone are parts of file names. With fields:"
        f"<table>{rows(EXAMPLES)}</table><p>About images<table>{rows(images)}</table>"
        f"<p>About objects; terms together are about one object<table>{rows(objects)}</table>"
        "<p>Commas mean “or”, – means “not”, ( ) a further object, | one or the other."
    )
