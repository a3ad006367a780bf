"""`MaskPopover`: a slider over the canvas that changes the selected masks, with a live preview."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSlider

from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.services.task_queue import TaskQueue, unexpected

if TYPE_CHECKING:
    from annotator.ui.canvas import Canvas

TOP = 14
"""Pixels between the top of the canvas and the popover."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """One thing the popover is for.

    Attributes:
        title: what people read.
        verb: for the undo text.
        values: what the slider's places mean, from left to right.
        unit: of the values.
        first: the place at the beginning.
        work: mask and value to the new mask; runs on a thread.
    """

    title: str
    verb: str
    values: tuple[float, ...]
    unit: str
    first: int
    work: Callable[[Mask, float], Mask]


def _smooth(mask: Mask, strength: float) -> Mask:
    from annotator.core.editing.regions import smoothed

    return smoothed(mask, strength)


def _without_specks(mask: Mask, smallest: float) -> Mask:
    from annotator.core.editing.regions import without_specks

    return without_specks(mask, int(smallest))


_SIZES = tuple(
    float(digit * 10**power) for power in range(5) for digit in (1, 1.5, 2, 3, 5, 7)
)  # fmt: skip

PURPOSES: Mapping[str, Purpose] = {
    "smooth": Purpose(
        "Smooth", "Smooth", tuple(round(0.5 * 1.1**n, 1) for n in range(40)), "px", 15, _smooth
    ),
    "specks": Purpose(
        "Remove pieces smaller than", "Remove specks of",
        tuple(dict.fromkeys(float(int(size)) for size in _SIZES)), "px", 8, _without_specks,
    ),
}  # fmt: skip


class MaskPopover(QFrame):
    """Enter applies, Escape leaves everything as it was.

    Args:
        canvas: shows the preview; its workspace has the objects.
    """

    def __init__(self, canvas: Canvas) -> None:
        # Not a child of the canvas: there every key is a command.
        super().__init__(canvas.window())
        self._canvas = canvas
        self._workspace = canvas.workspace
        self._purpose = PURPOSES["smooth"]
        self._queue: TaskQueue | None = None
        self._masks: dict[int, Mask] = {}
        self._shown: tuple[float, dict[int, Mask]] | None = None
        self._title = QLabel()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setMinimumWidth(180)
        self.slider.valueChanged.connect(self._preview)
        self.slider.installEventFilter(self)
        self._value = QLabel()
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._value.setMinimumWidth(self._value.fontMetrics().horizontalAdvance("70000 px "))
        self.apply_button = QPushButton("Apply")
        self.apply_button.setToolTip("Keep what is shown (Enter)")
        self.apply_button.clicked.connect(self.apply)
        cancel = QPushButton("Cancel")
        cancel.setToolTip("Leave the objects as they were (Esc)")
        cancel.clicked.connect(self.leave)
        row = QHBoxLayout(self)
        for widget in (self._title, self.slider, self._value, self.apply_button, cancel):
            row.addWidget(widget)
        self.setAutoFillBackground(True)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.hide()
        self._workspace.selection_changed.connect(lambda _: self.leave())
        self._workspace.image_shown.connect(lambda _: self.leave())
        self._workspace.project_closing.connect(self.leave)

    def open(self, purpose: str) -> None:
        """Show it for the selected masks.

        Raises:
            UserError: no mask is selected.
        """
        self.leave()
        self._masks = {a.id: a.shape for a in self._workspace.selected
                       if not a.locked and isinstance(a.shape, Mask)}  # fmt: skip
        if not self._masks:
            raise UserError("No mask is selected.", "Select an object that is no plain rectangle.")
        self._purpose = PURPOSES[purpose]
        self._queue = TaskQueue("smoothing", self)
        self._title.setText(self._purpose.title)
        self.slider.setAccessibleName(self._purpose.title)
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._purpose.values) - 1)
        self.slider.setValue(self._purpose.first)
        self.slider.blockSignals(False)
        self.adjustSize()
        above = self._canvas.mapTo(
            self.window(), QPoint((self._canvas.width() - self.width()) // 2, TOP)
        )
        self.move(max(above.x(), 0), above.y())
        self.show()
        self.raise_()
        self.slider.setFocus(Qt.FocusReason.PopupFocusReason)
        self._preview()

    @property
    def _strength(self) -> float:
        return self._purpose.values[self.slider.value()]

    def _preview(self) -> None:
        if self._queue is None:
            return
        strength, masks, work = self._strength, dict(self._masks), self._purpose.work
        self._value.setText(f"{strength:g} {self._purpose.unit}")

        def done(found: dict[int, Mask]) -> None:
            self._shown = (strength, found)
            self._canvas.show_instead(found)

        self._queue.submit(
            "preview",
            lambda: {number: work(mask, strength) for number, mask in masks.items()},
            done,
            unexpected,
        )

    def apply(self) -> None:
        """Keep what the slider says: one undo step."""
        purpose, strength, shown = self._purpose, self._strength, self._shown
        masks = self._masks
        self.leave()
        if shown is not None and shown[0] == strength:
            made = shown[1]
        else:
            made = {number: purpose.work(mask, strength) for number, mask in masks.items()}
        self._workspace.masks.replace(purpose.verb, made)

    def leave(self) -> None:
        """Close it; the objects are as they were."""
        if self._queue is None:
            return
        self._queue.close()
        self._queue.deleteLater()
        self._queue = None
        self._shown = None
        self._canvas.show_instead({})
        had_focus = self.isAncestorOf(self.window().focusWidget() or self._canvas)
        self.hide()
        if had_focus:
            self._canvas.setFocus(Qt.FocusReason.PopupFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter and Escape on the slider, before they are commands of the window."""
        if watched is self.slider and isinstance(event, QKeyEvent):
            key = event.key()
            ours = key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
            if ours and event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if ours and event.type() == QEvent.Type.KeyPress:
                self.leave() if key == Qt.Key.Key_Escape else self.apply()
                return True
        return super().eventFilter(watched, event)
