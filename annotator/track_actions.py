"""The commands for sequences; rows of the table in `annotator.actions`."""

from __future__ import annotations

from collections.abc import Iterable

from annotator.command import Command


def tracks() -> Iterable[Command]:
    """Rows of the menu Tracks."""
    yield Command(
        "track.through", "Track Through…", ("Ctrl+Shift+W",), "propagate", "Tracks",
        enabled="project", hint="Follow objects through the images of this folder or video, in the "
        "background, as proposals",
    )  # fmt: skip
    yield Command(
        "track.pause", "Pause Tracking", (), "pause", "Tracks", enabled="tracking",
        hint="Stop for a while after the image at hand, or go on",
    )  # fmt: skip
    yield Command(
        "track.stop", "Stop Tracking", (), "", "Tracks", enabled="tracking",
        hint="End it; what was found stays",
    )  # fmt: skip
    yield Command(
        "track.next", "Next Image of the Track", ("Alt+.",), "next", "Tracks", True, "track",
        repeats=True, hint="The next image the chosen track is in",
    )  # fmt: skip
    yield Command(
        "track.previous", "Previous Image of the Track", ("Alt+,",), "previous", "Tracks",
        enabled="track", repeats=True, hint="The image before in which the chosen track is",
    )  # fmt: skip
    yield Command(
        "track.accept", "Accept Whole Track", (), "accept", "Tracks", True, "track",
        hint="Accept all proposals of the chosen track",
    )  # fmt: skip
    yield Command(
        "track.rename", "Name Track…", (), "tag", "Tracks", enabled="track",
        hint="Give all objects of the chosen track a class",
    )  # fmt: skip
    yield Command(
        "track.cut", "Cut Track Here", (), "knife", "Tracks", enabled="track",
        hint="From this image on it is another track",
    )  # fmt: skip
    yield Command(
        "track.merge", "Merge Track with", (), "", "Tracks", enabled="track", submenu=True,
        hint="It and another track are the same thing",
    )  # fmt: skip
    yield Command(
        "track.fill", "Fill Gaps of the Track", (), "", "Tracks", enabled="track",
        hint="Propose what lies between accepted objects, changing from one to the next",
    )  # fmt: skip
    yield Command(
        "track.delete_rest", "Delete Track from Here On", (), "trash", "Tracks", enabled="track",
        hint="Delete its objects in this image and all later ones",
    )  # fmt: skip


CONDITIONS = {
    "tracking": "objects are being tracked",
    "track": "a track is chosen in the panel Tracks",
}
GESTURES: tuple[tuple[str, str, str], ...] = (
    ("Tracks", "Click", "Show that image with the object selected"),
    ("Tracks", "Drag", "Go through the images"),
    ("Tracks", "Ctrl+Wheel", "Wider or narrower images"),
    ("Tracks", "Arrow keys · Home · End", "Other track or image · first and last image of it"),
)
"""What mouse and keys do in the panel, for the shortcut sheet."""
PANEL = Command(
    "view.tracks_panel", "Tracks Panel", ("Ctrl+Shift+T",), "", "View/Panels", checkable=True,
    hint="Show or hide the timeline of the tracks of this folder or video",
)  # fmt: skip
"""The row of the menu View."""
