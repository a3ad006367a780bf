"""`annotator convert IN OUT`: from one format to another, without a project."""

from __future__ import annotations

import argparse
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
from annotator.commands.progress import say


def run(arguments: list[str]) -> int:
    """Run `annotator convert` with these arguments.

    Returns:
        0 when everything was written, 1 when nothing was.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = argparse.ArgumentParser(
        prog="annotator convert",
        description="Read labels in one format and write them in another. What the original has "
        "and cannot be kept is listed.",
        epilog=epilog("convert", format_list(read=True, write=True)),
        formatter_class=Page,
    )
    parser.add_argument("source", type=Path, metavar="IN", help="the file or folder")
    parser.add_argument("--from", dest="source_format", default="", metavar="F",
                        help="format of IN (found out where that is possible)")  # fmt: skip
    parser.add_argument("--image-folder", type=Path, metavar="DIR",
                        help="where the images of IN are (looked for beside it)")  # fmt: skip
    parser.add_argument("--names", type=Path, metavar="FILE",
                        help="what numbers in IN mean: a COCO file, or names of classes, one a"
                        " line")  # fmt: skip
    parser.add_argument("--to", required=True, metavar="F", help="format of OUT")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT",
                        help="a new folder; for COCO also a .json file")  # fmt: skip
    add_output(parser)
    given = parser.parse_args(arguments)
    return guarded("convert", lambda: _convert(given))


def _convert(given: argparse.Namespace) -> int:
    from annotator.core.formats.api import Origin
    from annotator.core.formats.exporting import export
    from annotator.core.formats.registry import format_spec, open_content

    spec, options = format_spec(given.to), output_options(given)
    origin = Origin(given.source, given.image_folder, given.names)
    content = open_content(origin, given.source_format)
    for sentence in (*content.notes, *content.troubles.sentences()):
        say(f"Not kept: {sentence}")
    tell(export(content, spec, given.out, options, progress()), as_json=given.json)
    return 0
