"""What `annotator prelabel` can be told, and whether it makes sense."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands import prelabel_cluster, prelabel_kinds
from annotator.commands.help_pages import Page, epilog
from annotator.core.formats.detections import FORMATS
from annotator.core.prelabel.joining import SCOPES
from models.api import ModelError, SegmenterSpec
from models.registry import DEFAULT_SEGMENTER, segmenter_spec

if TYPE_CHECKING:
    from annotator.services.settings import Settings


def parser() -> argparse.ArgumentParser:
    """All options."""
    made = argparse.ArgumentParser(
        prog="annotator prelabel",
        description="Propose the objects of all images of a folder. Proposals wait in the project "
        "for a person's decision, and nothing a person accepted is ever changed; earlier "
        "proposals nobody touched are replaced. With --out they go into a COCO results file, and "
        "the project is only read.",
        epilog=epilog(
            "prelabel", "Exit codes: 0 done, 1 some images failed or it was stopped, 2 bad usage."
        ),
        formatter_class=Page,
    )
    _add_questions(made)
    _add_names(made)
    _add_scope(made)
    _add_result(made)
    _add_limits(made)
    made.add_argument("--json", action="store_true", help="the result for programs")
    prelabel_cluster.add_options(made)
    return made


def _add_questions(made: argparse.ArgumentParser) -> None:
    """What is asked of which model."""
    add = made.add_argument
    add("folder", type=prelabel_cluster.place, metavar="FOLDER", help="images, also in sub-folders")
    add("--model", metavar="ID", help="which model; the one chosen in the window by default")
    add(
        "--boxes",
        type=Path,
        metavar="PATH",
        help="ask for these boxes, which keep their label and score, instead of for everything: "
        "COCO results, or a folder of YOLO or VOC files",
    )
    add(
        "--as-is",
        action="store_true",
        help="take the masks of the --boxes file (COCO results or a COCO file) as they are; no "
        "model is asked",
    )
    prelabel_kinds.add_options(made)
    add("--format", choices=FORMATS, default="auto", help="of the boxes (auto)")
    add(
        "--names",
        type=Path,
        metavar="FILE",
        help="what numbers in the boxes mean: a COCO file with images and categories (without it: "
        "those of the project); for YOLO a text with one name a line",
    )


def _add_names(made: argparse.ArgumentParser) -> None:
    """What found objects are called."""
    add = made.add_argument
    add(
        "--classes",
        choices=("add", "existing"),
        default="add",
        help="labels that are no class yet become one, or their boxes are left out (add)",
    )
    add(
        "--vocabulary",
        metavar="LIST",
        help="name what has no label: coco, lvis, project (its classes), or a file with one class "
        "a line; names that are in doubt are left out",
    )
    add("--names-model", metavar="ID", help="which model looks for names; the window's by default")
    add("--min-name-score", type=_share, metavar="X", help="least score of a name, 0 to 1")


def _add_scope(made: argparse.ArgumentParser) -> None:
    """Which images."""
    add = made.add_argument
    add(
        "--scope",
        choices=SCOPES,
        default="all",
        help="all images; those without objects and proposals; those without objects. The latter "
        "two leave reviewed images out (all)",
    )
    add(
        "--query",
        metavar="Q",
        help="only the images this means, as in the window's filter: 'state:untouched name:/IMG/'",
    )
    add("--limit", type=_whole, metavar="N", help="only the first N of them")


def _add_result(made: argparse.ArgumentParser) -> None:
    """Where what was found goes."""
    add = made.add_argument
    add("--out", type=Path, metavar="FILE", help="write a COCO results file instead")
    add("--project", type=Path, metavar="DIR", help="where the project is kept, if elsewhere")
    add(
        "--compare",
        action="store_true",
        help="write nothing: tell what the run would add, change or miss of the accepted objects",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with a run that was stopped or killed, and try again what failed; the "
        "settings have to be the same",
    )


def _add_limits(made: argparse.ArgumentParser) -> None:
    """What counts as an object; of the window where they are not given."""
    add = made.add_argument
    add("--side", type=_side, metavar="N", help="everything: points along each side, 1 to 64")
    add("--min-score", type=_share, metavar="X", help="least score, 0 to 1")
    add("--min-stability", type=_share, metavar="X", help="least stability, 0 to 1")
    add("--max-overlap", type=_share, metavar="X", help="what overlaps more is the same object")
    add("--min-area", type=_whole, metavar="N", help="least area in pixels")


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1 on")
    return int(text)


def _side(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 64")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be a number from 0 to 1")
    return value


def checked(parser: argparse.ArgumentParser, given: argparse.Namespace) -> SegmenterSpec | None:
    """The model that is meant, None if none is needed, if the options make sense together.

    Raises:
        SystemExit: they do not; the reason has been said.
    """
    prelabel_cluster.check(parser, given)
    if isinstance(given.folder, Path) and not given.folder.is_dir():
        parser.error(f"“{given.folder}” is not a folder")
    if given.boxes is None and (given.names or given.format != "auto"):
        parser.error("--names and --format say something about --boxes")
    if given.boxes is not None and given.side is not None:
        parser.error("--side is for everything mode, which --boxes replaces")
    if given.compare and (given.out is not None or given.resume):
        parser.error("--compare writes nothing: --out and --resume say how")
    if given.query and given.engine == "ray":
        parser.error("--query asks a project on this machine; a cluster has none")
    if given.vocabulary is None and (given.names_model or given.min_name_score is not None):
        parser.error("--names-model and --min-name-score say something about --vocabulary")
    for path in filter(None, (given.boxes, given.names)):
        if not path.exists():
            parser.error(f"“{path}” does not exist")
    if given.out is not None and (given.out.is_dir() or not given.out.parent.is_dir()):
        parser.error(f"“{given.out}” is not a file in a folder that exists")
    if given.out is not None and not _may_replace(given.out):
        parser.error(f"“{given.out}” exists and holds no results: choose another name")
    if given.as_is:
        _check_as_is(parser, given)
        return None
    labeller = prelabel_kinds.check(parser, given)
    if labeller is not None:
        return labeller
    try:
        return segmenter_spec(given.model or settings().model or DEFAULT_SEGMENTER)
    except ModelError as error:
        parser.error(str(error))


def _check_as_is(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if given.boxes is None:
        parser.error("--as-is says something about --boxes")
    others = ("model", "again", "labeller", "vocabulary", "min_stability")
    for name in others:
        if getattr(given, name):
            option = name.replace("_", "-")
            parser.error(f"--as-is asks no model: --{option} does not go with it")
    if given.engine != "local" or given.format not in ("auto", "coco"):
        parser.error("--as-is copies masks of a COCO file on one machine")


def _may_replace(path: Path) -> bool:
    """Whether nothing is lost when results take the place of a file: none, or older results."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip()[:1] in (b"", b"[")
    except FileNotFoundError:
        return True
    except OSError:
        return False


def settings() -> Settings:
    """What was chosen in the window."""
    from annotator.services.settings import SettingsStore

    return SettingsStore().settings
