"""The menu View."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    Command("view.zoom_in", "Zoom In", ("Ctrl++", "Ctrl+=", "+"), "zoom-in", "View",
        enabled="image", repeats=True, hint="Closer"),
    Command("view.zoom_out", "Zoom Out", ("Ctrl+-", "-"), "zoom-out", "View", enabled="image",
        repeats=True, hint="Farther away"),
    Command("view.fit", "Fit to Window", ("F", "Ctrl+0"), "fit", "View", enabled="image",
        hint="Show the whole image"),
    Command("view.actual", "Actual Pixels", ("Ctrl+1",), "actual", "View", enabled="image",
        hint="One image pixel on one screen pixel (100 %)"),
    Command("view.selection", "Zoom to Selection", ("Shift+Z",), "search", "View",
        enabled="selection", hint="Bring the selected objects close"),
    Command("view.hide_masks", "Hide All Masks", ("H",), "eye-off", "View", True, "image",
        checkable=True, held=True, hint="See the bare image while the key is held down"),
    Command("view.hover_preview", "Preview under the Pointer", (), "hover", "View", checkable=True,
        hint="Show what a click would give before you click"),
    Command("view.crosshair", "Crosshair", ("X",), "crosshair", "View", checkable=True,
        hint="Lines through the pointer across the whole image"),
    Command("view.pixel_grid", "Pixel Grid", ("G",), "grid", "View", checkable=True,
        hint="Lines between pixels when you are close"),
    Command("view.adjust", "Brightness and Contrast", ("Ctrl+B",), "adjust", "View", True,
        checkable=True, hint="Brightness, contrast and gamma, for viewing only"),
    Command("view.images_panel", "Images Panel", (), "images", "View/Panels", True, checkable=True,
        hint="The list of images"),
    Command("view.names_panel", "Names Panel", (), "tag", "View/Panels", checkable=True,
        hint="Classes and suggested names"),
    Command("view.objects_panel", "Objects Panel", (), "layers", "View/Panels", checkable=True,
        hint="The objects of this image"),
    Command("view.similar_panel", "Similar Objects Panel", (), "similar", "View/Panels",
        checkable=True, hint="What looks like one object, in the whole folder"),
    Command("view.review_panel", "Review Names Panel", (), "doubt", "View/Panels", checkable=True,
        hint="Objects whose name does not agree with what they look like"),
    Command("view.checks_panel", "Checks Panel", (), "warning", "View/Panels", checkable=True,
        hint="What may be wrong in the folder, and repairing it"),
    Command("view.tracks_panel", "Tracks Panel", ("Ctrl+Shift+T",), "", "View/Panels",
        checkable=True, hint="Show or hide the timeline of the tracks of this folder or video"),
    Command("view.prelabel_panel", "Pre-labelling Panel", (), "prelabel", "View/Panels",
        checkable=True, hint="How far the folder is pre-labelled, and what failed"),
    Command("view.history_panel", "History Panel", ("Shift+H",), "clock", "View/Panels",
        checkable=True, hint="Every step of this image and of the project; go back to any of them"),
    Command("view.next_panel", "Next Panel", ("F6",), "", "View/Panels", True,
        hint="Move the keyboard focus to the next panel"),
    Command("view.previous_panel", "Previous Panel", ("Shift+F6",), "", "View/Panels",
        hint="Move the keyboard focus to the previous panel"),
    *(
        Command(f"view.theme_{theme}", text, (), "theme" if theme == "system" else theme,
            "View/Theme", checkable=True, group="theme", hint="Colours of the window")
        for theme, text in (
            ("system", "System Theme"),
            ("light", "Light Theme"),
            ("dark", "Dark Theme"),
        )
    ),
    Command("view.full_screen", "Full Screen", ("F11",), "full-screen", "View", True,
        checkable=True, hint="Use the whole screen"),
)  # fmt: skip
