"""Light and dark: two palettes for the Fusion style, following the system when wanted.

No application-wide style sheet: it would slow down every widget, and Fusion draws well from a
palette. Widgets take all colours from `QPalette`, so a change of theme reaches them by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication


@dataclass(frozen=True, slots=True)
class Colors:
    """One theme, "#rrggbb" each.

    Attributes:
        window: background of windows and panels.
        base: background of lists and text fields.
        raised: alternate rows, tooltips' background.
        button: background of buttons.
        line: frames and separators, the canvas around the image.
        text: text everywhere.
        soft: secondary text and placeholders.
        disabled: text of what cannot be used now.
        accent: selection, focus, what is on.
        on_accent: text on the accent.
        link: links on `window` and `base`.
    """

    window: str
    base: str
    raised: str
    button: str
    line: str
    text: str
    soft: str
    disabled: str
    accent: str
    on_accent: str
    link: str


# Greys without a tint: the surroundings of a photograph must not colour it.
LIGHT = Colors(
    window="#f3f3f3",
    base="#ffffff",
    raised="#f8f8f8",
    button="#fbfbfb",
    line="#cfcfcf",
    text="#1f1f1f",
    soft="#636363",
    disabled="#a3a3a3",
    accent="#1f69c9",
    on_accent="#ffffff",
    link="#1a5fb8",
)
DARK = Colors(
    window="#262626",
    base="#1c1c1c",
    raised="#222222",
    button="#353535",
    line="#454545",
    text="#e4e4e4",
    soft="#a2a2a2",
    disabled="#6e6e6e",
    accent="#2f72cf",
    on_accent="#ffffff",
    link="#78b0ff",
)

LEVEL_COLORS: Mapping[bool, Mapping[str, str]] = {
    False: {"info": "#1f69c9", "warning": "#9a6200", "error": "#c0281f", "success": "#1d7a41"},
    True: {"info": "#78b0ff", "warning": "#f0b445", "error": "#ff8078", "success": "#6fcf8f"},
}
"""Colours of messages by (is the theme dark) and level; readable on `window` and `base`."""


def palette(colors: Colors) -> QPalette:
    """The Qt palette of a theme."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    result = QPalette(QColor(colors.button), QColor(colors.window))
    line = QColor(colors.line)
    for name, value in (
        (role.Window, colors.window),
        (role.Base, colors.base),
        (role.AlternateBase, colors.raised),
        (role.Button, colors.button),
        (role.WindowText, colors.text),
        (role.Text, colors.text),
        (role.ButtonText, colors.text),
        (role.BrightText, colors.on_accent),
        (role.PlaceholderText, colors.soft),
        (role.ToolTipBase, colors.raised),
        (role.ToolTipText, colors.text),
        (role.Highlight, colors.accent),
        (role.HighlightedText, colors.on_accent),
        (role.Accent, colors.accent),
        (role.Link, colors.link),
        (role.LinkVisited, colors.link),
    ):
        result.setColor(name, QColor(value))
    result.setColor(role.Mid, line)
    result.setColor(role.Midlight, line.lighter(108))
    result.setColor(role.Dark, line.darker(130))
    result.setColor(role.Light, QColor(colors.button).lighter(112))
    result.setColor(role.Shadow, QColor("#000000"))
    for name in (role.WindowText, role.Text, role.ButtonText, role.PlaceholderText):
        result.setColor(group.Disabled, name, QColor(colors.disabled))
    result.setColor(group.Disabled, role.Highlight, line)
    result.setColor(group.Disabled, role.HighlightedText, QColor(colors.soft))
    return result


def is_dark(of: QPalette) -> bool:
    """Whether a palette is a dark one."""
    window, text = of.color(QPalette.ColorRole.Window), of.color(QPalette.ColorRole.WindowText)
    return window.lightness() < text.lightness()


def level_color(of: QPalette, level: str) -> QColor:
    """The colour of "info", "warning", "error" or "success" on this palette's window."""
    return QColor(LEVEL_COLORS[is_dark(of)][level])


def mixed(one: QColor, other: QColor, share: float) -> QColor:
    """`share` (0 to 1) of `one`, the rest of `other`."""
    rest = 1.0 - share
    return QColor.fromRgbF(
        one.redF() * share + other.redF() * rest,
        one.greenF() * share + other.greenF() * rest,
        one.blueF() * share + other.blueF() * rest,
    )


def soft_text(of: QPalette) -> QColor:
    """The colour of secondary text."""
    return of.color(QPalette.ColorRole.PlaceholderText)


class Theme(QObject):
    """Keeps the application in the chosen theme; "system" follows the desktop while it runs.

    Args:
        app: the application; its style becomes Fusion.
        parent: Qt parent.
    """

    changed = Signal(bool)
    """The palette changed; whether it is dark now."""

    def __init__(self, app: QApplication, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._choice = "system"
        self._applying = False
        self._shown: Colors | None = None
        _set_style(app)
        app.styleHints().colorSchemeChanged.connect(self._follow_system)

    @property
    def dark(self) -> bool:
        """Whether the dark palette is shown."""
        return self._shown is DARK

    def apply(self, choice: str) -> None:
        """Show "light", "dark", or what the "system" has."""
        self._choice = choice
        scheme = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
        hints = self._app.styleHints()
        # Tells the platform, so that title bars and file dialogs follow. It may answer with
        # `colorSchemeChanged`, which must not start this again.
        self._applying = True
        hints.setColorScheme(scheme.get(choice, Qt.ColorScheme.Unknown))
        self._applying = False
        if choice == "system":
            self._show(DARK if hints.colorScheme() == Qt.ColorScheme.Dark else LIGHT)
        else:
            self._show(DARK if choice == "dark" else LIGHT)

    def _follow_system(self, scheme: Qt.ColorScheme) -> None:
        if self._choice == "system" and not self._applying:
            self._show(DARK if scheme == Qt.ColorScheme.Dark else LIGHT)

    def _show(self, colors: Colors) -> None:
        wanted = palette(colors)
        # The platform may have replaced the palette together with its scheme.
        if colors is self._shown and self._app.palette() == wanted:
            return
        self._shown = colors
        self._app.setPalette(wanted)
        self.changed.emit(colors is DARK)


def _set_style(app: QApplication) -> None:
    from annotator.ui.style import AppStyle

    if not isinstance(app.style(), AppStyle):
        app.setStyle(AppStyle())


def apply_theme(app: QApplication, choice: str) -> Theme:
    """Put the application in a theme; keep the result to change it and to follow the system."""
    theme = Theme(app, app)
    theme.apply(choice)
    return theme
