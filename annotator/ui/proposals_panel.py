"""`ProposalsPanel`: which proposals are shown, and what becomes of them; there while needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.proposals import ProposalFilter
from annotator.ui.icons import icon
from annotator.ui.rows import heading

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation
    from annotator.services.document import Document
    from annotator.services.workspace import Workspace

STEPS = 100
LEAST, DECADES = 10, 6.0
"""The area sliders go from ten to ten million pixels."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One slider.

    Attributes:
        name: of the field of `ProposalFilter`.
        title: what people read.
        hint: one sentence for the tooltip.
        neutral: position (0 to `STEPS`) that holds nothing back.
        value: from a position to the field's value.
        place: from the field's value to a position.
        text: the value for people.
        measured: whether an annotation has what is compared; a slider of which no proposal of the
            image has any is switched off.
    """

    name: str
    title: str
    hint: str
    neutral: int
    value: Callable[[int], float | None]
    place: Callable[[float | None], int]
    text: Callable[[float | None], str]
    measured: Callable[[Annotation], bool] = lambda _: True


def _share(position: int) -> float:
    return position / STEPS


def _share_place(value: float | None) -> int:
    return round((value or 0.0) * STEPS)


def _least_share(value: float | None) -> str:
    return f"≥ {value:.2f}" if value else "any"


def _pixels(position: int) -> int:
    """Two digits are enough: 10, 11, 13, 15, … 10,000,000."""
    value: float = LEAST * 10 ** (DECADES * position / STEPS)
    unit: int = 10 ** max(math.floor(math.log10(value)) - 1, 0)
    return round(value / unit) * unit


def _pixels_place(value: float | None) -> int:
    return round(STEPS * math.log10(max(value or LEAST, LEAST) / LEAST) / DECADES)


LIMITS = (
    Limit(
        "score", "Score", "Least score the model gave", 0,
        _share, _share_place, _least_share, lambda a: a.origin.score is not None,
    ),
    Limit(
        "stability", "Stability",
        "Least stability: how little the shape depends on where the model's answer is cut", 0,
        _share, _share_place, _least_share, lambda a: a.origin.stability is not None,
    ),
    Limit(
        "smallest", "Smallest", "Least area in pixels", 0,
        lambda p: _pixels(p) if p else 0,
        lambda v: _pixels_place(v) if v else 0,
        lambda v: f"≥ {v:,.0f} px" if v else "any",
    ),
    Limit(
        "largest", "Largest", "Greatest area in pixels", STEPS,
        lambda p: _pixels(p) if p < STEPS else None,
        lambda v: STEPS if v is None else _pixels_place(v),
        lambda v: "any" if v is None else f"≤ {v:,.0f} px",
    ),
    Limit(
        "overlap", "Overlap",
        "Greatest overlap (intersection over union) with an object or a better proposal", STEPS,
        _share, _share_place, lambda v: "any" if v is None or v >= 1 else f"≤ {v:.2f}",
    ),
)  # fmt: skip
"""The sliders; the first one is always there, the others unfold."""


class ProposalsPanel(QWidget):
    """Sliders, "37 of 60 shown", accept and reject. Hidden while the image has no proposals.

    Args:
        workspace: what is open; this panel calls it and follows its signals.
        parent: Qt parent.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self.count = QLabel()
        self.sliders: dict[str, QSlider] = {}
        self.values: dict[str, QLabel] = {}
        self._folded: list[QWidget] = []
        self.unfold = QToolButton()
        self.accept = QPushButton(icon("accept"), "Accept shown")
        self.reject = QPushButton(icon("trash"), "Reject shown")
        self.more = QToolButton()
        self.progress = QProgressBar()
        self.stop = QPushButton("Stop")
        self._choices, self._running = QWidget(), QWidget()
        self._build()
        self._wire()
        self._show_filter(workspace.proposals.filter)
        if workspace.document is not None:
            self._follow_project(workspace.document)

    # --- Building ---

    def _build(self) -> None:
        self.setAccessibleName("Proposals")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(4)
        column.addLayout(self._build_head())
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for row, limit in enumerate(LIMITS):
            self._build_slider(grid, row, limit)
        column.addLayout(grid)
        self._build_foot()
        column.addWidget(self._choices)
        column.addWidget(self._running)
        self._fold(True)

    def _build_head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setSpacing(6)
        self.unfold.setAutoRaise(True)
        self.unfold.setAccessibleName("More filters")
        self.unfold.setToolTip("Filter by stability, area and overlap, too")
        self.unfold.clicked.connect(lambda: self._fold(not self._folded[0].isHidden()))
        head.addWidget(heading("Proposals"))
        head.addStretch()
        head.addWidget(self.count)
        head.addWidget(self.unfold)
        return head

    def _build_slider(self, grid: QGridLayout, row: int, limit: Limit) -> None:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(0, STEPS)
        slider.setPageStep(10)
        slider.setAccessibleName(limit.title)
        slider.setToolTip(f"{limit.hint}.\nMoving it changes what is shown, nothing else.")
        label, value = QLabel(limit.title), QLabel()
        label.setBuddy(slider)
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setMinimumWidth(value.fontMetrics().horizontalAdvance("≥ 10,000,000 px"))
        slider.valueChanged.connect(partial(self._move, limit))
        self.sliders[limit.name], self.values[limit.name] = slider, value
        for place, widget in enumerate((label, slider, value)):
            grid.addWidget(widget, row, place)
            self._folded += [widget] if row else []

    def _build_foot(self) -> None:
        self.accept.setToolTip("Keep every proposal that is shown (Ctrl+Enter)")
        self.reject.setToolTip("Throw away every proposal that is shown (Ctrl+Del)")
        self.more.setIcon(icon("more"))
        self.more.setAutoRaise(True)
        self.more.setAccessibleName("The whole folder")
        self.more.setToolTip("The same in the whole folder")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(QMenu(self.more))
        self.more.menu().aboutToShow.connect(self._fill_menu)
        self.progress.setAccessibleName("Decision for the whole folder")
        self.progress.setFormat("%v of %m images")
        for row, widgets in (
            (self._choices, ((self.accept, 1), (self.reject, 1), (self.more, 0))),
            (self._running, ((self.progress, 1), (self.stop, 0))),
        ):
            line = QHBoxLayout(row)
            line.setContentsMargins(0, 0, 0, 0)
            line.setSpacing(6)
            for widget, share in widgets:
                line.addWidget(widget, share)

    def _wire(self) -> None:
        workspace, proposals = self._workspace, self._workspace.proposals
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closed.connect(self._show)
        workspace.image_shown.connect(self._show)
        proposals.filter_changed.connect(self._show_filter)
        proposals.progressed.connect(self._show_progress)
        proposals.finished.connect(lambda _: self._show())
        self.accept.clicked.connect(lambda: proposals.decide_shown(accept=True))
        self.reject.clicked.connect(lambda: proposals.decide_shown(accept=False))
        self.stop.clicked.connect(proposals.stop)

    # --- Following the workspace ---

    def _follow_project(self, document: Document) -> None:
        document.annotations_changed.connect(self._show)
        self._show()

    def _show(self, *_: object) -> None:
        proposals = self._workspace.proposals
        annotations = [a for a in self._workspace.annotations if a.proposed]
        shown, every = len(proposals.shown(self._workspace.annotations)), len(annotations)
        self.setVisible(bool(annotations) or proposals.running)
        self.count.setText(f"{shown:,} of {every:,} shown")
        is_open = bool(proposals.open())
        self.accept.setEnabled(is_open)
        self.reject.setEnabled(is_open)
        for limit in LIMITS:
            self.sliders[limit.name].setEnabled(any(map(limit.measured, annotations)))
        self._show_running()

    def _show_filter(self, which: ProposalFilter) -> None:
        for limit in LIMITS:
            slider, value = self.sliders[limit.name], getattr(which, limit.name)
            if limit.value(slider.value()) != value:
                with QSignalBlocker(slider):
                    slider.setValue(limit.place(value))
            self.values[limit.name].setText(limit.text(value))
        self._show()

    def _show_progress(self, done: int, total: int) -> None:
        self.progress.setMaximum(total)
        self.progress.setValue(done)
        self._show_running()

    def _show_running(self) -> None:
        running = self._workspace.proposals.running
        self._choices.setVisible(not running)
        self._running.setVisible(running)

    # --- What the user does ---

    def _fold(self, folded: bool) -> None:
        for widget in self._folded:
            widget.setVisible(not folded)
        self.unfold.setIcon(icon("chevron-right" if folded else "chevron-down"))

    def _move(self, limit: Limit, position: int) -> None:
        proposals = self._workspace.proposals
        moved: dict[str, Any] = {limit.name: limit.value(position)}
        proposals.set_filter(replace(proposals.filter, **moved))

    def _fill_menu(self) -> None:
        proposals, menu = self._workspace.proposals, self.more.menu()
        menu.clear()
        for text, accept in (("Accept", True), ("Reject", False)):
            entry = menu.addAction(f"{text} what is shown, in the whole folder")
            entry.triggered.connect(partial(_everywhere, self._workspace, accept))
        menu.addSeparator()
        entry = menu.addAction("Take back the last decision for the folder")
        entry.setEnabled(proposals.last is not None)
        entry.triggered.connect(lambda _=False: proposals.take_back())


def _everywhere(workspace: Workspace, accept: bool, _checked: bool = False) -> None:
    workspace.proposals.decide_everywhere(accept=accept)
