"""What people are asked when something outside, or a damaged disk, changed the project's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from annotator.core.errors import UserError
from annotator.services.coco_backups import ChangedOutside, outside_content
from annotator.services.coco_watch import CocoWatch
from annotator.services.journal import DamagedJournal
from annotator.services.journal_check import JournalCheck
from annotator.services.task_queue import TaskQueue

if TYPE_CHECKING:
    from annotator.core.formats.api import Content
    from annotator.services.document import Document
    from annotator.services.import_run import ImportRun
    from annotator.services.importing import Import
    from annotator.services.workspace import Workspace
    from annotator.ui.message_bar import MessageBar

KEY = "changed outside"
DAMAGED = "damaged journal"
CHECK_MS = 4000
"""After opening: the first image comes first."""


class OutsideChanges(QObject):
    """Offers to merge what another program did to the COCO file, or to keep it beside.

    Args:
        workspace: what is open.
        messages: where people are asked.
        parent: Qt parent.
    """

    def __init__(self, workspace: Workspace, messages: MessageBar, parent: QObject) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._messages = messages
        self._watch: CocoWatch | None = None
        self._run: ImportRun | None = None
        self._queue: TaskQueue | None = None
        self._check: JournalCheck | None = None
        self._later = QTimer(self, singleShot=True, interval=CHECK_MS)
        self._later.timeout.connect(self.check)
        workspace.project_opened.connect(self._follow)
        workspace.project_closing.connect(self.close)

    def tell(self, error: UserError) -> None:
        """Show a message; ask where there is something to decide."""
        if isinstance(error, DamagedJournal):
            self._offer_recovery(error)
            return
        if not isinstance(error, ChangedOutside):
            self._messages.show_error(error)
            return
        self._messages.show_message(
            error.message,
            error.remedy,
            level="warning",
            actions=[("Merge", lambda: self._read(error)), ("Keep beside", self._keep)],
            key=KEY,
        )

    def close(self) -> None:
        """The project or the window closes."""
        self._messages.dismiss(KEY)
        self._later.stop()
        if self._check is not None:
            self._check.close()
            self._check = None
        if self._watch is not None:
            self._watch.close()
            self._watch.deleteLater()
            self._watch = None
        if self._run is not None:
            self._run.close()
            self._run = None
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    def _follow(self, document: Document) -> None:
        self._watch = CocoWatch(document, self)
        self._watch.changed_outside.connect(self.tell)
        self._later.start()

    def check(self) -> None:
        """Check the journal in the background."""
        document = self._workspace.document
        if document is not None and self._check is None:
            path = document.project_dir / "journal.sqlite"
            self._check = JournalCheck(path, document.announce)

    def _offer_recovery(self, error: UserError) -> None:
        document = self._workspace.document
        if document is None:
            self._messages.show_error(error)
            return
        folder, project = document.folder, document.project_dir

        def recover() -> None:
            self._messages.dismiss(DAMAGED)
            try:
                self._workspace.close_project()
                self._workspace.open_folder(folder, project, recover=True)
            except UserError as failure:
                self._messages.show_error(failure)

        self._messages.show_message(
            error.message, error.remedy, level="error", actions=[("Repair", recover)], key=DAMAGED
        )

    def _keep(self) -> None:
        self._messages.dismiss(KEY)
        if self._workspace.document is not None:
            self._workspace.document.save()

    def _read(self, error: ChangedOutside) -> None:
        document = self._workspace.document
        if document is None:
            return
        self._messages.dismiss(KEY)
        if self._queue is None:
            self._queue = TaskQueue("merge", self)
        self._queue.submit(
            "read",
            lambda: outside_content(error.path, error.base, document.folder),
            lambda content: self._merge(content, error),
            self._fail,
        )

    def _merge(self, content: Content, error: ChangedOutside) -> None:
        from annotator.core.formats.merging import MergeRules
        from annotator.services.import_run import ImportRun

        document = self._workspace.document
        if document is None:
            return
        if self._run is None:
            self._run = ImportRun(document, self)
            self._run.finished.connect(self._finish)
            self._run.failed.connect(self._workspace.reported)
        # Without what it began with nobody knows which of two differing objects is newer.
        rules = MergeRules(same_id="replace" if error.is_newer else "keep")
        self._run.apply(content, rules, error.path.name)

    def _finish(self, done: Import) -> None:
        document = self._workspace.document
        text = "; ".join(f"{count:,} {what}" for what, count in done.counts.most_common())
        self._messages.show_message(
            f"Merged: {text or 'nothing was different'}.",
            "Undo in the Whole Project takes it back." if done.changed else "",
            level="success",
            key=KEY,
        )
        if document is not None:
            document.save()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error
        self._messages.show_error(error)
