"""Training Loupe in a folder: checkpoints, evaluations, and in the end the graphs that ship."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

from models.adapted import WEIGHTS
from models.training.data import LabelledImage
from models.training.examining import BEST, Examiner
from models.training.export import export, save_weights
from models.training.loop import Progress, Trainer
from models.training.running import drive, say

MODEL = "model"
EVALUATE_MINUTES = 30.0
NEVER = 10**9
"""More steps than anybody waits for."""
DECAY_SHARE = 0.2
"""Of the steps of a run that is bound by time."""
TRIED = 0.02
"""Of the time, before the speed is believed."""


def train(
    trainer: Trainer,
    images: Sequence[LabelledImage],
    held: Sequence[LabelledImage],
    folder: Path,
    *,
    workers: int = 0,
    minutes: float | None = None,
    evaluate_minutes: float = EVALUATE_MINUTES,
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Train to the end, with checkpoints, evaluations and, at the end, the graphs in `model`.

    Args:
        trainer: a new or resumed one.
        images: what is learnt from.
        held: what is measured on, may be empty.
        folder: of the run; it exists.
        workers: processes that make scenes; 0 for a thread.
        minutes: fit the schedule into this time instead of doing a number of steps.
        evaluate_minutes: between two evaluations; 0 for one at the end.
        stopped: asked after every step; True ends the run with a checkpoint.

    Returns:
        Whether it ran to its end.

    Raises:
        ModelError: the run failed, or the disk is full; the last checkpoint is unharmed.
    """
    lacking = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if lacking:
        names = " and ".join(lacking)
        say(f"No evaluation and no graphs here: {names} missing. Export the checkpoint elsewhere.")
    examiner = None
    if held and not lacking:
        examiner = Examiner(trainer.averaged, lambda: trainer.step, held, folder)
    if minutes is None:
        progress = trainer.run(images, workers)
    else:
        progress = within(trainer, images, workers, 60 * minutes)
    finished = drive(
        trainer,
        progress,
        folder,
        stopped=stopped,
        check=examiner,
        check_seconds=60 * evaluate_minutes,
    )
    if finished and not lacking:
        export(trainer.averaged, folder / MODEL)
        save_weights(trainer.averaged, folder / MODEL / WEIGHTS)
        best = f"; the best one measured is in “{folder / BEST}”" if examiner else ""
        say(f"The model is in “{folder / MODEL}”{best}.")
    return finished


def within(
    trainer: Trainer, images: Sequence[LabelledImage], workers: int, seconds: float
) -> Generator[Progress, None, None]:
    """Steps, as many as fit into a time, with the rate falling to nothing at its end.

    How many these are depends on the machine: such a run cannot be repeated exactly.
    """
    began, first = time.monotonic(), trainer.step
    trainer.settings = replace(trainer.settings, steps=NEVER)
    for done in trainer.run(images, workers):
        spent = time.monotonic() - began
        if spent > TRIED * seconds:
            more = (done.step - first) / spent * max(seconds - spent, 0.0)
            settings = replace(trainer.settings, steps=done.step + int(more))
            if more > DECAY_SHARE * settings.steps:
                settings = replace(settings, decay=max(1, int(DECAY_SHARE * settings.steps)))
            trainer.settings = settings
        yield done
