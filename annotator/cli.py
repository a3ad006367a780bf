"""The command line: what can be said to `annotator` before any window exists."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from annotator import __version__, commands
from annotator.commands.help_pages import Page

DESCRIPTION = "Click objects, get exact masks and ranked names, keep them as COCO."


@dataclass(frozen=True, slots=True)
class Options:
    """What the window is started with.

    Attributes:
        path: folder or image to open, or None for the welcome page.
        project_dir: where the journal and the COCO file are kept, or None for beside the images.
        sample: open a private copy of the bundled sample folder.
        play: folder for the results of the offscreen session, or None for a normal start.
    """

    path: Path | None = None
    project_dir: Path | None = None
    sample: bool = False
    play: Path | None = None


def parse(arguments: list[str]) -> Options:
    """The options of a command line.

    Raises:
        SystemExit: code 0 after --help and --version, 2 with a message for bad arguments.
    """
    parser = argparse.ArgumentParser(
        prog="annotator",
        description=DESCRIPTION,
        epilog=commands.summary(),
        formatter_class=Page,
    )
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="folder of images to open; also one image, or a video",
    )
    parser.add_argument(
        "--project",
        type=Path,
        metavar="DIR",
        help="keep the journal and the COCO file here instead of beside the images",
    )
    parser.add_argument(
        "--sample",
        action="store_true",
        help="open a private copy of the bundled sample folder; without a display, play a session",
    )
    parser.add_argument(
        "--play",
        type=Path,
        metavar="DIR",
        help="play a short session offscreen on the sample folder and write its results to DIR",
    )
    parser.add_argument("--version", action="version", version=f"annotator {__version__}")
    given = parser.parse_args(arguments)
    if given.path is not None and (given.sample or given.play):
        parser.error("give either a FOLDER or --sample / --play, not both")
    if given.path is not None and not given.path.exists():
        parser.error(f"“{given.path}” does not exist")
    if given.project is not None and given.project.exists() and not given.project.is_dir():
        parser.error(f"--project “{given.project}” is a file, not a folder")
    return Options(given.path, given.project, given.sample, given.play)
