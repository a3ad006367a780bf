"""`Docks`: the panels around the canvas, which commands show and hide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QWidget


class Docks:
    """The docks of a window by the id of the command that shows them.

    Args:
        window: whose they are.
    """

    def __init__(self, window: QMainWindow) -> None:
        self._window = window
        self._docks: dict[str, QDockWidget] = {}

    def __getitem__(self, command_id: str) -> QDockWidget:
        return self._docks[command_id]

    def add(
        self,
        command_id: str,
        title: str,
        widget: QWidget,
        area: Qt.DockWidgetArea,
        behind: str = "",
    ) -> QDockWidget:
        """Make a dock; `behind` is the id of the one it is a tab behind, hidden at first."""
        dock = QDockWidget(title, self._window)
        dock.setObjectName(title)
        dock.setWidget(widget)
        self._window.addDockWidget(area, dock)
        if behind:
            self._window.tabifyDockWidget(self._docks[behind], dock)
            dock.hide()
        self._docks[command_id] = dock
        return dock

    def handlers(self, actions: Mapping[str, QAction]) -> dict[str, Callable[[], object]]:
        """Command id to function; checkable commands show and hide, others only show."""
        return {
            command_id: partial(self._toggle, action)
            if (action := actions[command_id]).isCheckable()
            else partial(self.show, command_id)
            for command_id in self._docks
        }

    def follow(self, actions: Mapping[str, QAction]) -> None:
        """Keep the check marks right."""
        for command_id, dock in self._docks.items():
            if actions[command_id].isCheckable():
                dock.visibilityChanged.connect(partial(self._check, actions[command_id], dock))

    def show(self, command_id: str) -> None:
        """Bring a dock to the front, with the keyboard focus in it."""
        dock = self._docks[command_id]
        dock.show()
        dock.raise_()
        if (widget := dock.widget()) is not None:
            widget.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def focus_step(self, first: QWidget, step: int) -> None:
        """Move the keyboard focus among what can be seen: this widget, then the panels."""
        panels = [d.widget() for name, d in self._docks.items() if name.endswith("_panel")]
        seen = [widget for widget in (first, *panels) if widget is not None and widget.isVisible()]
        focus = self._window.focusWidget()
        place = next(
            (i for i, w in enumerate(seen) if focus and (w is focus or w.isAncestorOf(focus))), 0
        )
        if seen:
            seen[(place + step) % len(seen)].setFocus(Qt.FocusReason.TabFocusReason)

    def _toggle(self, action: QAction) -> None:
        if action.isChecked():
            self.show(action.objectName())
        else:
            self._docks[action.objectName()].hide()

    @staticmethod
    def _check(action: QAction, dock: QDockWidget, _: bool) -> None:
        action.setChecked(not dock.isHidden())
