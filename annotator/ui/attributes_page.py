"""Content of the attributes editor: origin, crowd flag, table of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QStackedLayout,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.annotation import Annotation, Annotations
from annotator.ui.annotation_model import origin_text
from annotator.ui.attributes_model import (
    KEY,
    VALUE,
    AttributesDelegate,
    AttributesModel,
    Value,
    rows_of,
)
from annotator.ui.icons import icon
from annotator.ui.labels import LevelLabel
from annotator.ui.rows import row_height
from annotator.ui.suggestion_list import percent

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.workspace import Workspace

LOCKED = "Locked. Unlock to change."

_Key = Qt.Key


class AttributesTable(QTableView):
    """The table itself: Enter and F2 edit, Delete removes."""

    removal_wanted = Signal()
    """The user wants the current key gone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model_ = AttributesModel(self)
        self.setModel(self.model_)
        self.setItemDelegate(AttributesDelegate(self))
        self.setAccessibleName("Attributes")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.SelectedClicked
        )
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(row_height(self.fontMetrics()))
        self.verticalHeader().setMinimumSectionSize(row_height(self.fontMetrics()))
        self.horizontalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.clicked.connect(self._start_new)

    def _start_new(self, index: QModelIndex) -> None:
        if index.row() >= len(self.model_.rows):
            self.edit_new()

    def edit_new(self) -> None:
        """Type a new key, or the value of the key typed before."""
        column = VALUE if self.model_.new_key else KEY
        self.edit_cell(len(self.model_.rows), column)

    def edit_cell(self, row: int, column: int) -> None:
        """Edit one cell in place."""
        index = self.model_.index(row, column)
        if index.isValid() and self.model_.flags(index) & Qt.ItemFlag.ItemIsEditable:
            self.setCurrentIndex(index)
            self.edit(index)

    def event(self, event: QEvent) -> bool:
        """Keep the keys of this table from the window's commands."""
        own = (_Key.Key_F2, _Key.Key_Delete, _Key.Key_Backspace, _Key.Key_Return, _Key.Key_Enter)
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() in own
            and not event.modifiers() & Qt.KeyboardModifier.AltModifier
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter and F2 edit the current cell, Delete removes its key."""
        if self.state() == QAbstractItemView.State.EditingState:
            # What the editor does not use climbs up here.
            event.accept()
            return
        index = self.currentIndex()
        if event.key() in (_Key.Key_F2, _Key.Key_Return, _Key.Key_Enter) and index.isValid():
            if index.row() >= len(self.model_.rows):
                self.edit_new()
            else:
                self.edit_cell(index.row(), index.column())
        elif event.key() in (_Key.Key_Delete, _Key.Key_Backspace):
            self.removal_wanted.emit()
        else:
            super().keyPressEvent(event)

    def minimumSizeHint(self) -> QSize:
        """A few rows."""
        return QSize(120, 4 * row_height(self.fontMetrics()))


class AttributesPage(QWidget):
    """What the project knows about the selected objects beyond shape and class.

    Args:
        workspace: what is open; this page calls it and follows its signals.
        parent: Qt parent.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._shown: frozenset[int] = frozenset()
        self.table = AttributesTable()
        self.crowd = QCheckBox("Crowd")
        self.origin = QLabel()
        self.message = LevelLabel("", "error", self)
        self._empty = QLabel("Select an object to see\nits attributes.")
        self._add, self._remove = QToolButton(), QToolButton()
        self._build()
        self._wire()
        if workspace.document is not None:
            self._follow_project(workspace.document)
        self._show()

    def _build(self) -> None:
        self.crowd.setToolTip("One mask for a group that cannot be told apart (COCO iscrowd)")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.origin.setWordWrap(True)
        self.origin.setTextFormat(Qt.TextFormat.PlainText)
        self.origin.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.origin.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.origin.setAccessibleName("Origin")
        self.message.setMinimumHeight(self.fontMetrics().height())
        for button, drawing, tip in (
            (self._add, "plus", "Add an attribute"),
            (self._remove, "minus", "Remove the attribute (Del)"),
        ):
            button.setAutoRaise(True)
            button.setIcon(icon(drawing))
            button.setToolTip(tip)
            button.setAccessibleName(tip)
        head, foot = QVBoxLayout(), QHBoxLayout()
        head.setContentsMargins(8, 6, 8, 6)
        head.setSpacing(6)
        head.addWidget(self.origin)
        head.addWidget(self.crowd)
        foot.setContentsMargins(6, 4, 8, 4)
        foot.addWidget(self._add)
        foot.addWidget(self._remove)
        foot.addSpacing(4)
        foot.addWidget(self.message, 1)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.table, 1)
        column.addLayout(foot)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self._empty)
        self._pages.addWidget(page)
        self.setFocusProxy(self.table)

    def _wire(self) -> None:
        workspace, model = self._workspace, self.table.model_
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closed.connect(self._show)
        workspace.image_shown.connect(self._show)
        workspace.selection_changed.connect(self._show)
        # Queued: rows may change only after the table has closed the editor they were typed in.
        queued = Qt.ConnectionType.QueuedConnection
        model.value_set.connect(self._set_value, queued)
        model.key_renamed.connect(self._rename_key, queued)
        model.key_removed.connect(self._remove_key)
        model.refused.connect(self._complain)
        self.table.removal_wanted.connect(self._remove_current)
        self.table.selectionModel().currentChanged.connect(self._show_buttons)
        self.crowd.clicked.connect(self._set_crowd)
        self._add.clicked.connect(self.table.edit_new)
        self._remove.clicked.connect(self._remove_current)

    # --- Following the workspace ---

    def _follow_project(self, document: Document) -> None:
        document.annotations_changed.connect(self._follow_annotations)
        self._show()

    def _follow_annotations(self, key: str) -> None:
        if key == self._workspace.key:
            self._show()

    def _show(self, *_: object) -> None:
        chosen = self._workspace.selected
        same = frozenset(a.id for a in chosen) == self._shown
        self._shown = frozenset(a.id for a in chosen)
        self._pages.setCurrentIndex(1 if chosen else 0)
        if not same:
            self._complain("")
        if not chosen:
            return
        editable = any(not a.locked for a in chosen)
        current = self.table.currentIndex()
        place = (current.row(), current.column())
        self.table.model_.show(rows_of(chosen), self._known(), editable=editable, keep_new=same)
        if same and place[0] >= 0 and not self.table.currentIndex().isValid():
            self.table.setCurrentIndex(self.table.model_.index(*place))
        self.origin.setText(_origin_lines(chosen))
        flags = {a.is_crowd for a in chosen}
        self.crowd.setTristate(len(flags) > 1)
        self.crowd.setCheckState(
            Qt.CheckState.PartiallyChecked
            if len(flags) > 1
            else Qt.CheckState.Checked
            if True in flags
            else Qt.CheckState.Unchecked
        )
        self.crowd.setEnabled(editable)
        self._show_buttons()
        if not editable:
            self._complain(LOCKED)
        elif self.message.text() == LOCKED:
            self._complain("")

    def _show_buttons(self, *_: object) -> None:
        model = self.table.model_
        editable = model.rowCount() > len(model.rows)
        row = self.table.currentIndex().row()
        self._add.setEnabled(editable)
        self._remove.setEnabled(editable and 0 <= row < len(model.rows))

    def _known(self) -> Mapping[str, list[Value]]:
        """Keys and values used in this image."""
        known: dict[str, list[Value]] = {}
        for annotation in self._workspace.annotations:
            for key, value in annotation.attributes.items():
                known.setdefault(key, []).append(value)
        return known

    def _complain(self, text: str) -> None:
        hint = text.startswith("Now") or text == LOCKED
        self.message.say(text, "info" if hint else "error")

    # --- What the user does ---

    def _set_value(self, key: str, value: Value) -> None:
        self._change(lambda old: {**old, key: value})

    def _rename_key(self, old_key: str, key: str) -> None:
        self._change(
            lambda old: {(key if name == old_key else name): value for name, value in old.items()}
        )

    def _remove_key(self, key: str) -> None:
        self._change(lambda old: {name: value for name, value in old.items() if name != key})

    def _change(self, alter: Callable[[Mapping[str, Value]], dict[str, Value]]) -> None:
        """Write new attributes of all selected objects as one step."""
        chosen = self._workspace.selected
        if len(chosen) == 1:
            self._workspace.set_attributes(chosen[0].id, alter(chosen[0].attributes))
            return

        def changed(annotation: Annotation) -> Annotation:
            return replace(annotation, attributes=alter(annotation.attributes))

        self._workspace.change_some([a.id for a in chosen], "Edit attributes", changed)

    def _remove_current(self) -> None:
        rows, row = self.table.model_.rows, self.table.currentIndex().row()
        if 0 <= row < len(rows) and self._remove.isEnabled():
            self.table.model_.key_removed.emit(rows[row].key)

    def _set_crowd(self) -> None:
        chosen = self._workspace.selected
        value = not all(a.is_crowd for a in chosen)
        self._workspace.set_flag([a.id for a in chosen], "is_crowd", value)
        self._show()


def _origin_lines(chosen: Annotations) -> str:
    """Who made the selected objects, from which prompt."""
    if len(chosen) > 1:
        return f"{len(chosen)} objects. A change counts for all of them."
    annotation = chosen[0]
    text = origin_text(annotation)
    if annotation.origin.score is not None:
        text += f", {percent(annotation.origin.score)} sure"
    prompt = annotation.origin.prompt
    if prompt:
        points = len(prompt.points)
        parts = [f"{points} point{'s' if points > 1 else ''}"] if points else []
        parts += ["a box"] if prompt.box is not None else []
        text += f", from {' and '.join(parts)}"
    return text
