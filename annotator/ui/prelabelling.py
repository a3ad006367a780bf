"""Pre-labelling in the window: the command, its progress, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.errors import UserError
from annotator.services.folder_run import FolderRun, Report
from annotator.services.run_preparing import Order
from annotator.ui.prelabel_panel import PrelabelField, PrelabelPanel, many, told

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.image_list import ImageList
    from annotator.ui.message_bar import Action, MessageBar
    from annotator.ui.prelabel_dialog import PrelabelDialog

KEY = "prelabelling"
"""Of the message about how it ended, or that it can go on."""
READING_MS = 60_000
PANEL = "view.prelabel_panel"


class Prelabelling(QObject):
    """Makes the service, the field and the panel.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        messages: where is said how it ended.
        window: parent of the dialog.
    """

    panel_wanted = Signal(str)
    """The dock with this command id shall be seen."""
    comparison_wanted = Signal(object, object)
    """An `Order` and keys: what would that run change? Nothing shall be written."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, messages: MessageBar, window: QWidget
    ) -> None:
        super().__init__(window)
        self._workspace, self._settings = workspace, settings
        self._messages, self._window = messages, window
        self._list: ImageList | None = None
        self._group = 0
        self.run = FolderRun(workspace, settings, self)
        self.field = PrelabelField(self.run, self._show_panel)
        self.panel = PrelabelPanel(workspace, self.run)
        self.panel.again.connect(lambda: self._resume(doubtful=True))
        self.panel.take_back.connect(self._take_back)
        self.run.began.connect(lambda: messages.dismiss(KEY))
        self.run.finished.connect(self._tell)
        self.run.failed.connect(workspace.reported)
        # A moment later, when the project stands on the screen.
        workspace.project_opened.connect(lambda _: QTimer.singleShot(0, self, self._offer))
        workspace.project_closing.connect(lambda: messages.dismiss(KEY))

    def follow(self, images: ImageList) -> None:
        """This list decides which images are listed and selected."""
        self._list = images

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Command id to function."""
        return {
            "prelabel.folder": self.ask,
            "prelabel.pause": lambda: self.run.go_on() if self.run.paused else self.run.pause(),
            "prelabel.stop": self.run.stop,
        }

    def close(self) -> None:
        """End the threads."""
        self.run.close()

    def ask(self) -> PrelabelDialog:
        """Ask what to do; the answer starts it.

        Raises:
            UserError: nothing is open, or a run goes on already.
        """
        from annotator.ui.prelabel_dialog import Listed, PrelabelDialog

        document, images = self._workspace.document, self._list
        if document is None or images is None:
            raise UserError("No project is open.", "Open a folder first.")
        if self.run.running:
            raise UserError(
                "The folder is being pre-labelled already.",
                "Wait until that is done, or stop it in the status bar.",
            )
        for old in self._window.findChildren(PrelabelDialog):
            old.close()
        dialog = PrelabelDialog(
            document,
            Listed(images.visible_keys(), images.selected_keys()),
            self._settings.settings,
            self._workspace.assistant.model.id,
            self._window,
        )
        dialog.ordered.connect(self._start)
        dialog.compared.connect(self.comparison_wanted)
        self._workspace.project_closing.connect(dialog.close)
        dialog.show()
        return dialog

    def _start(self, order: Order, keys: list[str]) -> None:
        try:
            self.run.start(order, keys)
        except UserError as error:
            self._workspace.reported.emit(error)

    def _resume(self, *, doubtful: bool = False) -> None:
        try:
            self.run.resume(doubtful=doubtful)
        except UserError as error:
            self._workspace.reported.emit(error)

    def _offer(self) -> None:
        """Say that a run was interrupted."""
        unfinished = self.run.unfinished()
        if unfinished is None:
            return
        done, total = unfinished
        banner = self._messages.show_message(
            f"Pre-labelling was interrupted: {done:,} of {many(total, 'image')} done.",
            "It can go on exactly there.",
            actions=[("Go on", self._resume), ("Forget it", self.run.forget)],
            key=KEY,
        )
        banner.set_fade_after(READING_MS)

    def _tell(self, report: Report) -> None:
        text, more = told(report)
        actions: list[Action] = []
        if report.problems:
            actions.append(("Show problems", self._show_panel))
        if report.stopped:
            actions.append(("Go on", self._resume))
        self._group = report.group
        if report.group:
            actions.append(("Take back", self._take_back))
        level = "warning" if report.failed else "info" if report.stopped else "success"
        banner = self._messages.show_message(text, more, level=level, actions=actions, key=KEY)
        banner.set_fade_after(READING_MS)

    def _take_back(self) -> None:
        document = self._workspace.document
        if document is not None and self._group:
            try:
                document.history.take_back(self._group)
            except UserError as error:
                self._workspace.reported.emit(error)
                return
        self._messages.dismiss(KEY)
        self.panel.undo.hide()

    def _show_panel(self) -> None:
        self.panel_wanted.emit(PANEL)
