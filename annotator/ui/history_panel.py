"""The history: what was done in this image and in the whole project, and the ways back."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListView,
    QMenu,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.services.history_journal import DONE, StepRow
from annotator.services.history_steps import Target
from annotator.services.image_history import SIDE, ImageHistory, Steps
from annotator.ui.history_model import GroupModel, StepModel, moment
from annotator.ui.labels import soft_label

if TYPE_CHECKING:
    from annotator.services.document import Document
    from annotator.services.workspace import Workspace

MOST_DAYS = 30
"""In the menu."""


class HistoryPanel(QWidget):
    """Lists steps in words and pictures; nothing is read while nobody looks.

    Args:
        workspace: what is open.
        parent: Qt parent.
    """

    left = Signal()
    """Back to the canvas."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._document: Document | None = None
        self._restoring = False
        self.history = ImageHistory(self)
        self.steps, self.groups = StepModel(self.history), GroupModel()
        self.list = _List("Steps of this image", self.steps, self)
        self.list.setIconSize(QSize(SIDE, SIDE))
        self.project_list = _List("Steps of the whole project", self.groups, self)
        self.go = QPushButton("&Go There")
        self.restore = QPushButton("Restore as &New Step")
        self.days = QPushButton("Restore a &Day")
        self.toggle = QPushButton("&Undo in All Images")
        self.hint = soft_label("Nothing was done in this image yet.", self)
        self._arrange()
        self._wire()

    def _arrange(self) -> None:
        self.setAccessibleName("History")
        self.tabs = QTabWidget(self)
        self.tabs.setDocumentMode(True)
        for title, view, buttons in (
            ("This image", self.list, (self.go, self.restore, self.days)),
            ("Project", self.project_list, (self.toggle,)),
        ):
            page = QWidget()
            column = QVBoxLayout(page)
            column.setContentsMargins(6, 6, 6, 6)
            if view is self.list:
                column.addWidget(self.hint)
            column.addWidget(view, 1)
            line = QHBoxLayout()
            for button in buttons:
                button.setAutoDefault(False)
                line.addWidget(button)
            line.addStretch()
            column.addLayout(line)
            self.tabs.addTab(page, title)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.tabs)
        self.setFocusProxy(self.list)
        self.days.setMenu(QMenu(self.days))
        self.go.setToolTip("Undo or redo until the image is as after this step (Return)")
        self.restore.setToolTip("Make the image as after this step, as one new step (Shift+Return)")
        self.days.setToolTip("Make the image as it was at the end of a day, as one new step")
        self.toggle.setToolTip("Only images without newer steps change; the others are named")

    def _wire(self) -> None:
        workspace, history = self._workspace, self.history
        workspace.project_opened.connect(self._follow)
        workspace.project_closing.connect(lambda: self._follow(None))
        workspace.image_shown.connect(self._show_image)
        history.loaded.connect(self._take)
        history.found.connect(self._arrive)
        history.reported.connect(workspace.reported)
        self.list.chosen.connect(self._choose)
        self.list.left.connect(self.left)
        self.project_list.left.connect(self.left)
        self.project_list.chosen.connect(lambda *_: self._toggle_group())
        self.go.clicked.connect(lambda: self._choose(self.list.place(), as_new=False))
        self.restore.clicked.connect(lambda: self._choose(self.list.place(), as_new=True))
        self.toggle.clicked.connect(self._toggle_group)
        self.list.selectionModel().currentChanged.connect(self._show_buttons)
        self.project_list.selectionModel().currentChanged.connect(self._show_buttons)
        self.days.menu().aboutToShow.connect(self._fill_days)
        self.tabs.currentChanged.connect(self._turn)
        self._show_buttons()

    def close_threads(self) -> None:
        """The window closes."""
        self.history.close()

    # --- Following ---

    def _follow(self, document: Document | None) -> None:
        if self._document is not None:
            self._document.history.changed.disconnect(self._show_groups)
        self._document = document
        self.history.follow(document)
        self.steps.show(None)
        if document is not None:
            document.history.changed.connect(self._show_groups)
        self._show_groups()
        self._show_image()

    def _show_image(self, *_: object) -> None:
        self.steps.show(None)
        key = self._workspace.key
        if self.isVisible() and key is not None and self._document is not None:
            self.history.show(key)
        else:
            self.history.hide()
        self._show_buttons()

    def _show_groups(self) -> None:
        if self.isVisible() and self._document is not None:
            self.groups.show(self._document.history.groups())
        elif self._document is None:
            self.groups.show(())
        self._show_buttons()

    def _take(self, steps: Steps) -> None:
        self.steps.show(steps)
        index = self.steps.index(self.steps.current())
        self.list.setCurrentIndex(index)
        self.list.scrollTo(index)
        self._show_buttons()

    def _turn(self, page: int) -> None:
        self.setFocusProxy(self.project_list if page else self.list)

    def _show_buttons(self, *_: object) -> None:
        place, count = self.list.place(), self.steps.rowCount()
        self.hint.setVisible(count == 0)
        self.list.setVisible(count > 0)
        self.go.setEnabled(0 <= place < count and place != self.steps.current())
        self.restore.setEnabled(self.go.isEnabled())
        self.days.setEnabled(count > 0)
        group = self.groups.group_at(self.project_list.place())
        is_done = group is None or group.state == DONE
        self.toggle.setText("&Undo in All Images" if is_done else "&Redo in All Images")
        self.toggle.setEnabled(group is not None)

    # --- Ways back ---

    def _choose(self, place: int, as_new: bool) -> None:
        if 0 <= place < self.steps.rowCount():
            self._restoring = as_new
            self.history.find(self.steps.number_at(place))

    def _arrive(self, target: Target) -> None:
        document = self._document
        if document is None or target.key != self._workspace.key:
            return
        if self._restoring:
            when = moment(target.row.time) if target.row is not None else "the beginning"
            text = f"Restore {when}"
            if not document.restore(target.key, target.annotations, text):
                self._workspace.noticed.emit("The image is like that already.")
            return
        document.jump(target.key, target.annotations, target.done, target.undone)
        name = f"after “{target.row.text}”" if target.row is not None else "before the first step"
        self._workspace.noticed.emit(f"The image is as it was {name}.")

    def _fill_days(self) -> None:
        menu = self.days.menu()
        menu.clear()
        ends: dict[date, list[StepRow]] = {}
        for place in range(self.steps.rowCount()):
            row = self.steps.step_at(place)
            if row is not None:
                # Newest first: the first one of a day is how the day ended. If it was undone,
                # nobody knows on which day: then the last one that was not is offered, too.
                rows = ends.setdefault(datetime.fromtimestamp(row.time).astimezone().date(), [])
                if not rows or (row.state == DONE and all(r.state != DONE for r in rows)):
                    rows.append(row)
        for day, rows in list(ends.items())[:MOST_DAYS]:
            for row in rows:
                text = f"{day.day} {day:%B %Y}, as after “{row.text}”".replace("&", "&&")
                menu.addAction(text).triggered.connect(partial(self._restore_step, row.id))

    def _restore_step(self, step: int, _: bool = False) -> None:
        self._restoring = True
        self.history.find(step)

    def _toggle_group(self) -> None:
        group = self.groups.group_at(self.project_list.place())
        if group is None or self._document is None:
            return
        history = self._document.history
        try:
            if group.state == DONE:
                history.take_back(group.id)
            else:
                history.do_again(group.id)
        except UserError as error:
            self._workspace.reported.emit(error)

    # --- Qt events ---

    def showEvent(self, event: QShowEvent) -> None:
        """Somebody looks."""
        super().showEvent(event)
        self._show_groups()
        self._show_image()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody does."""
        super().hideEvent(event)
        self.history.hide()


class _List(QListView):
    """Rows of a model; Return acts, letters are commands of the window."""

    chosen = Signal(int, bool)
    """A row, and whether it shall become a new step."""
    left = Signal()

    def __init__(self, name: str, model: StepModel | GroupModel, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setModel(model)
        self.setUniformItemSizes(True)
        self.setAlternatingRowColors(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.doubleClicked.connect(self._choose)

    def place(self) -> int:
        """The current row, -1 without one."""
        return self.currentIndex().row()

    def _choose(self, index: QModelIndex) -> None:
        self.chosen.emit(index.row(), False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return goes there, with Shift as a new step; Esc leaves; letters are commands."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            as_new = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.chosen.emit(self.place(), as_new)
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.text().isprintable() and event.text():
            event.ignore()
        else:
            super().keyPressEvent(event)
