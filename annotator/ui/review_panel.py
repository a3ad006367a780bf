"""Names that may be wrong: change them, or say that they are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.services import name_review
from annotator.services.name_review import Doubt
from annotator.ui.icons import icon
from annotator.ui.labels import soft_label
from annotator.ui.object_rows import ObjectRow, ObjectRows
from annotator.ui.similar_panel import classes_of, crop_of, name_of
from annotator.ui.suggestion_list import percent

if TYPE_CHECKING:
    from annotator.core.annotation import Category
    from annotator.services.looks import Looks
    from annotator.services.name_review import NameReview
    from annotator.services.object_crops import ObjectCrops
    from annotator.services.workspace import Workspace

ALL = -1
SHOWN = 14
"""Letters of a name on the button."""
MOST = 1000
"""Rows at once; the others follow when these are dealt with."""


class ReviewPanel(QWidget):
    """The doubtful names, worst first.

    Args:
        workspace: what is open.
        review: judges names.
        looks: looks at objects nobody has looked at.
        crops: pictures of objects.
        parent: Qt parent.
    """

    shown = Signal(str, int)
    """The user wants to see an object: key of its image and id."""
    left = Signal()
    """Back to the canvas."""

    def __init__(
        self,
        workspace: Workspace,
        review: NameReview,
        looks: Looks,
        crops: ObjectCrops,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._review = review
        self._looks = looks
        self._doubts: dict[int, Doubt] = {}
        self.filter, self.also_right = QComboBox(), QToolButton()
        self.state = soft_label("", self)
        self.unseen, self.look = soft_label("", self), QPushButton("Look at them")
        self.list = ObjectRows("Doubtful names", partial(crop_of, workspace, crops), many=False)
        self.rename, self.right = QPushButton(icon("swap"), ""), QPushButton("It is right")
        self.others = QToolButton()
        self._unseen_line = QWidget()
        self._build()
        self._wire(crops)
        self._show()

    # --- Building ---

    def _build(self) -> None:
        self.filter.setAccessibleName("Show only one class")
        self.filter.setToolTip("Show only objects that have this name now")
        adjust = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.filter.setSizeAdjustPolicy(adjust)
        self.filter.setMinimumContentsLength(6)
        self.also_right.setIcon(icon("accept"))
        self.also_right.setCheckable(True)
        self.also_right.setAutoRaise(True)
        self.also_right.setToolTip("Show names you said are right, too; Space asks again")
        self.also_right.setAccessibleName("Show confirmed names, too")
        self.right.setIcon(icon("accept"))
        self.right.setToolTip("Keep the name and do not ask again (Space)")
        self.others.setIcon(icon("more"))
        self.others.setAutoRaise(True)
        self.others.setToolTip("Other names")
        self.others.setAccessibleName("Other names")
        self.others.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.others.setMenu(QMenu(self.others))
        self.others.menu().aboutToShow.connect(self._fill_menu)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(_line((self.filter, 1), (self.also_right, 0)))
        column.addLayout(_line((self.state, 1)))
        line = _line((self.unseen, 1), (self.look, 0))
        self._unseen_line.setLayout(line)
        column.addWidget(self._unseen_line)
        column.addWidget(self.list, 1)
        column.addLayout(_line((self.rename, 1), (self.right, 0), (self.others, 0)))
        self.setFocusProxy(self.list)

    def _wire(self, crops: ObjectCrops) -> None:
        review = self._review
        review.changed.connect(self._show)
        review.progressed.connect(self._show_state)
        self._looks.progressed.connect(self._show_state)
        crops.ready.connect(lambda _: self.list.viewport().update())
        self.filter.activated.connect(lambda _: self._show())
        self.also_right.toggled.connect(lambda _: self._show())
        self.look.clicked.connect(self._look)
        self.rename.clicked.connect(self._accept)
        self.right.clicked.connect(self._confirm)
        self.list.accepted.connect(self._accept)
        self.list.confirmed.connect(self._confirm)
        self.list.picked.connect(self._show_buttons)
        self.list.shown.connect(lambda row: self.shown.emit(row.key, row.id))
        self.list.left.connect(self.left)

    def showEvent(self, event: QShowEvent) -> None:
        """Somebody looks: names are judged."""
        super().showEvent(event)
        self._review.set_active(True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks."""
        super().hideEvent(event)
        self._review.set_active(False)

    # --- Following the service ---

    def _show(self, *_: object) -> None:
        also_right = self.also_right.isChecked()
        doubts = [d for d in self._review.doubts if also_right or not d.confirmed]
        self._fill_filter(doubts)
        wanted = self.filter.currentData()
        doubts = [d for d in doubts if wanted in (ALL, None, d.category_id)][:MOST]
        self._doubts = {doubt.id: doubt for doubt in doubts}
        classes = classes_of(self._workspace)
        self.list.show_rows([_row(doubt, classes) for doubt in doubts], self._placeholder())
        self._show_state()

    def _fill_filter(self, doubts: list[Doubt]) -> None:
        counts = Counter(doubt.category_id for doubt in doubts)
        entries = [(ALL, f"All classes ({len(doubts):,})")]
        chosen = self.filter.currentData()
        classes = classes_of(self._workspace)
        entries += [
            (number, f"{name_of(classes, number).text} ({counts[number]:,})")
            for number in sorted({*counts, chosen} - {None, ALL}, key=lambda i: -counts[i])
        ]
        before = [(self.filter.itemData(i), self.filter.itemText(i))
                  for i in range(self.filter.count())]  # fmt: skip
        if entries != before:
            self.filter.clear()
            for number, text in entries:
                self.filter.addItem(text, number)
            self.filter.setCurrentIndex(max(self.filter.findData(chosen), 0))

    def _placeholder(self) -> str:
        review = self._review
        if review.share is not None:
            return "Comparing names…"
        if review.compared < 2:
            return (
                "Names are compared when some objects have one. Those that similar objects speak "
                "against will be listed here."
            )
        if any(doubt.confirmed for doubt in review.doubts):
            return "No doubts are left. Those you said are right are behind the tick above."
        return "All names agree with what the objects look like."

    def _show_state(self, *_: object) -> None:
        review = self._review
        names = f"{review.compared:,} name{'' if review.compared == 1 else 's'}"
        open_ones = sum(not doubt.confirmed for doubt in review.doubts)
        more = " or more" if len(review.doubts) >= name_review.LISTED else ""
        text = f"{open_ones:,}{more} of {names} to look at" if review.compared else ""
        if review.share is not None:
            text = f"Comparing {names}… {percent(review.share)}"
        self.state.setText(text)
        describing = self._looks.describing
        self._unseen_line.setVisible(describing or review.unseen > 0)
        one = review.unseen == 1
        self.unseen.setText(
            "Looking at objects…" if describing
            else f"{review.unseen:,} object{' is' if one else 's are'} left out: "
                 f"nobody has looked at {'it' if one else 'them'} yet."
        )  # fmt: skip
        self.look.setText("Stop" if describing else "Look at it" if one else "Look at them")
        self.look.setToolTip("Reads their images in the background; imported objects need that")
        self._show_buttons()

    def _chosen(self) -> Doubt | None:
        rows = self.list.chosen()
        return self._doubts.get(rows[0].id) if rows else None

    def _show_buttons(self) -> None:
        doubt = self._chosen()
        for button in (self.rename, self.right, self.others):
            button.setEnabled(doubt is not None)
        classes = classes_of(self._workspace)
        name = name_of(classes, doubt.others[0][0]).text if doubt is not None else ""
        room = self.rename.fontMetrics().averageCharWidth() * SHOWN
        shown = self.rename.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, room)
        self.rename.setText(shown.replace("&", "&&") if name else "Change")
        self.rename.setToolTip(f"Call it “{name}” (Enter)" if name else "Select an object")
        self.right.setText("Ask again" if doubt is not None and doubt.confirmed else "It is right")

    # --- What the user does ---

    def _accept(self) -> None:
        doubt = self._chosen()
        if doubt is not None:
            self._rename(doubt, doubt.others[0][0])

    def _rename(self, doubt: Doubt, category_id: int) -> None:
        try:
            self._review.rename(doubt, category_id)
        except UserError as error:
            self._workspace.reported.emit(error)
        self.list.rest()

    def _confirm(self) -> None:
        doubt = self._chosen()
        if doubt is not None:
            self._review.confirm(doubt, right=not doubt.confirmed)
            self.list.rest()

    def _fill_menu(self) -> None:
        menu, doubt = self.others.menu(), self._chosen()
        menu.clear()
        if doubt is None:
            return
        classes = classes_of(self._workspace)
        for number, score in doubt.others:
            name = name_of(classes, number).text.replace("&", "&&")
            entry = menu.addAction(f"{name}\t{percent(score)}")
            entry.triggered.connect(partial(self._choose, doubt, number))

    def _choose(self, doubt: Doubt, category_id: int, _checked: bool = False) -> None:
        self._rename(doubt, category_id)

    def _look(self) -> None:
        if self._looks.describing:
            self._looks.stop()
        else:
            self._looks.describe_all()


def _row(doubt: Doubt, classes: Mapping[int, Category]) -> ObjectRow:
    given, better = name_of(classes, doubt.category_id), name_of(classes, doubt.others[0][0])
    rest = [f"{name_of(classes, i).text} {percent(score)}" for i, score in doubt.others[1:2]]
    tip = (
        f"“{given.text}” ({percent(doubt.score)}) may be “{better.text}” "
        f"({percent(doubt.others[0][1])}); in {doubt.key}"
    )
    detail = f"or {', '.join(rest)}" if rest else doubt.key
    return ObjectRow(
        doubt.key, doubt.id, (given, better), doubt.amount, percent(doubt.amount), detail,
        doubt.confirmed, tip, Qt.TextElideMode.ElideRight,
    )  # fmt: skip


def _line(*widgets: tuple[QWidget, int]) -> QHBoxLayout:
    line = QHBoxLayout()
    line.setContentsMargins(8, 3, 8, 3)
    line.setSpacing(6)
    for widget, share in widgets:
        line.addWidget(widget, share)
    return line
