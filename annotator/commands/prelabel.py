"""`annotator prelabel FOLDER`: the objects of all images proposed, for people to decide on."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from annotator.commands import prelabel_options as options
from annotator.commands.images import image_keys
from annotator.commands.prelabel_cluster import RAY
from annotator.commands.prelabel_kinds import segmenter_of
from annotator.commands.prelabel_parts import detections_of, source_of, target_of
from annotator.commands.prelabel_report import Result, finish
from annotator.commands.progress import progress, say
from annotator.core.errors import UserError
from annotator.core.memory import keep_freed_memory
from annotator.core.prelabel.joining import in_scope
from models.api import ModelError, Segmenter, SegmenterSpec

if TYPE_CHECKING:
    from annotator.core.formats.detections.masks import ReadyMasks
    from annotator.core.formats.detections.values import Detections
    from annotator.core.prelabel.as_is import AnySource
    from annotator.services.prelabelling import Target

T = TypeVar("T")
ENCODERS = 2
"""Images that are encoded side by side, where the model can and there are two processors."""
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
    parser = options.parser()
    given = parser.parse_args(arguments)
    spec = options.checked(parser, given)
    result = Result(spec.id if spec is not None else "", str(given.folder), str(given.out or ""))
    code = 1
    try:
        if given.engine == RAY and spec is not None:
            from annotator.commands import prelabel_ray

            code = prelabel_ray.prelabel(given, spec, result)
        else:
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
    return finish(result, given.json, code)


STOPPING = "Stopping after this image; Ctrl+C again stops at once."
INTERRUPTED = "Stopped. What was done is kept; the same command with --resume goes on."


def _prelabel(given: argparse.Namespace, spec: SegmenterSpec | None, result: Result) -> int:
    from models.training.running import stoppable

    if spec is not None and (missing := spec.available()) is not None:
        raise ModelError(missing)
    began = time.monotonic()
    keep_freed_memory()
    keys = image_keys(given.folder)
    with ExitStack() as at_end, stoppable(_tell_stopping) as asked:
        target = target_of(given, keys)
        at_end.enter_context(closing(target))
        try:
            detections = detections_of(given, keys, target, result)
            source = source_of(given, detections)
            source, segmenter = _with_model(given, spec, source, target)
            todo = _todo(given, keys, target, segmenter, source, detections, result)
            _work(given.folder, todo, target, segmenter, source, result, asked)
            if not result.stopped:
                target.finish(keys)
        finally:
            result.seconds = round(time.monotonic() - began, 3)
            tally = target.tally
            result.proposals, result.known, result.named = tally.new, tally.known, tally.named
            result.classes, result.skipped = tally.classes, dict(tally.skipped)
            if given.compare:
                result.compared = compared(target)
    return 1 if result.stopped or result.failed else 0


def _with_model(
    given: argparse.Namespace, spec: SegmenterSpec | None, source: AnySource, target: Target
) -> tuple[AnySource, Segmenter | None]:
    """What is asked, with names from the vocabulary, and the model, if one is needed."""
    from annotator.core.prelabel.as_is import AsIs
    from models.runtimes import using

    if spec is None or isinstance(source, AsIs):
        return source, None
    with using(options.settings().device, ENCODERS):
        segmenter = segmenter_of(given, spec)
        if given.vocabulary is not None:
            from annotator.commands.prelabel_names import named

            source = named(given, source, target, segmenter)
    return source, segmenter


def compared(target: Target) -> dict[str, Any]:
    """What `--compare` found out."""
    from annotator.services.prelabel_comparing import ComparingTarget, total

    assert isinstance(target, ComparingTarget), "made by `target_of`"
    return {"total": total(target.comparisons), "images": target.values()}


def _tell_stopping() -> None:
    # Not through sys.stderr, which may be in the middle of writing.
    os.write(2, f"\n{STOPPING}\n".encode())


def _todo(
    given: argparse.Namespace,
    keys: Sequence[str],
    target: Target,
    segmenter: Segmenter | None,
    source: AnySource,
    detections: Detections | ReadyMasks | None,
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
    if given.query:
        from annotator.services.querying import meant as asked_for

        found = asked_for(given.folder, given.project, given.query)
        keys = [key for key in keys if key in found or target.is_done(key)]
    meant = [k for k in keys if target.is_done(k) or in_scope(target.record(k), given.scope)]
    meant = meant[: given.limit]
    todo = [key for key in meant if not target.is_done(key)]
    result.images, result.resumed = len(meant), len(meant) - len(todo)
    return todo


def _work(
    folder: Path,
    todo: Sequence[str],
    target: Target,
    segmenter: Segmenter | None,
    source: AnySource,
    result: Result,
    asked: Callable[[], bool],
) -> None:
    from annotator.core.prelabel.as_is import outcomes_of
    from annotator.core.prelabel.pipeline import Failed
    from annotator.services.prelabelling import ImageError

    def fail(key: str, error: Exception) -> None:
        result.failed[key] = str(error)
        if len(result.failed) <= MOST_SAID:
            say(f"{key}: {error}")

    going = outcomes_of(todo, folder, segmenter, source)
    with progress(result) as show, _ending(going) as coming:
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
