"""`annotator validate FILE`: what trainers would stumble over in a COCO file, repaired."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.format_options import guarded
from annotator.commands.progress import say
from annotator.core.errors import UserError
from annotator.core.mask import Mask

if TYPE_CHECKING:
    from annotator.core.formats.coco.checking import Finding
    from annotator.core.formats.coco.dataset import Entry
    from annotator.core.formats.resolver import Resolver


def run(arguments: list[str]) -> int:
    """Run `annotator validate` with these arguments.

    Returns:
        0 when nobody would reject anything (or the repaired file is such), 1 otherwise.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = argparse.ArgumentParser(
        prog="annotator validate",
        description="Say in a line each what pycocotools, detectron2 and torchvision would reject "
        "or misunderstand in a COCO file.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the COCO file")
    parser.add_argument("--image-folder", type=Path, metavar="DIR",
                        help="look for the image files here and compare sizes")  # fmt: skip
    parser.add_argument("--fix", action="store_true",
                        help="write a repaired file; what is left aside is listed")  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, metavar="OUT",
                        help="the repaired file (NAME.fixed.json beside it)")  # fmt: skip
    parser.add_argument("--most", type=int, default=100, metavar="N",
                        help="lines to print (100), 0 for all")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="findings as JSON, one a line")
    given = parser.parse_args(arguments)
    return guarded("validate", lambda: _validate(given))


def _validate(given: argparse.Namespace) -> int:
    found = _findings(given.file, given.image_folder)
    _tell(found, given)
    errors = sum(finding.is_error for finding in found)
    if not given.fix:
        return int(errors > 0)
    if not found:
        return 0
    return _fix(given)


def _findings(path: Path, folder: Path | None) -> list[Finding]:
    from annotator.core.formats.coco.checking import check
    from annotator.core.formats.coco.reading import load_json

    return list(check(load_json(path), _resolver(folder)))


def _resolver(folder: Path | None) -> Resolver | None:
    from annotator.core.formats.resolver import Resolver

    if folder is None:
        return None
    if not folder.is_dir():
        raise UserError(f"There is no folder “{folder}”.", "Check the spelling or the drive.")
    return Resolver(folder)


def _tell(found: list[Finding], given: argparse.Namespace) -> None:
    shown = found[: given.most] if given.most else found
    for finding in shown:
        if given.json:
            value = {"where": finding.where, "what": finding.what, "who": finding.who,
                     "error": finding.is_error}  # fmt: skip
            sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(finding.line() + "\n")
    if len(shown) < len(found):
        say(f"… and {len(found) - len(shown):,} more (--most 0 prints all).")
    errors = sum(finding.is_error for finding in found)
    say(
        f"{errors:,} errors, {len(found) - errors:,} warnings." if found else "Nothing to complain."
    )


def _without_ignore(entry: Entry) -> Entry:
    """X-AnyLabeling and Label Studio write this key, which detectron2 refuses."""
    extra = entry.value.get("extra", {})
    if "ignore" not in extra:
        return entry
    kept = {name: value for name, value in extra.items() if name != "ignore"}
    return replace(entry, value={**entry.value, "extra": kept})


def _is_empty(entry: Entry) -> bool:
    from annotator.core import raster

    shape = entry.annotation().shape
    return isinstance(shape, Mask) and not raster.area(shape)


def _fix(given: argparse.Namespace) -> int:
    from annotator.core.files import explain
    from annotator.core.formats.coco.reading import read_coco
    from annotator.core.formats.coco.writing import write_coco
    from annotator.core.formats.resolver import Resolver
    from annotator.core.formats.target import check_free

    out = given.out or given.file.with_name(f"{given.file.stem}.fixed.json")
    check_free(out, overwrite=False)
    resolver = Resolver(given.image_folder or given.file.parent)
    dataset = read_coco(given.file, measure=resolver.size)
    entries = [_without_ignore(entry) for entry in dataset.entries]
    empty = {entry.value["id"] for entry in entries if _is_empty(entry)}
    kept = tuple(entry for entry in entries if entry.value["id"] not in empty)
    dataset = replace(dataset, entries=kept)
    for problem in dataset.problems:
        say(f"  {problem}")
    if empty:
        some = ", ".join(map(str, sorted(empty)[:5])) + (", …" if len(empty) > 5 else "")
        say(f"  {len(empty):,} objects without a pixel in their image were left out (id {some}).")
    try:
        write_coco(out, dataset)
    except OSError as error:
        raise explain(error, out) from error
    left = [finding for finding in _findings(out, given.image_folder) if finding.is_error]
    say(f"“{out}” was written; {len(left):,} errors are left.")
    for finding in left[: given.most or None]:
        say(finding.line())
    return int(bool(left))
