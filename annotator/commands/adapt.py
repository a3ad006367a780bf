"""`annotator adapt PROJECT`: train Loupe further on what was accepted in a project."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from annotator.core.durations import duration
from annotator.core.errors import UserError
from models.adapted import (
    MEASURED,
    ORIGINAL,
    STEPS,
    Comparison,
    Parts,
    Refused,
    trainable_folder,
)
from models.api import ModelError
from models.weight_files import Cancelled

if TYPE_CHECKING:
    from models.training.adapting import Adapted, Stage

MOST_STEPS = 10_000
BAR_SECONDS = 0.1
JSON_SECONDS = 0.25
"""Between two lines about progress."""


def run(arguments: list[str]) -> int:
    """Run `annotator adapt` with these arguments.

    Returns:
        0 when a model was adapted, 1 when it was refused, failed or was stopped.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.project.exists():
        parser.error(f"“{given.project}” does not exist")
    show: _Json | _People = _Json() if given.json else _People()
    try:
        trainable_folder(given.model)
        done = _adapt(given, show)
    except Cancelled:
        return show.stopped()
    except (ModelError, UserError) as error:
        return show.failed(error)
    except KeyboardInterrupt:
        return show.stopped()
    except BrokenPipeError:
        # Whoever started this has gone; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return show.adapted(done)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="annotator adapt",
        description="Train the built-in model further on the accepted masks of a project. Part "
        "of the images is set aside, and the adapted model is offered beside the original if it "
        "answers better about them. The project is only read; it may be open in the window.",
        epilog="Adapted models: annotator models adapted.",
    )
    add = parser.add_argument
    add("project", type=Path, metavar="PROJECT", help="folder of the images, or a COCO file")
    add("--project", dest="journal", type=Path, metavar="DIR", help="where the journal is kept")
    add("--name", type=_name, metavar="NAME", help="what it is adapted to; the folder's name")
    add(
        "--parts",
        choices=get_args(Parts),
        default="decoder",
        help="what is trained: the decoder, or also the encoder's last stages: slower, for "
        "images that look unlike photographs (decoder)",
    )
    add("--steps", type=_steps, default=STEPS, metavar="N", help=f"at most ({STEPS})")
    add("--rate", type=_rate, metavar="X", help="of learning; what suits the model (0.0003)")
    add("--model", default=ORIGINAL, metavar="ID", help=f"where to begin ({ORIGINAL})")
    add("--json", action="store_true", help="progress and result for programs, one JSON a line")
    add(
        "--background",
        action="store_true",
        help="give way to other programs, and stop when the standard input ends",
    )
    return parser


def _name(text: str) -> str:
    clean = " ".join(text.split())
    if not clean:
        raise argparse.ArgumentTypeError("must not be empty")
    return clean


def _steps(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= MOST_STEPS:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {MOST_STEPS}")
    return value


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError("must be a number above 0, at most 1")
    return value


def _adapt(given: argparse.Namespace, show: _Json | _People) -> Adapted:
    orphaned = _in_background() if given.background else lambda: False
    from annotator.services.accepted import read_accepted

    accepted = read_accepted(given.project, given.journal)
    show.begin(len(accepted.images), sum(len(image.masks) for image in accepted.images))
    import torch

    from models.training.adapting import Job, adapt
    from models.training.running import stoppable

    if given.background:
        torch.set_num_threads(max(1, torch.get_num_threads() - 1))
    job = Job(
        project=given.name or accepted.name,
        origin=given.model,
        parts=given.parts,
        steps=given.steps,
        rate=given.rate,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    with stoppable() as asked:
        return adapt(accepted.images, job, told=show.show, stopped=lambda: asked() or orphaned())


def _in_background() -> Callable[[], bool]:
    """Give way, and find out when whoever started this closes the standard input or dies."""
    from annotator.services.priority import give_way

    give_way()
    ended = threading.Event()

    def watch() -> None:
        # Not through sys.stdin, whose lock a waiting thread would keep at exit.
        while os.read(0, 4096):
            pass
        ended.set()

    threading.Thread(target=watch, name="standard input", daemon=True).start()
    return ended.is_set


# --- Words ---


class _Json:
    """One JSON object a line on the standard output."""

    def __init__(self) -> None:
        self._at = -JSON_SECONDS
        self._left = _Left()

    def begin(self, images: int, objects: int) -> None:
        self._write("begun", images=images, objects=objects)

    def show(self, stage: Stage) -> None:
        left = self._left.seconds(stage.share)
        if time.monotonic() - self._at >= JSON_SECONDS:
            self._at = time.monotonic()
            share = round(stage.share, 4)
            self._write("progress", doing=stage.doing, share=share, seconds_left=left)

    def adapted(self, done: Adapted) -> int:
        card = done.model.card
        self._write(
            "adapted",
            id=done.model.id,
            title=done.model.title,
            folder=str(done.model.folder),
            origin=card.origin if card else "",
            problems=done.problems,
            **_numbers(done.comparison),
        )
        return 0

    def failed(self, error: ModelError | UserError) -> int:
        if isinstance(error, Refused):
            numbers = _numbers(error.comparison) if error.comparison else {}
            self._write("refused", reason=str(error), **numbers)
        else:
            self._write("failed", reason=str(error))
        return 1

    def stopped(self) -> int:
        self._write("stopped")
        return 1

    def _write(self, event: str, **values: Any) -> None:
        text = json.dumps({"event": event, **values}, ensure_ascii=False)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class _People:
    """A line that is painted over on a terminal, a line for every tenth elsewhere."""

    def __init__(self) -> None:
        self._at = 0.0
        self._said = ("", -1)
        self._left = _Left()

    def begin(self, images: int, objects: int) -> None:
        self._say(f"{objects} accepted masks in {images} images.")

    def show(self, stage: Stage) -> None:
        left = self._left.seconds(stage.share)
        text = f"{stage.doing}: {100 * stage.share:.0f} %"
        if left is not None:
            text += f", {duration(left)} left"
        if sys.stderr.isatty():
            if time.monotonic() - self._at >= BAR_SECONDS:
                self._at = time.monotonic()
                width = shutil.get_terminal_size().columns - 1
                sys.stderr.write(f"\r\x1b[K{text[:width]}")
                sys.stderr.flush()
        elif (now := (stage.doing, int(10 * stage.share))) != self._said:
            self._said = now
            self._say(text)

    def adapted(self, done: Adapted) -> int:
        for problem in done.problems:
            self._say(f"Left out: {problem}")
        sys.stdout.write(f"{done.model.title} ({done.model.id})\n{_table(done.comparison)}")
        sys.stdout.write(f"Choose it in Settings, Model, or with: --model {done.model.id}\n")
        sys.stdout.flush()
        return 0

    def failed(self, error: ModelError | UserError) -> int:
        self._say(f"annotator adapt: {error}")
        if isinstance(error, Refused) and error.comparison is not None:
            sys.stdout.write(_table(error.comparison))
            sys.stdout.flush()
        return 1

    def stopped(self) -> int:
        self._say("Stopped. Nothing was kept.")
        return 1

    def _say(self, text: str) -> None:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{clear}{text}\n")
        sys.stderr.flush()


class _Left:
    """How long it may still take, from how long it took so far."""

    BELIEVED = 0.08
    """Share of the work before the speed is believed."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def seconds(self, share: float) -> float | None:
        if share < self.BELIEVED:
            return None
        return round((time.monotonic() - self._began) * (1 - share) / share, 1)


def _numbers(found: Comparison) -> dict[str, Any]:
    return {
        "before": {step: round(found.before[step], 4) for step in MEASURED},
        "after": {step: round(found.after[step], 4) for step in MEASURED},
        "images": found.images,
        "objects": found.objects,
        "gain": round(found.gain, 4),
        "least": round(found.least, 4),
    }


def _table(found: Comparison) -> str:
    rows = [f"{'mean IoU':<12}{'before':>8}{'after':>8}"]
    rows += [f"{s:<12}{found.before[s]:>8.3f}{found.after[s]:>8.3f}" for s in MEASURED]
    rows.append(
        f"on {found.objects} objects in {found.images} images it did not learn from: "
        f"{found.gain:+.3f}, at least {found.least:+.3f} (95 % confidence)"
    )
    return "\n".join(rows) + "\n"
