"""What may be wrong in the folder, as a table; Enter shows it, F repairs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGridLayout,
    QHeaderView,
    QPushButton,
    QSpinBox,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from annotator.services.check_run import CheckRun, Done
from annotator.services.checking import Order
from annotator.ui.labels import LevelLabel
from annotator.ui.rows import Index

if TYPE_CHECKING:
    from annotator.core.checks.api import Finding
    from annotator.services.document import Document
    from annotator.services.workspace import Workspace

ALL, UNNAMED = "", "unnamed"
_Role = Qt.ItemDataRole
_OWN = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F, Qt.Key.Key_Escape)
_KEYPAD = Qt.KeyboardModifier.KeypadModifier
_NONE = QModelIndex()


class FindingModel(QAbstractTableModel):
    """Rows of image and problem."""

    HEADS = ("Image", "What may be wrong")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[Finding] = []

    def show(self, rows: Sequence[Finding]) -> None:
        """Other rows."""
        self.beginResetModel()
        self.rows = list(rows)
        self.endResetModel()

    def append(self, rows: Sequence[Finding]) -> None:
        """Further rows."""
        if rows:
            start = len(self.rows)
            self.beginInsertRows(_NONE, start, start + len(rows) - 1)
            self.rows += rows
            self.endInsertRows()

    def rowCount(self, parent: Index = _NONE) -> int:
        """Findings."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = _NONE) -> int:
        """Image and problem."""
        return 0 if parent.isValid() else len(self.HEADS)

    def data(self, index: Index, role: int = _Role.DisplayRole) -> Any:
        """Texts."""
        finding = self.rows[index.row()]
        if role == _Role.DisplayRole:
            return finding.key if index.column() == 0 else sentence(finding)
        if role in (_Role.ToolTipRole, _Role.AccessibleTextRole):
            return f"{finding.key}: {sentence(finding)}"
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole
    ) -> Any:
        """Titles of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == _Role.DisplayRole:
            return self.HEADS[section]
        return None


def sentence(finding: Finding) -> str:
    """What it is, short enough for a column."""
    words = {"empty": "No pixels", "unnamed": "No name"}.get(finding.check, finding.text)
    return words[0].upper() + words[1:]


class _Table(QTableView):
    """The table's own keys."""

    pressed_key = Signal(int)

    def event(self, event: QEvent) -> bool:
        """Keep its keys from the window's commands."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and event.key() in _OWN
            and not event.modifiers() & ~_KEYPAD
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter, F and Esc; the others move through the rows."""
        if event.key() in _OWN and not event.modifiers() & ~_KEYPAD:
            self.pressed_key.emit(event.key())
        else:
            super().keyPressEvent(event)


class ChecksPanel(QWidget):
    """Runs checks over the folder in the background and repairs what they find.

    Args:
        workspace: what is open.
        parent: Qt parent.
    """

    shown = Signal(str, int)
    """The user wants to see an object: key of its image and id (0: the image itself)."""
    left = Signal()
    """Back to the canvas."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._findings: list[Finding] = []
        self._group = 0
        self._repairing: frozenset[Finding] = frozenset()
        self.run = CheckRun(self)
        self.state = LevelLabel("", "", self)
        self.kind = QComboBox(self)
        self.pixels = QSpinBox(self)
        self.model = FindingModel(self)
        self.table = _Table(self)
        self.start_button = QPushButton("Check the Folder", self)
        self.repair_button = QPushButton("Repair (F)", self)
        self.all_button = QPushButton("Repair All of This Kind", self)
        self.back_button = QPushButton("Take Back", self)
        self._arrange()
        self._wire()
        self._clear()

    def _arrange(self) -> None:
        self.setAccessibleName("Checks")
        self.kind.setAccessibleName("Which problems")
        self.kind.setMinimumContentsLength(8)
        self.pixels.setRange(1, 100_000)
        self.pixels.setValue(16)
        self.pixels.setPrefix("under ")
        self.pixels.setSuffix(" pixels")
        self.pixels.setAccessibleName("What counts as small")
        self.pixels.setToolTip("Objects, specks and holes of fewer pixels; overlaps of more")
        self.table.setModel(self.model)
        self.table.setAccessibleName("What may be wrong")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        height = self.fontMetrics().height() + 8
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.verticalHeader().setDefaultSectionSize(height)
        header = self.table.horizontalHeader()
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.resizeSection(0, 16 * self.fontMetrics().averageCharWidth())
        self.repair_button.setToolTip("Repair the chosen rows, as one step (F)")
        self.back_button.setToolTip("Undo the last repair in every image not changed since")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        first, last = QGridLayout(), QGridLayout()
        first.addWidget(self.start_button, 0, 0)
        first.addWidget(self.pixels, 0, 1)
        first.addWidget(self.kind, 1, 0, 1, 2)
        last.addWidget(self.repair_button, 0, 0)
        last.addWidget(self.back_button, 0, 1)
        last.addWidget(self.all_button, 1, 0, 1, 2)
        column.addLayout(first)
        column.addWidget(self.state)
        column.addWidget(self.table, 1)
        column.addLayout(last)
        self.setFocusProxy(self.table)

    def _wire(self) -> None:
        self.run.found.connect(self._add)
        self.run.advanced.connect(self._advance)
        self.run.finished.connect(self._finish)
        self.run.repaired.connect(self._tell_repaired)
        self.run.failed.connect(lambda error: self.state.say(str(error), "error"))
        self.start_button.clicked.connect(self._start_or_stop)
        self.repair_button.clicked.connect(lambda: self._repair(self.chosen()))
        self.all_button.clicked.connect(lambda: self._repair(self.model.rows))
        self.back_button.clicked.connect(self._take_back)
        self.kind.activated.connect(lambda _: self._refresh())
        self.table.pressed_key.connect(self._press)
        self.table.doubleClicked.connect(lambda _: self._press(Qt.Key.Key_Return))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_buttons())
        self._workspace.project_closing.connect(self.run.close)
        self._workspace.project_closed.connect(self._clear)
        self._workspace.project_opened.connect(lambda _: self._clear())

    # --- Looking ---

    def start(self) -> None:
        """Check all images of the folder."""
        document = self._workspace.document
        if document is None or self.run.running:
            return
        self._findings, self._group = [], 0
        self.model.show(())
        self._fill_kinds()
        self.state.say("Checking…", "")
        self.run.start(document, self._order(document))
        self._show_buttons()

    def _order(self, document: Document) -> Order:
        from annotator.core.checks.api import Limits
        from annotator.core.checks.table import BY_ID

        limits = Limits(pixels=self.pixels.value())
        return Order(document.folder, document.project_dir, frozenset(BY_ID), limits)

    def _start_or_stop(self) -> None:
        if self.run.running:
            self.run.stop()
        else:
            self.start()

    def _add(self, found: list[Finding]) -> None:
        self._findings += found
        self.model.append([f for f in found if self._is_wanted(f)])
        self._fill_kinds()
        self._show_buttons()

    def _is_wanted(self, finding: Finding) -> bool:
        return self.kind.currentData() in (ALL, None, finding.check)

    def _advance(self, done: int, count: int, what: str) -> None:
        text = f"Checking {what}… {done:,} of {count:,} images, {len(self._findings):,} found"
        self.state.say(text, "")

    def _finish(self, stopped: bool) -> None:
        document = self._workspace.document
        if document is not None:
            # What was found last may be about the first image.
            places = {key: place for place, key in enumerate(document.keys())}
            self._findings.sort(key=lambda finding: places.get(finding.key, 0))
        self._refresh()
        count = len(self._findings)
        text = "Nothing found." if not count else f"{count:,} found."
        self.state.say(f"Stopped. {text}" if stopped else text, "" if count else "success")

    def _fill_kinds(self) -> None:
        from annotator.core.checks.table import CHECKS

        counts = Counter(finding.check for finding in self._findings)
        entries = [(ALL, f"All kinds ({len(self._findings):,})")]
        entries += [(c.id, f"{c.title} ({counts[c.id]:,})") for c in CHECKS if counts[c.id]]
        chosen = self.kind.currentData()
        self.kind.clear()
        for name, text in entries:
            self.kind.addItem(text, name)
        self.kind.setCurrentIndex(max(self.kind.findData(chosen), 0))

    def _refresh(self) -> None:
        row = self.table.currentIndex().row()
        self._fill_kinds()
        self.model.show([f for f in self._findings if self._is_wanted(f)])
        if self.model.rows:
            self.table.selectRow(min(max(row, 0), len(self.model.rows) - 1))
        self._show_buttons()

    def _clear(self) -> None:
        self._findings, self._group = [], 0
        self.model.show(())
        self.kind.clear()
        self.kind.addItem("All kinds", ALL)
        self.state.say(
            "Looks for empty and tiny objects, specks, holes, overlaps, doubles, missing names, "
            "unusual sizes, and images that look the same.", "",
        )  # fmt: skip
        self._show_buttons()

    # --- What the user does ---

    def chosen(self) -> list[Finding]:
        """The findings of the selected rows."""
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return [self.model.rows[row] for row in rows]

    def _press(self, key: int) -> None:
        if key == Qt.Key.Key_Escape:
            self.left.emit()
        elif key == Qt.Key.Key_F:
            self._repair(self.chosen())
        elif chosen := self.chosen():
            finding = chosen[0]
            self.shown.emit(finding.key, finding.ids[0] if finding.ids else 0)

    def _repair(self, findings: Collection[Finding]) -> None:
        document = self._workspace.document
        findings = [f for f in findings if self._can_repair(f)]
        if document is None or not findings or self.run.running:
            return
        self._repairing = frozenset(findings)
        self.state.say("Repairing…", "")
        self.run.repair(document, self._order(document), findings)
        self._show_buttons()

    @staticmethod
    def _can_repair(finding: Finding) -> bool:
        from annotator.core.checks.table import BY_ID

        return BY_ID[finding.check].repair is not None

    def _tell_repaired(self, done: Done) -> None:
        nameless = {f for f in self._repairing
                    if f.check == UNNAMED and (f.key, f.ids[0]) not in done.named}  # fmt: skip
        settled = self._repairing - nameless
        self._findings = [f for f in self._findings if f not in settled]
        self._group = done.group if done.images else 0
        text = f"{done.count:,} repaired in {done.images:,} image{'s' * (done.images != 1)}."
        if done.left:
            text += f" {done.left:,} changed meanwhile; check again."
        elif done.count < len(settled):
            text += " Locked objects, and what was settled already, were left alone."
        if nameless:
            text += f" {len(nameless):,} without a name that leaves no doubt: those are yours."
        self.state.say(text, "success" if done.count else "")
        self._refresh()
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _take_back(self) -> None:
        document, group = self._workspace.document, self._group
        if document is not None and group and document.history.has(group):
            self._group = 0
            document.history.take_back(group)
            self.state.say("Taken back. Check again to see what is left.", "")
            self._show_buttons()

    def _show_buttons(self) -> None:
        document, busy = self._workspace.document, self.run.running
        self.start_button.setEnabled(document is not None)
        self.start_button.setText("Stop" if busy else "Check the Folder")
        self.repair_button.setEnabled(not busy and any(map(self._can_repair, self.chosen())))
        kind = self.kind.currentData()
        self.all_button.setEnabled(
            not busy and bool(kind) and any(map(self._can_repair, self.model.rows[:1]))
        )
        self.all_button.setToolTip(
            f"Repair {len(self.model.rows):,} rows, as one step" if self.all_button.isEnabled()
            else "Choose a kind above that can be repaired"
        )  # fmt: skip
        self.back_button.setEnabled(not busy and self._group > 0)
