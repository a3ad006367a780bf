"""Commands are data: one frozen table, and the few functions that turn it into Qt actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from PySide6.QtGui import QAction, QActionGroup, QIcon, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from annotator import editing_actions, history_actions, review_actions, track_actions
from annotator.command import Command as Command

Bindings = Mapping[str, tuple[str, ...]]
"""Command id to its key sequences in portable text, the one shown in menus first."""

CONDITIONS: Mapping[str, str] = {
    "project": "a folder is open",
    "image": "an image is shown",
    "prompt": "a prompt or an unfinished shape is open",
    "candidate": "there is something to accept",
    "candidates": "there are several candidates to choose from",
    "suggestions": "there are suggested names",
    "selection": "objects are selected (never together with a prompt)",
    "several": "two objects or more are selected",
    "object": "an accepted object is among the selected ones",
    "proposal": "a proposal is among the selected objects",
    "only_proposals": "proposals are selected, and nothing else",
    "proposals": "proposals are shown in this image",
    "folder_decision": "proposals of the whole folder were decided on",
    "objects": "the image has objects",
    "proposing": "objects are being proposed (and there is neither prompt nor selection)",
    "prelabelling": "the folder is being pre-labelled",
    **track_actions.CONDITIONS,
    "clipboard": "objects were copied",
    "undo": "there is a step, or a point of the prompt, to take back",
    "redo": "there is a step to do again",
    **history_actions.CONDITIONS,
}
"""Names used in `Command.enabled` and what they mean."""


def _file() -> Iterable[Command]:
    yield Command(
        "file.open_folder", "Open Folder…", ("Ctrl+O",), "folder-open", "File",
        hint="Open a folder of images as a project",
    )  # fmt: skip
    yield Command(
        "file.open_recent", "Open Recent", (), "clock", "File", submenu=True,
        hint="Folders opened before",
    )  # fmt: skip
    yield Command(
        "file.import_coco", "Import…", ("Ctrl+I",), "import", "File", True, "project",
        hint="Add objects that other tools or files have; what would happen is shown first",
    )  # fmt: skip
    yield Command(
        "file.export", "Export…", ("Ctrl+Shift+X",), "export", "File", True, "project",
        hint="Write the accepted objects in a format for training",
    )  # fmt: skip
    yield Command(
        "file.save", "Save COCO Now", ("Ctrl+S",), "save", "File", enabled="project",
        hint="Everything is saved as you go; this writes the COCO file at once",
    )  # fmt: skip
    yield Command(
        "file.show_coco", "Show COCO File", (), "folder", "File", enabled="project",
        hint="Show the COCO file in the file manager",
    )  # fmt: skip
    yield Command(
        "file.settings", "Settings…", ("Ctrl+,",), "settings", "File", True,
        hint="Appearance, keys, canvas, model and saving",
    )  # fmt: skip
    yield Command("file.quit", "Quit", ("Ctrl+Q",), "quit", "File", True, hint="Save and leave")


def _edit() -> Iterable[Command]:
    yield Command(
        "edit.undo", "Undo", ("Ctrl+Z",), "undo", "Edit", enabled="undo", repeats=True,
        hint="Take back the last point of an open prompt, else the last step of this image",
    )  # fmt: skip
    yield Command(
        "edit.redo", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "redo", "Edit", enabled="redo",
        repeats=True, hint="Do the last undone step again",
    )  # fmt: skip
    yield from history_actions.edit()
    yield Command(
        "edit.cut", "Cut", ("Ctrl+X",), "cut", "Edit", True, "selection",
        hint="Copy the selected objects and delete them",
    )  # fmt: skip
    yield Command(
        "edit.copy", "Copy", ("Ctrl+C",), "copy", "Edit", enabled="selection",
        hint="Copy the selected objects, for this or another image",
    )  # fmt: skip
    yield Command(
        "edit.paste", "Paste", ("Ctrl+V",), "paste", "Edit", enabled="clipboard",
        hint="Insert the copied objects",
    )  # fmt: skip
    yield from editing_actions.copies()
    yield Command(
        "edit.duplicate", "Duplicate", ("Ctrl+D",), "duplicate", "Edit", enabled="selection",
        hint="Insert a copy of the selected objects beside them",
    )  # fmt: skip
    yield Command(
        "edit.delete", "Delete", ("Del", "Backspace"), "trash", "Edit", enabled="object",
        hint="Delete the selected objects",
    )  # fmt: skip
    yield Command(
        "edit.select_all", "Select All", ("Ctrl+A",), "select-all", "Edit", True, "objects",
        hint="Select every object that is neither hidden nor locked",
    )  # fmt: skip
    yield Command(
        "edit.select_none", "Select None", ("Esc",), "", "Edit", enabled="selection",
        hint="Let go of the selection",
    )  # fmt: skip
    yield Command(
        "edit.select_next", "Select Next Object", (".",), "", "Edit", enabled="objects",
        repeats=True, hint="Walk through the objects of this image",
    )  # fmt: skip
    yield Command(
        "edit.select_previous", "Select Previous Object", (",",), "", "Edit", enabled="objects",
        repeats=True, hint="Walk through the objects of this image, backwards",
    )  # fmt: skip
    yield Command(
        "edit.rename", "Change Class…", ("F2",), "pencil", "Edit", True, "selection",
        hint="Type another class for the selected objects",
    )  # fmt: skip
    yield Command(
        "edit.attributes", "Attributes…", ("Alt+Return",), "list", "Edit", enabled="selection",
        hint="Edit the attributes of the selected object",
    )  # fmt: skip
    yield Command(
        "edit.crowd", "Crowd", ("Shift+C",), "crowd", "Edit", enabled="selection", checkable=True,
        hint="One mask for a group that cannot be told apart (COCO iscrowd)",
    )  # fmt: skip
    yield Command(
        "edit.lock", "Lock", ("Ctrl+L",), "lock", "Edit", enabled="selection", checkable=True,
        hint="Protect the selected objects against changes",
    )  # fmt: skip
    yield Command(
        "edit.hide", "Hide", ("Ctrl+H",), "eye-off", "Edit", enabled="selection",
        hint="Do not draw the selected objects until they are shown again",
    )  # fmt: skip
    yield Command(
        "edit.show_all", "Show All Objects", ("Ctrl+Shift+H",), "eye", "Edit", enabled="objects",
        hint="Show every hidden object of this image",
    )  # fmt: skip
    yield from _order()


def _order() -> Iterable[Command]:
    yield Command(
        "edit.raise", "Raise", ("Ctrl+Up", "Ctrl+]"), "raise", "Edit/Order", True, "selection",
        repeats=True, hint="One layer up",
    )  # fmt: skip
    yield Command(
        "edit.lower", "Lower", ("Ctrl+Down", "Ctrl+["), "lower", "Edit/Order",
        enabled="selection", repeats=True, hint="One layer down",
    )  # fmt: skip
    yield Command(
        "edit.to_top", "To the Top", ("Ctrl+Shift+Up", "Ctrl+Shift+]"), "to-top", "Edit/Order",
        enabled="selection", hint="Above all other objects",
    )  # fmt: skip
    yield Command(
        "edit.to_bottom", "To the Bottom", ("Ctrl+Shift+Down", "Ctrl+Shift+["), "to-bottom",
        "Edit/Order", enabled="selection", hint="Below all other objects",
    )  # fmt: skip


def _image() -> Iterable[Command]:
    yield Command(
        "image.next", "Next Image", ("D", "PgDown"), "next", "Image", enabled="project",
        repeats=True, hint="The next image of the list",
    )  # fmt: skip
    yield Command(
        "image.previous", "Previous Image", ("A", "PgUp"), "previous", "Image",
        enabled="project", repeats=True, hint="The previous image of the list",
    )  # fmt: skip
    yield Command(
        "image.next_untouched", "Next Untouched Image", ("Shift+D",), "next-untouched", "Image",
        enabled="project", hint="The next image nobody has worked on",
    )  # fmt: skip
    yield Command(
        "image.first", "First Image", ("Ctrl+Home",), "", "Image", enabled="project",
        hint="The first image of the list",
    )  # fmt: skip
    yield Command(
        "image.last", "Last Image", ("Ctrl+End",), "", "Image", enabled="project",
        hint="The last image of the list",
    )  # fmt: skip
    yield Command(
        "image.goto", "Go to Image…", ("Ctrl+G",), "goto", "Image", True, "project",
        hint="Type part of a file name",
    )  # fmt: skip
    yield Command(
        "image.filter", "Filter Images…", ("Ctrl+F",), "filter", "Image", enabled="project",
        hint="Show only some images in the list",
    )  # fmt: skip
    yield Command(
        "image.reload", "Read Again from Disk", ("F5",), "reload", "Image", True, "image",
        hint="Read the image file again",
    )  # fmt: skip


def _view() -> Iterable[Command]:
    yield Command(
        "view.zoom_in", "Zoom In", ("Ctrl++", "Ctrl+=", "+"), "zoom-in", "View",
        enabled="image", repeats=True, hint="Closer",
    )  # fmt: skip
    yield Command(
        "view.zoom_out", "Zoom Out", ("Ctrl+-", "-"), "zoom-out", "View", enabled="image",
        repeats=True, hint="Farther away",
    )  # fmt: skip
    yield Command(
        "view.fit", "Fit to Window", ("F", "Ctrl+0"), "fit", "View", enabled="image",
        hint="Show the whole image",
    )  # fmt: skip
    yield Command(
        "view.actual", "Actual Pixels", ("Ctrl+1",), "actual", "View", enabled="image",
        hint="One image pixel on one screen pixel (100 %)",
    )  # fmt: skip
    yield Command(
        "view.selection", "Zoom to Selection", ("Shift+Z",), "search", "View", enabled="selection",
        hint="Bring the selected objects close",
    )  # fmt: skip
    yield Command(
        "view.hide_masks", "Hide All Masks", ("H",), "eye-off", "View", True, "image",
        checkable=True, held=True, hint="See the bare image while the key is held down",
    )  # fmt: skip
    yield Command(
        "view.hover_preview", "Preview under the Pointer", (), "hover", "View", checkable=True,
        hint="Show what a click would give before you click",
    )  # fmt: skip
    yield Command(
        "view.crosshair", "Crosshair", ("X",), "crosshair", "View", checkable=True,
        hint="Lines through the pointer across the whole image",
    )  # fmt: skip
    yield Command(
        "view.pixel_grid", "Pixel Grid", ("G",), "grid", "View", checkable=True,
        hint="Lines between pixels when you are close",
    )  # fmt: skip
    yield Command(
        "view.adjust", "Brightness and Contrast", ("Ctrl+B",), "adjust", "View", True,
        checkable=True, hint="Brightness, contrast and gamma, for viewing only",
    )  # fmt: skip
    yield Command(
        "view.images_panel", "Images Panel", (), "images", "View/Panels", True, checkable=True,
        hint="The list of images",
    )  # fmt: skip
    yield Command(
        "view.names_panel", "Names Panel", (), "tag", "View/Panels", checkable=True,
        hint="Classes and suggested names",
    )  # fmt: skip
    yield Command(
        "view.objects_panel", "Objects Panel", (), "layers", "View/Panels", checkable=True,
        hint="The objects of this image",
    )  # fmt: skip
    yield Command(
        "view.similar_panel", "Similar Objects Panel", (), "similar", "View/Panels",
        checkable=True, hint="What looks like one object, in the whole folder",
    )  # fmt: skip
    yield Command(
        "view.review_panel", "Review Names Panel", (), "doubt", "View/Panels", checkable=True,
        hint="Objects whose name does not agree with what they look like",
    )  # fmt: skip
    yield review_actions.PANEL
    yield track_actions.PANEL
    yield Command(
        "view.prelabel_panel", "Pre-labelling Panel", (), "prelabel", "View/Panels",
        checkable=True, hint="How far the folder is pre-labelled, and what failed",
    )  # fmt: skip
    yield from history_actions.panels()
    yield Command(
        "view.next_panel", "Next Panel", ("F6",), "", "View/Panels", True,
        hint="Move the keyboard focus to the next panel",
    )  # fmt: skip
    yield Command(
        "view.previous_panel", "Previous Panel", ("Shift+F6",), "", "View/Panels",
        hint="Move the keyboard focus to the previous panel",
    )  # fmt: skip
    for theme, text in (
        ("system", "System Theme"),
        ("light", "Light Theme"),
        ("dark", "Dark Theme"),
    ):
        yield Command(
            f"view.theme_{theme}", text, (), "theme" if theme == "system" else theme,
            "View/Theme", checkable=True, group="theme", hint="Colours of the window",
        )  # fmt: skip
    yield Command(
        "view.full_screen", "Full Screen", ("F11",), "full-screen", "View", True,
        checkable=True, hint="Use the whole screen",
    )  # fmt: skip


def _tools() -> Iterable[Command]:
    for tool, text, keys, icon, hint in (
        ("smart", "Smart Tool", ("Q",), "smart", "Click an object or drag a box around it"),
        ("box", "Rectangle", ("R",), "box", "Drag a plain rectangle"),
        ("polygon", "Polygon", ("P",), "polygon", "Draw an outline corner by corner"),
        editing_actions.MAGNETIC,
        *editing_actions.PIXEL_TOOLS,
        ("select", "Select", ("V",), "select", "Select, move and change objects"),
        ("pan", "Pan", ("Shift+V",), "pan", "Move the view; Space-drag does so in every tool"),
    ):
        yield Command(
            f"tool.{tool}", text, keys, icon, "Tools", checkable=True, group="tool", hint=hint,
        )  # fmt: skip
    yield from editing_actions.brush()
    yield Command(
        "prompt.accept", "Accept Object", ("Return", "Enter"), "accept", "Tools", True,
        "candidate", hint="Keep the mask that is shown",
    )  # fmt: skip
    yield Command(
        "prompt.clear", "Clear Prompt", ("Esc",), "clear", "Tools", enabled="prompt",
        hint="Forget the points and the box",
    )  # fmt: skip
    yield Command(
        "prompt.take_back", "Take Back Last Point", ("Backspace",), "take-back", "Tools",
        enabled="prompt", repeats=True, hint="Remove the newest point or box",
    )  # fmt: skip
    yield Command(
        "prompt.next_candidate", "Next Candidate", ("Tab",), "candidates", "Tools",
        enabled="candidates", repeats=True, hint="Part, object, whole: show the next mask",
    )  # fmt: skip
    yield Command(
        "prompt.previous_candidate", "Previous Candidate", ("Shift+Tab",), "", "Tools",
        enabled="candidates", repeats=True, hint="Show the mask before",
    )  # fmt: skip
    yield Command(
        "model.adapt", "Adapt the Model to This Project…", (), "model", "Tools", True, "project",
        hint="Train the built-in model further on what you accepted, in the background",
    )  # fmt: skip


def _proposing() -> Iterable[Command]:
    yield Command(
        "image.propose", "Propose Everything in This Image", ("E",), "everything", "Proposals",
        enabled="image",
        hint="Look for all objects in the background; you decide which of them to keep",
    )  # fmt: skip
    yield Command(
        "image.stop_proposing", "Stop Proposing", ("Esc",), "", "Proposals", enabled="proposing",
        hint="End the search for objects; what was found so far is forgotten",
    )  # fmt: skip
    yield Command(
        "image.propose_options", "Proposal Options…", (), "", "Proposals",
        hint="How many points are asked, and which masks are good enough",
    )  # fmt: skip
    yield Command(
        "image.label", "Label This Image", ("Shift+L",), "tag", "Proposals", True, "image",
        hint="Propose everything that has the name of a class, with a model that needs no prompts",
    )  # fmt: skip
    yield Command(
        "image.find_all", "Find All in This Image…", ("Ctrl+Shift+A",), "similar", "Proposals",
        enabled="image", hint="Propose everything of one name: dog, or “vehicle, car, truck”",
    )  # fmt: skip
    yield Command(
        "prelabel.folder", "Pre-label Folder…", ("Shift+E",), "prelabel", "Proposals", True,
        "project", hint="Propose the objects of many images in the background, or take boxes from "
        "a file",
    )  # fmt: skip
    yield Command(
        "prelabel.compare", "Compare with a New Run", (), "similar", "Proposals", enabled="project",
        hint="What the model finds otherwise now than you accepted it in this image",
    )  # fmt: skip
    yield Command(
        "prelabel.pause", "Pause Pre-labelling", (), "pause", "Proposals", enabled="prelabelling",
        hint="Finish the image at hand and wait; once more goes on",
    )  # fmt: skip
    yield Command(
        "prelabel.stop", "Stop Pre-labelling", (), "", "Proposals", enabled="prelabelling",
        hint="End it; what was proposed stays, and it can be gone on with",
    )  # fmt: skip


def _proposals() -> Iterable[Command]:
    yield Command(
        "proposals.accept", "Accept Proposal", ("Return", "Enter"), "accept", "Proposals", True,
        "proposal", hint="Keep the selected proposals, and go on with the next",
    )  # fmt: skip
    yield Command(
        "proposals.reject", "Reject Proposal", ("Del", "Backspace"), "trash", "Proposals",
        enabled="only_proposals",
        hint="Throw the selected proposals away, and go on with the next",
    )  # fmt: skip
    yield Command(
        "proposals.next", "Next Proposal", ("J",), "next", "Proposals", enabled="proposals",
        repeats=True, hint="Select the next proposal of this image",
    )  # fmt: skip
    yield Command(
        "proposals.previous", "Previous Proposal", ("K",), "previous", "Proposals",
        enabled="proposals", repeats=True, hint="Select the proposal before",
    )  # fmt: skip
    yield Command(
        "proposals.next_image", "Next Image with Proposals", ("Shift+J",), "images", "Proposals",
        enabled="project", hint="The next image of the list that has proposals",
    )  # fmt: skip
    yield Command(
        "proposals.accept_shown", "Accept All Shown", ("Ctrl+Return",), "accept", "Proposals",
        True, "proposals", hint="Keep every proposal of this image that passes the filter",
    )  # fmt: skip
    yield Command(
        "proposals.reject_shown", "Reject All Shown", ("Ctrl+Del",), "trash", "Proposals",
        enabled="proposals",
        hint="Throw away every proposal of this image that passes the filter",
    )  # fmt: skip
    yield Command(
        "proposals.accept_folder", "Accept All Shown in the Whole Folder",
        ("Ctrl+Shift+Return",), "", "Proposals", True, "project",
        hint="In every image, keep the proposals that pass the filter",
    )  # fmt: skip
    yield Command(
        "proposals.reject_folder", "Reject All Shown in the Whole Folder", (), "", "Proposals",
        enabled="project", hint="In every image, throw away the proposals that pass the filter",
    )  # fmt: skip
    yield Command(
        "proposals.take_back", "Take Back the Decision for the Folder", (), "undo", "Proposals",
        enabled="folder_decision",
        hint="Undo it in every image that was not changed since",
    )  # fmt: skip


def _propagation() -> Iterable[Command]:
    yield Command(
        "propagate.next", "Propagate to the Next Image", ("W",), "propagate", "Proposals", True,
        "objects", hint="Find the selected objects, or all accepted ones, in the next image",
    )  # fmt: skip
    yield Command(
        "propagate.ahead", "Propagate until Unsure, at Most 10 Images", ("Shift+W",), "",
        "Proposals", enabled="objects",
        hint="Follow the selected objects, or all accepted ones, image after image; it stops and "
        "asks where one is not sure",
    )  # fmt: skip


def _names() -> Iterable[Command]:
    yield Command(
        "class.search", "Find Class…", ("L", "/"), "search", "Names",
        enabled="project", hint="Type a name: completes known classes, Enter makes a new one",
    )  # fmt: skip
    yield Command(
        "class.new", "New Class…", ("N",), "tag-plus", "Names", enabled="project",
        hint="Add a class to the project",
    )  # fmt: skip
    yield Command(
        "class.vocabulary", "Edit Vocabulary…", ("Ctrl+Shift+L",), "list", "Names",
        enabled="project",
        hint="All classes and synonyms as text; lists to import; sentences for text models",
    )  # fmt: skip
    for digit in range(1, 10):
        yield Command(
            f"class.{digit}", f"Class {digit}", (str(digit),), "tag", "Names/Class by Number",
            digit == 1, "project", hint="Name the open or selected object; later objects follow",
        )  # fmt: skip
    yield Command(
        "class.repeat", "Last Class Again", ("0",), "tag", "Names", enabled="project",
        hint="Name the open or selected object like the one before",
    )  # fmt: skip
    for digit in range(1, 6):
        yield Command(
            f"suggestion.{digit}", f"Suggestion {digit}", (f"Shift+{digit}",), "sparkle",
            "Names/Accept Suggestion", enabled="suggestions",
            hint="Give the object this suggested name",
        )  # fmt: skip


def _finding() -> Iterable[Command]:
    yield Command(
        "similar.find", "Find Similar Objects", ("S",), "similar", "Names", True, "selection",
        hint="List proposals and objects with another name that look like the selected one",
    )  # fmt: skip
    yield Command(
        "similar.here", "Look for Similar Objects in This Image", ("Shift+S",), "everything",
        "Names/Look for Similar Objects", enabled="image",
        hint="Let the model propose only what looks like the object, under its name",
    )  # fmt: skip
    yield Command(
        "similar.next", "Look for Similar Objects in the Next Images", (), "",
        "Names/Look for Similar Objects", enabled="image",
        hint="The same in the next ten images of the list, in the background",
    )  # fmt: skip
    yield Command(
        "similar.folder", "Look for Similar Objects in the Whole Folder", (), "",
        "Names/Look for Similar Objects", enabled="project",
        hint="The same in every image that is not reviewed, in the background",
    )  # fmt: skip
    yield Command(
        "names.review", "Review Names", ("Shift+R",), "doubt", "Names", True, "project",
        hint="Go through objects whose name does not agree with what they look like",
    )  # fmt: skip
    yield Command(
        "names.look", "Look at All Objects", (), "", "Names", enabled="project",
        hint="Find out what objects look like that nobody has looked at, imported ones for example",
    )  # fmt: skip


def _help() -> Iterable[Command]:
    yield Command(
        "help.shortcuts", "Keyboard Shortcuts", ("F1", "?"), "keyboard", "Help",
        hint="Every key and mouse gesture; change them here",
    )  # fmt: skip
    yield Command(
        "help.command_palette", "Command Palette…", ("Ctrl+Shift+P",), "command", "Help",
        hint="Type what you want to do",
    )  # fmt: skip
    yield Command(
        "help.about", "About Annotator", (), "info", "Help", True, hint="Version, licence"
    )


COMMANDS: tuple[Command, ...] = (
    *_file(), *_edit(), *editing_actions.objects(), *_image(), *_view(), *_tools(),
    *_proposing(), *_proposals(), *_propagation(), *_names(), *_finding(), *review_actions.review(),
    *track_actions.tracks(),
    *_help(),
)  # fmt: skip
"""Everything the user can do, in menu order."""

TOOLBAR: tuple[str, ...] = (
    "tool.smart", "tool.box", "tool.polygon", "tool.magnetic", "",
    "tool.brush", "tool.eraser", "tool.lasso", "tool.outline", "tool.vertices",
    "tool.fill", "tool.knife", "",
    "tool.select", "tool.pan", "",
    "prompt.accept", "prompt.clear", "", "edit.undo", "edit.redo", "",
    "view.zoom_in", "view.zoom_out", "view.fit", "view.actual", "",
    "image.previous", "image.next", "image.mark_reviewed",
)  # fmt: skip
"""Ids of the commands on the tool bar; "" stands for a separator."""

GESTURES: tuple[tuple[str, str, str], ...] = (
    ("Smart tool", "Click", "Point on the object"),
    ("Smart tool", "Right click · Shift+Click", "Point that does not belong to it"),
    ("Smart tool", "Drag", "Box around the object; points may follow"),
    ("Smart tool", "Drag a point or a side of the box", "Move it"),
    ("Smart tool", "Right click a point · Alt+Click it · Delete over it", "Remove it"),
    ("Smart tool", "Alt+Wheel", "Next or previous candidate: part, object, whole"),
    ("Smart tool", "Tap Space", "Accept"),
    ("Smart tool", "Ctrl+Click", "Select an object"),
    ("Rectangle", "Drag · click two corners", "Draw it; Shift: a square; Ctrl: from its centre"),
    ("Polygon", "Click", "Next corner; with Shift in steps of 45°"),
    ("Polygon", "Right click", "Take back the last corner"),
    ("Polygon", "Double click · click the first corner", "Close the outline"),
    *editing_actions.GESTURES,
    *track_actions.GESTURES,
    ("Select", "Click", "Select; once more: what lies beneath"),
    ("Select", "Ctrl+Click · Shift+Click", "Add to the selection"),
    ("Select", "Drag a selected object", "Move the selected objects"),
    ("Select", "Drag elsewhere", "Select what the frame encloses"),
    ("Select", "Alt+Click", "List all objects there, also those beneath others"),
    ("Select", "Drag a handle", "Resize a rectangle; Shift: same ratio; Ctrl: same centre"),
    ("Select", "Arrow keys · Shift+Arrow keys", "Move the selected objects by 1 · by 10 pixels"),
    ("Similar objects", "Enter · Space", "Give the name to the chosen rows · show the object"),
    ("Review names", "Enter · Space", "Change the name · it is right, do not ask again"),
    ("View", "Wheel", "Zoom at the pointer (or scroll, see Settings)"),
    ("View", "Ctrl+Wheel", "Zoom at the pointer, whatever the setting"),
    ("View", "Shift+Wheel", "Scroll sideways"),
    ("View", "Middle drag · Space+Drag", "Move the view, in every tool"),
    ("View", "Arrow keys", "Move the view while nothing is selected"),
)
"""What the mouse and the canvas' own keys do, for the shortcut sheet: where, gesture, effect."""

RESERVED: Mapping[str, str] = {
    # The canvas must see these go down and up by itself: a tap of Space accepts, holding it pans;
    # as a QAction it would fire on the way down and never pan.
    "Space": "Accept with a tap, pan while held",
    **{
        f"{shift}{arrow}": "Move the selected objects, or the view"
        for shift in ("", "Shift+")
        for arrow in ("Left", "Right", "Up", "Down")
    },
}
"""Keys the canvas handles itself; no command can have them."""


def command(command_id: str) -> Command:
    """The row with this id; KeyError when there is none."""
    return _BY_ID[command_id]


_BY_ID = {row.id: row for row in COMMANDS}


def build_actions(
    parent: QWidget,
    run: Callable[[str], None],
    bindings: Bindings,
    icon: Callable[[str], QIcon],
) -> dict[str, QAction]:
    """One QAction per command, owned by `parent` and working anywhere in its window.

    Args:
        parent: the window.
        run: called with the command id when the action is triggered.
        bindings: the key map in use (`annotator.keymaps.bindings`).
        icon: name to icon (`annotator.ui.icons.icon`).
    """
    groups: dict[str, QActionGroup] = {}
    actions: dict[str, QAction] = {}
    for row in COMMANDS:
        if row.group not in groups:
            groups[row.group] = _group(parent, row.group, run)
        action = QAction(row.text, groups[row.group])
        action.setObjectName(row.id)
        action.setCheckable(row.checkable)
        action.setAutoRepeat(row.repeats)
        if row.icon:
            action.setIcon(icon(row.icon))
        if row.id in _ROLES:
            action.setMenuRole(_ROLES[row.id])
        actions[row.id] = action
    apply_bindings(actions, bindings)
    parent.addActions(list(actions.values()))
    return actions


_ROLES = {
    "file.quit": QAction.MenuRole.QuitRole,
    "file.settings": QAction.MenuRole.PreferencesRole,
    "help.about": QAction.MenuRole.AboutRole,
}


def _group(parent: QWidget, name: str, run: Callable[[str], None]) -> QActionGroup:
    # One connection per group instead of one per action: this runs before the first paint.
    group = QActionGroup(parent)
    if not name:
        group.setExclusionPolicy(QActionGroup.ExclusionPolicy.None_)
    group.triggered.connect(lambda action: run(action.objectName()))
    return group


def apply_bindings(actions: Mapping[str, QAction], bindings: Bindings) -> None:
    """Give every action the keys of a key map; tooltips follow."""
    for command_id, action in actions.items():
        sequences = [QKeySequence(text) for text in bindings.get(command_id, ())]
        if sequences != action.shortcuts():
            action.setShortcuts(sequences)
        action.setToolTip(tooltip(action.text(), sequences, command(command_id).hint))


def tooltip(text: str, sequences: Sequence[QKeySequence], hint: str) -> str:
    """The text with its first key in parentheses, and the hint on a second line."""
    keys = sequences[0].toString(QKeySequence.SequenceFormat.NativeText) if sequences else ""
    head = plain(text) + (f" ({keys})" if keys else "")
    return f"{head}\n{hint}" if hint else head


def plain(text: str) -> str:
    """Action text without mnemonic marks and dots."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&").rstrip("…")


def set_enabled(actions: Mapping[str, QAction], conditions: Mapping[str, bool]) -> None:
    """Switch the actions whose condition is named; the others stay as they are."""
    for row in COMMANDS:
        if row.enabled in conditions:
            actions[row.id].setEnabled(conditions[row.enabled])


def show_names(actions: Mapping[str, QAction], prefix: str, names: Sequence[str]) -> None:
    """Write what a digit stands for into "class" or "suggestion" actions, best first."""
    for digit in range(1, 10):
        action = actions.get(f"{prefix}.{digit}")
        if action is not None:
            text = names[digit - 1] if digit <= len(names) else command(action.objectName()).text
            action.setText(text.replace("&", "&&"))


def build_menus(menu_bar: QMenuBar, actions: Mapping[str, QAction]) -> dict[str, QMenu]:
    """Fill the menu bar.

    Returns:
        Menus by path ("View/Theme"), and by command id for rows that open a menu filled at run
        time ("file.open_recent").
    """
    menus: dict[str, QMenu] = {}
    for row in COMMANDS:
        if not row.menu:
            continue
        menu = _menu(menus, menu_bar, row)
        if row.separator_before and not menu.isEmpty():
            menu.addSeparator()
        if row.submenu:
            menus[row.id] = QMenu(menu)
            actions[row.id].setMenu(menus[row.id])
        menu.addAction(actions[row.id])
    _set_mnemonics(menus.values())
    return menus


def _menu(menus: dict[str, QMenu], menu_bar: QMenuBar, row: Command) -> QMenu:
    path = ""
    for name in row.menu.split("/"):
        above, path = menus.get(path), f"{path}/{name}" if path else name
        if path in menus:
            continue
        if above is not None and row.separator_before and not above.isEmpty():
            above.addSeparator()
        title = name if above is not None else f"&{name}"
        menus[path] = above.addMenu(title) if above is not None else menu_bar.addMenu(title)
        menus[path].setToolTipsVisible(False)
    return menus[row.menu]


def _set_mnemonics(menus: Iterable[QMenu]) -> None:
    for menu in menus:
        taken: set[str] = set()
        for action in menu.actions():
            text = action.text()
            for place, letter in enumerate(text):
                if letter.isalnum() and letter.lower() not in taken:
                    taken.add(letter.lower())
                    action.setText(f"{text[:place]}&{text[place:]}")
                    break
