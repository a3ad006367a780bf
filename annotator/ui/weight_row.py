"""`FileRow`: one weight file in the list of models, with its licence, progress and buttons."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.services.downloads import Downloads
from annotator.ui.icons import icon
from annotator.ui.labels import LevelLabel, soft_label
from models.weight_files import Progress, size_text
from models.weights import State, Weight

PHASES = {
    "queued": "Waiting for its turn",
    "waiting": "Another Annotator is at work on this file",
    "connecting": "Connecting",
    "downloading": "Downloading",
    "retrying": "Trying again",
    "verifying": "Verifying",
    "copying": "Copying",
    "removing": "Removing",
}

ASKING = "Really?"


class FileRow(QWidget):
    """One file: name, size, state, and what can be done with it.

    Args:
        weight: the file.
        downloads: does the work.
        parent: Qt parent.
    """

    opened = Signal(object)
    """A part of this row, a `QWidget`, was unfolded and should be seen as a whole."""

    def __init__(self, weight: Weight, downloads: Downloads, parent: QWidget) -> None:
        super().__init__(parent)
        self._weight = weight
        self._downloads = downloads
        self.setAccessibleName(weight.title)
        self._state = LevelLabel("", "", self)
        self._state.setWordWrap(False)
        self._error = LevelLabel("", "error", self)
        self._error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._error.hide()
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(6)
        self._bar.setAccessibleName(f"Progress of {weight.title}")
        self._pace = soft_label("", self)
        self._details = Details(weight, downloads.store.path(weight), self)
        self._details.hide()
        self.licence = LicencePanel(weight, self)
        self.licence.hide()
        self.licence.agreed.connect(self._agree)
        self.licence.declined.connect(self._decline)
        self._make_buttons()
        self._build()
        downloads.state_changed.connect(self._follow_state)
        downloads.progressed.connect(self._follow_progress)
        downloads.failed.connect(self._follow_failure)
        self._refresh()

    def _make_buttons(self) -> None:
        weight = self._weight
        self.more = QToolButton(self)
        self.more.setAutoRaise(True)
        self.more.setCheckable(True)
        self.more.setIcon(icon("chevron-right"))
        self.more.setToolTip("Licence, origin and SHA-256")
        self.more.setAccessibleName(f"Details of {weight.title}")
        self.more.toggled.connect(self._show_details)
        self.get = make_button("Download…", "", self)
        self.get.clicked.connect(self.ask)
        self.stop = make_button("Stop", "", self)
        self.stop.setToolTip("What was received is kept")
        self.stop.clicked.connect(lambda: self._downloads.stop(weight))
        self.check = make_button("Check", "", self)
        self.check.setToolTip("Read the file again and compare its SHA-256")
        self.check.clicked.connect(self._check)
        self.remove = Twice("Remove", f"Really remove {weight.title}?", self)
        self.remove.confirmed.connect(self._remove)
        for button in (self.get, self.stop, self.check, self.remove):
            button.setAccessibleDescription(weight.title)

    def _build(self) -> None:
        name = QLabel(self._weight.file_name, self)
        name.setToolTip(self._weight.good_for)
        size = size_text(self._weight.bytes) if self._weight.bytes else "size unknown"
        line = QHBoxLayout()
        line.setSpacing(6)
        line.addWidget(self.more)
        line.addWidget(name)
        size_label = soft_label(size, self)
        size_label.setWordWrap(False)
        line.addWidget(size_label)
        line.addStretch(1)
        line.addWidget(self._state)
        for button in (self.get, self.stop, self.check, self.remove):
            line.addWidget(button)
        column = QVBoxLayout(self)
        column.setSpacing(3)
        column.addLayout(line)
        for widget in (self._bar, self._pace, self._error, self._details, self.licence):
            column.addWidget(widget)

    @property
    def state(self) -> str:
        """What is said about the file; "" while something is done with it."""
        return "" if self._state.isHidden() else self._state.text()

    @property
    def error(self) -> str:
        """What went wrong, or ""."""
        return "" if self._error.isHidden() else self._error.text()

    @property
    def pace(self) -> str:
        """How far it is, or ""."""
        return "" if self._pace.isHidden() else self._pace.text()

    def ask(self) -> None:
        """Download; where the licence was not agreed to yet, show it first."""
        self._error.hide()
        if self._downloads.store.agreed(self._weight) and self._weight.verifiable:
            self._downloads.download(self._weight)
            return
        self.licence.show()
        self.licence.no.setFocus()
        self.opened.emit(self.licence)

    def _agree(self) -> None:
        self.licence.hide()
        if self._downloads.agree(self._weight):
            self._downloads.download(self._weight, accept_unverified=True)
        self.stop.setFocus()

    def _decline(self) -> None:
        self.licence.hide()
        self.get.setFocus()

    def _check(self) -> None:
        self._error.hide()
        self._downloads.check(self._weight)

    def _remove(self) -> None:
        self._error.hide()
        self._downloads.remove(self._weight)

    def _show_details(self, shown: bool) -> None:
        self.more.setIcon(icon("chevron-down" if shown else "chevron-right"))
        self._details.setVisible(shown)
        if shown:
            self.opened.emit(self._details)

    def _follow_state(self, name: str) -> None:
        if name == self._weight.id:
            self._refresh()

    def _follow_failure(self, name: str, error: UserError) -> None:
        if name == self._weight.id:
            self._error.setText(str(error))
            self._error.show()

    def _follow_progress(self, name: str, progress: Progress) -> None:
        if name == self._weight.id:
            self._show_progress(progress)

    def _refresh(self) -> None:
        progress = self._downloads.progress(self._weight)
        state = self._downloads.state(self._weight)
        self._state.say(*self._words(state))
        self._state.setVisible(progress is None)
        here = state not in (State.MISSING, State.PARTIAL)
        idle = progress is None
        self.get.setText("Resume" if state is State.PARTIAL else "Download…")
        _fit(self.get, self.get.text())
        self.get.setVisible(idle and state in (State.MISSING, State.PARTIAL, State.WRONG))
        self.stop.setVisible(not idle)
        self.check.setVisible(idle and here and self._weight.verifiable)
        self.remove.setVisible(idle and state not in (State.MISSING, State.WRONG))
        self._bar.setVisible(not idle)
        self._pace.setVisible(not idle)
        if progress is not None:
            self._show_progress(progress)

    def _words(self, state: State) -> tuple[str, str]:
        if state is State.PARTIAL:
            return (
                f"{size_text(self._downloads.store.partial_bytes(self._weight))} received",
                "info",
            )
        return {
            State.MISSING: ("Not here", ""),
            State.UNCHECKED: ("Here, not checked yet", "info"),
            State.READY: ("Verified", "success"),
            State.UNVERIFIABLE: ("Here, cannot be verified", "warning"),
        }.get(state, ("Another file of this name", "error"))

    def _show_progress(self, progress: Progress) -> None:
        fraction = progress.fraction
        # A range of 0 to 0 moves to and fro: something happens, nobody knows how long.
        self._bar.setRange(0, 0 if fraction is None else 1000)
        self._bar.setValue(0 if fraction is None else round(1000 * fraction))
        self._pace.setText(pace_text(progress))


class LicencePanel(QFrame):
    """The terms of a file; nothing is downloaded before they are agreed to."""

    agreed = Signal()
    """The user agrees and wants the download."""
    declined = Signal()
    """The user does not."""

    def __init__(self, weight: Weight, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setBackgroundRole(QPalette.ColorRole.AlternateBase)
        self.setAutoFillBackground(True)
        licence = weight.licence
        title = QLabel(licence.name, self)
        font = title.font()
        font.setBold(True)
        title.setFont(font)
        use = "Non-commercial use only." if licence.non_commercial else "Commercial use permitted."
        column = QVBoxLayout(self)
        column.addWidget(title)
        column.addWidget(LevelLabel(use, "warning" if licence.non_commercial else "info", self))
        terms = QLabel(licence.text, self)
        terms.setWordWrap(True)
        column.addWidget(terms)
        column.addWidget(_link("Full text", licence.url, self))
        column.addWidget(soft_label(f"Origin: {weight.origin}", self))
        if not weight.verifiable:
            warning = (
                "This file cannot be verified: its publisher states no SHA-256. Go on only if you "
                "trust the address."
            )
            column.addWidget(LevelLabel(warning, "warning", self))
        self.no = make_button("Do &not download", "", self)
        self.no.clicked.connect(self.declined)
        self.yes = make_button("&Agree and download", "", self)
        self.yes.clicked.connect(self.agreed)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.no)
        row.addWidget(self.yes)
        column.addLayout(row)
        self.setAccessibleName(f"Licence of {weight.title}")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc declines; it does not close the settings."""
        if event.key() == Qt.Key.Key_Escape:
            self.declined.emit()
        else:
            super().keyPressEvent(event)


class Details(QWidget):
    """Everything else about a file; the text can be copied."""

    def __init__(self, weight: Weight, path: Path, parent: QWidget) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 0, 0, 4)
        column.setSpacing(2)
        terms = " (non-commercial)" if weight.licence.non_commercial else ""
        column.addWidget(soft_label(weight.good_for, self))
        column.addWidget(_link(f"{weight.licence.name}{terms}", weight.licence.url, self))
        # A hash has no place to wrap at: in two halves it fits.
        digest = f"{weight.sha256[:32]}\n{weight.sha256[32:]}" if weight.sha256 else "unknown"
        for text in (f"Origin: {weight.origin}", f"SHA-256: {digest}", f"File: {path}"):
            label = soft_label(text, self)
            label.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse
                | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
            column.addWidget(label)


class Twice(QPushButton):
    """A button that asks before it acts: the second click confirms, leaving it takes back."""

    confirmed = Signal()
    """Clicked twice."""

    def __init__(self, text: str, question: str, parent: QWidget) -> None:
        super().__init__(text, parent)
        self.setAutoDefault(False)
        self.setToolTip(question)
        _fit(self, max(text, ASKING, key=self.fontMetrics().horizontalAdvance))
        self._text = text
        self._asked = False
        self.clicked.connect(self._click)

    def _click(self) -> None:
        if self._asked:
            self._forget()
            self.confirmed.emit()
        else:
            self._asked = True
            self.setText(ASKING)

    def _forget(self) -> None:
        self._asked = False
        self.setText(self._text)

    def leaveEvent(self, event: QEvent) -> None:
        """The pointer went away."""
        self._forget()
        super().leaveEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The focus went away."""
        self._forget()
        super().focusOutEvent(event)


def pace_text(progress: Progress) -> str:
    """How far and how fast: "Downloading, 12.3 of 38.8 MB, 4.1 MB/s, 7 s left"."""
    parts = [PHASES.get(progress.phase, progress.phase)]
    if progress.done:
        whole = f" of {size_text(progress.total)}" if progress.total else ""
        parts.append(f"{size_text(progress.done)}{whole}")
    if progress.phase == "downloading" and progress.speed:
        parts.append(f"{size_text(round(progress.speed))}/s")
        if (left := progress.seconds_left) is not None:
            parts.append(_time_text(left))
    text = ", ".join(parts)
    return f"{text}. {progress.note}" if progress.note and progress.phase != "waiting" else text


def _time_text(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s left"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min left"
    return f"{seconds / 3600:.1f} h left"


def make_button(text: str, drawing: str, parent: QWidget) -> QPushButton:
    """A button as narrow as its text; `drawing` names an icon, or is ""."""
    button = QPushButton(text, parent)
    button.setAutoDefault(False)
    button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    if not drawing:
        _fit(button, text)
    if drawing:
        side = button.fontMetrics().height()
        button.setIcon(icon(drawing))
        button.setIconSize(QSize(side, side))
    return button


def _fit(button: QPushButton, text: str) -> None:
    # The style makes every button as wide as "Cancel": three in a row would not fit.
    words = button.fontMetrics().horizontalAdvance(text.replace("&", ""))
    button.setFixedWidth(words + int(1.5 * button.fontMetrics().height()))


def _link(text: str, url: str, parent: QWidget) -> QLabel:
    label = QLabel(f"<a href='{url}'>{text}</a>", parent)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setOpenExternalLinks(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    label.setToolTip(url)
    return label
