"""`annotator import PROJECT FILE`: objects of other tools join a project, as one step."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.format_options import format_list, guarded, progress
from annotator.commands.help_pages import Page, epilog
from annotator.commands.progress import say
from annotator.core.errors import UserError

if TYPE_CHECKING:
    from annotator.core.formats.api import Content
    from annotator.core.formats.merging import MergeRules
    from annotator.services.document import Document
    from annotator.services.importing import Import


def run(arguments: list[str]) -> int:
    """Run `annotator import` with these arguments.

    Returns:
        0 when it was imported (or only looked at, as asked), 1 when nothing was changed.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = argparse.ArgumentParser(
        prog="annotator import",
        description="Add the objects of a file or folder to a project. What would happen is told "
        "first; it can be taken back as a whole with --undo.",
        epilog=epilog("import", format_list(read=True, write=False)),
        formatter_class=Page,
    )
    parser.add_argument("folder", type=Path, metavar="PROJECT", help="the folder of the images")
    parser.add_argument("source", type=Path, nargs="?", metavar="FILE", help="file or folder")
    parser.add_argument("--project", type=Path, metavar="DIR", help="where the journal is")
    parser.add_argument("--from", dest="source_format", default="", metavar="F",
                        help="format (found out where that is possible)")  # fmt: skip
    parser.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="what numbers mean: a COCO file, or names of classes, one a line",
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="A=B",
        help="objects of class A become class B; “A=” takes their name away",
    )
    parser.add_argument("--same-id", choices=("add", "keep", "replace"), default="add",
                        help="where an object of the image has the same id: add under a new one,"
                        " keep the old one, or replace it (add)")  # fmt: skip
    parser.add_argument(
        "--overlap",
        choices=("add", "keep", "replace"),
        default="keep",
        help="the same where it lies on an object of its class (keep)",
    )
    parser.add_argument("--iou", type=float, default=0.9, help="from here on it lies on it (0.9)")
    parser.add_argument(
        "--only-existing",
        action="store_true",
        help="leave out objects of images that are not in the folder",
    )
    parser.add_argument("--dry-run", action="store_true", help="only tell what would happen")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--undo", action="store_true", help="take the last import back")
    given = parser.parse_args(arguments)
    if not given.undo and given.source is None:
        parser.error("name the FILE to import")
    return guarded("import", lambda: _import(given))


def _import(given: argparse.Namespace) -> int:
    from PySide6.QtCore import QCoreApplication

    from annotator.services.document import Document

    rules = _rules(given)
    # What the journal's thread says arrives through it; it lives as long as the document.
    application = QCoreApplication.instance() or QCoreApplication(["annotator"])
    application.setApplicationName("annotator")
    if not given.undo and not given.source.exists():
        raise UserError(f"“{given.source}” does not exist.", "Check the spelling or the drive.")
    with closing(Document.open(given.folder, given.project)) as document:
        document.setProperty("application", application)
        document.reported.connect(lambda error: say(str(error)))
        return _undo(document) if given.undo else _join(given, document, rules)


def _join(given: argparse.Namespace, document: Document, rules: MergeRules) -> int:
    from annotator.services.importing import Import

    content = _content(given, document)
    joining = Import(document, content, rules, given.source.name)
    show = progress()
    for number, _ in enumerate(joining.plan(), 1):
        show(number, content.count)
    _tell(joining)
    if given.dry_run:
        return 0
    if not joining.changed:
        say("There is nothing to import.")
        return 0
    if not given.yes and not _agreed():
        say("Nothing was changed.")
        return 1
    for number, _ in enumerate(joining.apply(), 1):
        show(number, content.count)
    document.flush()
    say(f"Imported {joining.changed:,} objects; annotator import --undo takes them back.")
    return 0


def _content(given: argparse.Namespace, document: Document) -> Content:
    from annotator.core.formats.api import Origin
    from annotator.core.formats.registry import open_content

    names = given.names
    if names is None and document.coco_path.is_file():
        from annotator.core.formats.registry import recognise

        spec = given.source_format or recognise(given.source).id
        names = document.coco_path if spec == "coco-results" else None
    origin = Origin(given.source, document.folder, names)
    return open_content(origin, given.source_format)


def _tell(joining: Import) -> None:
    known = {category.name for category in joining.document.categories()}
    for name, count in joining.classes.most_common():
        target = joining.rules.class_name(name)
        new = "" if target in known or not target else " (new class)"
        say(f"  {name} → {target or 'no name'}{new}: {count:,}")
    if joining.fresh_images:
        say(f"{joining.fresh_images:,} images with objects that are not in the project yet")
    for sentence in joining.sentences():
        say(sentence)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        say("Add --yes to import.")
        return False
    sys.stderr.write("Import? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _rules(given: argparse.Namespace) -> MergeRules:
    from annotator.core.formats.merging import MergeRules

    classes = {}
    for pair in given.map:
        old, equals, new = pair.partition("=")
        if not equals or not old:
            raise UserError(f"--map “{pair}” says nothing.", "Write --map OLD=NEW.")
        classes[old] = new.strip()
    if not 0 < given.iou <= 1:
        raise UserError("--iou is a number between 0 and 1.", "Leave it away for 0.9.")
    return MergeRules(given.same_id, given.overlap, given.iou, given.only_existing, classes)


def _undo(document: Document) -> int:
    from annotator.services.importing import last_import, undo_import

    name = last_import(document)
    if not name:
        raise UserError("There is no import to take back.", "")
    done, changed = undo_import(document)
    document.flush()
    say(f"Took the import of “{name}” back in {done:,} images.")
    if changed:
        some = ", ".join(changed[:5]) + (", …" if len(changed) > 5 else "")
        say(f"{len(changed):,} images were changed since and stay as they are: {some}")
    return 0
