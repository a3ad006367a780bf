"""What `annotator export` and `annotator convert` are told in the same words."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from annotator.commands.progress import LINE_SECONDS, say
from annotator.core.formats.splits import GROUPS, Splits, parse_ratios

if TYPE_CHECKING:
    from annotator.core.formats.exporting import ExportOptions, Progress, Report


def format_list(*, read: bool, write: bool) -> str:
    """All formats that can be read or written, with their explanations, for --help."""
    from annotator.core.formats.registry import readers, writers

    known = (readers() if read else {}) | (writers() if write else {})
    lines = [f"  {spec.id:<16} {spec.about}" for _, spec in sorted(known.items())]
    if read and write:
        only = ", ".join(sorted(set(writers()) - set(readers())))
        lines.append(f"  (only written: {only})")
    return "\n".join(["formats:", *lines])


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options of whatever writes a format."""
    parser.add_argument(
        "--images",
        choices=("leave", "copy", "link", "symlink"),
        default="leave",
        help="what becomes of the image files: left where they are (the default), copied, "
        "hard-linked (copied where that fails) or linked symbolically",
    )
    parser.add_argument(
        "--upright",
        action="store_true",
        help="write corrected copies of images that EXIF turns; originals are never touched",
    )
    parser.add_argument(
        "--only",
        choices=("all", "annotated", "reviewed"),
        default="all",
        help="which images (all)",
    )
    parser.add_argument(
        "--split", metavar="A/B[/C]", help="divide into train, val and test, as 80/10/10"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the division (0)")
    parser.add_argument(
        "--group",
        choices=GROUPS[1:],
        default="",
        help="keep images of a folder, or of a sequence (names that differ in their last number),"
        " in one part",
    )
    parser.add_argument(
        "--no-stratify",
        action="store_true",
        help="divide by chance alone, not every class in the same ratio",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there already"
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON on standard output")


def output_options(given: argparse.Namespace) -> ExportOptions:
    """What was asked for.

    Raises:
        UserError: the ratios make no sense.
    """
    from annotator.core.formats.exporting import ExportOptions

    splits = None
    if given.split:
        ratios = parse_ratios(given.split)
        splits = Splits(ratios, given.seed, not given.no_stratify, given.group)
    images = "copy" if given.upright and given.images == "leave" else given.images
    return ExportOptions(images, given.upright, splits, given.overwrite, given.only)


def tell(report: Report, *, as_json: bool) -> None:
    """The report, for people on standard error or for programs on standard output."""
    for sentence in report.sentences():
        say(sentence)
    if as_json:
        value = asdict(report) | {"mean_iou": report.fidelity.mean}
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def progress() -> Progress:
    """A line now and then while something takes long."""
    at = time.monotonic()

    def show(done: int, count: int) -> None:
        nonlocal at
        if time.monotonic() - at >= LINE_SECONDS:
            at = time.monotonic()
            say(f"{done:,} of {count:,} images" if count else f"{done:,} images")

    return show


def guarded(name: str, work: Callable[[], int]) -> int:
    """Run a command; what goes wrong is told in a line.

    Returns:
        What the work returns, 1 where it failed or was stopped.
    """
    from annotator.core.errors import UserError

    try:
        return work()
    except UserError as error:
        say(f"annotator {name}: {error}")
    except KeyboardInterrupt:
        say(f"annotator {name}: stopped; nothing was changed.")
    return 1
