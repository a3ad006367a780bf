"""`Opening`: what the menu File does: folders, images and files of others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from annotator.core.errors import UserError

if TYPE_CHECKING:
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.message_bar import MessageBar


class Opening:
    """Opens what the user names, or says why not.

    Args:
        workspace: where it is opened.
        settings: know the folders opened before.
        messages: where problems are told.
        window: dialogs are shown over it.
    """

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, messages: MessageBar, window: QWidget
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._messages = messages
        self._window = window

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Command id to function."""
        from annotator.ui.import_dialog import open_import

        return {
            "file.open_folder": self.choose_folder,
            "file.import_coco": lambda: open_import(self._workspace, self._window),
            "file.save": self._save,
            "file.show_coco": self._show_coco,
        }

    def open_path(self, path: Path, project_dir: Path | None = None) -> None:
        """Open a folder or an image, or ask what to import of a file."""
        from annotator.services.document import DamagedJournal
        from annotator.ui import import_dialog

        if import_dialog.takes(path) and self._workspace.document is not None:
            import_dialog.open_import(self._workspace, self._window, path)
            return
        try:
            self._workspace.open_path(path, project_dir)
        except DamagedJournal as error:
            self._offer_recovery(error, path, project_dir)
        except UserError as error:
            self._messages.show_error(error)

    def _offer_recovery(self, error: UserError, path: Path, project_dir: Path | None) -> None:
        folder = path if path.is_dir() else path.parent

        def recover() -> None:
            try:
                self._workspace.open_folder(folder, project_dir, recover=True)
            except UserError as failure:
                self._messages.show_error(failure)

        self._messages.show_message(
            error.message,
            error.remedy,
            level="error",
            actions=[("Recover what can be read", recover)],
            key="damaged journal",
        )

    def choose_folder(self) -> None:
        """Ask for a folder and open it."""
        recent = self._settings.settings.recent_folders
        folder = QFileDialog.getExistingDirectory(
            self._window, "Open a folder of images", recent[0] if recent else ""
        )
        if folder:
            self.open_path(Path(folder))

    def open_sample(self) -> None:
        """Open the folder that comes with the program."""
        from annotator.samples import sample_folder

        self.open_path(sample_folder())

    def fill_recent(self, menu: QMenu) -> None:
        """List the folders opened before."""
        menu.clear()
        recent = self._settings.settings.recent_folders
        for folder in recent:
            menu.addAction(folder.replace("&", "&&")).triggered.connect(
                partial(self.open_path, Path(folder))
            )
        if not recent:
            menu.addAction("No folder opened yet").setEnabled(False)

    def _save(self) -> None:
        if self._workspace.document is not None:
            self._workspace.document.save()

    def _show_coco(self) -> None:
        if self._workspace.document is not None:
            self._workspace.document.save()
            folder = self._workspace.document.coco_path.parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
