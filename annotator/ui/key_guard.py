"""One rule for the whole window: which keys are commands, and which belong to the focused widget.

Letters, digits and Backspace are commands here, and they are also what people type into a search
field. Qt asks the focused widget before it triggers a shortcut (`ShortcutOverride`); this filter
answers for it:

* a text field gets every key without Ctrl, Alt or Meta, except the function keys;
* a list, a button or a slider keeps the keys that drive it (Enter, Space, Tab, arrows, Page Up …);
* the canvas and the window itself keep nothing: every command works.

It also watches keys that act while they are down (hold H to hide the masks), wherever the focus is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QKeySequenceEdit,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)
from shiboken6 import isValid

from annotator.actions import Bindings
from annotator.keymaps import chords
from annotator.menus import COMMANDS

_CTRL_ALT_META = (
    Qt.KeyboardModifier.ControlModifier
    | Qt.KeyboardModifier.AltModifier
    | Qt.KeyboardModifier.MetaModifier
)
_ALT_GR = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
_NAVIGATION = frozenset(
    {
        Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space, Qt.Key.Key_Tab,
        Qt.Key.Key_Backtab, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Right,
        Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown,
    }
)  # fmt: skip
_KEY_EVENTS = frozenset(
    {QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress, QEvent.Type.KeyRelease}
)


RELEASE_MS = 40
"""On X11 a key that is held down may send releases and presses in turn, not always marked as
repeats; a release counts when no press follows it within this time."""


def takes_text(widget: QWidget) -> bool:
    """Whether typing goes into this widget."""
    if isinstance(widget, QComboBox):
        return widget.isEditable()
    if isinstance(widget, QLineEdit | QTextEdit | QPlainTextEdit | QAbstractSpinBox):
        return not widget.isReadOnly()
    return isinstance(widget, QKeySequenceEdit)


class KeyGuard(QObject):
    """Installs the rule on a window.

    Only the window and its focused widget are filtered, so mouse moves and paints of everything
    else cost nothing.

    Args:
        window: where the commands' actions live.
        surfaces: widgets (the canvas) in which every key is a command.
    """

    held_changed = Signal(str, bool)
    """A held command's id, and whether its key is down."""

    def __init__(self, window: QWidget, surfaces: Iterable[QWidget] = ()) -> None:
        super().__init__(window)
        self._window = window
        self._surfaces: Sequence[QWidget] = (window, *surfaces)
        self._focused: QWidget | None = None
        self._held_keys: dict[int, str] = {}
        self._down: dict[Qt.Key, str] = {}
        self._rising: set[Qt.Key] = set()
        self._rise = QTimer(self, singleShot=True, interval=RELEASE_MS)
        self._rise.timeout.connect(self._finish_release)
        window.installEventFilter(self)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._follow_focus)
        self._follow_focus(None, QApplication.focusWidget())

    def set_bindings(self, bindings: Bindings) -> None:
        """Follow a key map: watch the keys of the commands that act while held."""
        self._release_all()
        self._held_keys = {
            chord.toCombined(): row.id
            for row in COMMANDS
            if row.held
            for keys in bindings.get(row.id, ())
            for chord in chords(QKeySequence(keys))[:1]
        }

    @property
    def held(self) -> Mapping[Qt.Key, str]:
        """Keys that are down now and the commands they hold."""
        return dict(self._down)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Answer for the focused widget."""
        if event.type() in _KEY_EVENTS and isinstance(event, QKeyEvent):
            focused = QApplication.focusWidget() or self._window
            # A key the focused widget ignores climbs to the window; it was judged already.
            return watched is focused and self._judge(focused, event)
        if event.type() == QEvent.Type.WindowDeactivate and watched is self._window:
            self._release_all()
        return False

    def _judge(self, focused: QWidget, event: QKeyEvent) -> bool:
        if event.type() == QEvent.Type.KeyRelease:
            return self._release(event)
        if takes_text(focused):
            keep = _is_typing(event)
        else:
            if self._press(event):
                return True
            keep = not self._on_surface(focused) and _is_navigation(event)
        if keep and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return False

    def _on_surface(self, widget: QWidget) -> bool:
        # Not `isAncestorOf` for the window: it is the ancestor of every list and button.
        return widget is self._window or any(
            surface is widget or surface.isAncestorOf(widget) for surface in self._surfaces[1:]
        )

    def _press(self, event: QKeyEvent) -> bool:
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        command_id = self._held_keys.get(event.key() | modifiers.value)
        if command_id is None:
            return False
        event.accept()
        key = Qt.Key(event.key())
        self._rising.discard(key)
        if event.type() == QEvent.Type.KeyPress and key not in self._down:
            self._down[key] = command_id
            self.held_changed.emit(command_id, True)
        return True

    def _release(self, event: QKeyEvent) -> bool:
        key = Qt.Key(event.key())
        if key not in self._down:
            return False
        if not event.isAutoRepeat():
            self._rising.add(key)
            self._rise.start()
        return True

    def _finish_release(self) -> None:
        rising, self._rising = self._rising, set()
        for key in rising:
            command_id = self._down.pop(key, None)
            if command_id is not None:
                self.held_changed.emit(command_id, False)

    def _release_all(self) -> None:
        self._rising.clear()
        while self._down:
            _, command_id = self._down.popitem()
            self.held_changed.emit(command_id, False)

    def _follow_focus(self, _before: QWidget | None, now: QWidget | None) -> None:
        # The widget that had the focus may be gone already.
        if self._focused is not None and isValid(self._focused):
            self._focused.removeEventFilter(self)
        self._focused = None
        self._release_all()
        if now is not None and now is not self._window and self._belongs(now):
            self._focused = now
            now.installEventFilter(self)

    def _belongs(self, widget: QWidget) -> bool:
        # Floating docks are windows of their own whose shortcuts still reach the main window.
        window = widget.window()
        return window is self._window or (
            window.windowType() == Qt.WindowType.Tool and window.parentWidget() is self._window
        )


def _is_typing(event: QKeyEvent) -> bool:
    if Qt.Key.Key_F1 <= event.key() <= Qt.Key.Key_F35:
        return False
    modifiers = event.modifiers()
    if not modifiers & _CTRL_ALT_META:
        return True
    # AltGr characters come as Ctrl+Alt on Windows.
    return modifiers & _ALT_GR == _ALT_GR and event.text().isprintable() and bool(event.text())


def _is_navigation(event: QKeyEvent) -> bool:
    return event.key() in _NAVIGATION and not event.modifiers() & _CTRL_ALT_META
