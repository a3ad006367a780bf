"""What looks like one object: a ranked list, the name for all of it, and a search for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent, QImage, QPixmap, QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.annotation import Annotation, Category
from annotator.core.errors import UserError
from annotator.services.similar import Hit
from annotator.ui.icons import icon
from annotator.ui.object_rows import PICTURE, Name, ObjectRow, ObjectRows
from annotator.ui.suggestion_list import UNKNOWN_COLOR, percent

if TYPE_CHECKING:
    from annotator.services.object_crops import ObjectCrops
    from annotator.services.similar import Similar
    from annotator.services.workspace import Workspace

UNNAMED = Name("No name", UNKNOWN_COLOR)
STEPS = 100
NOTHING_ASKED = (
    "Select one object and press {key}: proposals and objects with another name that look like it "
    "are listed here, most similar first."
)
NOTHING_FOUND = (
    "Nothing else in this folder looks that similar. Lower the limit, or let the model look for "
    "objects nobody has marked yet."
)


class SimilarPanel(QWidget):
    """The list, and what can be done with it.

    Args:
        workspace: what is open.
        similar: finds and names.
        crops: pictures of objects.
        parent: Qt parent.
    """

    shown = Signal(str, int)
    """The user wants to see an object: key of its image and id."""
    command_wanted = Signal(str)
    """The user asked for this command."""
    left = Signal()
    """Back to the canvas."""

    def __init__(
        self,
        workspace: Workspace,
        similar: Similar,
        crops: ObjectCrops,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._similar = similar
        self._crops = crops
        self.picture, self.title = QLabel(), QLabel()
        self.find_button = QToolButton()
        self.slider, self.least = QSlider(Qt.Orientation.Horizontal), QLabel()
        self.list = ObjectRows("Similar objects", partial(crop_of, workspace, crops), many=True)
        self.accept, self.more = QPushButton(icon("accept"), ""), QToolButton()
        self._build()
        self._wire()
        self._show()

    # --- Building ---

    def _build(self) -> None:
        self.picture.setFixedSize(PICTURE, PICTURE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title.setWordWrap(True)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.find_button.setIcon(icon("similar"))
        self.find_button.setAutoRaise(True)
        self.find_button.setAccessibleName("Find what is similar to the selected object")
        self.slider.setRange(0, STEPS)
        self.slider.setPageStep(5)
        self.slider.setAccessibleName("Least similarity")
        tip = "How similar objects have to be; also for those the model looks for"
        self.slider.setToolTip(tip)
        label = QLabel("Similarity")
        label.setBuddy(self.slider)
        self.least.setMinimumWidth(self.least.fontMetrics().horizontalAdvance("≥ 100 %"))
        self.least.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.more.setIcon(icon("everything"))
        self.more.setText("Look for more")
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setToolTip("Let the model look for similar objects nobody has marked yet")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(QMenu(self.more))
        self.more.menu().aboutToShow.connect(self._fill_menu)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(_line(self.picture, self.title, self.find_button, wide=1))
        column.addLayout(_line(label, self.slider, self.least, wide=1))
        column.addWidget(self.list, 1)
        column.addLayout(_line(self.accept, self.more, wide=0))
        self.setFocusProxy(self.list)

    def _wire(self) -> None:
        similar = self._similar
        similar.changed.connect(self._show)
        similar.search.running_changed.connect(lambda _: self._show_buttons())
        self._workspace.project_opened.connect(self._show)
        self._workspace.selection_changed.connect(lambda _: self._show_buttons())
        self._crops.ready.connect(self._show_picture)
        self.find_button.clicked.connect(lambda: self.command_wanted.emit("similar.find"))
        self.slider.valueChanged.connect(self._move)
        self.accept.clicked.connect(lambda: self._name(self.list.chosen() or self.list.model_.rows))
        self.list.shown.connect(lambda row: self.shown.emit(row.key, row.id))
        self.list.accepted.connect(lambda: self._name(self.list.chosen()))
        self.list.confirmed.connect(self._reveal)
        self.list.picked.connect(self._show_buttons)
        self.list.left.connect(self.left)

    def showEvent(self, event: QShowEvent) -> None:
        """Somebody looks: the list is kept up to date."""
        super().showEvent(event)
        self._similar.set_active(True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks."""
        super().hideEvent(event)
        self._similar.set_active(False)

    # --- Following the service ---

    def _show(self, *_: object) -> None:
        similar = self._similar
        position = round(similar.at_least * STEPS)
        if position != self.slider.value():
            self.slider.blockSignals(True)
            self.slider.setValue(position)
            self.slider.blockSignals(False)
        self.least.setText(f"≥ {percent(similar.at_least)}")
        self.title.setText(self._title())
        self.picture.setVisible(similar.annotation is not None)
        self._show_picture()
        classes = classes_of(self._workspace)
        rows = [_row(hit, name_of(classes, hit.category_id, proposed=hit.proposed))
                for hit in similar.hits]  # fmt: skip
        self.list.show_rows(rows, self._placeholder())
        self._show_buttons()

    def _title(self) -> str:
        query, asked = self._similar.query, self._similar.annotation
        if query is None:
            return "Nothing is compared yet."
        if asked is None:
            return "The object is gone."
        name = name_of(classes_of(self._workspace), asked.category_id)
        text = f"Like “{name.text}”" if asked.category_id is not None else "Like this object"
        count = len(self._similar.hits)
        return f"{text} in {query.key}" + (f" · {count:,} found" if count else "")

    def _placeholder(self) -> str:
        similar = self._similar
        if similar.query is None:
            return NOTHING_ASKED.format(key="S")
        if similar.annotation is None:
            return "The object others were compared with is gone. Select another one."
        if similar.unseen:
            return "Looking at the object…"
        return "Comparing…" if similar.working else NOTHING_FOUND

    def _show_picture(self, *_: object) -> None:
        self.list.viewport().update()
        query, asked = self._similar.query, self._similar.annotation
        if query is None or asked is None:
            return
        image = self._crops.get(query.key, asked)
        if image is None or image.isNull():
            self.picture.clear()
            return
        ratio = self.devicePixelRatioF()
        pixmap = QPixmap.fromImage(image).scaled(
            round(PICTURE * ratio), round(PICTURE * ratio), Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )  # fmt: skip
        pixmap.setDevicePixelRatio(ratio)
        self.picture.setPixmap(pixmap)

    def _show_buttons(self) -> None:
        similar = self._similar
        asked, chosen = similar.annotation, self.list.chosen()
        classes = classes_of(self._workspace)
        name = name_of(classes, asked.category_id).text if asked is not None else ""
        has_name = asked is not None and asked.category_id is not None
        count = len(chosen) or len(similar.hits)
        which = "selected" if chosen else "all"
        self.accept.setText(f"Name {which} {count:,}" if count else "Name")
        self.accept.setEnabled(has_name and count > 0)
        tip = f"Call them “{name}” and accept proposals (Enter); can be taken back as one"
        self.accept.setToolTip(tip if has_name else "Give the object itself a name first")
        self.more.setEnabled(asked is not None and not similar.search.running)
        self.find_button.setEnabled(len(self._workspace.selection) == 1)
        self.find_button.setToolTip("Find what is similar to the selected object (S)")

    # --- What the user does ---

    def _move(self, position: int) -> None:
        self._similar.set_at_least(position / STEPS)
        self.least.setText(f"≥ {percent(position / STEPS)}")

    def _name(self, rows: Sequence[ObjectRow]) -> None:
        try:
            self._similar.name(row.id for row in rows)
        except UserError as error:
            self._workspace.reported.emit(error)

    def _reveal(self) -> None:
        row = self.list.row(self.list.currentIndex())
        if row is not None:
            self.shown.emit(row.key, row.id)

    def _fill_menu(self) -> None:
        menu = self.more.menu()
        menu.clear()
        for command, text in (
            ("similar.here", "In this image"),
            ("similar.next", "In the next images"),
            ("similar.folder", "In the whole folder"),
        ):
            entry = menu.addAction(text)
            entry.triggered.connect(lambda _=False, name=command: self.command_wanted.emit(name))


def _row(hit: Hit, name: Name) -> ObjectRow:
    kind = ", proposed" if hit.proposed else ""
    number = percent(hit.similarity)
    tip = f"{name.text}{kind}, {number} similar, in {hit.key}"
    return ObjectRow(hit.key, hit.id, (name,), max(hit.similarity, 0.0), number, hit.key, tip=tip)


def _line(*widgets: QWidget, wide: int) -> QHBoxLayout:
    line = QHBoxLayout()
    line.setContentsMargins(8, 4, 8, 4)
    line.setSpacing(6)
    for place, widget in enumerate(widgets):
        line.addWidget(widget, int(place == wide))
    return line


def classes_of(workspace: Workspace) -> Mapping[int, Category]:
    """The classes of the open project by id."""
    document = workspace.document
    return {c.id: c for c in document.categories()} if document is not None else {}


def name_of(
    classes: Mapping[int, Category], category_id: int | None, *, proposed: bool = False
) -> Name:
    """A class for a row."""
    category = None if category_id is None else classes.get(category_id)
    if category is None:
        return Name(UNNAMED.text, UNNAMED.color, proposed)
    return Name(category.name, category.color, proposed)


def crop_of(workspace: Workspace, crops: ObjectCrops, row: ObjectRow) -> QImage | None:
    """The picture for a row; a null one when its object is gone."""
    document = workspace.document
    if document is None:
        return None
    try:
        present: tuple[Annotation, ...] = document.annotations(row.key)
    except UserError:
        return QImage()  # the journal cannot be read, which is told elsewhere
    found = next((a for a in present if a.id == row.id), None)
    return QImage() if found is None else crops.get(row.key, found)
