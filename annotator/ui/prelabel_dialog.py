"""`PrelabelDialog`: which images, what is asked, which model; the answer starts the run."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QGroupBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from annotator.core.prelabel.joining import SCOPES, in_scope
from annotator.services.prelabel_sources import KINDS, SourceKind, names_options, problem_of
from annotator.services.run_preparing import Order
from annotator.services.slices import Slices
from annotator.ui.labels import LevelLabel, soft_label
from annotator.ui.option_form import OptionForm
from models.registry import segmenters

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.settings import Settings

NOTE = "prelabel options"
"""What was chosen last in this project."""
AT_ONCE = 500
"""Images looked at before the clock is."""
CONDITIONS = {
    "all": "All of them",
    "untouched": "Only untouched ones",
    "empty": "Only those without accepted objects",
}
"""`SCOPES` in words."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the image list has to offer.

    Attributes:
        shown: keys of the rows that pass its filter.
        selected: keys of the chosen rows.
    """

    shown: Sequence[str]
    selected: Sequence[str]


class _Chosen(QObject):
    """The images that are meant, gathered in slices: a folder may have 100,000.

    Args:
        document: the project.
        parent: Qt parent.
    """

    changed = Signal()
    """There are more, or all are known."""

    def __init__(self, document: Document, parent: QObject) -> None:
        super().__init__(parent)
        self._document = document
        self._slices = Slices(self)
        self.keys: list[str] = []

    @property
    def known(self) -> bool:
        """Whether these are all."""
        return not self._slices.running

    def gather(self, keys: Sequence[str], scope: str) -> None:
        """Find those within a scope; a few thousand at once."""
        self.keys = []
        self._slices.start(self._gathering(tuple(keys), scope), lambda _: self.changed.emit())
        if not self.known:
            self.changed.emit()

    def _gathering(self, keys: Sequence[str], scope: str) -> Generator[None, None, None]:
        document, found = self._document, self.keys
        for first in range(0, len(keys), AT_ONCE):
            found += [key for key in keys[first : first + AT_ONCE]
                      if in_scope(document.record(key), scope)]  # fmt: skip
            yield


class PrelabelDialog(QDialog):
    """Does not block the window. What was chosen is remembered with the project.

    Args:
        document: the project.
        listed: rows of the image list.
        settings: the user's preferences, where nothing was chosen before.
        model: id of the model in use.
        parent: the window.
    """

    ordered = Signal(object, object)
    """The `Order`, and the keys of the images."""
    compared = Signal(object, object)
    """The same, but nothing shall be written."""

    def __init__(
        self,
        document: Document,
        listed: Listed,
        settings: Settings,
        model: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Pre-label Folder")
        self._document = document
        self._settings = settings
        note = document.note(NOTE)
        self._before: dict[str, Any] = note if isinstance(note, dict) else {}
        self._sets: dict[str, Sequence[str]] = {"all": document.keys(), "shown": listed.shown}
        if len(listed.selected) > 1:
            self._sets["selected"] = listed.selected
        self.images = QComboBox(self)
        self.condition = QComboBox(self)
        self.source = QComboBox(self)
        self.model = QComboBox(self)
        self.compare = QCheckBox("Onl&y compare with what you accepted; write nothing", self)
        self._chosen = _Chosen(document, self)
        self._forms: dict[str, OptionForm] = {}
        self._which = QFormLayout()
        self._pages = QStackedWidget(self)
        self._problem = LevelLabel("", "warning", self)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self.start_button = self._buttons.addButton(
            "&Pre-label", QDialogButtonBox.ButtonRole.AcceptRole
        )
        self._fill(model)
        self._arrange()
        self._connect()
        self._gather()
        self._check()

    def _fill(self, model: str) -> None:
        titles = {"all": "All images", "shown": "Images listed now", "selected": "Selected images"}
        for name, keys in self._sets.items():
            self.images.addItem(f"{titles[name]} ({len(keys):,})", name)
        preferred = "selected" if "selected" in self._sets else self._before.get("images", "all")
        self.images.setCurrentIndex(max(self.images.findData(preferred), 0))
        for scope in SCOPES:
            self.condition.addItem(CONDITIONS[scope], scope)
        self.condition.setCurrentIndex(
            max(self.condition.findData(self._before.get("condition", "untouched")), 0)
        )
        for kind in KINDS:
            self.source.addItem(kind.title, kind.id)
            page = QWidget(self._pages)
            QVBoxLayout(page).setContentsMargins(0, 0, 0, 0)
            self._pages.addWidget(page)
        self.source.setCurrentIndex(max(self.source.findData(self._before.get("source")), 0))
        self._turn()
        for spec in segmenters().values():
            if spec.available() is None:
                self.model.addItem(spec.title, spec.id)
        if self.model.findData(model) < 0:
            self.model.addItem(model, model)
        self.model.setCurrentIndex(self.model.findData(model))

    def _turn(self, *_: object) -> None:
        """Show the options of the source; they are made when they are first wanted."""
        place = self.source.currentIndex()
        self.form(KINDS[place].id)
        self._pages.setCurrentIndex(place)

    def form(self, source_id: str) -> OptionForm:
        """The options of a source."""
        if source_id not in self._forms:
            place = self.source.findData(source_id)
            page = self._pages.widget(place)
            assert page is not None, "there is one for each source"
            self._forms[source_id] = self._made(KINDS[place], page)
        return self._forms[source_id]

    def _made(self, kind: SourceKind, page: QWidget) -> OptionForm:
        column = page.layout()
        assert isinstance(column, QVBoxLayout)
        column.addWidget(soft_label(kind.hint, page))
        values = self._before.get("values", {}).get(kind.id, {})
        names = names_options() if kind.can_name else ()
        form = OptionForm((*kind.options(self._settings), *names), values, page)
        form.changed.connect(self._check)
        column.addWidget(form)
        if note := kind.note():
            column.addWidget(soft_label(note, page))
        column.addStretch(1)
        return form

    def _arrange(self) -> None:
        column = QVBoxLayout(self)
        which = self._which
        which.addRow("&Images:", self.images)
        which.addRow("O&f these:", self.condition)
        which.addRow("&Ask for:", self.source)
        which.addRow("&Model:", self.model)
        column.addLayout(which)
        box = QGroupBox(self)
        inner = QVBoxLayout(box)
        inner.addWidget(self._pages)
        column.addWidget(box)
        column.addWidget(self.compare)
        column.addWidget(self._problem)
        column.addWidget(
            soft_label(
                "It works in the background: go on annotating, your clicks come first. What is "
                "found is proposed, one undo step an image; what you accepted is not changed.",
                self,
            )
        )
        column.addStretch(1)
        column.addWidget(self._buttons)
        self.setMinimumWidth(34 * self.fontMetrics().height())
        for widget, name in (
            (self.images, "Images"), (self.condition, "Of these images"),
            (self.model, "Model"), (self.source, "Ask for"),
        ):  # fmt: skip
            widget.setAccessibleName(name)
        self.compare.setToolTip(
            "Lists what the run would add, change or miss of your objects; nothing is proposed"
        )
        self.condition.setToolTip(
            "Untouched: nobody reviewed it, and it has neither objects nor proposals."
        )

    def _connect(self) -> None:
        self.source.currentIndexChanged.connect(self._turn)
        self.source.currentIndexChanged.connect(self._check)
        self.compare.toggled.connect(self._check)
        for box in (self.images, self.condition):
            box.currentIndexChanged.connect(self._gather)
        self._chosen.changed.connect(self._check)
        self._buttons.accepted.connect(self._order)
        self._buttons.rejected.connect(self.close)

    @property
    def keys(self) -> Sequence[str]:
        """The images that are meant, in their order, as far as they are known yet."""
        return self._chosen.keys

    def _gather(self, *_: object) -> None:
        self._chosen.gather(self._sets[self.images.currentData()], self.condition.currentData())

    @property
    def problem(self) -> str:
        """Why it cannot begin, or ""."""
        return self._problem.text()

    def _check(self, *_: object) -> None:
        kind, count = KINDS[self.source.currentIndex()], len(self.keys)
        self._which.setRowVisible(self.model, kind.asks_model)
        problem = problem_of(kind, self._forms[kind.id].values, self._settings)
        if not count and self._chosen.known:
            problem = "There is no such image."
        self._problem.say(problem, "warning")
        self._problem.setVisible(bool(problem))
        self.start_button.setEnabled(not problem and self._chosen.known)
        verb = "Com&pare" if self.compare.isChecked() else "&Pre-label"
        noun = "Image" if count == 1 else "Images"
        self.start_button.setText(f"{verb} {count:,} {noun}" if count else verb)

    def _order(self) -> None:
        keys, source = self.keys, self.source.currentData()
        order = Order(source, self._forms[source].values, self.model.currentData())
        self._document.set_note(NOTE, self._choices())
        ordered = self.compared if self.compare.isChecked() else self.ordered
        self.close()
        ordered.emit(order, keys)

    def _choices(self) -> Mapping[str, Any]:
        images = self.images.currentData()
        return {
            "images": images if images != "selected" else "all",
            "condition": self.condition.currentData(),
            "source": self.source.currentData(),
            "values": {
                **self._before.get("values", {}),
                **{name: form.values for name, form in self._forms.items()},
            },
        }
