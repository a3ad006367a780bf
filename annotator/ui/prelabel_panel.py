"""What a pre-labelling run shows: a field in the status bar, and a panel with what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from annotator.services.folder_run import FolderRun, Problem, Progress, Report
from annotator.ui.icons import icon
from annotator.ui.labels import soft_label
from annotator.ui.work_field import RunField, words

if TYPE_CHECKING:
    from annotator.services.workspace import Workspace

MOST_LISTED = 1000
"""Problems that get a row; the others are counted."""
_KEY = Qt.ItemDataRole.UserRole


def many(count: int, noun: str) -> str:
    """A number with its noun: “1 image”, “1,200 images”."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def line(progress: Progress) -> str:
    """How far it is."""
    return words(progress, "Pre-labelling", "pre-label")


def told(report: Report) -> tuple[str, str]:
    """What came of a run: a sentence, and what else there is to know."""
    tally = report.tally
    done = report.made + report.before
    text = f"{done:,} of {many(report.total, 'image')} pre-labelled: "
    text += f"{many(tally.new, 'new proposal')}."
    if report.stopped:
        text = f"Stopped. {text}"
    more = []
    if report.failed:
        more.append(f"{many(report.failed, 'image')} failed.")
    if tally.known:
        more.append(f"{many(tally.known, 'object')} had been there already.")
    if tally.named:
        more.append(f"{tally.named:,} got a name, because they look like named objects.")
    if tally.classes:
        more.append(f"New classes: {_some(tally.classes)}.")
    if tally.skipped:
        names = [f"{name} ({count})" for name, count in tally.skipped.items()]
        more.append(f"Left out, because there is no such class: {_some(names)}.")
    others = report.problems - report.failed
    if others:
        more.append(f"{many(others, 'other problem')}.")
    return text, " ".join(more)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


class PrelabelField(RunField):
    """How far a run is, in the status bar, with a way to pause it and one to end it.

    Args:
        run: the work.
        show_problems: opens the panel.
        parent: Qt parent.
    """

    def __init__(
        self, run: FolderRun, show_problems: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(run, "pre-labelling", "Stop pre-labelling; what it found stays", parent)
        self.problems = self.button()
        self.problems.setIcon(icon("warning"))
        self.problems.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.problems.clicked.connect(show_problems)
        self._row.insertWidget(1, self.problems)
        self._count = 0
        run.began.connect(self._begin)
        run.progressed.connect(self._show_progress)
        run.problem_found.connect(self._count_problem)

    def _begin(self) -> None:
        self._count = 0
        self.problems.hide()

    def _count_problem(self, _: Problem) -> None:
        self._count += 1
        self.problems.setText(f"{self._count:,}")
        self.problems.setToolTip(f"{many(self._count, 'problem')}; click for the list")
        self.problems.setAccessibleName(f"{many(self._count, 'problem')} of pre-labelling")
        self.problems.show()

    def _show_progress(self, progress: Progress) -> None:
        share = progress.done / progress.total if progress.total else 0.0
        new = many(progress.proposals, "new proposal")
        tip = f"{new}. Go on working: clicks come first. {progress.device}".strip()
        self.tell(line(progress), tip, share)
        self.tell_state(progress.state)


class PrelabelPanel(QWidget):
    """How the run is, and every image something was wrong with; a click shows it.

    Args:
        workspace: what is open.
        run: the work.
        parent: Qt parent.
    """

    again = Signal()
    """Try what failed again, and what is left."""
    take_back = Signal()
    """Undo what the last run did."""
    left = Signal()
    """The user pressed Esc: the keyboard belongs to the canvas again."""

    def __init__(self, workspace: Workspace, run: FolderRun, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._run = run
        self._more = 0
        self._last: Report | None = None
        self.state = QLabel(self)
        self.state.setWordWrap(True)
        self.details = soft_label("", self)
        self.list = _Problems(self)
        self.rest = soft_label("", self)
        self.pause = self._push("&Pause", lambda: run.go_on() if run.paused else run.pause())
        self.stop = self._push("&Stop", run.stop)
        self.retry = self._push("&Try Again", self.again.emit)
        self.undo = self._push("Take &Back", self.take_back.emit)
        self._arrange()
        run.began.connect(self.clear)
        run.progressed.connect(self._show_progress)
        run.problem_found.connect(self._add)
        run.finished.connect(self._finish)
        run.running_changed.connect(lambda _: self._show_buttons())
        workspace.project_closed.connect(self.clear)
        self.list.itemClicked.connect(self._show)
        self.list.itemActivated.connect(self._show)
        self.list.left.connect(self.left)
        self.clear()

    def _push(self, text: str, act: Callable[[], object]) -> QPushButton:
        button = QPushButton(text, self)
        button.setAutoDefault(False)
        button.clicked.connect(lambda: act())
        return button

    def _arrange(self) -> None:
        self.setAccessibleName("Pre-labelling")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 6)
        column.addWidget(self.state)
        column.addWidget(self.details)
        column.addWidget(self.list, 1)
        column.addWidget(self.rest)
        # Of those in one place only one is seen at a time, so the panel can stay narrow.
        line = QGridLayout()
        line.setColumnStretch(2, 1)
        for place, button in enumerate((self.pause, self.stop, self.retry, self.undo)):
            line.addWidget(button, 0, place % 2)
        column.addLayout(line)
        self.setFocusProxy(self.list)
        self.retry.setToolTip(
            "Try the images again that failed or got answers nobody can use, and go on with those "
            "left"
        )
        self.undo.setToolTip("Undo the whole run in every image that was not changed since")

    def clear(self) -> None:
        """Nothing has been run."""
        self.list.clear()
        self._more, self._last = 0, None
        self.rest.hide()
        self.details.setText("")
        self.state.setText("Proposals → Pre-label Folder… proposes the objects of many images.")
        self._show_buttons()

    def _show_progress(self, progress: Progress) -> None:
        self.state.setText(line(progress))
        new = many(progress.proposals, "new proposal")
        failed = f", {many(progress.failed, 'image')} failed" if progress.failed else ""
        self.details.setText(f"{new}{failed}.")
        self.pause.setText("&Go On" if progress.state == "paused" else "&Pause")

    def _finish(self, report: Report) -> None:
        self._last = report
        text, more = told(report)
        self.state.setText(text)
        self.details.setText(more)
        self._show_buttons()

    def _show_buttons(self) -> None:
        running, last = self._run.running, self._last
        self.pause.setVisible(running)
        self.stop.setVisible(running)
        failed = last is not None and last.failed + last.doubtful > 0
        unfinished = last is not None and (failed or last.stopped)
        self.retry.setVisible(not running and unfinished)
        self.retry.setText("&Try Again" if failed else "&Go On")
        self.undo.setVisible(not running and last is not None and last.group > 0)
        self.list.setVisible(running or self.list.count() > 0)

    def _add(self, problem: Problem) -> None:
        if self.list.count() >= MOST_LISTED:
            self._more += 1
            self.rest.setText(f"{self._more:,} more")
            self.rest.show()
            return
        row = QListWidgetItem(f"{problem.where}\n{problem.reason}", self.list)
        row.setIcon(icon("error" if problem.failed else "warning"))
        row.setToolTip(f"{problem.where}: {problem.reason}")
        row.setData(_KEY, problem.key)
        self.list.show()

    def _show(self, row: QListWidgetItem) -> None:
        if key := row.data(_KEY):
            self._workspace.show(key)


class _Problems(QListWidget):
    """The rows."""

    left = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName("Problems of pre-labelling")
        self.setWordWrap(True)
        self.setAlternatingRowColors(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc goes back to the canvas; letters are commands."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.text().isprintable() and event.text():
            event.ignore()
        else:
            super().keyPressEvent(event)
