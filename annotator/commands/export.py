"""`annotator export PROJECT`: what was accepted, in the format a trainer reads."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from annotator.commands.format_options import (
    add_output,
    format_list,
    guarded,
    output_options,
    progress,
    tell,
)
from annotator.commands.help_pages import Page, epilog


def run(arguments: list[str]) -> int:
    """Run `annotator export` with these arguments.

    Returns:
        0 when everything was written, 1 when nothing was.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = argparse.ArgumentParser(
        prog="annotator export",
        description="Write the accepted objects of a project, open in a window or not.",
        epilog=epilog("export", format_list(read=False, write=True)),
        formatter_class=Page,
    )
    parser.add_argument("folder", type=Path, metavar="PROJECT", help="the folder of the images")
    parser.add_argument("--project", type=Path, metavar="DIR", help="where the journal is")
    parser.add_argument("--format", default="coco", metavar="F", help="see below (coco)")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT",
        help="a new folder; for COCO also a .json file",
    )  # fmt: skip
    parser.add_argument("--query", metavar="Q", help="only the images this means, as in the "
                        "window's filter: 'class:dog score:<0.6'")  # fmt: skip
    parser.add_argument("--with-rejected", action="store_true",
                        help="also images and objects that a person rejected")  # fmt: skip
    add_output(parser)
    given = parser.parse_args(arguments)
    return guarded("export", lambda: _export(given))


def _export(given: argparse.Namespace) -> int:
    from annotator.core.formats.exporting import export
    from annotator.core.formats.registry import format_spec
    from annotator.services.project_content import check_place, project_content

    spec, options = format_spec(given.format), output_options(given)
    check_place(given.folder, given.out, options.images)
    keys = None
    if given.query:
        from annotator.services.querying import meant

        keys = meant(given.folder, given.project, given.query)
    rejected = given.with_rejected
    options = replace(options, keys=keys, rejected=rejected)
    with project_content(given.folder, given.project, rejected=rejected) as content:
        report = export(content, spec, given.out, options, progress())
    tell(report, as_json=given.json)
    return 0
