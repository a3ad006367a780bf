"""Adapting a model to the open project: what it will do, how far it is, what came of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.durations import duration
from annotator.core.errors import UserError
from annotator.services.adaptation import Adaptation, Order, Outcome, Progress
from annotator.ui.labels import LevelLabel, soft_label
from annotator.ui.work_field import WorkField
from models.adapted import MEASURED, MIN_IMAGES, MIN_OBJECTS, ORIGINAL, Parts, can_adapt
from models.registry import segmenter_spec

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.message_bar import MessageBar

RESULT = "adaptation"
"""Key of the message about what came of it."""
READING_MS = 600_000
FLUSH_S = 2.0
CHOICES: tuple[tuple[Parts, str, str, float], ...] = (
    ("decoder", "The &decoder", "Quick, and enough for most.", 600.0),
    (
        "decoder+last",
        "The decoder and the &last stages of the encoder",
        "For images that look unlike photographs: microscopy, scans, drawings.",
        800.0,
    ),
)
"""What is trained: value, text, explanation, seconds on one core."""


class AdaptDialog(QDialog):
    """Says what will be done and about how long it takes; it does not block the window.

    Args:
        document: the project.
        model: id of the model in use.
        parent: the window.
    """

    ordered = Signal(object)
    """The `Order` to carry out."""

    def __init__(self, document: Document, model: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Adapt the model to this project")
        self._document = document
        self._origin = model if can_adapt(model) else ORIGINAL
        self.name = QLineEdit(document.folder.name, self)
        self.name.setAccessibleName("What the model is adapted to")
        self._parts = QButtonGroup(self)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self.adapt_button = self._buttons.addButton(
            "&Adapt", QDialogButtonBox.ButtonRole.AcceptRole
        )
        self._buttons.accepted.connect(self._order)
        self._buttons.rejected.connect(self.close)
        self._time = QLabel(self)
        self._build()
        self.name.textChanged.connect(self._check)
        self._parts.idToggled.connect(self._show_time)
        self._show_time()
        self._check()

    def _build(self) -> None:
        records = [self._document.record(key) for key in self._document.keys()]  # noqa: SIM118
        images = sum(record.count > 0 for record in records)
        objects = sum(record.count for record in records)
        title = segmenter_spec(self._origin).title
        column = QVBoxLayout(self)
        text = QLabel(
            f"{title} is trained further on the {objects} accepted objects in {images} images of "
            "this project. About a quarter of the images is set aside; the adapted model is "
            "offered beside the original if it answers better about those.",
            self,
        )
        text.setWordWrap(True)
        column.addWidget(text)
        form = QFormLayout()
        form.addRow("Adapted &to:", self.name)
        column.addLayout(form)
        column.addWidget(QLabel("What is trained:", self))
        for number, (_, label, explanation, _) in enumerate(CHOICES):
            button = QRadioButton(label, self)
            button.setAccessibleDescription(explanation)
            button.setChecked(not number)
            self._parts.addButton(button, number)
            column.addWidget(button)
            column.addWidget(soft_label(explanation, self, indented=True))
        column.addSpacing(self.fontMetrics().height() // 2)
        column.addWidget(self._time)
        column.addWidget(
            soft_label(
                "It works in the background at low priority: go on annotating. Objects accepted "
                "from now on are not used, and your images are not changed.",
                self,
            )
        )
        self._problem = LevelLabel(_problem(self._origin, images, objects), "warning", self)
        self._problem.setVisible(bool(self._problem.text()))
        column.addWidget(self._problem)
        column.addStretch(1)
        column.addWidget(self._buttons)
        self.setMinimumWidth(34 * self.fontMetrics().height())

    @property
    def problem(self) -> str:
        """Why it cannot be done, or ""."""
        return self._problem.text()

    def _show_time(self, *_: object) -> None:
        seconds = CHOICES[self._parts.checkedId()][3]
        # One core is left to the window; more than six hardly help.
        threads = min(max((os.cpu_count() or 1) - 1, 1), 6)
        self._time.setText(f"This takes {duration(seconds / threads**0.7)}, often less.")

    def _check(self) -> None:
        self.adapt_button.setEnabled(not self.problem and bool(self.name.text().strip()))

    def _order(self) -> None:
        document = self._document
        self.ordered.emit(
            Order(
                document.folder,
                document.project_dir,
                " ".join(self.name.text().split()),
                self._origin,
                CHOICES[self._parts.checkedId()][0],
            )
        )
        self.close()


def _problem(origin: str, images: int, objects: int) -> str:
    """Why it cannot be done, as far as that can be said without looking closely."""
    if not can_adapt(origin):
        return "Loupe’s files are missing from this installation: install Annotator again."
    if objects < MIN_OBJECTS or images < MIN_IMAGES:
        return (
            f"At least {MIN_OBJECTS} accepted masks in {MIN_IMAGES} images are needed: some "
            "teach, the others show whether it helps."
        )
    return ""


class AdaptingField(WorkField):
    """Shown while a model is being adapted.

    Args:
        adaptation: does it.
        parent: Qt parent.
    """

    def __init__(self, adaptation: Adaptation, parent: QWidget | None = None) -> None:
        super().__init__("adapting the model", adaptation.stop, "Stop adapting", parent)
        self._adaptation = adaptation
        adaptation.running_changed.connect(self.setVisible)
        adaptation.progressed.connect(self._show_progress)

    def _show_progress(self, progress: Progress) -> None:
        order = self._adaptation.order
        name = order.name if order else ""
        left = progress.seconds_left
        rest = f", {duration(left)} left" if left is not None else ""
        tip = f"{progress.doing}{rest}. The model is being adapted to {name}; go on working."
        self.tell(f"Adapting… {progress.share:.0%}{rest}", tip, progress.share)


class Adapting(QObject):
    """The command, its progress and its result in a window.

    Args:
        workspace: what is open.
        settings: where the new model can be chosen.
        messages: where the result is told.
        window: parent of the dialog.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: SettingsStore,
        messages: MessageBar,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self.adaptation = Adaptation(self)
        self.field = AdaptingField(self.adaptation)
        self._workspace, self._settings = workspace, settings
        self._messages, self._window = messages, window
        self.adaptation.finished.connect(self._tell)

    def ask(self) -> AdaptDialog:
        """Ask what to do; the answer starts it.

        Raises:
            UserError: a model is being adapted already, or nothing is open.
        """
        order, document = self.adaptation.order, self._workspace.document
        if order is not None:
            raise UserError(
                f"A model is being adapted to {order.name} already.",
                "Its progress is in the status bar; it can be stopped there.",
            )
        if document is None:
            raise UserError("No project is open.", "Open a folder first.")
        for old in self._window.findChildren(AdaptDialog):
            old.close()
        dialog = AdaptDialog(document, self._workspace.assistant.model.id, self._window)

        def start(order: Order) -> None:
            # What was accepted a moment ago is to be read by the child.
            document.flush(FLUSH_S)
            self.adaptation.start(order)

        dialog.ordered.connect(start)
        self._workspace.project_closing.connect(dialog.close)
        dialog.show()
        return dialog

    def close(self) -> None:
        """End what runs; nothing of it is kept."""
        self.adaptation.close()

    def _tell(self, outcome: Outcome) -> None:
        """Say what came of it, and offer the model."""
        from annotator.ui.settings_dialog import SettingsDialog

        for dialog in self._window.findChildren(SettingsDialog):
            dialog.show_models()
        show, name = self._messages.show_message, outcome.order.name
        if outcome.kind == "adapted":
            banner = show(
                f"“{outcome.title}” is ready.",
                f"{_numbers(outcome)} You find it in Settings, Model.",
                level="success",
                actions=[("Use it now", lambda: self._settings.update(model=outcome.model))],
                key=RESULT,
            )
            banner.set_fade_after(READING_MS)
        elif outcome.kind == "refused":
            text = f"The model was not adapted to {name}."
            show(text, outcome.reason, level="warning", key=RESULT)
        elif outcome.kind == "failed":
            text = f"The model could not be adapted to {name}."
            show(text, outcome.reason, level="error", key=RESULT)
        else:
            show(f"Adapting to {name} was stopped.", "Nothing was kept.", key=RESULT)


def _numbers(outcome: Outcome) -> str:
    """Before and after in a sentence."""
    numbers = ", ".join(
        f"{step} {outcome.before[step]:.2f} → {outcome.after[step]:.2f}" for step in MEASURED
    )
    text = f"Mean IoU on {outcome.objects} objects it did not learn from: {numbers}."
    if outcome.problems:
        text += f" Left out: {' '.join(outcome.problems[:2])}"
    return text
