"""`annotator compact FOLDER`: trim the history of a project by age, on request only."""

from __future__ import annotations

import argparse
import re
import time
from datetime import datetime
from pathlib import Path

from annotator.commands.format_options import guarded
from annotator.commands.progress import say

UNITS = {"d": 1, "w": 7, "m": 30, "y": 365}
"""Days."""
DAY = 86_400


def run(arguments: list[str]) -> int:
    """Run `annotator compact` with these arguments.

    Returns:
        0 when the history was trimmed or nothing had to be, 1 when it could not be.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = argparse.ArgumentParser(
        prog="annotator compact",
        description="Forget old steps of the history, so that the journal takes less room. The"
        " objects, classes and everything else stay as they are. Never happens by itself.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the images")
    parser.add_argument("--project", type=Path, metavar="DIR", help="where the journal is")
    parser.add_argument("--older-than", type=_days, default=90, metavar="AGE",
                        help="what may go: 90d, 12w, 6m or 1y (90d)")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only tell what would go")
    given = parser.parse_args(arguments)
    return guarded("compact", lambda: _compact(given))


def _days(text: str) -> int:
    found = re.fullmatch(r"(\d+)([dwmy])", text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"“{text}” is no age; write for example 90d, 12w or 1y")
    return int(found.group(1)) * UNITS[found.group(2)]


def _compact(given: argparse.Namespace) -> int:
    from annotator.services.compacting import compact

    until = time.time() - given.older_than * DAY
    done = compact(given.folder, given.project, until, dry_run=given.dry_run)
    day = datetime.fromtimestamp(until).astimezone()
    if not done.steps:
        say(f"Nothing is older than {day:%Y-%m-%d}; {done.kept:,} steps, {_size(done.before)}.")
        return 0
    verb = "would go" if given.dry_run else "are gone"
    say(f"{done.steps:,} steps of {done.images:,} images from before {day:%Y-%m-%d} {verb};"
        f" {done.kept:,} stay.")  # fmt: skip
    if not given.dry_run:
        say(f"The journal had {_size(done.before)} and has {_size(done.after)}.")
    return 0


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
