"""The menu File."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    Command("file.open_folder", "Open Folder…", ("Ctrl+O",), "folder-open", "File",
        hint="Open a folder of images as a project"),
    Command("file.open_recent", "Open Recent", (), "clock", "File", submenu=True,
        hint="Folders opened before"),
    Command("file.import_coco", "Import…", ("Ctrl+I",), "import", "File", True, "project",
        hint="Add objects that other tools or files have; what would happen is shown first"),
    Command("file.export", "Export…", ("Ctrl+Shift+X",), "export", "File", True, "project",
        hint="Write the accepted objects in a format for training"),
    Command("file.save", "Save COCO Now", ("Ctrl+S",), "save", "File", enabled="project",
        hint="Everything is saved as you go; this writes the COCO file at once"),
    Command("file.show_coco", "Show COCO File", (), "folder", "File", enabled="project",
        hint="Show the COCO file in the file manager"),
    Command("file.settings", "Settings…", ("Ctrl+,",), "settings", "File", True,
        hint="Appearance, keys, canvas, model and saving"),
    Command("file.quit", "Quit", ("Ctrl+Q",), "quit", "File", True, hint="Save and leave"),
)  # fmt: skip
