"""Labels whose colour follows the theme."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QLabel, QWidget

from annotator.ui.theme import level_color


class LevelLabel(QLabel):
    """A wrapped line in the colour of "info", "warning", "error", "success", or of soft text ("").

    Args:
        text: shown as it is.
        level: see above.
        parent: Qt parent.
    """

    def __init__(self, text: str, level: str, parent: QWidget) -> None:
        super().__init__(text, parent)
        self.level = level
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._tint()

    def say(self, text: str, level: str) -> None:
        """Show another line."""
        self.level = level
        self.setText(text)
        self._tint()

    def _tint(self) -> None:
        role = QPalette.ColorRole
        palette = self.palette()
        color = (
            level_color(palette, self.level) if self.level else palette.color(role.PlaceholderText)
        )
        if palette.color(role.WindowText) != color:
            palette.setColor(role.WindowText, color)
            self.setPalette(palette)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._tint()


def soft_label(text: str, parent: QWidget, *, indented: bool = False) -> QLabel:
    """An explanation: wrapped, in the colour of secondary text."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setForegroundRole(QPalette.ColorRole.PlaceholderText)
    if indented:
        indent(label)
    return label


def indent(label: QLabel) -> None:
    """Line a label up with the text of the check box or radio button above."""
    label.setIndent(int(1.7 * label.fontMetrics().height()))
