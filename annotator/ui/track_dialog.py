"""`TrackDialog`: which objects, how far, and how; the answer starts the run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from annotator.services.tracking_run import Order
from annotator.ui.labels import LevelLabel, soft_label
from models.tracking import TrackerSpec, trackers

FOUND = "found"
"""The model finds the objects."""


class TrackDialog(QDialog):
    """Does not block the window.

    Args:
        key: the image it begins in.
        following: how many images come after it in its folder or video.
        objects: how many accepted objects the image has.
        selected: ids of the selected ones of them.
        parent: the window.
    """

    ordered = Signal(object)
    """The `Order`."""
    weights_wanted = Signal()
    """The chosen way lacks its files: people want to get them."""

    def __init__(
        self,
        key: str,
        following: int,
        objects: int,
        selected: Sequence[int],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Track Through")
        self._key, self._following = key, following
        self._objects, self._selected = objects, tuple(selected)
        self._specs = trackers()
        self.objects = QComboBox(self)
        self.images = QSpinBox(self)
        self.tracker = QComboBox(self)
        self._hint = soft_label("", self)
        self._problem = LevelLabel("", "warning", self)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self.start_button = self._buttons.addButton(
            "&Track", QDialogButtonBox.ButtonRole.AcceptRole
        )
        self.get_button = self._buttons.addButton(
            "&Get It…", QDialogButtonBox.ButtonRole.ActionRole
        )
        self.get_button.setAutoDefault(False)
        self.get_button.setToolTip("Open Settings → Model, which gets files and imports yours")
        self.get_button.clicked.connect(self.weights_wanted)
        self._fill()
        self._arrange()
        self.tracker.currentIndexChanged.connect(self._check)
        self.objects.currentIndexChanged.connect(self._check)
        self._buttons.accepted.connect(self._order)
        self._buttons.rejected.connect(self.close)
        self._check()

    def _fill(self) -> None:
        if self._selected:
            count = len(self._selected)
            self.objects.addItem(f"Selected objects ({count:,})", "selected")
        self.objects.addItem(f"All accepted objects ({self._objects:,})", "all")
        if any(spec.finds for spec in self._specs.values()):
            self.objects.addItem("Whatever the model finds", FOUND)
        self.images.setRange(0, max(self._following, 0))
        self.images.setSpecialValueText(f"To the end ({self._following:,})")
        for spec in self._specs.values():
            self.tracker.addItem(spec.title, spec.id)

    def _arrange(self) -> None:
        form = QFormLayout()
        form.addRow("&Objects:", self.objects)
        form.addRow("&Images:", self.images)
        form.addRow("&With:", self.tracker)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self._hint)
        column.addWidget(self._problem)
        column.addWidget(
            soft_label(
                "It works in the background. What is found is proposed, one undo step an image; "
                "what you accepted or changed stays, and counts from there on. Where an object is "
                "unsure it stops and says so; the others go on.",
                self,
            )
        )
        column.addStretch(1)
        column.addWidget(self._buttons)
        self.setMinimumWidth(32 * self.fontMetrics().height())
        for widget, name in (
            (self.objects, "Objects"), (self.images, "Images"), (self.tracker, "With"),
        ):  # fmt: skip
            widget.setAccessibleName(name)
        self.images.setToolTip("How many images after this one; 0 means to the end")

    @property
    def spec(self) -> TrackerSpec:
        """The chosen way."""
        return self._specs[self.tracker.currentData()]

    @property
    def problem(self) -> str:
        """Why it cannot begin, or ""."""
        return self._problem.text()

    def _check(self, *_: object) -> None:
        spec, which = self.spec, self.objects.currentData()
        self._hint.setText(f"{spec.summary} {spec.caution}".strip())
        problem = spec.available() or ""
        self.get_button.setVisible(bool(problem))
        if not problem and which == FOUND and not spec.finds:
            problem = "It follows only what is marked. Choose another way, or other objects."
        if not problem and which == "all" and not self._objects:
            problem = "There is no accepted object in this image: mark one first."
        if not self._following:
            problem = "This is the last image of its folder."
        self._problem.say(problem, "warning")
        self._problem.setVisible(bool(problem))
        self.start_button.setEnabled(not problem)
        # Otherwise what has become longer would be cut off.
        self.adjustSize()

    def _order(self) -> None:
        which = self.objects.currentData()
        chosen = frozenset(self._selected) if which == "selected" else frozenset()
        order = Order(self.spec.id, self._key, chosen, self.images.value() or None, which == FOUND)
        self.close()
        self.ordered.emit(order)
