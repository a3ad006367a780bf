"""The objects of the current image, top layer first."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QAction, QColor, QIcon, QKeyEvent, QMouseEvent, QPaintEvent, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QListView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.ui.annotation_model import UNNAMED, AnnotationDelegate, AnnotationModel, placed
from annotator.ui.icons import icon
from annotator.ui.proposals_panel import ProposalsPanel
from annotator.ui.rows import paint_placeholder, row_height

if TYPE_CHECKING:
    from PySide6.QtWidgets import QMenu

    from annotator.services.document import Document
    from annotator.services.workspace import Workspace

ALL = -1
PROPOSED = -2
NONE = 0
"""What the class filter holds instead of a class id: everything, proposals, or objects without a
name."""

_Key = Qt.Key
_Control = Qt.KeyboardModifier.ControlModifier
_Shift = Qt.KeyboardModifier.ShiftModifier


class ObjectView(QListView):
    """The list itself: selection, switches, keys."""

    switched = Signal(int, str)
    """The user clicked the eye ("hidden") or the lock ("locked") of the object with this id."""
    hovered = Signal(object)
    """Id of the object under the pointer, or None."""
    pressed_key = Signal(str)
    """"hide", "lock", "rename", "delete", "show", "raise", "lower", "top" or "bottom"."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model_ = AnnotationModel(self)
        self.placeholder = ""
        self._switching = False
        self.setModel(self.model_)
        self.setItemDelegate(AnnotationDelegate(self))
        self.setAccessibleName("Objects of this image, top layer first")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDragDropOverwriteMode(False)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.entered.connect(self._tell_hovered)
        self.viewportEntered.connect(lambda: self.hovered.emit(None))

    def annotation(self, index: QModelIndex) -> Annotation | None:
        """The object of a row."""
        return self.model_.rows[index.row()] if index.isValid() else None

    def _tell_hovered(self, index: QModelIndex) -> None:
        annotation = self.annotation(index)
        self.hovered.emit(annotation.id if annotation is not None else None)

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is hovered any more."""
        super().leaveEvent(event)
        self.hovered.emit(None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A press on the eye or the lock switches it and leaves the selection alone."""
        self._switching = self._switch(event)
        if not self._switching:
            super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Two quick clicks on a switch are two clicks."""
        self._switching = self._switch(event)
        if not self._switching:
            super().mouseDoubleClickEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A press on a switch never begins a drag."""
        if not self._switching:
            super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The end of a click on a switch means nothing to the selection."""
        if not self._switching:
            super().mouseReleaseEvent(event)
        self._switching = False

    def _switch(self, event: QMouseEvent) -> bool:
        if event.button() != Qt.MouseButton.LeftButton:
            return False
        position = event.position().toPoint()
        index = self.indexAt(position)
        annotation = self.annotation(index)
        if annotation is None:
            return False
        flag = AnnotationDelegate.switch_at(self.visualRect(index), position)
        if flag is not None:
            self.switched.emit(annotation.id, flag)
        return flag is not None

    def event(self, event: QEvent) -> bool:
        """Keep the keys of this list from the window's commands."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            own = _action_for(event)
            if own is not None or (event.key() == _Key.Key_A and event.modifiers() == _Control):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that act on the selected objects; the others move through the list."""
        if self.state() == QAbstractItemView.State.EditingState:
            # What the editor does not use climbs up here.
            event.accept()
            return
        action = _action_for(event)
        if action is not None:
            self.pressed_key.emit(action)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows, or what will be here."""
        super().paintEvent(event)
        if not self.model_.rows:
            paint_placeholder(self, self.placeholder)

    def minimumSizeHint(self) -> QSize:
        """A few rows."""
        return QSize(120, 4 * row_height(self.fontMetrics()))


def _action_for(event: QKeyEvent) -> str | None:
    key, modifiers = _Key(event.key()), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    if modifiers == Qt.KeyboardModifier.NoModifier:
        return {
            _Key.Key_Space: "hide",
            _Key.Key_F2: "rename",
            _Key.Key_Delete: "delete",
            _Key.Key_Backspace: "delete",
            _Key.Key_Return: "show",
            _Key.Key_Enter: "show",
        }.get(key)
    if modifiers == _Control:
        return {_Key.Key_Up: "raise", _Key.Key_Down: "lower", _Key.Key_L: "lock"}.get(key)
    if modifiers == _Control | _Shift:
        return {_Key.Key_Up: "top", _Key.Key_Down: "bottom"}.get(key)
    return None


class AnnotationList(QWidget):
    """All objects of the current image, and what can be done with them.

    Args:
        workspace: what is open; this list calls it and follows its signals.
        parent: Qt parent.
    """

    hovered = Signal(object)
    """Id of the object under the pointer, or None."""
    activated = Signal(int)
    """The user wants to see the object with this id: double click, or Enter."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._document: Document | None = None
        self._syncing = False
        self.view = ObjectView()
        self.proposals = ProposalsPanel(workspace)
        self.filter = QComboBox()
        self.buttons: dict[str, QToolButton] = {}
        self._build()
        self._wire()
        if workspace.document is not None:
            self._follow_project(workspace.document)
        self._show()

    def _build(self) -> None:
        self.filter.setAccessibleName("Show only one class")
        self.filter.setToolTip("Show only the objects of one class")
        self.filter.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.filter.setMinimumContentsLength(6)
        head = self._row(6)
        head.addWidget(self.filter, 1)
        self._button(head, "hide_all", "eye", "Hide or show all objects in this list")
        self._button(head, "lock_all", "lock", "Lock or unlock all objects in this list")
        foot = self._row(2)
        for name, drawing, tip in (
            ("raise", "raise", "One layer up (Ctrl+Up)"),
            ("lower", "lower", "One layer down (Ctrl+Down)"),
            ("top", "to-top", "To the top (Ctrl+Shift+Up)"),
            ("bottom", "to-bottom", "To the bottom (Ctrl+Shift+Down)"),
        ):
            self._button(foot, name, drawing, tip)
        foot.addStretch()
        self._button(foot, "accept", "accept", "Accept the proposal (Enter)")
        self._button(foot, "rename", "tag", "Change the class (F2)")
        self._button(foot, "duplicate", "duplicate", "Duplicate (Ctrl+D)")
        self._button(foot, "delete", "trash", "Delete (Del)")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.proposals)
        column.addLayout(head)
        column.addWidget(self.view, 1)
        column.addLayout(foot)
        self.setFocusProxy(self.view)

    @staticmethod
    def _row(spacing: int) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(6, 4, 6, 4)
        row.setSpacing(spacing)
        return row

    def _button(self, row: QHBoxLayout, name: str, drawing: str, tip: str) -> None:
        button = QToolButton()
        button.setAutoRaise(True)
        button.setIcon(icon(drawing))
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.clicked.connect(partial(self._act, name))
        self.buttons[name] = button
        row.addWidget(button)

    def _wire(self) -> None:
        workspace, view = self._workspace, self.view
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closed.connect(self._forget_project)
        workspace.image_shown.connect(self._follow_image)
        workspace.selection_changed.connect(self._follow_selection)
        workspace.proposals.filter_changed.connect(lambda _: self._show())
        view.selectionModel().selectionChanged.connect(self._tell_selection)
        view.doubleClicked.connect(self._activate)
        view.hovered.connect(self.hovered)
        view.switched.connect(self._switch)
        view.pressed_key.connect(self._act)
        view.customContextMenuRequested.connect(self._open_menu)
        # Queued: rows may change only after the view has closed the editor they were typed in.
        view.model_.renamed.connect(self._rename, Qt.ConnectionType.QueuedConnection)
        view.model_.moved.connect(self._move)
        self.filter.activated.connect(lambda _: self._show())

    # --- Following the workspace ---

    def _follow_project(self, document: Document) -> None:
        self._document = document
        document.categories_changed.connect(self._show_categories)
        document.annotations_changed.connect(self._follow_annotations)
        self._show_categories()

    def _forget_project(self) -> None:
        self._document = None
        self._show_categories()

    def _show_categories(self) -> None:
        categories = self._document.categories() if self._document is not None else ()
        self.view.model_.set_categories(categories)
        self._show()

    def _follow_image(self, _key: str) -> None:
        self.filter.setCurrentIndex(0)
        self._show()
        self.view.scrollToTop()

    def _follow_annotations(self, key: str) -> None:
        if key == self._workspace.key:
            self._show()

    def _show(self) -> None:
        annotations = self._workspace.visible if self._document is not None else ()
        self._fill_filter(annotations)
        shown = tuple(filter(self._is_wanted, reversed(annotations)))
        self.view.placeholder = "No objects in this image yet." if self._workspace.key else ""
        self._syncing = True
        self.view.model_.show(shown)
        self._syncing = False
        self._follow_selection(self._workspace.selection)
        self._show_switches()

    def _is_wanted(self, annotation: Annotation) -> bool:
        wanted = self.filter.currentData()
        if wanted == PROPOSED:
            return annotation.proposed
        return bool(wanted == ALL or (annotation.category_id or NONE) == wanted)

    def _fill_filter(self, annotations: tuple[Annotation, ...]) -> None:
        counts = Counter(a.category_id or NONE for a in annotations)
        names = [(ALL, f"All objects ({len(annotations):,})", "")]
        proposed = sum(a.proposed for a in annotations)
        names += [(PROPOSED, f"Proposals ({proposed:,})", "")] if proposed else []
        categories = self._document.categories() if self._document is not None else ()
        names += [
            (c.id, f"{c.name} ({counts[c.id]:,})", c.color) for c in categories if c.id in counts
        ]
        if NONE in counts:
            names.append((NONE, f"{UNNAMED} ({counts[NONE]:,})", ""))
        shown = [
            (self.filter.itemData(i), self.filter.itemText(i)) for i in range(self.filter.count())
        ]
        if shown == [(number, text) for number, text, _ in names]:
            return
        wanted = self.filter.currentData()
        self.filter.clear()
        for number, text, color in names:
            self.filter.addItem(_swatch_icon(color) if color else QIcon(), text, number)
        self.filter.setCurrentIndex(max(self.filter.findData(wanted), 0))

    def _follow_selection(self, ids: frozenset[int]) -> None:
        model = self.view.model_
        places = sorted(p for i in ids if (p := model.place(i)) is not None)
        selection = QItemSelection()
        for first, last in _runs(places):
            selection.select(model.index(first), model.index(last))
        chosen = self.view.selectionModel()
        self._syncing = True
        chosen.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        current = self.view.currentIndex()
        if places and not (current.isValid() and current.row() in places):
            no_change = QItemSelectionModel.SelectionFlag.NoUpdate
            chosen.setCurrentIndex(model.index(places[0]), no_change)
            self.view.scrollTo(model.index(places[0]))
        self._syncing = False
        for name in ("raise", "lower", "top", "bottom", "rename", "duplicate", "delete"):
            self.buttons[name].setEnabled(bool(places))
        self.buttons["accept"].setEnabled(any(a.proposed for a in self._workspace.selected))

    def _show_switches(self) -> None:
        rows = self.view.model_.rows
        hidden = bool(rows) and all(a.hidden for a in rows)
        locked = bool(rows) and all(a.locked for a in rows)
        for name, on, drawing in (
            ("hide_all", hidden, "eye-off" if hidden else "eye"),
            ("lock_all", locked, "lock" if locked else "unlock"),
        ):
            self.buttons[name].setIcon(icon(drawing))
            self.buttons[name].setEnabled(bool(rows))
            verb = (
                ("Show" if on else "Hide") if name == "hide_all" else ("Unlock" if on else "Lock")
            )
            self.buttons[name].setToolTip(f"{verb} all objects in this list")

    # --- What the user does ---

    def _tell_selection(self) -> None:
        if not self._syncing:
            rows = self.view.selectionModel().selectedRows()
            self._workspace.select(self.view.model_.rows[index.row()].id for index in rows)

    def _activate(self, index: QModelIndex) -> None:
        annotation = self.view.annotation(index)
        if annotation is not None:
            self.activated.emit(annotation.id)

    def _switch(self, annotation_id: int, flag: str) -> None:
        """Turn a flag of one object, or of all selected ones if it is among them."""
        model, chosen = self.view.model_, self._workspace.selection
        place = model.place(annotation_id)
        if place is not None:
            value = not getattr(model.rows[place], flag)
            ids = chosen if annotation_id in chosen else {annotation_id}
            self._workspace.set_flag(ids, flag, value)

    def _act(self, name: str, _checked: bool = False) -> None:
        workspace, chosen = self._workspace, self._workspace.selection
        current = self.view.currentIndex()
        if name in ("hide", "show") and any(a.proposed for a in workspace.selected):
            # Space and Enter mean here what they mean on the canvas.
            name = "accept"
        if name in ("hide_all", "lock_all"):
            self._switch_all("hidden" if name == "hide_all" else "locked")
        elif name in ("hide", "lock"):
            self._toggle("hidden" if name == "hide" else "locked")
        elif name == "rename" and chosen:
            self.edit_class(current if current.isValid() else self.view.model_.index(0))
        elif name == "delete":
            self._delete()
        elif name == "accept":
            workspace.accept_or_ask()
        elif name == "duplicate":
            workspace.duplicate()
        elif name == "show":
            self._activate(current)
        elif name in ("raise", "lower"):
            workspace.restack(chosen, 1, up=name == "raise")
        elif name in ("top", "bottom"):
            workspace.restack(chosen, None, up=name == "top")

    def _switch_all(self, flag: str) -> None:
        rows = self.view.model_.rows
        value = not all(getattr(a, flag) for a in rows)
        self._workspace.set_flag([a.id for a in rows], flag, value)

    def _toggle(self, flag: str) -> None:
        chosen = self._workspace.selected
        if chosen:
            value = not all(getattr(a, flag) for a in chosen)
            self._workspace.set_flag([a.id for a in chosen], flag, value)

    def _delete(self) -> None:
        chosen = self._workspace.selected
        row = self.view.currentIndex().row()
        self._warn_of_locked("are not deleted")
        self._workspace.delete_selected()
        # The next row takes over, so that Delete can be pressed again.
        rows = self.view.model_.rows
        if chosen and rows and not self._workspace.selection and self.view.hasFocus():
            self._workspace.select((rows[min(max(row, 0), len(rows) - 1)].id,))

    def _warn_of_locked(self, what: str) -> None:
        if any(a.locked for a in self._workspace.selected):
            self._workspace.noticed.emit(f"Locked objects {what}. Unlock them first.")

    def edit_class(self, index: QModelIndex) -> None:
        """Type another class for a row in place; it counts for all selected objects."""
        annotation = self.view.annotation(index)
        if annotation is not None:
            if annotation.id not in self._workspace.selection:
                self._workspace.select((annotation.id,))
            self.view.scrollTo(index)
            self.view.edit(index)

    def _rename(self, annotation_id: int, name: str) -> None:
        if self._document is None:
            return
        if annotation_id not in self._workspace.selection:
            self._workspace.select((annotation_id,))
        try:
            category = self._document.add_category(name)
        except UserError as error:
            self._workspace.reported.emit(error)
        else:
            self._warn_of_locked("keep their class")
            self._workspace.rename_selected(category.id)

    def _move(self, ids: frozenset[int], above: int | None) -> None:
        document, key = self._document, self._workspace.key
        if document is None or key is None:
            return
        before = self._workspace.annotations
        after = placed(before, ids, above)
        if after != before:
            document.edit(key, after, "Change the order")

    def _show_only(self) -> None:
        document, key, chosen = self._document, self._workspace.key, self._workspace.selection
        if document is None or key is None:
            return
        before = self._workspace.annotations
        after = tuple(replace(a, hidden=a.id not in chosen) for a in before)
        if after != before:
            document.edit(key, after, "Show only these")

    def _show_all(self) -> None:
        self._workspace.set_flag([a.id for a in self._workspace.annotations], "hidden", False)

    # --- Context menu ---

    def _open_menu(self, position: QPoint) -> None:
        annotation = self.view.annotation(self.view.indexAt(position))
        if annotation is None:
            return
        if annotation.id not in self._workspace.selection:
            self._workspace.select((annotation.id,))
        menu = self.build_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.view.viewport().mapToGlobal(position))

    def build_menu(self) -> QMenu:
        """What can be done with the selected objects."""
        from PySide6.QtWidgets import QMenu

        menu, chosen = QMenu(self), self._workspace.selected
        if any(a.proposed for a in chosen):
            self._add_decisions(menu)
        self._entry(menu, "Change class…\tF2", "tag", partial(self._act, "rename"))
        menu.addSeparator()
        for text, flag in (
            ("Crowd", "is_crowd"),
            ("Locked\tCtrl+L", "locked"),
            ("Hidden\tSpace", "hidden"),
        ):
            entry = self._entry(menu, text, "", partial(self._toggle, flag))
            entry.setCheckable(True)
            entry.setChecked(bool(chosen) and all(getattr(a, flag) for a in chosen))
        only = "Show only this" if len(chosen) == 1 else "Show only these"
        self._entry(menu, only, "eye", self._show_only)
        self._entry(menu, "Show all", "", self._show_all)
        menu.addSeparator()
        for text, drawing, name in (
            ("Raise\tCtrl+Up", "raise", "raise"),
            ("Lower\tCtrl+Down", "lower", "lower"),
            ("To the top\tCtrl+Shift+Up", "to-top", "top"),
            ("To the bottom\tCtrl+Shift+Down", "to-bottom", "bottom"),
        ):
            self._entry(menu, text, drawing, partial(self._act, name))
        menu.addSeparator()
        self._entry(menu, "Copy\tCtrl+C", "copy", self._workspace.copy)
        self._entry(menu, "Duplicate\tCtrl+D", "duplicate", self._workspace.duplicate)
        self._entry(menu, "Delete\tDel", "trash", self._delete)
        return menu

    def _add_decisions(self, menu: QMenu) -> None:
        """What can be decided on the selected proposals, and on all others of their classes."""
        proposals, model = self._workspace.proposals, self.view.model_
        chosen = [a for a in self._workspace.selected if a.proposed]
        self._entry(menu, "Accept\tEnter", "accept", partial(self._act, "accept"))
        reject = partial(proposals.decide_selected, accept=False)
        self._entry(menu, "Reject\tDel", "trash", reject)
        classes = frozenset(a.category_id for a in chosen)
        names = ", ".join(f"“{name}”" for name in sorted({model.name(a) for a in chosen}))
        more = menu.addMenu(f"All {names}")
        for where, decide in (
            ("in this image", proposals.decide_shown),
            ("in the whole folder", proposals.decide_everywhere),
        ):
            for verb, accept in (("Accept", True), ("Reject", False)):
                run = partial(decide, accept=accept, categories=classes)
                self._entry(more, f"{verb} all shown {where}", "", run)
        menu.addSeparator()

    @staticmethod
    def _entry(menu: QMenu, text: str, drawing: str, run: object) -> QAction:
        entry = menu.addAction(icon(drawing), text) if drawing else menu.addAction(text)
        assert callable(run)
        entry.triggered.connect(lambda _=False: run())
        return entry


def _swatch_icon(color: str) -> QIcon:
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor(color))
    return QIcon(pixmap)


def _runs(places: list[int]) -> list[tuple[int, int]]:
    """Ascending rows as first and last of unbroken stretches."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return runs
