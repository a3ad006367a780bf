"""The menu Tracks, for sequences."""

from __future__ import annotations

from annotator.menus.command import Command

ROWS: tuple[Command, ...] = (
    Command("track.through", "Track Through…", ("Ctrl+Shift+W",), "propagate", "Tracks",
        enabled="project",
        hint="Follow objects through the images of this folder or video, in the background, as "
        "proposals"),
    Command("track.pause", "Pause Tracking", (), "pause", "Tracks", enabled="tracking",
        hint="Stop for a while after the image at hand, or go on"),
    Command("track.stop", "Stop Tracking", (), "", "Tracks", enabled="tracking",
        hint="End it; what was found stays"),
    Command("track.next", "Next Image of the Track", ("Alt+.",), "next", "Tracks", True, "track",
        repeats=True, hint="The next image the chosen track is in"),
    Command("track.previous", "Previous Image of the Track", ("Alt+,",), "previous", "Tracks",
        enabled="track", repeats=True, hint="The image before in which the chosen track is"),
    Command("track.accept", "Accept Whole Track", (), "accept", "Tracks", True, "track",
        hint="Accept all proposals of the chosen track"),
    Command("track.rename", "Name Track…", (), "tag", "Tracks", enabled="track",
        hint="Give all objects of the chosen track a class"),
    Command("track.cut", "Cut Track Here", (), "knife", "Tracks", enabled="track",
        hint="From this image on it is another track"),
    Command("track.merge", "Merge Track with", (), "", "Tracks", enabled="track", submenu=True,
        hint="It and another track are the same thing"),
    Command("track.fill", "Fill Gaps of the Track", (), "", "Tracks", enabled="track",
        hint="Propose what lies between accepted objects, changing from one to the next"),
    Command("track.delete_rest", "Delete Track from Here On", (), "trash", "Tracks",
        enabled="track", hint="Delete its objects in this image and all later ones"),
)  # fmt: skip
