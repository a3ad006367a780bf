"""`python -m models.training train`: Loupe on labelled images."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch

from models.api import ModelError
from models.networks.loupe import Loupe
from models.training import data
from models.training.data import LabelledImage
from models.training.loop import Trainer
from models.training.recipe import HELD_EVERY, NARROW, settings_for, split
from models.training.running import run_folder, say, stoppable
from models.training.settings import Settings
from models.training.training import EVALUATE_MINUTES, train

CHANGED = ("steps", "decay", "rate", "images", "parts", "objects", "side", "seed", "weights")
"""Settings that have an option of the same name."""


def run(arguments: list[str]) -> int:
    """Train from the beginning, or go on.

    Returns:
        0 when it went to its end, 1 when it was stopped.

    Raises:
        ModelError: data, folder or checkpoint cannot be used, or the run failed.
        SystemExit: after --help (0) and for bad arguments (2).
    """
    given = _parser().parse_args(arguments)
    device = chosen_device(given.device)
    images = [image for path in given.data for image in data.read(path)]
    last = run_folder(given.out, resume=given.resume)
    learnt, held = split(images, given.hold_out)
    trainer = _trainer(given, last, device, learnt)
    say(
        f"{len(learnt)} images to learn from, {len(held)} held out; {device}; "
        f"after step {trainer.step} of {trainer.steps}"
    )
    with stoppable() as stopped:
        finished = train(
            trainer,
            learnt,
            held,
            given.out,
            workers=_workers(given.workers, device, trainer.settings),
            minutes=given.minutes,
            evaluate_minutes=given.evaluate,
            stopped=stopped,
        )
    if not finished:
        say(f"Stopped after step {trainer.step}. Go on with the same command and --resume.")
    return 0 if finished else 1


def chosen_device(asked: str) -> str:
    """The device as torch calls it: cpu or cuda.

    Raises:
        ModelError: there is no such thing here.
    """
    found = torch.cuda.is_available()
    if asked == "cuda" and not found:
        raise ModelError(
            "torch finds no graphics processor that it can compute on. Use --device cpu, or "
            "install a torch with CUDA."
        )
    return "cuda" if found and asked != "cpu" else "cpu"


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options every long run has."""
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="gets checkpoints, curve, result")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (auto)")
    add("--resume", action="store_true", help="go on from the last checkpoint in DIR")
    add("--seed", type=count, metavar="N", help="of everything that is drawn (0)")


def count(text: str) -> int:
    """A whole number from 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def some(text: str) -> int:
    """A whole number from 1."""
    value = count(text)
    if not value:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def scene_side(text: str) -> int:
    """A multiple of 32."""
    value = some(text)
    if value % 32 or value < 64:
        raise argparse.ArgumentTypeError("must be a multiple of 32 from 64 on")
    return value


def source_weights(text: str) -> dict[str, float]:
    """`name=number,name=number`."""
    found = {}
    for pair in text.split(","):
        name, equals, number = pair.rpartition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not found[name.strip()] >= 0:
            raise argparse.ArgumentTypeError(f"“{pair}” is not like coco=3")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.training train",
        description="Train Loupe on labelled images. Without options it is trained as shipped.",
    )
    add = parser.add_argument
    texts = {
        "data": "folders or tar files with instances.json and images, or folders of tar files",
        "steps": "batches altogether",
        "decay": "how many of the last steps lower the rate to nothing",
        "rate": "of AdamW",
        "images": "scenes in each part of a batch",
        "parts": "parts of a batch, one after the other",
        "objects": "questions per scene",
        "side": "pixels of a scene",
        "weights": "how often sources are drawn: name=number,…",
        "hold_out": "measure on every n-th everyday image and do not train on it; 0 for none",
        "evaluate": "minutes between two measurements; 0 for one at the end",
        "minutes": "train as much as fits into this time instead of --steps",
        "workers": "processes that make scenes (0 on a processor, one for each core otherwise)",
        "narrow": "a tiny network, to try data and settings within minutes",
    }
    add("data", type=Path, nargs="+", metavar="DATA", help=texts["data"])
    add_common(parser)
    for name in ("steps", "images", "parts", "objects"):
        add(f"--{name}", type=some, metavar="N", help=texts[name])
    add("--decay", type=count, metavar="N", help=texts["decay"])
    add("--rate", type=positive, metavar="X", help=texts["rate"])
    add("--side", type=scene_side, metavar="N", help=texts["side"])
    add("--weights", type=source_weights, metavar="LIST", help=texts["weights"])
    add("--hold-out", type=count, default=HELD_EVERY, metavar="N", help=texts["hold_out"])
    add("--evaluate", type=float, default=EVALUATE_MINUTES, metavar="M", help=texts["evaluate"])
    add("--minutes", type=positive, metavar="M", help=texts["minutes"])
    add("--workers", type=count, metavar="N", help=texts["workers"])
    add("--narrow", action="store_true", help=texts["narrow"])
    return parser


def _trainer(
    given: argparse.Namespace, last: Path, device: str, learnt: list[LabelledImage]
) -> Trainer:
    def changed(settings: Settings) -> Settings:
        asked = {name: getattr(given, name) for name in CHANGED if getattr(given, name) is not None}
        if "weights" in asked:
            _known(asked["weights"], learnt)
            asked["weights"] = {**settings.weights, **asked["weights"]}
        return replace(settings, **asked)

    if given.resume:
        return Trainer.resume(last, device, changed)
    settings = changed(settings_for(device, learnt))
    torch.manual_seed(settings.seed)
    return Trainer(Loupe(NARROW) if given.narrow else Loupe(), settings, device)


def _known(weights: dict[str, float], images: list[LabelledImage]) -> None:
    known = sorted({image.source for image in images})
    if unknown := sorted(set(weights) - set(known)):
        raise ModelError(
            f"The data has no source “{unknown[0]}”. It has: {', '.join(known) or 'none'}."
        )


def _workers(asked: int | None, device: str, settings: Settings) -> int:
    if asked is not None:
        return asked
    if device == "cpu":
        return 0
    return max(settings.parts, (os.cpu_count() or 1) - 1)
