"""`ImportDialog`: objects of other tools join the project; what would happen is shown first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from annotator.services.import_run import ImportRun
from annotator.ui.class_table import ClassTable
from annotator.ui.fields import choices, label_for, named

if TYPE_CHECKING:
    from annotator.core.errors import UserError
    from annotator.core.formats.api import Content
    from annotator.core.formats.merging import MergeRules
    from annotator.services.document import Document
    from annotator.services.importing import Import
    from annotator.services.workspace import Workspace

OVERLAPS = (
    ("keep", "keep the one that is there"),
    ("replace", "replace the one that is there"),
    ("add", "add it all the same"),
)
SAME_IDS = (
    ("add", "add it under a new id"),
    ("keep", "keep the one that is there"),
    ("replace", "replace the one that is there"),
)
LABELS = (".json", ".jsonl", ".xml", ".yaml", ".yml", ".txt")
FIND_OUT = "Find out"
SETTLED_MS = 250
"""After this pause, what was changed is worth looking at the file again."""


def takes(path: Path) -> bool:
    """Whether a file that is dropped on the window seems to be one to import."""
    return path.suffix.lower() in LABELS and path.is_file()


def open_import(workspace: Workspace, window: QWidget, path: Path | None = None) -> None:
    """Show the dialog for the open project, with a file already chosen or not."""
    if workspace.document is None:
        return
    dialog = ImportDialog(workspace.document, window)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.imported.connect(workspace.noticed)
    dialog.open()
    if path is not None:
        dialog.choose(path)


class ImportDialog(QDialog):
    """Asks what, shows what would happen, does it and can take it back.

    Args:
        document: the project.
        parent: the window.
    """

    imported = Signal(str)
    """What was done to the project, for people."""

    def __init__(self, document: Document, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from annotator.core.formats.registry import readers

        self._document = document
        self._run = ImportRun(document, self)
        self._content: Content | None = None
        self._has_imported = False
        self._changed = QTimer(self, singleShot=True, interval=SETTLED_MS)
        self._closing = QTimer(self, singleShot=True, interval=50)
        self._closing.timeout.connect(self.reject)
        self.setWindowTitle("Import")
        self._make_fields({spec.id: spec.title for spec in readers().values()})
        self._make_rules()
        self._lay_out()
        self._connect()
        self._say("Choose what to import: nothing is changed before you agree.")

    def _make_fields(self, titles: dict[str, str]) -> None:
        self.place = named(QLineEdit(self), "File or folder to import")
        self.place.setPlaceholderText("A file or folder with labels")
        self.file = QPushButton("&File…", self)
        self.folder = QPushButton("F&older…", self)
        self.format = named(QComboBox(self), "Format")
        self.format.setMaxVisibleItems(24)
        self.format.addItem(FIND_OUT, "")
        for name, title in titles.items():
            self.format.addItem(title, name)
        self.classes = ClassTable(self._document, self)

    def _make_rules(self) -> None:
        self.overlap = choices(OVERLAPS, "Where an object lies on one of its class", self)
        self.iou = named(QDoubleSpinBox(self), "Intersection over union")
        self.iou.setRange(0.05, 1.0)
        self.iou.setSingleStep(0.05)
        self.iou.setValue(0.9)
        self.iou.setPrefix("from IoU ")
        self.iou.setToolTip(
            "The shared area over the area of both together; from here on, it is the same object"
        )
        self.same_id = choices(SAME_IDS, "Where an object has the id of another", self)
        self.existing = QCheckBox("Leave out images that are not in the folder", self)
        self.report = named(QPlainTextEdit(self), "What will happen")
        self.report.setReadOnly(True)
        self.report.setTabChangesFocus(True)
        self.progress = QProgressBar(self)
        self.progress.hide()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self.start = self.buttons.addButton("Import", QDialogButtonBox.ButtonRole.AcceptRole)
        self.start.setDefault(True)
        self.start.setEnabled(False)
        self.back = self.buttons.addButton("Take Back", QDialogButtonBox.ButtonRole.ActionRole)
        self.back.setToolTip("Everything as it was before this import")
        self.back.hide()

    def _lay_out(self) -> None:
        where = QHBoxLayout()
        where.addWidget(self.place, 1)
        where.addWidget(self.file)
        where.addWidget(self.folder)
        overlap = QHBoxLayout()
        overlap.addWidget(self.iou)
        overlap.addWidget(self.overlap, 1)
        form = QFormLayout()
        form.addRow(label_for("F&rom:", self.place), where)
        form.addRow("For&mat:", self.format)
        form.addRow(label_for("&On one of its class,", self.iou), overlap)
        form.addRow("Its &id is taken:", self.same_id)
        form.addRow("", self.existing)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(label_for("&Classes:", self.classes))
        layout.addWidget(self.classes, 2)
        layout.addWidget(label_for("&What will happen:", self.report))
        layout.addWidget(self.report, 1)
        layout.addWidget(self.progress)
        layout.addWidget(self.buttons)
        width = self.fontMetrics().averageCharWidth()
        self.resize(88 * width, 38 * self.fontMetrics().lineSpacing())

    def _connect(self) -> None:
        self.file.clicked.connect(self._choose_file)
        self.folder.clicked.connect(self._choose_folder)
        self.place.editingFinished.connect(self._read_changed)
        self.format.activated.connect(self.read)
        for combo in (self.overlap, self.same_id):
            combo.currentIndexChanged.connect(self._replan)
        self.iou.valueChanged.connect(self._replan)
        self.existing.toggled.connect(self._replan)
        self.classes.mapping_changed.connect(self._replan)
        self._changed.timeout.connect(self._plan)
        self.start.clicked.connect(self._import)
        self.back.clicked.connect(self._take_back)
        self.buttons.rejected.connect(self.reject)
        self._run.recognised.connect(self._show_format)
        self._run.opened.connect(self._show_content)
        self._run.advanced.connect(self._advance)
        self._run.planned.connect(self._show_plan)
        self._run.finished.connect(self._finish)
        self._run.taken_back.connect(self._show_taken_back)
        self._run.failed.connect(self._fail)

    # --- What is imported ---

    def choose(self, path: Path) -> None:
        """Take this file or folder."""
        self.place.setText(str(path))
        self.read()

    @Slot()
    def _choose_file(self) -> None:
        filters = f"Labels ({' '.join(f'*{ending}' for ending in LABELS)});;All files (*)"
        name, _ = QFileDialog.getOpenFileName(self, "Import", self._start(), filters)
        if name:
            self.choose(Path(name))

    @Slot()
    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder to import", self._start())
        if name:
            self.choose(Path(name))

    def _start(self) -> str:
        return self.place.text() or str(self._document.folder.parent)

    @Slot()
    def _read_changed(self) -> None:
        if self.place.isModified():
            self.place.setModified(False)
            self.read()

    @Slot()
    def read(self) -> None:
        """Read what is chosen, in the chosen format."""
        if not self.place.text().strip():
            return
        self._content = None
        self._has_imported = False
        self.format.setItemText(0, FIND_OUT)
        self.classes.fill(())
        self.start.setEnabled(False)
        self.back.hide()
        self._say("Reading…")
        self._busy(0)
        self._run.open(self._path(), self.format.currentData())

    def _path(self) -> Path:
        return Path(self.place.text().strip()).expanduser()

    @Slot(str)
    def _show_format(self, title: str) -> None:
        if not self.format.currentData():
            self.format.setItemText(0, f"{FIND_OUT}: {title}")

    @Slot(object)
    def _show_content(self, content: Content) -> None:
        self._content = content
        self.classes.fill(content.categories)
        self._plan()

    # --- What would happen ---

    def rules(self) -> MergeRules:
        """What was chosen."""
        from annotator.core.formats.merging import MergeRules

        return MergeRules(
            self.same_id.currentData(), self.overlap.currentData(), self.iou.value(),
            self.existing.isChecked(), self.classes.mapping(),
        )  # fmt: skip

    @Slot()
    def _replan(self) -> None:
        if self._content is not None and not self._has_imported:
            self.start.setEnabled(False)
            self._busy(0)
            self._changed.start()

    @Slot()
    def _plan(self) -> None:
        if self._content is not None:
            self._busy(self._content.count)
            self._run.plan(self._content, self.rules(), self._path().name)

    @Slot(object)
    def _show_plan(self, joining: Import) -> None:
        self.progress.hide()
        self.classes.tell(joining.classes)
        lines = joining.sentences()
        if not joining.changed:
            lines.insert(0, "There is nothing to import.")
        fresh = joining.fresh_images
        if fresh:
            lines.insert(0, f"{fresh:,} images with objects that are not in the project yet")
        self._say("\n".join(lines))
        self.start.setEnabled(joining.changed > 0)

    # --- The work ---

    @Slot()
    def _import(self) -> None:
        if self._content is None:
            return
        self._enable(False)
        self._busy(self._content.count)
        self._run.apply(self._content, self.rules(), self._path().name)

    @Slot(object)
    def _finish(self, joining: Import) -> None:
        self._end()
        count, images = joining.changed, joining.images
        text = f"Imported {count:,} objects in {images:,} images."
        self._say("\n".join([text, *joining.sentences()]))
        self.imported.emit(text)

    def _end(self) -> None:
        self._has_imported = True
        self.progress.hide()
        self._enable(True)
        self.start.setEnabled(False)
        self.back.show()
        cancel = self.buttons.button(QDialogButtonBox.StandardButton.Cancel)
        cancel.setText("Close")
        cancel.setFocus()

    @Slot()
    def _take_back(self) -> None:
        self._enable(False)
        self.back.setEnabled(False)
        self._busy(0)
        self._run.take_back()

    @Slot(int, list)
    def _show_taken_back(self, done: int, changed: list[str]) -> None:
        self.progress.hide()
        self._enable(True)
        self.start.setEnabled(False)
        text = f"Took the import back in {done:,} images."
        if changed:
            text += f" {len(changed):,} were changed since and stay: {', '.join(changed[:5])}."
        self.back.hide()
        self.back.setEnabled(True)
        self._has_imported = False
        self._say(text)
        self.imported.emit(text)

    @Slot(int, int)
    def _advance(self, done: int, count: int) -> None:
        self.progress.setRange(0, count)
        self.progress.setValue(done)

    @Slot(object)
    def _fail(self, error: UserError) -> None:
        self.progress.hide()
        self._enable(True)
        self.start.setEnabled(False)
        self._say(str(error))

    def reject(self) -> None:
        """Stop what is being imported; otherwise close."""
        if self._run.stop():
            self._end()
            self._say("Stopped. What was imported so far can be taken back.")
            return
        self._changed.stop()
        if self._run.is_at_rest():
            super().reject()
            return
        # A large file is read to its end: the window must not wait for it.
        self._enable(False)
        self._say("Stopping…")
        self._closing.start()

    def done(self, result: int) -> None:
        """Let the threads end."""
        self._changed.stop()
        self._closing.stop()
        self._run.close()
        super().done(result)

    def _busy(self, count: int) -> None:
        self.progress.setRange(0, count)
        self.progress.setValue(0)
        self.progress.show()

    def _enable(self, on: bool) -> None:
        rules = (self.overlap, self.iou, self.same_id, self.existing)
        for widget in (self.place, self.file, self.folder, self.format, self.classes, *rules):
            widget.setEnabled(on)
        self.start.setEnabled(on)

    def _say(self, text: str) -> None:
        self.report.setPlainText(text)
