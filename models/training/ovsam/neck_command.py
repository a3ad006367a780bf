"""`python -m models.training sam2clip`: Open-Vocabulary SAM's neck from a large SAM."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from models.catalog import WEIGHTS
from models.networks.ovsam import OpenVocabularySam, narrow_ovsam
from models.networks.sam_vit import narrow_sam
from models.ovsam.files import TOWER
from models.ovsam.loading import load_part
from models.training.checkpoints import write_checkpoint
from models.training.distillation.command import tell_prepared
from models.training.distillation.features import Lessons
from models.training.distillation.pictures import read_pictures
from models.training.distillation.teacher import Teacher, load_teacher
from models.training.ovsam.learner import Learner
from models.training.ovsam.necks import NeckLearner, begin_neck
from models.training.ovsam.settings import NECK, Settings
from models.training.running import LAST, drive, run_folder, say, stoppable
from models.training.train_command import add_common, chosen_device, positive, some
from models.weights import verified_path

RESULT = "sam2clip.pth"
CHANGED = ("epochs", "images", "rate", "seed")
"""Settings that have an option of the same name."""


def run(arguments: list[str]) -> int:
    """Train from the beginning, or go on.

    Returns:
        0 when it went to its end, 1 when it was stopped.

    Raises:
        ModelError: images, teacher, folder or checkpoint cannot be used, or the run failed.
        SystemExit: after --help (0) and for bad arguments (2).
    """
    given = _parser().parse_args(arguments)
    device = chosen_device(given.device)
    pictures = read_pictures(given.images_path)
    network, teacher = _networks(given, device)
    run_folder(given.out, resume=given.resume)
    lessons = Lessons(pictures, teacher, given.cache or given.out / "teacher")
    with stoppable() as stopped:
        if not lessons.prepare(tell_prepared, stopped):
            say("Stopped. What the teacher said so far is kept.")
            return 1
        learner = NeckLearner(network, lessons, changed(given, NECK), device)
        if given.resume:
            learner.resume(given.out / LAST, lambda settings: changed(given, settings))
        return finish(learner, given.out, RESULT, stopped)


def changed(given: argparse.Namespace, settings: Settings) -> Settings:
    """Settings with what was asked for on the command line."""
    asked = {name: getattr(given, name, None) for name in (*CHANGED, "objects", "zoom")}
    return replace(settings, **{name: value for name, value in asked.items() if value is not None})


def finish(learner: Learner, folder: Path, result: str, stopped: Callable[[], bool]) -> int:
    """Run to the end, with checkpoints, and write what was learnt under the published keys.

    Returns:
        0 when it went to its end, 1 when it was stopped.
    """
    if not drive(learner, learner.run(), folder, stopped=stopped):
        say(f"Stopped after step {learner.step}. Go on with the same command and --resume.")
        return 1
    write_checkpoint(folder / result, learner.learnt())
    say(f"What was learnt is in “{folder / result}”.")
    return 0


def tower_network() -> OpenVocabularySam:
    """A network with CLIP's tower; everything else is random.

    Raises:
        ModelError: CLIP's file is missing or another one.
    """
    path = verified_path(WEIGHTS[TOWER])
    network = OpenVocabularySam()
    load_part(network, "visual", path)
    return network


def _networks(given: argparse.Namespace, device: str) -> tuple[OpenVocabularySam, Teacher]:
    if given.narrow:
        network, teacher = narrow_ovsam(given.seed or 0), Teacher.of(narrow_sam().to(device))
    else:
        teacher = load_teacher(given.teacher, device)
        torch.manual_seed(given.seed or 0)
        network = tower_network()
    if given.init is None:
        begin_neck(network, teacher)
    else:
        load_part(network, "neck_student", given.init)
    return network, teacher


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.training sam2clip",
        description="Teach Open-Vocabulary SAM's neck to make SAM's embedding of CLIP's features.",
    )
    add = parser.add_argument
    texts = {
        "images_path": "a folder of images, or a data set",
        "teacher": "a model in SAM's layout whose weights are here (sam-vit-h)",
        "init": "a neck to begin with, for example the published sam2clip_vith_rn50.pth",
        "cache": "where the teacher's features lie, 2 MiB for each image (DIR/teacher)",
        "epochs": f"how often every image is seen ({NECK.epochs})",
        "images": f"per step ({NECK.images})",
        "rate": f"of AdamW at the beginning ({NECK.rate:g})",
        "narrow": "tiny networks with random weights, to try the command within seconds",
    }
    add("images_path", type=Path, metavar="IMAGES", help=texts["images_path"])
    add("--teacher", default="sam-vit-h", metavar="MODEL_ID", help=texts["teacher"])
    add_common(parser)
    add("--init", type=Path, metavar="FILE", help=texts["init"])
    add("--cache", type=Path, metavar="DIR", help=texts["cache"])
    for name in ("epochs", "images"):
        add(f"--{name}", type=some, metavar="N", help=texts[name])
    add("--rate", type=positive, metavar="X", help=texts["rate"])
    add("--narrow", action="store_true", help=texts["narrow"])
    return parser
