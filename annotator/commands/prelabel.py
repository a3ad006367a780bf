"""`annotator prelabel FOLDER`: the objects of all images proposed, for people to decide on."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from annotator.commands.images import image_keys
from annotator.commands.progress import progress, say
from annotator.core.errors import UserError
from annotator.core.formats.detections import FORMATS
from annotator.core.prelabel.joining import SCOPES, in_scope
from annotator.core.troubles import Troubles
from models.api import ModelError, Segmenter, SegmenterSpec
from models.registry import DEFAULT_SEGMENTER, segmenter_spec

if TYPE_CHECKING:
    from annotator.core.formats.detections.values import Detections
    from annotator.core.images import LoadedImage
    from annotator.core.prelabel.proposing import ProposalSource
    from annotator.services.prelabelling import Target
    from annotator.services.settings import Settings

T = TypeVar("T")
MOST_SAID = 20
"""Failed images that are named on the way; the summary has all of them."""


def run(arguments: list[str]) -> int:
    """Run `annotator prelabel` with these arguments.

    Returns:
        0 when all images are done, 1 when some failed or it was stopped, 2 when what was asked
        for makes no sense.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    spec = _checked(parser, given)
    result = Result(spec.id, str(given.folder), str(given.out or ""))
    code = 1
    try:
        code = _prelabel(given, spec, result)
    except UserError as error:
        from annotator.core.prelabel.run import RefusedError

        code = 2 if isinstance(error, RefusedError) else 1
        result.stopped = str(error)
    except ModelError as error:
        result.stopped = str(error)
    except KeyboardInterrupt:
        result.stopped = INTERRUPTED
    if result.stopped:
        say(f"annotator prelabel: {result.stopped}")
    return _finish(result, given.json, code)


STOPPING = "Stopping after this image; Ctrl+C again stops at once."
INTERRUPTED = "Stopped. What was done is kept; the same command with --resume goes on."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="annotator prelabel",
        description="Propose the objects of all images of a folder. Proposals wait in the project "
        "for a person's decision, and nothing a person accepted is ever changed; earlier "
        "proposals nobody touched are replaced. With --out they go into a COCO results file, and "
        "the project is only read.",
        epilog="Exit codes: 0 done, 1 some images failed or it was stopped, 2 bad usage.",
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="images, also in sub-folders")
    add("--model", metavar="ID", help="which model; the one chosen in the window by default")
    add(
        "--boxes",
        type=Path,
        metavar="PATH",
        help="ask for these boxes, which keep their label and score, instead of for everything: "
        "COCO results, or a folder of YOLO or VOC files",
    )
    add("--format", choices=FORMATS, default="auto", help="of the boxes (auto)")
    add(
        "--names",
        type=Path,
        metavar="FILE",
        help="what numbers in the boxes mean: a COCO file with images and categories (without it: "
        "those of the project); for YOLO a text with one name a line",
    )
    add(
        "--classes",
        choices=("add", "existing"),
        default="add",
        help="labels that are no class yet become one, or their boxes are left out (add)",
    )
    add(
        "--scope",
        choices=SCOPES,
        default="all",
        help="all images; those without objects and proposals; those without objects. The latter "
        "two leave reviewed images out (all)",
    )
    add("--limit", type=_whole, metavar="N", help="only the first N of them")
    add("--out", type=Path, metavar="FILE", help="write a COCO results file instead")
    add("--project", type=Path, metavar="DIR", help="where the project is kept, if elsewhere")
    add(
        "--resume",
        action="store_true",
        help="go on with a run that was stopped or killed, and try again what failed; the "
        "settings have to be the same",
    )
    add("--side", type=_side, metavar="N", help="everything: points along each side, 1 to 64")
    add("--min-score", type=_share, metavar="X", help="least score, 0 to 1")
    add("--min-stability", type=_share, metavar="X", help="least stability, 0 to 1")
    add("--max-overlap", type=_share, metavar="X", help="what overlaps more is the same object")
    add("--min-area", type=_whole, metavar="N", help="least area in pixels")
    add("--json", action="store_true", help="the result for programs")
    return parser


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


def _checked(parser: argparse.ArgumentParser, given: argparse.Namespace) -> SegmenterSpec:
    if not given.folder.is_dir():
        parser.error(f"“{given.folder}” is not a folder")
    if given.boxes is None and (given.names or given.format != "auto"):
        parser.error("--names and --format say something about --boxes")
    if given.boxes is not None and given.side is not None:
        parser.error("--side is for everything mode, which --boxes replaces")
    for path in filter(None, (given.boxes, given.names)):
        if not path.exists():
            parser.error(f"“{path}” does not exist")
    if given.out is not None and (given.out.is_dir() or not given.out.parent.is_dir()):
        parser.error(f"“{given.out}” is not a file in a folder that exists")
    if given.out is not None and not _may_replace(given.out):
        parser.error(f"“{given.out}” exists and holds no results: choose another name")
    try:
        return segmenter_spec(given.model or _settings().model or DEFAULT_SEGMENTER)
    except ModelError as error:
        parser.error(str(error))


def _may_replace(path: Path) -> bool:
    """Whether nothing is lost when results take the place of a file: none, or older results."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip()[:1] in (b"", b"[")
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _settings() -> Settings:
    """What was chosen in the window."""
    from annotator.services.settings import SettingsStore

    return SettingsStore().settings


# --- The work ---


@dataclass(slots=True)
class Result:
    """What has been done.

    Attributes:
        model: `SegmenterSpec.id`.
        folder: of the images.
        out: the results file, or "" for the project.
        images: that were meant.
        made: done now.
        resumed: were done before, in the same run.
        failed: key and reason of those nothing could be done with.
        proposals: new ones.
        known: objects that were there already.
        named: proposals that got a name from the project's memory.
        classes: new ones.
        skipped: boxes that were left out by label, because there is no such class.
        troubles: everything else that was not as it should be.
        seconds: taken by all of it.
        stopped: why it ended early, or "".
    """

    model: str
    folder: str
    out: str = ""
    images: int = 0
    made: int = 0
    resumed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    proposals: int = 0
    known: int = 0
    named: int = 0
    classes: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    troubles: Troubles = field(default_factory=Troubles)
    seconds: float = 0.0
    stopped: str = ""

    @property
    def done(self) -> int:
        """Images dealt with."""
        return self.made + self.resumed + len(self.failed)


def _prelabel(given: argparse.Namespace, spec: SegmenterSpec, result: Result) -> int:
    from models.runtimes import using
    from models.training.running import stoppable

    missing = spec.available()
    if missing is not None:
        raise ModelError(missing)
    began = time.monotonic()
    keys = image_keys(given.folder)
    with ExitStack() as at_end, stoppable(_tell_stopping) as asked:
        target = _target(given, keys)
        at_end.enter_context(closing(target))
        try:
            detections = _detections(given, keys, target, result)
            source = _source(given, detections)
            with using(_settings().device):
                segmenter = spec.load()
            todo = _todo(given, keys, target, segmenter, source, detections, result)
            _work(given.folder, todo, target, segmenter, source, result, asked)
            if not result.stopped:
                target.finish(keys)
        finally:
            result.seconds = round(time.monotonic() - began, 3)
            tally = target.tally
            result.proposals, result.known, result.named = tally.new, tally.known, tally.named
            result.classes, result.skipped = tally.classes, dict(tally.skipped)
    return 1 if result.stopped or result.failed else 0


def _tell_stopping() -> None:
    # Not through sys.stderr, which may be in the middle of writing.
    os.write(2, f"\n{STOPPING}\n".encode())


def _target(given: argparse.Namespace, keys: Sequence[str]) -> Target:
    from annotator.services import prelabelling

    only_existing = given.classes == "existing"
    if given.out is not None:
        return prelabelling.FileTarget(given.out, given.folder, given.project, only_existing)
    from PySide6.QtCore import QCoreApplication

    from annotator.services.document import Document

    # What the journal's thread says arrives through it; it lives as long as the document.
    application = QCoreApplication.instance() or QCoreApplication(["annotator"])
    application.setApplicationName("annotator")
    document = Document.open(given.folder, given.project)
    document.setProperty("application", application)
    document.reported.connect(lambda error: say(str(error)))
    document.add_images(keys)
    overlap = _settings().propose_overlap if given.max_overlap is None else given.max_overlap
    return prelabelling.ProjectTarget(document, only_existing, overlap)


def _detections(
    given: argparse.Namespace, keys: Sequence[str], target: Target, result: Result
) -> Detections | None:
    if given.boxes is None:
        return None
    from annotator.core.formats.detections.reading import read_boxes
    from annotator.core.prelabel.run import RefusedError

    known = target.known(resume=given.resume)
    try:
        found = read_boxes(given.boxes, keys, given.format, known, given.names)
    except UserError as error:
        raise RefusedError(error.message, error.remedy) from error
    result.troubles.add(found.troubles)
    return found


def _source(given: argparse.Namespace, detections: Detections | None) -> ProposalSource:
    if detections is not None:
        from annotator.core.prelabel.boxes import Boxes, BoxOptions

        chosen = {"min_score": given.min_score, "min_stability": given.min_stability,
                  "min_area": given.min_area}  # fmt: skip
        return Boxes(detections, BoxOptions(**{k: v for k, v in chosen.items() if v is not None}))
    from annotator.core.prelabel.everything_mode import EverythingMode
    from annotator.services.everything import options_of

    chosen = {"side": given.side, "min_score": given.min_score, "min_area": given.min_area,
              "min_stability": given.min_stability, "max_overlap": given.max_overlap}  # fmt: skip
    changed: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
    return EverythingMode(replace(options_of(_settings()), **changed))


def _todo(
    given: argparse.Namespace,
    keys: Sequence[str],
    target: Target,
    segmenter: Segmenter,
    source: ProposalSource,
    detections: Detections | None,
    result: Result,
) -> list[str]:
    """The images that are left, in their order."""
    from annotator.core.formats.detections.values import Known
    from annotator.core.prelabel.run import Run

    current = Run.of(segmenter, source, classes=given.classes)
    known = detections.known if detections is not None else Known()
    before = target.begin(current, known, source.labels, resume=given.resume)
    if given.resume and not before:
        say("There is nothing to go on with: this begins with the first image.")
    meant = [k for k in keys if target.is_done(k) or in_scope(target.record(k), given.scope)]
    meant = meant[: given.limit]
    todo = [key for key in meant if not target.is_done(key)]
    result.images, result.resumed = len(meant), len(meant) - len(todo)
    return todo


def _work(
    folder: Path,
    todo: Sequence[str],
    target: Target,
    segmenter: Segmenter,
    source: ProposalSource,
    result: Result,
    asked: Callable[[], bool],
) -> None:
    from annotator.core.prelabel.pipeline import Failed, outcomes
    from annotator.services.prelabelling import ImageError

    def fail(key: str, error: Exception) -> None:
        result.failed[key] = str(error)
        if len(result.failed) <= MOST_SAID:
            say(f"{key}: {error}")

    def read(key: str) -> LoadedImage:
        from annotator.core import images

        # Nobody looks at the samples of more than 8 bits, which take twice as much as the pixels.
        return replace(images.load(key, folder / key), samples=None)

    with progress(result) as show, _ending(outcomes(todo, read, segmenter, source)) as coming:
        for outcome in coming:
            if isinstance(outcome, Failed):
                fail(outcome.key, outcome.error)
            else:
                result.troubles.add(outcome.troubles)
                try:
                    target.take(outcome)
                    result.made += 1
                except ImageError as error:
                    fail(outcome.key, error)
            show()
            if asked() and result.done < result.images:
                result.stopped = INTERRUPTED
                return


@contextmanager
def _ending(coming: Generator[T, None, None]) -> Iterator[Generator[T, None, None]]:
    """`contextlib.closing` for a pipeline that hears of an impatient person wherever that is told.

    Else one who presses Ctrl+C while an answer is being written waits for its threads.
    """
    try:
        yield coming
    except KeyboardInterrupt:
        with suppress(KeyboardInterrupt):
            coming.throw(KeyboardInterrupt())
        raise
    finally:
        coming.close()


# --- Words ---


def _finish(result: Result, as_json: bool, code: int) -> int:
    try:
        if as_json:
            sys.stdout.write(json.dumps(_values(result), indent=2, ensure_ascii=False) + "\n")
        elif result.images or not result.stopped:
            sys.stdout.write("\n".join(_words(result)) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _values(result: Result) -> dict[str, Any]:
    values = {name: getattr(result, name) for name in Result.__dataclass_fields__}
    troubles = result.troubles
    values["troubles"] = [
        {"what": what, "count": count, "first": troubles.first[what]}
        for what, count in troubles.counts.items()
    ]
    return values


def _words(result: Result) -> list[str]:
    before = f", {result.resumed} were done before" if result.resumed else ""
    failed = f", {len(result.failed)} failed" if result.failed else ""
    known = f" ({result.known} were known already)" if result.known else ""
    where = result.out or result.folder
    lines = [
        f"{result.made} of {result.images} images done{before}{failed}: "
        f"{result.proposals} proposals{known} by {segmenter_spec(result.model).title} in {where}"
    ]
    if result.named:
        lines.append(f"{result.named} got a name, because they look like named objects.")
    if result.classes:
        lines.append(f"New classes: {', '.join(result.classes)}.")
    if result.skipped:
        names = ", ".join(f"{name} ({count})" for name, count in result.skipped.items())
        lines.append(f"Boxes left out, because there is no such class: {names}.")
    return [*lines, *result.troubles.sentences()]
