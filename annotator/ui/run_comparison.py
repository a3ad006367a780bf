"""What a new run would change: a panel with a row for each difference, of an image or of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
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

from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.prompting import PromptDraft
from annotator.services.run_comparison import RunComparison
from annotator.services.run_preparing import Order
from annotator.ui.icons import icon
from annotator.ui.labels import soft_label
from annotator.ui.prelabel_panel import many

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation
    from annotator.core.images import LoadedImage
    from annotator.core.prelabel.difference import Comparison, Difference
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.canvas import Canvas
    from models.api import Box, Point

HINT = "Return shows one, T takes the new shape, Esc goes back to the image."
MOST_LISTED = 2000
"""Differences that get a row; the others are counted."""
ICONS = {"changed": "similar", "missing": "warning", "added": "everything"}


class ComparisonPanel(QWidget):
    """The differences of the image or the images that were compared.

    Args:
        workspace: what is open.
        comparison: makes them.
        parent: Qt parent.
    """

    shown = Signal(str, object)
    """Key of an image, and a `Difference` that shall be seen there; None: none of them."""
    left = Signal()
    """The user pressed Esc: the keyboard belongs to the canvas again."""

    def __init__(
        self, workspace: Workspace, comparison: RunComparison, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace, self._comparison = workspace, comparison
        self._key = ""
        # With their images; one for each row.
        self._differences: list[tuple[str, Difference]] = []
        self._many = False
        self._counts: Counter[str] = Counter()
        self.setAccessibleName("Comparison with a new run")
        self.state = QLabel(self)
        self.state.setWordWrap(True)
        self.list = _Rows(self)
        self.hint = soft_label(HINT, self)
        self.take = QPushButton("&Take New Shape", self)
        self.take.setToolTip("Give the object the shape of the new run, or add what it found (T)")
        self.again = QPushButton("Compare &Again", self)
        self.again.setToolTip("Run the model on the image that is shown")
        self.stop = QPushButton("&Stop", self)
        self.stop.setToolTip("End the comparison; what was found stays listed")
        for button in (self.take, self.again, self.stop):
            button.setAutoDefault(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 6)
        column.addWidget(self.state)
        column.addWidget(self.list, 1)
        column.addWidget(self.hint)
        line = QHBoxLayout()
        line.addWidget(self.take)
        line.addWidget(self.again)
        line.addWidget(self.stop)
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
        comparison.progressed.connect(self._show_progress)
        comparison.skipped.connect(self._skip)
        self.stop.clicked.connect(comparison.stop)
        comparison.failed.connect(lambda error: self.state.setText(str(error)))
        workspace.image_shown.connect(self._follow)
        workspace.project_closed.connect(self.clear)
        self.clear()

    def _follow(self, key: str) -> None:
        if not self._many and key != self._key:
            self.clear()

    def clear(self, *, many: bool = False) -> None:
        """Nothing is compared, yet.

        Args:
            many: images will be, not only the one that is shown.
        """
        self._key, self._differences, self._many = "", [], many
        self._counts.clear()
        self.list.clear()
        self.hint.hide()
        self.state.setText("Compares your objects of this image with what the model finds now.")
        self.shown.emit("", None)
        self._show_buttons()

    def _show_working(self, working: bool) -> None:
        self.again.setEnabled(not working)
        self.stop.setVisible(working)
        if working:
            self.clear()
            self.state.setText("Comparing…")

    def _show_progress(self, done: int, total: int) -> None:
        if done == 0:
            self.clear(many=True)
        counts = self._counts
        text = f"{done:,} of {total:,} images: {counts['same']:,} objects the same, "
        text += f"{counts['changed']:,} different, {counts['missing']:,} missing, "
        text += f"{counts['added']:,} new."
        if counts["skipped"]:
            text += f" {many(counts['skipped'], 'image')} could not be compared."
        if (more := counts["rows"] - MOST_LISTED) > 0:
            text += f" {more:,} more are not listed."
        self.state.setText(text)

    def _skip(self, key: str, reason: str) -> None:
        self._counts["skipped"] += 1
        self.state.setToolTip(f"{key}: {reason}")

    def _add(self, key: str, found: Comparison) -> None:
        self._counts["same"] += found.same
        for one in found.differences:
            self._counts[one.kind] += 1
            self._counts["rows"] += 1
            if len(self._differences) < MOST_LISTED:
                self._differences.append((key, one))
                QListWidgetItem(icon(ICONS[one.kind]), f"{self._words(one)}\n{key}", self.list)
        if self._differences and self.list.currentRow() < 0:
            self.list.setCurrentRow(0)
            self.hint.show()
        self._show_buttons()

    def _fill(self, key: str, found: Comparison) -> None:
        if self._many:
            self._add(key, found)
            return
        if key != self._workspace.key:
            self.clear()
            return
        self._key, self._differences = key, [(key, one) for one in found.differences]
        self.list.clear()
        for one in found.differences:
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
        if one.renamed and not one.reshaped:
            return f"{name} · different name"
        return f"{name} · different shape · IoU {one.iou:.2f}"

    def current(self) -> tuple[str, Difference] | None:
        """The row the keyboard is at: the image and what is different."""
        row = self.list.currentRow()
        return self._differences[row] if 0 <= row < len(self._differences) else None

    def show_current(self) -> None:
        """Have it seen on the canvas."""
        if (one := self.current()) is not None:
            self.shown.emit(*one)

    def take_current(self) -> None:
        """Take what was found; the row goes."""
        one = self.current()
        if one is None or not _takes(one[1]):
            return
        self.shown.emit("", None)
        if not self._comparison.take(*one):
            self.state.setText("The object was changed meanwhile, or is locked: compare again.")
            return
        row = self.list.currentRow()
        self.list.takeItem(row)
        del self._differences[row]
        self._show_buttons()

    def _leave(self) -> None:
        self.shown.emit("", None)
        self.left.emit()

    def _show_buttons(self) -> None:
        row = self.current()
        self.take.setEnabled(row is not None and _takes(row[1]))
        adds = row is not None and row[1].accepted is None
        self.take.setText("&Take Object" if adds else "&Take New Shape")


def _takes(one: Difference) -> bool:
    """Whether there is a shape to be taken: names are a person's."""
    return one.found is not None and (one.accepted is None or one.reshaped)


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
        self._wanted: tuple[str, Difference] | None = None
        workspace.image_ready.connect(self._arrive)

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
        self._show_panel(panel)

    def compare_folder(self, order: Order, keys: Sequence[str]) -> None:
        """Compare many images with what a run would find."""
        panel = self._made()
        try:
            self.comparison.start_folder(order, keys)
        except UserError as error:
            self._workspace.reported.emit(error)
            return
        self._show_panel(panel)

    def _show_panel(self, panel: ComparisonPanel) -> None:
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
            dock.visibilityChanged.connect(lambda seen: None if seen else self._show("", None))
            self._window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
        return panel

    def _show(self, key: str, difference: Difference | None) -> None:
        """An object with its new shape, one that is missing, or the click that found a new one."""
        workspace = self._workspace
        self._canvas.show_instead({})
        self._wanted = None
        if difference is None:
            return
        if workspace.image is not None and workspace.image.key == key:
            self._draw(difference)
            return
        workspace.show(key)
        self._wanted = (key, difference)

    def _arrive(self, image: LoadedImage) -> None:
        if self._wanted is not None and self._wanted[0] == image.key:
            _, difference = self._wanted
            self._wanted = None
            self._draw(difference)

    def _draw(self, difference: Difference) -> None:
        workspace, canvas = self._workspace, self._canvas
        mine, found = difference.accepted, difference.found
        if mine is None:
            assert found is not None, "a difference has one of both"
            workspace.select(())
            workspace.set_draft(PromptDraft(_marks(found)))
            return
        workspace.clear_draft()
        workspace.select((mine.id,))
        if found is not None and isinstance(found.shape, Mask):
            canvas.show_instead({mine.id: found.shape})
        canvas.center_on((mine.id,))


def _marks(found: Annotation) -> tuple[Point | Box, ...]:
    """The clicks and the box that found an object; the box around it if nobody asked for it."""
    prompt = found.origin.prompt
    if prompt is not None:
        return (*prompt.points, *(() if prompt.box is None else (prompt.box,)))
    from annotator.core import raster

    return (raster.box(found.shape) if isinstance(found.shape, Mask) else found.shape,)
