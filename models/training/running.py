"""A long run: checkpoints every few minutes, a curve, a stop at any time."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from models.api import ModelError
from models.training.curves import Curve, tensorboard
from models.weight_files import disk_error

if TYPE_CHECKING:
    from models.training.loop import Progress

LAST = "last.pt"
SAVE_SECONDS = 180.0
SAY_SECONDS = 60.0


class Run(Protocol):
    """What is on its way: a trainer."""

    step: int

    @property
    def steps(self) -> int:
        """How many there will be."""

    def save(self, path: Path) -> None:
        """Write everything needed to go on, atomically."""


Check = Callable[[Curve], None]
"""Measures the run and writes down what it found."""


def drive(
    run: Run,
    progress: Generator[Progress, None, None],
    folder: Path,
    *,
    stopped: Callable[[], bool] = lambda: False,
    save_seconds: float = SAVE_SECONDS,
    check: Check | None = None,
    check_seconds: float = 0.0,
) -> bool:
    """Run to the end, or until somebody stops it; a checkpoint is left in both cases.

    Args:
        run: what is on its way.
        progress: does its steps.
        folder: gets `last.pt` and the curve.
        stopped: asked after every step.
        save_seconds: between two checkpoints.
        check: called now and then, after a checkpoint, and at the end.
        check_seconds: between two calls.

    Returns:
        Whether it ran to its end.

    Raises:
        ModelError: the run failed (the last checkpoint is from before), or the disk is full.
    """
    saved = said = checked = time.monotonic()
    with contextlib.closing(progress), opened(folder, run.step) as curve:
        for done in progress:
            curve.add(done)
            now = time.monotonic()
            if stopped():
                run.save(folder / LAST)
                return False
            due = check is not None and now - checked >= check_seconds > 0
            if due or now - saved >= save_seconds:
                run.save(folder / LAST)
                saved = time.monotonic()
            if due and check is not None:
                check(curve)
                checked = time.monotonic()
            if now - said >= SAY_SECONDS:
                say(line(done, run.steps))
                said = now
        run.save(folder / LAST)
        if check is not None:
            check(curve)
    return True


def opened(folder: Path, step: int) -> Curve:
    """The curve of a run in a folder, with TensorBoard if there is one."""
    board = tensorboard(folder / "tensorboard")
    if board is None:
        say("TensorBoard is not installed (pip install 'annotator[train]'): see curve.jsonl.")
    return Curve(folder, step, board)


def line(done: Progress, steps: int) -> str:
    """A step for people."""
    left = int((steps - done.step) * done.seconds)
    ious = " ".join(f"{iou:.3f}" for iou in done.ious)
    return (
        f"step {done.step} of {steps}, loss {done.loss:.4f}, IoU {ious or '–'}, "
        f"{done.seconds:.2f} s a step, {left // 3600}:{left // 60 % 60:02d} left"
    )


def say(text: str) -> None:
    """A line for people, at once, also into files and pipes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def stoppable(told: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Ctrl+C and a polite kill end the run after its step instead of in the middle of it.

    A second Ctrl+C ends it at once.

    Args:
        told: called at the first one, in the middle of anything: it may not use what is open.
    """
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()
        told()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_folder(folder: Path, *, resume: bool) -> Path:
    """The checkpoint of a run in its folder, which is made for a new run.

    Raises:
        ModelError: there is a run already, or none to go on with, or the folder cannot be made.
    """
    last = folder / LAST
    if resume:
        if not last.exists():
            raise ModelError(f"“{folder}” holds no run to go on with: there is no “{LAST}” in it.")
        return last
    if last.exists():
        raise ModelError(
            f"“{folder}” holds a run already. Go on with it with --resume, or choose another --out."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder) from error
    return last
