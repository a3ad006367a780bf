"""Small things forms are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from PySide6.QtWidgets import QComboBox, QLabel, QWidget

W = TypeVar("W", bound=QWidget)


def label_for(text: str, buddy: QWidget) -> QLabel:
    """A label whose mnemonic leads to a field."""
    label = QLabel(text)
    label.setBuddy(buddy)
    return label


def named(widget: W, name: str) -> W:
    """The widget, with a name for screen readers."""
    widget.setAccessibleName(name)
    return widget


def choices(entries: Sequence[tuple[str, str]], name: str, parent: QWidget) -> QComboBox:
    """A choice of texts, each with its value as data."""
    combo = named(QComboBox(parent), name)
    for value, text in entries:
        combo.addItem(text, value)
    return combo
