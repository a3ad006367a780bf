"""`DetailBar`: how many vertices are shown, over the canvas while its tool is chosen."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSlider, QWidget

TOP = 14
"""Pixels between the top of the canvas and the bar."""


class DetailBar(QFrame):
    """A slider for the mouse; the keyboard has commands for it.

    Args:
        count: number of places of the slider.
        parent: what it lies over.
    """

    moved = Signal(int)
    """Somebody moved the slider: its place, 0 is the least detail."""

    def __init__(self, count: int, parent: QWidget) -> None:
        super().__init__(parent)
        self._over = parent
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, count - 1)
        self.slider.setMinimumWidth(140)
        # Keys stay with the canvas: arrows move vertices.
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.slider.setAccessibleName("Detail of the vertices shown")
        self.slider.setToolTip(
            "Show more vertices, or fewer (Alt+wheel, [ and ]).\nNo pixel changes by that."
        )
        self.slider.valueChanged.connect(self.moved)
        self._count = QLabel()
        self._count.setMinimumWidth(self._count.fontMetrics().horizontalAdvance("20000 vertices "))
        row = QHBoxLayout(self)
        row.addWidget(QLabel("Detail"))
        row.addWidget(self.slider)
        row.addWidget(self._count)
        self.setAutoFillBackground(True)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.hide()

    def tell(self, place: int, vertices: int) -> None:
        """Show the place of the slider and how many vertices there are."""
        self.slider.blockSignals(True)
        self.slider.setValue(place)
        self.slider.blockSignals(False)
        self._count.setText(f"{vertices} vertices")
        self.adjustSize()
        self.move(max((self._over.width() - self.width()) // 2, 0), TOP)
        self.show()
