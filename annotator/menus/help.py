"""The menu Help."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    Command("help.shortcuts", "Keyboard Shortcuts", ("F1", "?"), "keyboard", "Help",
        hint="Every key and mouse gesture; change them here"),
    Command("help.command_palette", "Command Palette…", ("Ctrl+Shift+P",), "command", "Help",
        hint="Type what you want to do"),
    Command("help.about", "About Annotator", (), "info", "Help", True, hint="Version, licence"),
)  # fmt: skip
