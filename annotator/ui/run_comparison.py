"""What a new run would change of an image: a panel with a row for each difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.mask import Mask
from annotator.core.prompting import PromptDraft
from annotator.services.run_comparison import RunComparison
from annotator.ui.icons import icon
from annotator.ui.labels import soft_label

if TYPE_CHECKING:
    from annotator.core.prelabel.difference import Comparison, Difference
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.canvas import Canvas

HINT = "Return shows one, T takes the new shape, Esc goes back to the image."
ICONS = {"changed": "similar", "missing": "warning", "added": "everything"}


class ComparisonPanel(QWidget):
    """The differences of the image that was compared.

    Args:
        workspace: what is open.
        comparison: makes them.
        parent: Qt parent.
    """

    shown = Signal(object)
    """A `Difference` shall be seen; None: none of them."""
    left = Signal()
    """The user pressed Esc: the keyboard belongs to the canvas again."""

    def __init__(
        self, workspace: Workspace, comparison: RunComparison, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace, self._comparison = workspace, comparison
        self._key = ""
        self._differences: list[Difference] = []
        self.setAccessibleName("Comparison with a new run")
        self.state = QLabel(self)
        self.state.setWordWrap(True)
        self.list = _Rows(self)
        self.hint = soft_label(HINT, self)
        self.take = QPushButton("&Take New Shape", self)
        self.take.setToolTip("Give the object the shape of the new run, or add what it found (T)")
        self.again = QPushButton("Compare &Again", self)
        self.again.setToolTip("Run the model on the image that is shown")
        for button in (self.take, self.again):
            button.setAutoDefault(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 6)
        column.addWidget(self.state)
        column.addWidget(self.list, 1)
        column.addWidget(self.hint)
        line = QHBoxLayout()
        line.addWidget(self.take)
        line.addWidget(self.again)
        line.addStretch(1)
        column.addLayout(line)
        self.setFocusProxy(self.list)
        self.take.clicked.connect(self.take_current)
        self.list.taken.connect(self.take_current)
        self.list.itemActivated.connect(lambda _: self.show_current())
        self.list.itemClicked.connect(lambda _: self.show_current())
        self.list.currentRowChanged.connect(lambda _: self._show_buttons())
        self.list.left.connect(self._leave)
        comparison.working.connect(self._show_working)
        comparison.compared.connect(self._fill)
        comparison.failed.connect(lambda error: self.state.setText(str(error)))
        workspace.image_shown.connect(lambda key: self.clear() if key != self._key else None)
        workspace.project_closed.connect(self.clear)
        self.clear()

    def clear(self) -> None:
        """Nothing is compared."""
        self._key, self._differences = "", []
        self.list.clear()
        self.hint.hide()
        self.state.setText("Compares your objects of this image with what the model finds now.")
        self.shown.emit(None)
        self._show_buttons()

    def _show_working(self, working: bool) -> None:
        self.again.setEnabled(not working)
        if working:
            self.clear()
            self.state.setText("Comparing…")

    def _fill(self, key: str, found: Comparison) -> None:
        if key != self._workspace.key:
            self.clear()
            return
        self._key, self._differences = key, list(found.differences)
        self.list.clear()
        for one in self._differences:
            QListWidgetItem(icon(ICONS[one.kind]), self._words(one), self.list)
        self.state.setText(
            f"{found.same} the same, {found.count('changed')} different, "
            f"{found.count('missing')} missing, {found.count('added')} new."
        )
        self.hint.setVisible(bool(self._differences))
        if self._differences:
            self.list.setCurrentRow(0)
        self._show_buttons()

    def _words(self, one: Difference) -> str:
        document, mine = self._workspace.document, one.accepted
        if mine is None:
            score = one.found.origin.score if one.found is not None else None
            return "New" + (f" · score {score:.2f}" if score is not None else "")
        name = "Object"
        if document is not None and mine.category_id is not None:
            name = document.category(mine.category_id).name
        if one.found is None:
            return f"{name} · not found"
        return f"{name} · different shape · IoU {one.iou:.2f}"

    def current(self) -> Difference | None:
        """The row the keyboard is at."""
        row = self.list.currentRow()
        return self._differences[row] if 0 <= row < len(self._differences) else None

    def show_current(self) -> None:
        """Have it seen on the canvas."""
        self.shown.emit(self.current())

    def take_current(self) -> None:
        """Take what was found; the row goes."""
        one = self.current()
        if one is None or one.found is None:
            return
        self.shown.emit(None)
        if not self._comparison.take(self._key, one):
            self.state.setText("The object was changed meanwhile, or is locked: compare again.")
            return
        row = self.list.currentRow()
        self.list.takeItem(row)
        del self._differences[row]
        self._show_buttons()

    def _leave(self) -> None:
        self.shown.emit(None)
        self.left.emit()

    def _show_buttons(self) -> None:
        one = self.current()
        self.take.setEnabled(one is not None and one.found is not None)
        adds = one is not None and one.accepted is None
        self.take.setText("&Take Object" if adds else "&Take New Shape")


class _Rows(QListWidget):
    """The rows; letters but T are commands of the window."""

    taken = Signal()
    left = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName("Differences")
        self.setAlternatingRowColors(True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return shows, T takes, Esc leaves."""
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self.left.emit()
        elif key == Qt.Key.Key_T and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self.taken.emit()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentItem() is not None:
            self.itemActivated.emit(self.currentItem())
        elif event.text().isprintable() and event.text():
            event.ignore()
        else:
            super().keyPressEvent(event)


class Comparing(QObject):
    """The command, and its panel, which is made by its first use.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        canvas: where objects are shown.
        window: gets the panel, if it is a main window.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: SettingsStore,
        canvas: Canvas,
        window: QObject,
    ) -> None:
        super().__init__(window)
        self._workspace, self._window, self._canvas = workspace, window, canvas
        self.comparison = RunComparison(workspace, settings, self)
        self.panel: ComparisonPanel | None = None
        self._dock: QDockWidget | None = None

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Command id to function."""
        return {"prelabel.compare": self.compare}

    def close(self) -> None:
        """End the thread."""
        self.comparison.close()

    def compare(self) -> None:
        """Compare the current image and show the panel.

        Raises:
            UserError: there is no image.
        """
        panel = self._made()
        self.comparison.start()
        if self._dock is not None:
            self._dock.show()
            self._dock.raise_()
        panel.list.setFocus()

    def _made(self) -> ComparisonPanel:
        if self.panel is not None:
            return self.panel
        panel, canvas = ComparisonPanel(self._workspace, self.comparison), self._canvas
        panel.shown.connect(self._show)
        panel.left.connect(lambda: canvas.setFocus())
        panel.again.clicked.connect(self.compare)
        self.panel = panel
        if isinstance(self._window, QMainWindow):
            self._dock = dock = QDockWidget("Comparison", self._window)
            dock.setObjectName("Comparison")
            dock.setWidget(panel)
            dock.visibilityChanged.connect(lambda seen: None if seen else self._show(None))
            self._window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        return panel

    def _show(self, difference: Difference | None) -> None:
        """An object with its new shape, one that is missing, or the click that found a new one."""
        workspace, canvas = self._workspace, self._canvas
        canvas.show_instead({})
        if difference is None:
            return
        mine, found = difference.accepted, difference.found
        if mine is None:
            prompt = found.origin.prompt if found is not None else None
            if prompt is not None:
                workspace.select(())
                workspace.set_draft(PromptDraft(prompt.points))
            return
        workspace.clear_draft()
        workspace.select((mine.id,))
        if found is not None and isinstance(found.shape, Mask):
            canvas.show_instead({mine.id: found.shape})
        canvas.center_on((mine.id,))
