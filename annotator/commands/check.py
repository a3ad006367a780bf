"""`annotator check FOLDER`: what may be wrong with a project, and repairing it."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.format_options import guarded
from annotator.commands.help_pages import Page, epilog
from annotator.commands.progress import say
from annotator.core.errors import UserError

if TYPE_CHECKING:
    from annotator.core.checks.api import Finding
    from annotator.services.checking import Order


def run(arguments: list[str]) -> int:
    """Run `annotator check` with these arguments.

    Returns:
        0 when nothing was found, or all of it was repaired; 1 otherwise.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    from annotator.core.checks.api import Limits
    from annotator.core.checks.table import CHECKS

    limits = Limits()
    lines = [
        f"  {c.id:<10} {c.title}" + (f" (--fix: {c.remedy})" if c.repair else "") for c in CHECKS
    ]
    parser = argparse.ArgumentParser(
        prog="annotator check",
        description="Say what may be wrong with the accepted objects of a project.",
        epilog=epilog("check", "\n".join(["checks:", *lines])),
        formatter_class=Page,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="the folder of the images")
    add("--project", type=Path, metavar="DIR", help="where the journal is")
    add("--only", metavar="A,B", help="only these checks")
    add("--query", metavar="Q", help="only the images this means, as in the window's filter")
    add("--fix", metavar="A,B", help="repair what these checks find (or “all”), as one step; "
        "close the project's window first")  # fmt: skip
    add("--pixels", type=int, default=limits.pixels, metavar="N",
        help=f"what is tiny, a speck, a hole, or an overlap ({limits.pixels})")  # fmt: skip
    add("--iou", type=float, default=limits.iou, metavar="X",
        help=f"two objects that overlap more are one ({limits.iou})")  # fmt: skip
    add("--json", action="store_true", help="findings as JSON, one a line")
    given = parser.parse_args(arguments)
    repairable = frozenset(check.id for check in CHECKS if check.repair)
    only = _chosen(parser, "--only", given.only, frozenset(check.id for check in CHECKS))
    fix = _chosen(parser, "--fix", given.fix, repairable) if given.fix else frozenset()
    limits = replace(limits, pixels=given.pixels, iou=given.iou)
    return guarded("check", lambda: _check(given, only, fix, limits))


def _chosen(
    parser: argparse.ArgumentParser, option: str, text: str | None, known: frozenset[str]
) -> frozenset[str]:
    if text is None or text == "all":
        return known
    chosen = frozenset(name.strip() for name in text.split(","))
    if unknown := sorted(chosen - known):
        parser.error(f"{option}: “{unknown[0]}” is none of {', '.join(sorted(known))}")
    return chosen


def _check(given: argparse.Namespace, only: frozenset[str], fix: frozenset[str],
           limits: object) -> int:  # fmt: skip
    from annotator.core.checks.api import Limits
    from annotator.services.checking import Order, run
    from annotator.services.store import explain_failure

    assert isinstance(limits, Limits)
    keys = None
    if given.query:
        from annotator.services.querying import meant

        keys = meant(given.folder, given.project, given.query)
    order = Order(given.folder, given.project, only, limits, keys)
    found: list[Finding] = []
    try:
        if fix:
            _fix(replace(order, checks=fix))
        for step in run(order):
            for finding in step.found:
                found.append(finding)
                _tell(finding, as_json=given.json)
    except sqlite3.Error as error:
        raise explain_failure(error, given.folder) from error
    images = len({finding.key for finding in found})
    some = "1 image" if images == 1 else f"{images:,} images"
    say(f"{len(found):,} found in {some}." if found else "Nothing found.")
    return int(bool(found))


def _tell(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        value = {"check": finding.check, "image": finding.key, "objects": finding.ids,
                 "text": finding.text}  # fmt: skip
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    else:
        objects = " ".join(f"#{number}" for number in finding.ids)
        sys.stdout.write(f"{finding.key}: {finding.check} {objects} {finding.text}\n")


def _fix(order: Order) -> None:
    """Repair as one group step.

    Raises:
        UserError: the project is open in a window, or cannot be written.
    """
    from PySide6.QtCore import QCoreApplication

    from annotator.services.checking import repair_text, repairs
    from annotator.services.document import Document

    # What the journal's thread says arrives through it; it lives as long as the document.
    application = QCoreApplication.instance() or QCoreApplication(["annotator"])
    application.setApplicationName("annotator")
    document = Document.open(order.folder, order.project_dir)
    count = images = 0
    try:
        document.flush()
        text = repair_text(order.checks)
        group = document.history.begin("repair", text)
        for done in repairs(order, None):
            with document.history.inside(group):
                if document.edit(done.key, done.after, text):
                    count, images = count + done.count, images + 1
        if not document.flush(60):
            raise UserError("The repairs are not yet saved.", "See why the disk does not answer.")
    finally:
        document.close()
    say(f"{count:,} repaired in {images:,} images, one step in the window's history.")
