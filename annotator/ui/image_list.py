"""`ImageList`: the images of the project, what state they are in, and the way to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QModelIndex, QSize, Qt, Signal
from PySide6.QtGui import (
    QGuiApplication,
    QImage,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from annotator.core.annotation import ImageState
from annotator.services.thumbnails import Thumbnails
from annotator.ui.image_filter import ENTER, FilterBox, ImageProgress, StateChips
from annotator.ui.image_model import ImageModel
from annotator.ui.image_row import PICTURE, ImageRow, row_height
from annotator.ui.query_filter import QueryFilter
from annotator.ui.theme import soft_text

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.services.document import Document
    from annotator.services.workspace import Workspace


class ImageList(QWidget):
    """Filter, rows and progress. Shows images through the workspace and follows what it shows.

    Args:
        workspace: what is open.
        parent: Qt parent.
    """

    order_changed = Signal()
    """Other images are listed, or in another order; "next" and "previous" mean others now."""
    left = Signal()
    """The user pressed Esc with nothing to clear: the keyboard belongs to the canvas again."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._document: Document | None = None
        self._thumbnails: Thumbnails | None = None
        self._thumbnails_due = False
        self._current = ""
        self._model = ImageModel(self)
        self._view = _View(self._model, self)
        self._view.setItemDelegate(ImageRow(self._model, self._thumbnail, self._view))
        self._filter = FilterBox(self)
        self._query = QueryFilter(self._filter, self)
        self._found: tuple[str, frozenset[str] | None] = ("", None)
        self._chips = StateChips(self)
        self._progress = ImageProgress(self)
        self._arrange()
        self._connect()
        self._follow_counts()

    def _arrange(self) -> None:
        self.setAccessibleName("Images")
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 4)
        column.setSpacing(6)
        column.addWidget(self._filter)
        column.addWidget(self._query.line)
        column.addWidget(self._chips)
        column.addWidget(self._view, 1)
        column.addWidget(self._progress)
        self.setFocusProxy(self._view)
        self.setTabOrder(self._filter, self._chips)
        self.setTabOrder(self._chips, self._view)

    def _connect(self) -> None:
        workspace, model = self._workspace, self._model
        workspace.project_opened.connect(self._open)
        workspace.project_closed.connect(self._close)
        workspace.image_shown.connect(self._follow_image)
        workspace.image_ready.connect(self._follow_pixels)
        workspace.image_failed.connect(self._begin_thumbnails)
        model.counted.connect(self._follow_counts)
        model.order_changed.connect(self._follow_order)
        model.modelReset.connect(self._mark_current)
        self._view.chosen.connect(self._show)
        self._view.escaped.connect(self._clear_or_leave)
        self._filter.textChanged.connect(lambda _: self._query.apply())
        self._query.found.connect(self._take_found)
        self._filter.accepted.connect(self._show_first)
        self._filter.moved.connect(self._enter_list)
        self._filter.escaped.connect(self._clear_or_leave)
        self._chips.changed.connect(self._apply_filter)

    # --- For the window ---

    def sizeHint(self) -> QSize:
        """Wide enough for the usual camera and data set names."""
        return QSize(PICTURE.width() + self.fontMetrics().averageCharWidth() * 30, 480)

    def focus_filter(self) -> None:
        """Put the keyboard into the text filter."""
        self._filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._filter.selectAll()

    def visible_keys(self) -> list[str]:
        """The keys of all listed images, in their order."""
        return self._model.visible_keys()

    def selected_keys(self) -> list[str]:
        """The keys of the rows chosen with Ctrl or Shift and a click, in their order."""
        return [self._model.key_at(row) for row in self._view.selected_rows()]

    def neighbour(self, key: str, step: int) -> str | None:
        """The image `step` rows further in the list (negative: back), None beyond its ends.

        Also works from an image the filter hides: the next listed one in natural order.
        """
        return self._model.neighbour(key, step)

    def set_filter(self, text: str, states: frozenset[ImageState] = frozenset()) -> None:
        """Set both filters, as if the user had."""
        self._chips.set_states(states)
        self._filter.setText(text)
        self._query.apply()

    # --- What is open ---

    def _open(self, document: Document) -> None:
        self._close()
        self._document = document
        self._thumbnails_due = False
        self._thumbnails = Thumbnails(parent=self)
        self._thumbnails.ready.connect(self._show_thumbnail)
        document.images_changed.connect(self._model.add_images)
        document.record_changed.connect(self._model.update_record)
        self._query.open(document)
        self.set_filter("")
        self._model.set_document(document)

    def _close(self) -> None:
        self._query.open(None)
        if self._document is not None:
            self._document.images_changed.disconnect(self._model.add_images)
            self._document.record_changed.disconnect(self._model.update_record)
            self._document = None
        if self._thumbnails is not None:
            self._thumbnails.close()
            self._thumbnails.deleteLater()
            self._thumbnails = None
        self._current = ""
        self._model.set_document(None)

    def _thumbnail(self, key: str) -> QImage | None:
        if self._thumbnails is None or self._document is None:
            return None
        image = self._thumbnails.get(key)
        if image is None and self._thumbnails_due:
            self._thumbnails.request(key, self._document.path(key))
        return image

    def _follow_pixels(self, image: LoadedImage) -> None:
        if image.complete:
            self._begin_thumbnails()

    def _begin_thumbnails(self, *_: object) -> None:
        """From the first image on; before that they would only delay it."""
        if not self._thumbnails_due:
            self._thumbnails_due = True
            self._view.viewport().update()

    def _show_thumbnail(self, key: str) -> None:
        self._model.touch(key)

    # --- The current image ---

    def _show(self, key: str) -> None:
        self._workspace.show(key)

    def _follow_image(self, key: str) -> None:
        self._current = key
        self._model.keep_shown(key)
        self._mark_current()

    def _mark_current(self) -> None:
        row = self._model.row_of(self._current)
        index = self._model.index(row) if row >= 0 else QModelIndex()
        self._view.setCurrentIndex(index)
        if index.isValid():
            self._view.scrollTo(index)

    # --- Filter ---

    def _take_found(self, words: str, keys: frozenset[str] | None, again: bool) -> None:
        self._found = (words, keys)
        self._apply_filter(keep_current=again)

    def _apply_filter(self, *, keep_current: bool = False) -> None:
        words, keys = self._found
        self._model.set_filter(words, self._chips.states, keys, keep_current=keep_current)
        self._follow_counts()
        self._view.viewport().update()

    def _show_first(self) -> None:
        keys = self._model.rowCount()
        if keys:
            row = max(self._view.currentIndex().row(), 0)
            self._show(self._model.key_at(row))
            self._view.setFocus(Qt.FocusReason.OtherFocusReason)

    def _enter_list(self) -> None:
        if self._model.rowCount():
            if not self._view.currentIndex().isValid():
                self._view.setCurrentIndex(self._model.index(0))
            self._view.setFocus(Qt.FocusReason.OtherFocusReason)

    def _clear_or_leave(self) -> None:
        if self._filter.text() or self._chips.states:
            self.set_filter("")
        else:
            self.left.emit()

    def _follow_order(self) -> None:
        self._follow_counts()
        self.order_changed.emit()

    def _follow_counts(self) -> None:
        model = self._model
        self._chips.show_counts(model.counts)
        self._progress.show_counts(model.counts, model.total, model.filtered, model.rowCount())
        self._view.set_message(self._message())

    def _message(self) -> str:
        if self._document is None:
            return "No folder is open."
        if not self._model.total:
            return "No images here yet."
        return "" if self._model.rowCount() else "No image passes the filter.\nEsc clears it."


class _View(QTableView):
    """The rows, as a table of one column.

    A QListView asks the model about every row at each layout: 0.3 s for 100,000 rows in Python.
    The header of a table adds up row heights without asking.
    """

    chosen = Signal(str)
    escaped = Signal()

    def __init__(self, model: ImageModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._message = ""
        self._rows = model
        self.setModel(model)
        self.horizontalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setShowGrid(False)
        self.setCornerButtonEnabled(False)
        self.setTabKeyNavigation(False)
        self.setMouseTracking(True)
        self.setFrameShape(QTableView.Shape.NoFrame)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Several rows are chosen for work on many images; only a plain click shows one.
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAccessibleName("Image list")
        self.setToolTip("")
        self.clicked.connect(self._choose_clicked)
        self.set_row_height(row_height(self.font()))

    def set_row_height(self, height: int) -> None:
        """All rows are of this height."""
        self.verticalHeader().setMinimumSectionSize(height)
        self.verticalHeader().setDefaultSectionSize(height)
        self.verticalScrollBar().setSingleStep(height // 2)

    def changeEvent(self, event: QEvent) -> None:
        """Another font needs other rows."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.set_row_height(row_height(self.font()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The current row stays in view when another panel takes room."""
        index = self.currentIndex()
        top = self.visualRect(index).top() if index.isValid() else -1
        super().resizeEvent(event)
        if 0 <= top < event.oldSize().height():
            self.scrollTo(index)

    def set_message(self, text: str) -> None:
        """What stands there while there are no rows."""
        if text != self._message:
            self._message = text
            self.viewport().update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter shows the marked image, Esc clears the filter; letters are commands."""
        if event.key() in ENTER:
            self._choose(self.currentIndex())
        elif event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        elif event.text().isprintable() and event.text():
            # Qt would search all rows for the typed letters; the filter does that better.
            event.ignore()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows, or a line saying why there are none."""
        super().paintEvent(event)
        if not self._message or self._rows.rowCount():
            return
        painter = QPainter(self.viewport())
        painter.setPen(soft_text(self.palette()))
        box = self.viewport().rect().adjusted(12, 24, -12, -12)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
        painter.drawText(box, flags | Qt.TextFlag.TextWordWrap, self._message)
        painter.end()

    def selected_rows(self) -> list[int]:
        """The chosen rows, from the top."""
        return sorted(index.row() for index in self.selectionModel().selectedRows())

    def _choose_clicked(self, index: QModelIndex) -> None:
        more = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
        if not QGuiApplication.keyboardModifiers() & more:
            self._choose(index)

    def _choose(self, index: QModelIndex) -> None:
        if index.isValid():
            self.chosen.emit(self._rows.key_at(index.row()))
