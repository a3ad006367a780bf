"""`AdjustPanel`: brightness, contrast and gamma of the picture on screen, never of the data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from annotator.ui.canvas_view import Adjustment

if TYPE_CHECKING:
    from annotator.ui.canvas import Canvas

STEPS = 100
CONTRAST_RANGE = 20.0
"""Largest contrast factor; the smallest is its inverse."""
GAMMA_RANGE = 5.0


class AdjustPanel(QWidget):
    """Three sliders, a button that finds good values, and one that resets them.

    Args:
        canvas: shows the adjusted picture.
        parent: Qt parent.
    """

    def __init__(self, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._silent = False
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        self.brightness, self._brightness_text = self._slider(grid, 0, "Brightness")
        self.contrast, self._contrast_text = self._slider(grid, 1, "Contrast")
        self.gamma, self._gamma_text = self._slider(grid, 2, "Gamma")
        self.auto = QPushButton("Auto")
        self.auto.setToolTip("Spread the darkest and lightest parts in view over the whole range")
        self.auto.clicked.connect(self.spread)
        self.reset_button = QPushButton("Reset")
        self.reset_button.setToolTip("Show the pixels as they are")
        self.reset_button.clicked.connect(self.reset)
        buttons = QHBoxLayout()
        buttons.addWidget(self.auto)
        buttons.addWidget(self.reset_button)
        hint = QLabel("For viewing only: masks and files do not change.")
        hint.setWordWrap(True)
        hint.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        column = QVBoxLayout(self)
        column.addLayout(grid)
        column.addLayout(buttons)
        column.addWidget(hint)
        column.addStretch(1)
        self._show(Adjustment())

    def _slider(self, grid: QGridLayout, row: int, name: str) -> tuple[QSlider, QLabel]:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(-STEPS, STEPS)
        slider.setPageStep(10)
        slider.setAccessibleName(name)
        slider.setToolTip(f"{name}; double click on the name resets it")
        slider.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        label = _ResetLabel(name, slider)
        label.setBuddy(slider)
        value = QLabel()
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setMinimumWidth(value.fontMetrics().horizontalAdvance("+0.00 ×"))
        for column, widget in enumerate((label, slider, value)):
            grid.addWidget(widget, row, column)
        slider.valueChanged.connect(self._apply)
        return slider, value

    @property
    def adjustment(self) -> Adjustment:
        """What the sliders say."""
        return Adjustment(
            self.brightness.value() / STEPS,
            CONTRAST_RANGE ** (self.contrast.value() / STEPS),
            GAMMA_RANGE ** (self.gamma.value() / STEPS),
        )

    def spread(self) -> None:
        """Take the values that show most of what is in view."""
        found = self._canvas.auto_adjustment()
        if found is not None:
            self._show(found)

    def reset(self) -> None:
        """Show the pixels as they are."""
        self._show(Adjustment())

    def _show(self, adjustment: Adjustment) -> None:
        self._silent = True
        self.brightness.setValue(round(adjustment.brightness * STEPS))
        self.contrast.setValue(_steps(adjustment.contrast, CONTRAST_RANGE))
        self.gamma.setValue(_steps(adjustment.gamma, GAMMA_RANGE))
        self._silent = False
        self._apply()

    def _apply(self) -> None:
        if self._silent:
            return
        adjustment = self.adjustment
        self._brightness_text.setText(f"{adjustment.brightness:+.2f}")
        self._contrast_text.setText(f"{adjustment.contrast:.2f} ×")
        self._gamma_text.setText(f"{adjustment.gamma:.2f}")
        self.reset_button.setEnabled(not adjustment.neutral)
        self._canvas.set_adjustment(adjustment)


def _steps(factor: float, largest: float) -> int:
    return round(STEPS * math.log(factor) / math.log(largest))


class _ResetLabel(QLabel):
    """A slider's name; a double click puts the slider back to the middle."""

    def __init__(self, text: str, slider: QSlider) -> None:
        super().__init__(text)
        self._slider = slider

    def mouseDoubleClickEvent(self, _event: object) -> None:
        """Reset."""
        self._slider.setValue(0)
