"""“Label This Image” and “Find All” in the window: commands, a small dialog, progress, costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from annotator.core.durations import duration
from annotator.core.errors import UserError
from annotator.services.image_labelling import ImageLabelling, Labelled, Progress, told, wanted
from annotator.ui.labels import soft_label
from annotator.ui.work_field import WorkField

if TYPE_CHECKING:
    from annotator.core.annotation import Category
    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.message_bar import MessageBar
    from models.labelling import LabellerSpec, Name

NOTE = "labeller"
"""Of the project: id of the model that labels images."""
KEY = "labelling"
"""Of the messages about costs and about what is missing."""
SLOW_S = 10.0
"""An image that takes longer is worth a word about the folder."""


class ImageLabels(QObject):
    """Makes the service and the field, and knows what to say before and after.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        messages: where is told what it costs.
        window: parent of the dialog.
    """

    settings_wanted = Signal(str)
    """The page of the settings with this name shall be seen."""
    folder_wanted = Signal()
    """All images shall be labelled."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, messages: MessageBar, window: QWidget
    ) -> None:
        super().__init__(window)
        self._workspace, self._messages, self._window = workspace, messages, window
        self._agreed: set[str] = set()
        self._told: set[str] = set()
        self.labelling = ImageLabelling(workspace, settings, self)
        self.field = LabellingField(self.labelling)
        self.labelling.failed.connect(workspace.reported)
        self.labelling.finished.connect(self._tell)
        workspace.project_closing.connect(lambda: messages.dismiss(KEY))

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Command id to function."""
        return {"image.label": self.label, "image.find_all": self.ask}

    @property
    def running(self) -> bool:
        """Whether an image is being labelled."""
        return self.labelling.running

    def stop(self) -> None:
        """What Esc means while an image is being labelled."""
        self.labelling.stop()

    def close(self) -> None:
        """End the thread."""
        self.labelling.close()

    def label(self) -> None:
        """Look for all classes of the project, after a word about what it takes.

        Raises:
            UserError: there is no image, or no class.
        """
        from annotator.core.prelabel.instances import vocabulary

        names = vocabulary(self._document().categories())
        if not names:
            raise UserError(
                "There are no classes to look for.",
                "Add some (Ctrl+Shift+L), or look for a single name (Find All, Ctrl+Shift+A).",
            )
        if (spec := self._spec()) is not None:
            self._begin(spec, names)

    def ask(self) -> FindDialog | None:
        """Ask for a name; the answer starts the search.

        Raises:
            UserError: there is no image.
        """
        document = self._document()
        spec = self._spec()
        if spec is None:
            return None
        dialog = FindDialog(
            document.categories(), usable(), spec.id, self.labelling.seconds, self._window
        )
        dialog.ordered.connect(lambda name, model: self._find(document, name, model))
        self._workspace.project_closing.connect(dialog.close)
        dialog.show()
        return dialog

    def _document(self) -> Document:
        document = self._workspace.document
        if document is None:
            raise UserError("No project is open.", "Open a folder first.")
        return document

    def _spec(self) -> LabellerSpec | None:
        """The model chosen last, else the first there is; None: people were told what to get."""
        there = usable()
        if not there:
            self._refuse()
            return None
        chosen = self._document().note(NOTE)
        return next((spec for spec in there if spec.id == chosen), there[0])

    def _refuse(self) -> None:
        from models.labelling import labellers

        lacking = (spec.available() for spec in labellers().values() if spec.takes_names)
        first = next((reason for reason in lacking if reason), "")
        self._messages.show_message(
            "No model that labels images by itself is on this computer.",
            first,
            level="warning",
            actions=[("Get It…", lambda: self.settings_wanted.emit("Model"))],
            key=KEY,
        )

    def _find(self, document: Document, text: str, model: str) -> None:
        if document is not self._workspace.document:
            return
        spec = next(spec for spec in usable() if spec.id == model)
        document.set_note(NOTE, model)
        self._agreed.add(model)  # the dialog said what it takes
        try:
            if not text.strip():
                self.label()
                return
            name = wanted(text, document.categories())
            self._start(spec, (name,), name.name)
        except UserError as error:
            self._workspace.reported.emit(error)

    def _begin(self, spec: LabellerSpec, names: Sequence[Name]) -> None:
        if not spec.effort or spec.id in self._agreed:
            self._start(spec, names)
            return

        def go_on() -> None:
            self._agreed.add(spec.id)
            self._messages.dismiss(KEY)
            try:
                self.label()
            except UserError as error:
                self._workspace.reported.emit(error)

        self._messages.show_message(
            f"{spec.title}: {spec.effort[0].lower()}{spec.effort[1:]}.",
            "It works in the background while you go on; Esc stops it.",
            actions=[("Label This Image", go_on), ("Choose Another Model…", self._choose)],
            key=KEY,
        ).set_fade_after(60_000)

    def _choose(self) -> None:
        self.ask()

    def _start(self, spec: LabellerSpec, names: Sequence[Name], only: str = "") -> None:
        self.labelling.start(spec, names, only)
        self._messages.dismiss(KEY)

    def _tell(self, done: Labelled) -> None:
        text = told(done)
        here = done.key == self._workspace.key
        self._workspace.noticed.emit(text if here else f"{done.key}: {text}")
        if done.seconds < SLOW_S or done.model in self._told:
            return
        self._told.add(done.model)
        count = len(self._document().keys())
        whole = f", {duration(count * done.seconds)} for all {count:,}" if count > 1 else ""
        self._messages.show_message(
            f"{duration(done.seconds).capitalize()} an image{whole}. {done.device}",
            "A graphics card is many times faster. A folder is done in the background, and goes "
            "on where it was stopped.",
            actions=[("Label the Folder…", self.folder_wanted.emit)] if count > 1 else [],
            key=KEY,
        )


class LabellingField(WorkField):
    """Shown while an image is being labelled.

    Args:
        labelling: does it.
        parent: Qt parent.
    """

    def __init__(self, labelling: ImageLabelling, parent: QWidget | None = None) -> None:
        super().__init__("labelling the image", labelling.stop, "Stop labelling (Esc)", parent)
        labelling.running_changed.connect(self.setVisible)
        labelling.progressed.connect(self._show)

    def _show(self, progress: Progress) -> None:
        left = f" {duration(progress.left)} left" if progress.left is not None else ""
        part = f" ({progress.part})" if progress.part else " (loading the model)"
        tip = f"{progress.key}{part}. Go on working. {progress.device}".strip()
        self.tell(f"Labelling…{left}", tip, progress.share)


class FindDialog(QDialog):
    """Which name, and which model. Does not block the window.

    Args:
        categories: of the project, offered while typing.
        specs: the models there are, at least one.
        chosen: id of the model in use.
        seconds: how long a model took for an image here, None before the first one.
        parent: the window.
    """

    ordered = Signal(str, str)
    """What was typed, and id of the model."""

    def __init__(
        self,
        categories: Sequence[Category],
        specs: Sequence[LabellerSpec],
        chosen: str,
        seconds: Callable[[str], float | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Find All in This Image")
        self._specs, self._seconds = {spec.id: spec for spec in specs}, seconds
        self.name = QLineEdit(self)
        self._has_classes = bool(categories)
        self.name.setPlaceholderText("All classes" if categories else "dog, puppy")
        self.name.setAccessibleName("Name")
        self.name.setToolTip(
            "A name, kinds and synonyms of it after commas; nothing for all classes of the "
            "project; “~” before what cannot be counted: ~sky. Descriptions like “the red car on "
            "the left” are not understood."
        )
        completer = QCompleter([category.name for category in categories], self.name)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.name.setCompleter(completer)
        self.model = QComboBox(self)
        self.model.setAccessibleName("Model")
        for spec in specs:
            self.model.addItem(spec.title, spec.id)
        self.model.setCurrentIndex(max(self.model.findData(chosen), 0))
        self.cost = soft_label("", self)
        self._arrange()
        self.name.textChanged.connect(self._check)
        self.model.currentIndexChanged.connect(self._check)
        self._check()
        self.name.setFocus()

    def _arrange(self) -> None:
        form = QFormLayout()
        form.addRow("&Name:", self.name)
        form.addRow("&Model:", self.model)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self.find_button = buttons.addButton("&Find All", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self._order)
        buttons.rejected.connect(self.close)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.cost)
        column.addStretch(1)
        column.addWidget(buttons)
        self.setMinimumWidth(26 * self.fontMetrics().height())

    def _check(self, *_: object) -> None:
        text = self.name.text().strip()
        usable_text = bool(text.strip(" ,~#")) or (not text and self._has_classes)
        self.find_button.setEnabled(usable_text)
        spec = self._specs[self.model.currentData()]
        seconds = self._seconds(spec.id)
        takes = f"{spec.effort}." if spec.effort else ""
        if seconds is not None:
            takes = f"The last image took {duration(seconds)}."
        self.cost.setText(f"{spec.summary} {takes}".strip())

    def _order(self) -> None:
        text, model = self.name.text(), self.model.currentData()
        self.close()
        self.ordered.emit(text, model)


def usable() -> tuple[LabellerSpec, ...]:
    """The models that look for any names and can run now."""
    from models.labelling import labellers

    every = (spec for spec in labellers().values() if spec.takes_names)
    return tuple(spec for spec in every if spec.available() is None)
