"""`ModelsPage`: every model with the files it needs: licence, size, download, check, remove."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

from PySide6.QtCore import QTimer, QUrl, Signal
from PySide6.QtGui import (
    QDesktopServices,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.services.downloads import Downloads
from annotator.services.settings import Settings, SettingsStore
from annotator.ui.labels import LevelLabel, indent, soft_label
from annotator.ui.weight_row import FileRow, Twice, make_button
from models.adapted import PREFIX, AdaptedStore
from models.api import ModelError, SegmenterSpec
from models.catalog import needs
from models.registry import split_id
from models.weights import Weight

Needs = Callable[[str], tuple[tuple[Weight, ...], ...]]


class Offer(Protocol):
    """What a card says of a model: a `SegmenterSpec`, or a model of another kind."""

    @property
    def id(self) -> str:
        """What the settings call it."""

    @property
    def title(self) -> str:
        """What people read."""

    @property
    def summary(self) -> str:
        """What it is good for."""

    @property
    def licence(self) -> str:
        """Name of its licence."""

    @property
    def available(self) -> Callable[[], str | None]:
        """Gives None when it can be used, else what is missing."""


class ModelsPage(QWidget):
    """All models and their files; every long work runs in the background.

    Args:
        settings: which model is used.
        downloads: works on the files.
        specs: the models by id.
        default: the model used when the settings name none.
        parent: Qt parent.
        needs: which files a model needs.
        field: the setting that names the model.
    """

    def __init__(
        self,
        settings: SettingsStore,
        downloads: Downloads,
        specs: Mapping[str, Offer],
        default: str,
        parent: QWidget | None = None,
        needs: Needs = needs,
        field: Literal["model", "names"] = "model",
    ) -> None:
        super().__init__(parent)
        self._field = field
        self._settings = settings
        self._downloads = downloads
        self._default = default
        self._group = QButtonGroup(self)
        self._message = LevelLabel("", "", self)
        self._message.hide()
        self._needs = needs
        self._list = QWidget(self)
        self._column = QVBoxLayout(self._list)
        self._column.setContentsMargins(0, 0, 6, 0)
        self._column.setSpacing(8)
        self._column.addStretch(1)
        self.cards: dict[str, ModelCard] = {}
        self._build()
        self.show_models(specs)
        settings.changed.connect(self._follow_settings)
        downloads.state_changed.connect(self._follow_state)
        downloads.finished.connect(self._tell_finished)
        downloads.imported.connect(self._tell_imported)
        downloads.failed.connect(self._tell_failed)

    def show_models(self, specs: Mapping[str, Offer]) -> None:
        """Show these models from now on; those that were shown before stay as they are."""
        for model_id in self.cards.keys() - specs.keys():
            card = self.cards.pop(model_id)
            self._group.removeButton(card.use)
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        for place, spec in enumerate(specs.values()):
            if spec.id not in self.cards:
                self._column.insertWidget(place, self._card(spec))
        self._follow_settings(self._settings.settings)

    def _card(self, spec: Offer) -> ModelCard:
        card = ModelCard(spec, self._needs(spec.id), self._downloads, self._list)
        self.cards[spec.id] = card
        card.chosen.connect(self._use)
        card.unwanted.connect(self._remove)
        self._group.addButton(card.use)
        for row in card.files.values():
            row.opened.connect(self._bring_into_view)
        return card

    def _build(self) -> None:
        self._area = area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(self._list)
        self.import_button = make_button("&Import file…", "import", self)
        self.import_button.setToolTip(
            "Take over a file you downloaded yourself. It is recognised by its content, copied, "
            "and stays where it is."
        )
        self.import_button.clicked.connect(self._choose_file)
        self.folder_button = make_button("Open &folder", "folder-open", self)
        self.folder_button.setToolTip(str(self._downloads.store.folder))
        self.folder_button.clicked.connect(self._open_folder)
        row = QHBoxLayout()
        row.addWidget(self.import_button)
        row.addWidget(self.folder_button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        column.addWidget(area, 1)
        column.addWidget(self._message)
        column.addLayout(row)

    @property
    def message(self) -> str:
        """What is said below the list."""
        return self._message.text() if not self._message.isHidden() else ""

    def import_file(self, file: Path) -> None:
        """Take over a local file in the background."""
        self._say(f"Reading “{file.name}”…", "")
        self._downloads.import_file(file)

    def show_device(self, model_id: str, text: str) -> None:
        """Say on which device a model really runs, and why."""
        base, _ = split_id(model_id)
        if base in self.cards:
            self.cards[base].show_device(text)

    def _bring_into_view(self, part: QWidget) -> None:
        # Its place is known when the layout has made room.
        QTimer.singleShot(0, part, lambda: self._area.ensureWidgetVisible(part, 0, 12))

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Import a model file", "", "Models (*.pth *.pt *.onnx *.zip);;All files (*)"
        )
        if name:
            self.import_file(Path(name))

    def _open_folder(self) -> None:
        folder = self._downloads.store.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._say(f"“{folder}” cannot be made: {error.strerror}.", "error")
            return
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _use(self, model_id: str) -> None:
        self._settings.update(**{self._field: model_id})

    def _chosen(self, settings: Settings) -> str:
        return str(getattr(settings, self._field)) or self._default

    def _remove(self, model_id: str) -> None:
        """Delete an adapted model."""
        store, title = AdaptedStore(), self.cards[model_id].title
        try:
            store.remove(store.find(model_id))
        except ModelError as error:
            self._say(str(error), "error")
            return
        if split_id(self._settings.settings.model)[0] == model_id:
            self._settings.update(model="")
        self.show_models({name: card.spec for name, card in self.cards.items() if name != model_id})
        self._say(f"{title} was removed.", "success")

    def _follow_settings(self, settings: Settings) -> None:
        base, side = split_id(self._chosen(settings))
        chosen = self.cards.get(base)
        if chosen is not None:
            chosen.use.setChecked(True)
            chosen.show_side(side)

    def _follow_state(self, _: str) -> None:
        chosen, _ = split_id(self._chosen(self._settings.settings))
        card = self.cards.get(chosen)
        if card is not None and chosen != self._default and card.lost:
            self._use("")
            self._say(f"{card.title} lacks its file now; the default model is used.", "info")

    def _tell_finished(self, name: str) -> None:
        ready = [card.title for card in self.cards.values() if name in card.files and card.ready]
        if ready:
            self._say(f"{ready[0]} is ready: choose it above.", "success")

    def _tell_imported(self, weight: Weight) -> None:
        self._say(f"{weight.title} was imported.", "success")

    def _tell_failed(self, name: str, error: UserError) -> None:
        if not name:
            self._say(str(error), "error")

    def _say(self, text: str, level: str) -> None:
        self._message.say(text, level)
        self._message.show()


class ModelCard(QFrame):
    """One model: whether it is used, what it is good for, and its files."""

    chosen = Signal(str)
    """Id of the model the user wants to use."""
    unwanted = Signal(str)
    """Id of an adapted model the user wants to be rid of."""

    def __init__(
        self,
        spec: Offer,
        groups: tuple[tuple[Weight, ...], ...],
        downloads: Downloads,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.spec = spec
        self.title = spec.title
        self.lost = False
        """Whether it could be used a moment ago and cannot any more."""
        self.use = QRadioButton(spec.title.replace("&", "&&"), self)
        self.use.setObjectName(f"model.{spec.id}")
        self.use.setToolTip(f"Use {spec.title}")
        font = self.use.font()
        font.setBold(True)
        self.use.setFont(font)
        self.use.clicked.connect(self._choose)
        self.side = QComboBox(self)
        sides = spec.sides if isinstance(spec, SegmenterSpec) else ()
        if isinstance(spec, SegmenterSpec):
            self.side.addItem(f"{spec.input_size} px, as in training", "")
        for side in sides:
            self.side.addItem(f"{side} px", str(side))
        self.side.setVisible(bool(sides))
        self.side.setAccessibleName(f"Size at which {spec.title} sees images")
        self.side.setToolTip(
            "A larger image gives small objects finer masks and takes much longer to prepare. "
            "Nobody has published how exact they are."
        )
        self.side.activated.connect(lambda _: self._choose() if self.use.isChecked() else None)
        self._ready = LevelLabel("", "", self)
        self._device = soft_label("", self, indented=True)
        self._device.hide()
        self.files = {
            weight.id: FileRow(weight, downloads, self) for group in groups for weight in group
        }
        self._build(groups)
        downloads.state_changed.connect(self._follow_file)
        self._show_ready()

    def _build(self, groups: tuple[tuple[Weight, ...], ...]) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 8, 10, 8)
        column.setSpacing(4)
        column.addWidget(self.use)
        column.addWidget(soft_label(self.spec.summary, self, indented=True))
        version = f"Version {self.spec.version} · " if isinstance(self.spec, SegmenterSpec) else ""
        facts = f"{version}Licence: {self.spec.licence}"
        column.addWidget(soft_label(facts, self, indented=True))
        indent(self._ready)
        column.addWidget(self._ready)
        column.addWidget(self._device)
        if self.spec.id.startswith(PREFIX):
            column.addLayout(self._removal_row())
        if self.side.count() > 1:
            column.addLayout(self._side_row())
        edge = int(1.7 * self.fontMetrics().height())
        for number, group in enumerate(groups):
            if number:
                column.addWidget(soft_label(_alternative(group), self, indented=True))
            for weight in group:
                row = self.files[weight.id]
                row.layout().setContentsMargins(edge, 0, 0, 0)  # type: ignore[union-attr]
                column.addWidget(row)

    def _removal_row(self) -> QHBoxLayout:
        remove = Twice("Remove", f"Delete {self.title}; your annotations stay", self)
        remove.setAccessibleName(f"Remove {self.title}")
        remove.confirmed.connect(lambda: self.unwanted.emit(self.spec.id))
        row = QHBoxLayout()
        row.addSpacing(int(1.7 * self.fontMetrics().height()))
        row.addWidget(remove)
        row.addStretch(1)
        return row

    def _side_row(self) -> QHBoxLayout:
        title = soft_label("Images are seen at", self)
        title.setWordWrap(False)
        title.setBuddy(self.side)
        row = QHBoxLayout()
        row.addSpacing(int(1.7 * self.fontMetrics().height()))
        row.addWidget(title)
        row.addWidget(self.side)
        row.addStretch(1)
        return row

    def _choose(self) -> None:
        side = self.side.currentData()
        self.chosen.emit(f"{self.spec.id}@{side}" if side else self.spec.id)

    def show_side(self, side: str) -> None:
        """Show the size in use, "" for that of training."""
        self.side.setCurrentIndex(max(0, self.side.findData(side)))

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return self.use.isEnabled()

    def show_device(self, text: str) -> None:
        """Say where it runs."""
        self._device.setText(text)
        self._device.setVisible(bool(text))

    def _follow_file(self, name: str) -> None:
        if name in self.files:
            self._show_ready()

    def _show_ready(self) -> None:
        missing = self.spec.available()
        self.lost = self.use.isEnabled() and missing is not None
        self.use.setEnabled(missing is None)
        self.use.setAccessibleDescription(f"{self.spec.summary} {missing or ''}".strip())
        # What is missing is what the rows below offer; without rows it must be said here.
        self._ready.say(missing or "Ready to use.", "warning" if missing else "success")

    def paintEvent(self, event: QPaintEvent) -> None:
        """A quiet card."""
        role = QPalette.ColorRole
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().color(role.Mid), 1.0))
        painter.setBrush(self.palette().color(role.Base))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 6, 6)


def _alternative(group: tuple[Weight, ...]) -> str:
    return "or instead, together:" if len(group) > 1 else "or instead:"
