"""`ExportDialog`: the accepted objects of the project in a format for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.core.files import free_name
from annotator.services.export_run import ExportRun
from annotator.ui.fields import choices, label_for, named
from annotator.ui.labels import soft_label

if TYPE_CHECKING:
    from annotator.core.formats.api import FormatSpec
    from annotator.core.formats.exporting import ExportOptions, Report
    from annotator.services.document import Document
    from annotator.services.workspace import Workspace


IMAGES = (
    ("leave", "Leave where they are"),
    ("copy", "Copy"),
    ("link", "Hard links (no extra space)"),
    ("symlink", "Symbolic links"),
)
SCOPES = (("all", "All"), ("annotated", "With objects"), ("reviewed", "Reviewed"))
LISTED = "listed"
"""The scope of the images the image list shows."""
GROUPS = (
    ("", "Image by image"),
    ("folder", "Folders stay together"),
    ("sequence", "Sequences stay together"),
)
NOTE = "export"
"""The project's note with what was chosen last."""


def open_export(
    workspace: Workspace, window: QWidget, listed: Sequence[str] = ()
) -> ExportDialog | None:
    """Show the dialog for the open project; None where none is open."""
    if workspace.document is None:
        return None
    dialog = ExportDialog(workspace.document, window, listed)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()
    return dialog


class ExportDialog(QDialog):
    """Asks what and where, shows how far it is, and says in the end what could not be kept.

    Args:
        document: the project.
        parent: the window.
        listed: keys of the images the image list shows; offered where those are not all.
    """

    def __init__(
        self, document: Document, parent: QWidget | None = None, listed: Sequence[str] = ()
    ) -> None:
        super().__init__(parent)
        self._listed = frozenset(listed)
        from annotator.core.formats.registry import writers

        self._document = document
        self._specs = writers()
        self._run: ExportRun | None = None
        self._out: Path | None = None
        self._suggested = ""
        self.setWindowTitle("Export")
        self._make_fields()
        self._lay_out()
        self._restore()
        self._explain()

    def _make_fields(self) -> None:
        self.format = named(QComboBox(self), "Format")
        for spec in self._specs.values():
            self.format.addItem(spec.title, spec.id)
        self.format.setMaxVisibleItems(24)
        self.about = soft_label("", self)
        self.about.setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.images = choices(IMAGES, "Image files", self)
        self.scope = choices(SCOPES, "Which images", self)
        if 0 < len(self._listed) < len(self._document.keys()):
            self.scope.addItem(f"Listed now ({len(self._listed):,})", LISTED)
        self.with_rejected = QCheckBox("Also what was rejected", self)
        self.with_rejected.setToolTip(
            "Images and objects that a person rejected are left out otherwise"
        )
        self.upright = QCheckBox("Corrected copies of images that EXIF turns", self)
        self.upright.setToolTip("Readers that ignore EXIF see them turned. Originals stay.")
        self.split = QCheckBox("Divide", self)
        self.ratios = named(QLineEdit("80/10/10", self), "Ratios")
        self.ratios.setToolTip("Training, validation and test, in any unit")
        self.seed = named(QSpinBox(self), "Seed")
        self.seed.setMaximum(999_999)
        self.seed.setPrefix("seed ")
        self.seed.setToolTip("Another number gives another division")
        self.group = choices(GROUPS, "Groups", self)
        self.stratify = QCheckBox("Every class in the same ratio", self)
        self.stratify.setChecked(True)
        self.place = named(QLineEdit(self), "Folder of the export")
        self.browse = QPushButton("Choose…", self)
        self.progress = QProgressBar(self)
        self.progress.hide()
        self.report = QLabel(self)
        self.report.setWordWrap(True)
        self.report.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.report.hide()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("&Format:", self.format)
        form.addRow("", self.about)
        form.addRow("&Images:", self.scope)
        form.addRow("", self.with_rejected)
        form.addRow("Image fi&les:", self.images)
        form.addRow("", self.upright)
        parts = QHBoxLayout()
        for widget in (self.split, self.ratios, self.seed):
            parts.addWidget(widget)
        form.addRow(label_for("&Train/val/test:", self.split), parts)
        form.addRow("", self.group)
        form.addRow("", self.stratify)
        place = QHBoxLayout()
        place.addWidget(self.place, 1)
        place.addWidget(self.browse)
        form.addRow(label_for("Fol&der:", self.place), place)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self.start = self.buttons.addButton("Export", QDialogButtonBox.ButtonRole.AcceptRole)
        self.start.setDefault(True)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addWidget(self.report)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(72 * self.fontMetrics().averageCharWidth())
        self.format.currentIndexChanged.connect(self._explain)
        self.split.toggled.connect(self._explain)
        self.images.currentIndexChanged.connect(self._explain)
        self.browse.clicked.connect(self._choose)
        self.start.clicked.connect(self.export)
        self.buttons.rejected.connect(self.reject)

    # --- What is chosen ---

    def spec(self) -> FormatSpec:
        """The chosen format."""
        return self._specs[self.format.currentData()]

    def options(self) -> ExportOptions:
        """The rest.

        Raises:
            UserError: the ratios make no sense.
        """
        from annotator.core.formats.exporting import ExportOptions
        from annotator.core.formats.splits import Splits, parse_ratios

        splits = None
        if self.split.isChecked():
            ratios = parse_ratios(self.ratios.text())
            group, stratify = self.group.currentData(), self.stratify.isChecked()
            splits = Splits(ratios, self.seed.value(), stratify, group)
        upright = self.upright.isChecked() and self.upright.isEnabled()
        images = self.images.currentData()
        scope = self.scope.currentData()
        keys = self._listed if scope == LISTED else None
        scope = "all" if scope == LISTED else scope
        return ExportOptions(
            images, upright, splits, False, scope, keys, self.with_rejected.isChecked()
        )

    @Slot()
    def _explain(self) -> None:
        self.about.setText(self.spec().about)
        for widget in (self.ratios, self.seed, self.group, self.stratify):
            widget.setEnabled(self.split.isChecked())
        self.upright.setEnabled(self.images.currentData() != "leave")
        if self.place.text() == self._suggested or not self.place.text():
            folder = self._document.folder
            self._suggested = str(free_name(folder.parent / f"{folder.name} {self.spec().id}"))
            self.place.setText(self._suggested)

    @Slot()
    def _choose(self) -> None:
        start = str(Path(self.place.text() or ".").parent)
        folder = QFileDialog.getExistingDirectory(self, "Folder of the export", start)
        if folder:
            path = Path(folder)
            inside = path / f"{self._document.folder.name} {self.spec().id}"
            self.place.setText(str(path if not any(path.iterdir()) else free_name(inside)))

    def _restore(self) -> None:
        past = self._document.note(NOTE)
        if not isinstance(past, dict):
            return
        for name, combo in self._combos().items():
            place = combo.findData(past.get(name))
            if place >= 0:
                combo.setCurrentIndex(place)
        for name, box in self._boxes().items():
            box.setChecked(past.get(name) is True)
        self.ratios.setText(str(past.get("ratios", self.ratios.text())))

    def _remember(self) -> None:
        value: dict[str, object] = {n: c.currentData() for n, c in self._combos().items()}
        value |= {name: box.isChecked() for name, box in self._boxes().items()}
        self._document.set_note(NOTE, value | {"ratios": self.ratios.text()})

    def _combos(self) -> dict[str, QComboBox]:
        return {"format": self.format, "images": self.images, "scope": self.scope,
                "group": self.group}  # fmt: skip

    def _boxes(self) -> dict[str, QCheckBox]:
        return {"upright": self.upright, "split": self.split, "stratify": self.stratify,
                "with rejected": self.with_rejected}  # fmt: skip

    # --- The work ---

    @Slot()
    def export(self) -> None:
        """Do it, or open what was exported."""
        if self._out is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._out)))
            return
        try:
            options = self.options()
            if not self.place.text().strip():
                raise UserError("The export needs a folder.", "Choose one.")
        except UserError as error:
            self._show(str(error))
            return
        self._remember()
        self._set_busy(True)
        self._run = ExportRun(self._document, self)
        self._run.advanced.connect(self._advance)
        self._run.finished.connect(self._finish)
        self._run.failed.connect(self._fail)
        self._run.stopped.connect(self._end)
        self._run.start(self.spec(), Path(self.place.text().strip()).expanduser(), options)

    def reject(self) -> None:
        """Stop a running export; otherwise close."""
        if self._run is not None:
            self._run.stop()
        else:
            super().reject()

    @Slot(int, int)
    def _advance(self, done: int, count: int) -> None:
        self.progress.setRange(0, count)
        self.progress.setValue(done)

    @Slot(object)
    def _finish(self, report: Report) -> None:
        self._end()
        self._out = Path(self.place.text().strip()).expanduser()
        self._show("\n".join(report.sentences()))
        self.start.setText("Show Folder")
        cancel = self.buttons.button(QDialogButtonBox.StandardButton.Cancel)
        cancel.setText("Close")
        cancel.setFocus()

    @Slot(object)
    def _fail(self, error: UserError) -> None:
        self._end()
        self._show(str(error))

    @Slot()
    def _end(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run.deleteLater()
            self._run = None
        self._set_busy(False)

    def _show(self, text: str) -> None:
        self.report.setText(text)
        self.report.show()
        self.adjustSize()

    def _set_busy(self, busy: bool) -> None:
        self.progress.setRange(0, 0)
        self.progress.setVisible(busy)
        self.start.setEnabled(not busy)
        if busy:
            self.report.hide()
