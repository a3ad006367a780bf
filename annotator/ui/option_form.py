"""`OptionForm`: a form for a table of options; a further row there needs no further widget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from annotator.services.prelabel_sources import AUTO, Option


class OptionForm(QWidget):
    """One row for each option.

    Args:
        options: what is asked, in this order.
        values: what was chosen before; what does not fit is the option's default.
        parent: Qt parent.
    """

    changed = Signal()
    """A value changed."""

    def __init__(
        self, options: Sequence[Option], values: dict[str, Any], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._getters: dict[str, Callable[[], Any]] = {}
        self._rows: list[tuple[Option, QWidget]] = []
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        make = {
            "whole": self._whole, "percent": self._percent, "path": self._path,
            "choice": self._choice,
        }  # fmt: skip
        for option in options:
            before = values.get(option.name)
            fits = isinstance(before, type(option.default)) or (
                option.kind == "percent" and isinstance(before, int | float)
            )
            widget = make[option.kind](option, before if fits else option.default)
            self._form.addRow(option.title, widget)
            field = widget.findChild(QLineEdit, "path") or widget
            name = option.title.replace("&", "").rstrip(":")
            for one in {widget, field}:
                one.setToolTip(option.tip)
            field.setAccessibleName(name)
            field.setAccessibleDescription(option.tip)
            label = self._form.labelForField(widget)
            if label is not None:
                label.setToolTip(option.tip)
            self._rows.append((option, widget))
        self._show_rows()
        self.changed.connect(self._show_rows)

    def _show_rows(self) -> None:
        """Hide what makes no sense with what is chosen."""
        values = self.values
        for option, widget in self._rows:
            name, wanted = option.when
            self._form.setRowVisible(widget, not name or values.get(name) in wanted)

    @property
    def values(self) -> dict[str, Any]:
        """What is chosen, by name."""
        return {name: get() for name, get in self._getters.items()}

    def _spin(self, least: int, most: int, suffix: str) -> QSpinBox:
        box = QSpinBox(self)
        box.setRange(least, most)
        box.setSuffix(suffix)
        box.valueChanged.connect(self.changed)
        return box

    def _whole(self, option: Option, value: Any) -> QWidget:
        box = self._spin(option.least, option.most, option.suffix)
        box.setObjectName(option.name)
        box.setValue(int(value))
        self._getters[option.name] = box.value
        return box

    def _percent(self, option: Option, value: Any) -> QWidget:
        box = self._spin(-1 if option.auto else 0, 100, " %")
        box.setObjectName(option.name)
        if option.auto:
            box.setSpecialValueText(option.auto)
        box.setValue(round(value * 100) if value >= 0 else -1)
        self._getters[option.name] = lambda: box.value() / 100 if box.value() >= 0 else AUTO
        return box

    def _choice(self, option: Option, value: Any) -> QWidget:
        box = QComboBox(self)
        box.setObjectName(option.name)
        for data, title in option.choices:
            box.addItem(title, data)
        box.setCurrentIndex(max(box.findData(value), 0))
        box.currentIndexChanged.connect(self.changed)
        self._getters[option.name] = box.currentData
        return box

    def _path(self, option: Option, value: Any) -> QWidget:
        row = QWidget(self)
        row.setObjectName(option.name)
        field = QLineEdit(str(value), row)
        field.setObjectName("path")
        field.setClearButtonEnabled(True)
        field.textChanged.connect(self.changed)
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(field, 1)
        name = option.title.replace("&", "").rstrip(":").lower()

        def choose_file() -> None:
            found, _ = QFileDialog.getOpenFileName(self, f"Choose {name}", _near(field.text()),
                                                   f"{option.patterns};;All files (*)")  # fmt: skip
            if found:
                field.setText(found)

        def choose_folder() -> None:
            found = QFileDialog.getExistingDirectory(
                self, f"Choose a folder of {name}", _near(field.text())
            )
            if found:
                field.setText(found)

        self._button(row, "File…", f"Choose a file of {name}", choose_file)
        if option.folder:
            self._button(row, "Folder…", f"Choose a folder of {name}", choose_folder)
        row.setFocusProxy(field)
        self._getters[option.name] = lambda: field.text().strip()
        return row

    def _button(self, row: QWidget, text: str, name: str, act: Callable[[], None]) -> None:
        button = QPushButton(text, row)
        button.setAutoDefault(False)
        button.setAccessibleName(name)
        button.clicked.connect(act)
        layout = row.layout()
        if layout is not None:
            layout.addWidget(button)


def _near(text: str) -> str:
    """Where to begin to look."""
    path = Path(text)
    return str(path if path.is_dir() else path.parent) if text else ""
