"""`python -m models.training distill`: EdgeSAM's encoder and decoder from a large teacher."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.api import ModelError
from models.checkpoints import load_exactly, read_checkpoint
from models.networks.edgesam import EdgeSam
from models.training.checkpoints import write_checkpoint
from models.training.distillation.distiller import TITLE, Distiller
from models.training.distillation.features import Lessons
from models.training.distillation.pictures import read_pictures
from models.training.distillation.settings import FEATURES, PROMPTS, Settings
from models.training.distillation.teacher import Teacher, load_teacher
from models.training.running import LAST, drive, run_folder, say, stoppable
from models.training.train_command import add_common, chosen_device, positive, some

STUDENT = "student.pth"
CHANGED = ("epochs", "images", "together", "rate", "prompts", "passes", "seed")
"""Settings that have an option of the same name."""


def run(arguments: list[str]) -> int:
    """Distil from the beginning, or go on.

    Returns:
        0 when it went to its end, 1 when it was stopped.

    Raises:
        ModelError: images, teacher, folder or checkpoint cannot be used, or the run failed.
        SystemExit: after --help (0) and for bad arguments (2).
    """
    given = _parser().parse_args(arguments)
    device = chosen_device(given.device)
    pictures = read_pictures(given.images_path)
    if given.stage == 2 and given.init is None and not given.resume:
        raise ModelError(
            "Stage 2 goes on from stage 1. Give its checkpoint: --init FOLDER/last.pt, or a "
            "trained EdgeSAM: --init edge_sam.pth."
        )
    teacher = load_teacher(given.teacher, device)
    run_folder(given.out, resume=given.resume)
    cache = given.cache or given.out / "teacher"
    with stoppable() as stopped:
        lessons = Lessons(pictures, teacher, cache)
        if not lessons.prepare(tell_prepared, stopped):
            say("Stopped. What the teacher said so far is kept.")
            return 1
        asked = {name: getattr(given, name) for name in CHANGED if getattr(given, name) is not None}
        distiller = _distiller(given, lessons, device, asked)
        finished = distill(distiller, given.out, stopped)
    if not finished:
        say(f"Stopped after step {distiller.step}. Go on with the same command and --resume.")
    return 0 if finished else 1


def distill(
    distiller: Distiller, folder: Path, stopped: Callable[[], bool] = lambda: False
) -> bool:
    """Run to the end, with checkpoints, and write the student under EdgeSAM's published keys.

    Returns:
        Whether it went to its end.

    Raises:
        ModelError: the run failed, or the disk is full; the last checkpoint is unharmed.
    """
    finished = drive(distiller, distiller.run(), folder, stopped=stopped)
    if finished:
        state = {name: value.cpu() for name, value in distiller.student.state_dict().items()}
        write_checkpoint(folder / STUDENT, state)
        say(f"The student is “{folder / STUDENT}”.")
    return finished


def new_student(student: EdgeSam, init: Path | None, teacher: Teacher) -> EdgeSam:
    """Fill a student that begins.

    A student of stage 1 gets the teacher's prompt encoder and mask decoder, as in the original;
    any other checkpoint has its own.

    Raises:
        ModelError: the checkpoint does not fit.
    """
    if init is None:
        student.prompt_encoder.load_state_dict(teacher.network.prompt_encoder.state_dict())
        student.mask_decoder.load_state_dict(teacher.network.mask_decoder.state_dict())
        return student
    load_exactly(student, read_checkpoint(init), TITLE, init.name)
    return student


def _distiller(
    given: argparse.Namespace, lessons: Lessons, device: str, asked: dict[str, Any]
) -> Distiller:
    def changed(settings: Settings) -> Settings:
        return replace(settings, **asked)

    if given.resume:
        return Distiller.resume(given.out / LAST, EdgeSam(), lessons, device, changed)
    settings = changed(FEATURES if given.stage == 1 else PROMPTS)
    torch.manual_seed(settings.seed)
    student = new_student(EdgeSam(), given.init, lessons.teacher)
    return Distiller(student, lessons, settings, device)


def tell_prepared(done: int, total: int) -> None:
    """Say, twenty times in all, how far the teacher is with its images."""
    if done % max(1, total // 20) == 0:
        say(f"the teacher looks at image {done + 1} of {total}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.training distill",
        description="Distil EdgeSAM from a teacher: features first, then masks with prompts.",
    )
    add = parser.add_argument
    texts = {
        "images_path": "a folder of images, or a labelled data set whose objects are asked for",
        "teacher": "a model in SAM's layout whose weights are here: sam-vit-h, mobilesam, …",
        "stage": "1: the encoder learns the teacher's features; 2: masks, prompts in the loop",
        "init": "where the student begins: last.pt of stage 1, or an EdgeSAM checkpoint",
        "cache": "where the teacher's features lie, 2 MiB for each image (DIR/teacher)",
        "epochs": "how often every image is seen",
        "images": "per step; the rate shrinks with it",
        "together": "images that go through the student at once",
        "rate": "of AdamW for a step of 512 images",
        "prompts": "of each image in a step",
        "passes": "answers to each prompt",
    }
    add("images_path", type=Path, metavar="IMAGES", help=texts["images_path"])
    add("--teacher", required=True, metavar="MODEL_ID", help=texts["teacher"])
    add("--stage", type=int, choices=(1, 2), required=True, help=texts["stage"])
    add_common(parser)
    add("--init", type=Path, metavar="FILE", help=texts["init"])
    add("--cache", type=Path, metavar="DIR", help=texts["cache"])
    for name in ("epochs", "images", "together", "prompts", "passes"):
        add(f"--{name}", type=some, metavar="N", help=texts[name])
    add("--rate", type=positive, metavar="X", help=texts["rate"])
    return parser
