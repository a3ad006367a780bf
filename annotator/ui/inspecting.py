"""`Inspecting`: checks and statistics of the open project in the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.ui.checks_panel import ChecksPanel

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from annotator.services.workspace import Workspace
    from annotator.ui.canvas import Canvas


class Inspecting(QObject):
    """Makes the panel and the dialog.

    Args:
        workspace: what is open.
        canvas: gets the keyboard back.
        show: shows an object of any image: key and id.
        parent: the window.
    """

    panel_wanted = Signal(str)
    """The dock with this command id shall be seen."""

    def __init__(
        self,
        workspace: Workspace,
        canvas: Canvas,
        show: Callable[[str, int], None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._window = parent
        self._show = show
        self.panel = ChecksPanel(workspace)
        self.panel.shown.connect(self._show_finding)
        self.panel.left.connect(canvas.setFocus)

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Command id to function."""
        return {"review.check": self.check, "review.statistics": self.show_statistics}

    def check(self) -> None:
        """Show the panel and check the folder."""
        self.panel_wanted.emit("view.checks_panel")
        self.panel.start()

    def show_statistics(self) -> None:
        """Plots of classes, sizes, places and days."""
        from annotator.ui.statistics_dialog import StatisticsDialog

        if self._workspace.document is not None:
            StatisticsDialog(self._workspace.document, self._window).open()

    def close(self) -> None:
        """End the thread."""
        self.panel.run.close()

    def _show_finding(self, key: str, number: int) -> None:
        if number:
            self._show(key, number)
        else:
            self._workspace.show(key)
