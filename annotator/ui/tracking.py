"""Tracks in the window: commands, the panel, the run through a sequence and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtWidgets import (
    QInputDialog,
    QMenu,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.core.propagation import next_keys, sources
from annotator.core.tracks import Row
from annotator.services.gap_filling import GapFilling
from annotator.services.propagation import Report
from annotator.services.timeline import Timeline
from annotator.services.track_editing import TrackEditing
from annotator.services.tracking_run import Order, Progress, TrackingRun
from annotator.ui.propagating import asked, remedy, told
from annotator.ui.timeline import TimelineView
from annotator.ui.work_field import RunField, words

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

    from annotator.services.looks import Looks
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.message_bar import MessageBar
    from annotator.ui.track_dialog import TrackDialog

PANEL = "view.tracks_panel"
KEY = "tracking"
"""Of the message about how the run ended."""
EDIT_KEY = "track editing"
MENU = (
    "track.accept", "track.rename", "", "track.cut", "track.merge", "track.fill", "",
    "track.delete_rest",
)  # fmt: skip
MOST_OFFERED = 20
"""Tracks another one may be merged with, those nearest in time."""


class Tracking(QObject):
    """Makes the services, the panel and the field.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        looks: its thread reads the journal.
        messages: where is said how it ended.
        window: parent of dialogs.
    """

    panel_wanted = Signal(str)
    """The dock with this command id shall be seen."""
    settings_wanted = Signal(str)
    """The page of the settings with this name shall be seen."""

    def __init__(
        self,
        workspace: Workspace,
        settings: SettingsStore,
        looks: Looks,
        messages: MessageBar,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._workspace, self._messages, self._window = workspace, messages, window
        self.run = TrackingRun(workspace, settings, self)
        self.timeline = Timeline(workspace, looks, self)
        self.editing = TrackEditing(workspace, self.timeline, self)
        self._gaps = GapFilling(workspace, self.timeline, self.editing, looks, self)
        self.panel = TimelineView(workspace, self.timeline)
        self.field = TrackingField(self.run)
        self.run.failed.connect(workspace.reported)
        self.run.asked.connect(self._ask)
        self.run.finished.connect(self._tell)
        self.editing.finished.connect(self._tell_edit)
        workspace.project_closing.connect(lambda: messages.dismiss(EDIT_KEY))

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Command id to function."""
        editing = self.editing
        return {
            "track.through": self.ask,
            "track.pause": lambda: self.run.go_on() if self.run.paused else self.run.pause(),
            "track.stop": self.run.stop,
            "track.next": partial(self._go, 1),
            "track.previous": partial(self._go, -1),
            "track.accept": lambda: editing.accept(self._row().track),
            "track.rename": self._rename,
            "track.cut": lambda: editing.cut(self._row().track, self._key()),
            "track.fill": lambda: self._gaps.fill(self._row()),
            "track.delete_rest": lambda: editing.delete_from(self._row().track, self._key()),
            # A submenu, see `attach`.
            "track.merge": lambda: None,
        }

    def conditions(self) -> dict[str, bool]:
        """Names of `annotator.menus.command.CONDITIONS`, and whether they hold."""
        return {"tracking": self.run.running, "track": self.timeline.chosen is not None}

    def attach(self, actions: dict[str, QAction], menus: dict[str, QMenu]) -> None:
        """Use these actions in the panel's menu; fill the submenu when it opens."""
        menu = QMenu(self.panel)
        for command_id in MENU:
            menu.addAction(actions[command_id]) if command_id else menu.addSeparator()
        self.panel.menu_wanted.connect(lambda place: self._popup(menu, place))
        merge = menus["track.merge"]
        merge.aboutToShow.connect(partial(self._offer_merging, merge))

    @staticmethod
    def _popup(menu: QMenu, place: QPoint) -> None:
        menu.popup(place)

    def close(self) -> None:
        """End the thread."""
        self.run.close()

    # --- The run ---

    def ask(self) -> TrackDialog:
        """Ask what to do; the answer starts it.

        Raises:
            UserError: nothing is open, or a run goes on already.
        """
        from annotator.ui.track_dialog import TrackDialog

        workspace = self._workspace
        document, key = workspace.document, workspace.key
        if document is None or key is None:
            raise UserError("No image is shown.", "Open a folder first.")
        if self.run.running:
            raise UserError(
                "Objects are being tracked already.",
                "Wait until that is done, or stop it in the status bar.",
            )
        for old in self._window.findChildren(TrackDialog):
            old.close()
        keys, present = document.keys(), document.annotations(key)
        accepted = sources(present, ())
        selected = [a.id for a in accepted if a.id in workspace.selection]
        dialog = TrackDialog(
            key, len(next_keys(keys, key, len(keys))), len(accepted), selected, self._window
        )
        dialog.ordered.connect(self._start)
        dialog.weights_wanted.connect(partial(self.settings_wanted.emit, "Model"))
        workspace.project_closing.connect(dialog.close)
        dialog.show()
        return dialog

    def _start(self, order: Order) -> None:
        try:
            self.run.start(order)
        except UserError as error:
            self._workspace.reported.emit(error)
        else:
            self._messages.dismiss(KEY)
            self.panel_wanted.emit(PANEL)

    def _ask(self, report: Report) -> None:
        """An object is unsure; the others go on."""
        key, ids = report.unsure[0]
        self._messages.show_message(
            asked(report), remedy(report), level="warning",
            actions=[("Show", partial(self._show, key, ids))], key=KEY,
        )  # fmt: skip

    def _tell(self, report: Report) -> None:
        if report.unsure:
            self._ask(report)
        elif report.stopped:
            if report.images:
                self._workspace.noticed.emit(f"Stopped. {told(report)}")
        else:
            level = "warning" if report.refused else "success"
            self._messages.show_message(told(report), refused(report), level=level, key=KEY)

    def _show(self, key: str, ids: tuple[int, ...]) -> None:
        workspace = self._workspace
        workspace.show(key)
        if not workspace.draft:
            workspace.select({a.id for a in workspace.visible}.intersection(ids))

    # --- One track ---

    def _row(self) -> Row:
        row = self.timeline.row(self.timeline.chosen)
        if row is None:
            raise UserError("No track is chosen.", "Click one in the panel Tracks.")
        return row

    def _key(self) -> str:
        if self._workspace.key is None:
            raise UserError("No image is shown.", "Show one of this sequence.")
        return self._workspace.key

    def _go(self, step: int) -> None:
        key, chosen = self.timeline.neighbour(step), self.timeline.chosen
        if key is None or chosen is None:
            which = "last" if step > 0 else "first"
            self._workspace.noticed.emit(f"This is the {which} image of the track.")
        else:
            self.timeline.show(chosen, key)

    def _rename(self) -> None:
        document, row = self._workspace.document, self._row()
        if document is None:
            return
        names = [category.name for category in document.categories()]
        dialog = QInputDialog(self._window)
        dialog.setWindowTitle("Name Track")
        dialog.setLabelText("Class of all objects of this track:")
        dialog.setComboBoxItems(names)
        dialog.setComboBoxEditable(True)
        dialog.setTextValue(self.panel.name_of(row) if row.category_id is not None else "")

        def name(text: str) -> None:
            try:
                self.editing.rename(row.track, document.add_category(text).id)
            except UserError as error:
                self._workspace.reported.emit(error)

        dialog.textValueSelected.connect(name)
        dialog.open()

    def _offer_merging(self, menu: QMenu) -> None:
        """Tracks that could be the same thing: those in no image together, nearest in time."""
        menu.clear()
        row = self.timeline.row(self.timeline.chosen)
        if row is None:
            return
        others = [
            other
            for other in self.timeline.rows()
            if other is not row and not any(map(min, row.marks, other.marks))
        ]
        others.sort(key=lambda other: _apart(row, other))
        for other in others[:MOST_OFFERED]:
            first, last = other.span
            name = self.panel.name_of(other).replace("&", "&&")
            action = menu.addAction(f"{name} {other.track} (images {first:,} to {last:,})")
            action.triggered.connect(partial(self._merge, row, other))
        if not others:
            menu.addAction("All others are in the same images").setEnabled(False)

    def _merge(self, row: Row, other: Row) -> None:
        try:
            self.editing.merge(row.track, other.track)
        except UserError as error:
            self._workspace.reported.emit(error)

    def _tell_edit(self, text: str, group: int) -> None:
        document = self._workspace.document
        if document is None or not document.history.has(group):
            return

        def take_back() -> None:
            self._messages.dismiss(EDIT_KEY)
            try:
                document.history.take_back(group)
            except UserError as error:
                self._workspace.reported.emit(error)

        self._messages.show_message(
            f"{text}.", level="success", actions=[("Take back", take_back)], key=EDIT_KEY
        )


def _apart(row: Row, other: Row) -> int:
    """Images between two tracks."""
    (first, last), (begin, end) = row.span, other.span
    return max(begin - last, first - end, 0)


def refused(report: Report) -> str:
    """What was not followed at all, "" for nothing."""
    if not report.refused:
        return ""
    one = report.refused == 1
    return (
        f"{report.refused:,} {'object was' if one else 'objects were'} not recognised by the model "
        "and not followed: its own masks overlap less than half. Try another way of tracking."
    )


class TrackingField(RunField):
    """How far the run is, in the status bar, with a way to pause it and one to end it.

    Args:
        run: the work.
        parent: Qt parent.
    """

    def __init__(self, run: TrackingRun, parent: QWidget | None = None) -> None:
        super().__init__(run, "tracking objects", "Stop tracking; what was found stays", parent)
        run.progressed.connect(self._show_progress)

    def _show_progress(self, progress: Progress) -> None:
        part = f" ({progress.part})" if progress.part else ""
        tip = f"In {progress.key}{part}. Go on working: clicks come first. {progress.device}"
        self.tell(words(progress, "Tracking", "track"), tip.strip(), progress.share)
        self.tell_state(progress.state)
