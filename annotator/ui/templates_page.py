"""The sentences that names are put into before a model reads them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from annotator.core.vocabulary import TEMPLATES, Finding, parse_templates
from annotator.ui.labels import LevelLabel, soft_label
from annotator.ui.numbered_text import NumberedText

EXPLANATION = (
    "A model that knows text reads every name in each of these sentences, one per line; “{}” is "
    "the place of the name. The fourteen of ViLD are what published results were made with; a "
    "sentence about your pictures (“a microscope picture of a {}”) may suit you better."
)


class TemplatesPage(QWidget):
    """An editor for the sentences.

    Args:
        templates: the sentences of the project.
        parent: Qt parent.
    """

    changed = Signal()
    """The text, and with it `templates` and `findings`."""

    def __init__(self, templates: Sequence[str], parent: QWidget) -> None:
        super().__init__(parent)
        self.templates: tuple[str, ...] = tuple(templates)
        self.findings: tuple[Finding, ...] = ()
        self._name = "cat"
        self.text = NumberedText(self)
        self.text.setAccessibleName("Sentences, one per line")
        self.message = LevelLabel("", "", self)
        self.restore = QPushButton("&Restore the 14 sentences of ViLD", self)
        self.restore.setAutoDefault(False)
        self.restore.clicked.connect(self._restore)
        self._build()
        self.text.load("\n".join(templates), ())
        self.text.textChanged.connect(self._follow_text)
        self.text.cursorPositionChanged.connect(self._show_message)
        self._follow_text()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.addWidget(soft_label(EXPLANATION, self))
        column.addWidget(self.text, 1)
        column.addWidget(self.message)
        row = QHBoxLayout()
        row.addWidget(self.restore)
        row.addStretch(1)
        column.addLayout(row)

    @property
    def has_errors(self) -> bool:
        """Whether the sentences cannot be used."""
        return any(finding.is_error for finding in self.findings)

    def set_example(self, name: str) -> None:
        """Show the sentences with this name."""
        self._name = name
        self._show_message()

    def _restore(self) -> None:
        self.text.replace_text("\n".join(TEMPLATES), ())

    def _follow_text(self) -> None:
        self.templates, self.findings = parse_templates(self.text.toPlainText())
        self.restore.setEnabled(self.templates != TEMPLATES)
        levels = {f.line: "error" if f.is_error else "warning" for f in self.findings}
        self.text.mark(levels, {})
        self._show_message()
        self.changed.emit()

    def _show_message(self) -> None:
        """What is wrong with the line of the cursor, or anywhere, or how the line reads."""
        line = self.text.line
        found = sorted(self.findings, key=lambda f: (f.line != line, not f.is_error, f.line))
        if found and (found[0].is_error or found[0].line == line):
            level = "error" if found[0].is_error else "warning"
            self.message.say(f"Line {found[0].line}: {found[0].text}", level)
            return
        sentence = self.text.textCursor().block().text()
        filled = sentence.replace("{}", self._name)
        self.message.say(f"For example: {filled}" if sentence.strip() else "", "")
