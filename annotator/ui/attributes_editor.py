"""Attributes, crowd flag and origin of the selected objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    from annotator.services.workspace import Workspace
    from annotator.ui.attributes_page import AttributesPage


class AttributesEditor(QWidget):
    """What the project knows about the selected objects beyond shape and class.

    Most people keep it closed, so it is built when it is first shown.

    Args:
        workspace: what is open; the editor calls it and follows its signals.
        parent: Qt parent.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._page: AttributesPage | None = None

    @property
    def page(self) -> AttributesPage:
        """The content."""
        if self._page is None:
            from annotator.ui.attributes_page import AttributesPage

            self._page = AttributesPage(self._workspace)
            column = QVBoxLayout(self)
            column.setContentsMargins(0, 0, 0, 0)
            column.addWidget(self._page)
            self.setFocusProxy(self._page)
        return self._page

    def showEvent(self, event: QShowEvent) -> None:
        """Build the content."""
        _ = self.page
        super().showEvent(event)
