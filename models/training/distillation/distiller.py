"""A student on its way: both stages, deterministic, with checkpoints that resume exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn

from models.api import ModelError
from models.checkpoints import load_exactly
from models.networks.edgesam import EdgeSam
from models.training.checkpoints import fill, read_checkpoint, write_checkpoint
from models.training.distillation import asking
from models.training.distillation.features import Lesson, Lessons
from models.training.distillation.settings import Settings
from models.training.loop import Progress

FORMAT = "annotator-distillation-1"
TITLE = "the student"


class Distiller:
    """Trains a student on what a teacher makes of images.

    Args:
        student: trained in place: the encoder in stage 1, encoder and mask decoder in stage 2.
            The prompt encoder is the teacher's and stays.
        lessons: the images and the teacher.
        settings: how.
        device: "cpu" or "cuda".

    Raises:
        ModelError: the student's embedding has another shape than the teacher's.
    """

    def __init__(
        self, student: EdgeSam, lessons: Lessons, settings: Settings, device: str = "cpu"
    ) -> None:
        prompts = student.prompt_encoder
        shape = prompts.channels, prompts.grid, prompts.grid
        if shape != lessons.teacher.shape or prompts.side != lessons.teacher.side:
            raise ModelError(
                f"The student's embedding is {shape} for {prompts.side} pixels, but the teacher's "
                f"is {lessons.teacher.shape} for {lessons.teacher.side}: it cannot learn from it."
            )
        self.student = student.to(device)
        settings = replace(settings, images=min(settings.images, len(lessons)))
        self.settings = settings
        self.step = 0
        self._lessons = lessons
        self._device = torch.device(device)
        student.requires_grad_(False)
        trained: list[nn.Module] = [student.image_encoder]
        if settings.stage == 2:
            trained.append(student.mask_decoder)
        for module in trained:
            module.requires_grad_(True)
        parameters = [p for module in trained for p in module.parameters()]
        self._parameters = parameters
        self._optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for p in parameters if p.ndim > 1],
                    "weight_decay": settings.weight_decay,
                },
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ]
        )

    @property
    def steps(self) -> int:
        """How many there will be."""
        return self.settings.epochs * self.epoch_steps

    @property
    def epoch_steps(self) -> int:
        """Steps in which every image is seen once; a rest that fills no batch is left out."""
        return len(self._lessons) // self.settings.images

    def run(self) -> Generator[Progress, None, None]:
        """Train to the end; every step is reported after it is done.

        Raises:
            ModelError: the loss is not a number, or an image cannot be read.
        """
        while self.step < self.steps:
            start = time.perf_counter()
            rate = self.settings.rate_at(self.step, self.steps)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            loss, ious = self._learn(rate)
            self.step += 1
            yield Progress(self.step, loss, ious, rate, time.perf_counter() - start)

    def _learn(self, rate: float) -> tuple[float, tuple[float, ...]]:
        self.student.train()
        self._optimizer.zero_grad(set_to_none=True)
        rng = np.random.default_rng([self.settings.seed, 1, self.step])
        indices = self._indices()
        found = []
        for first in range(0, len(indices), self.settings.together):
            part = indices[first : first + self.settings.together]
            loss, ious = self._part(rng, part)
            (loss * (len(part) / len(indices))).backward()  # type: ignore[no-untyped-call]
            found.append((len(part), float(loss.detach()), ious))
        total = sum(count * loss for count, loss, _ in found) / len(indices)
        if not math.isfinite(total):
            raise ModelError(
                f"The loss is no longer a number at step {self.step}. Go on from the last "
                f"checkpoint with a lower --rate than {self.settings.rate:g}."
            )
        torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self._optimizer.step()
        measured = [ious for _, _, ious in found if ious]
        return total, tuple(fmean(values) for values in zip(*measured, strict=True))

    def _indices(self) -> list[int]:
        """The images of this step: a new order in every epoch."""
        epoch, place = divmod(self.step, self.epoch_steps)
        rng = np.random.default_rng([self.settings.seed, 0, epoch])
        order: list[int] = rng.permutation(len(self._lessons)).tolist()
        first = place * self.settings.images
        return order[first : first + self.settings.images]

    def _part(
        self, rng: np.random.Generator, indices: Sequence[int]
    ) -> tuple[Tensor, tuple[float, ...]]:
        """Loss and IoUs of images that go through the encoder at once."""
        pixels = np.concatenate([self._lessons.pixels(index) for index in indices])
        embeddings = self.student.image_encoder(torch.from_numpy(pixels).to(self._device))
        lessons = [self._lessons.lesson(index) for index in indices]
        wanted = torch.from_numpy(np.stack([one.features for one in lessons]))
        wanted = wanted.to(self._device).float()
        if self.settings.stage == 1:
            valid = torch.stack([self._valid(one, wanted.shape[-1]) for one in lessons])
            return asking.feature_loss(embeddings, wanted, valid), ()
        return self._asked(rng, lessons, embeddings, wanted)

    def _asked(
        self,
        rng: np.random.Generator,
        lessons: Sequence[Lesson],
        embeddings: Tensor,
        wanted: Tensor,
    ) -> tuple[Tensor, tuple[float, ...]]:
        settings = self.settings
        boxes = bool(rng.random() > 0.5)
        # Without any object there is nothing to learn, but a sum that can be derived.
        total = embeddings.sum() * 0.0
        found = []
        for index, lesson in enumerate(lessons):
            prompts = asking.drawn(rng, lesson, settings.prompts, self._device, boxes=boxes)
            if prompts is None:
                continue
            own = slice(index, index + 1)
            loss, ious = asking.in_the_loop(
                rng,
                self.student,
                self._lessons.teacher,
                (embeddings[own], wanted[own]),
                prompts,
                self._valid(lesson, 4 * wanted.shape[-1]),
                settings.passes,
            )
            total = total + loss
            found.append(ious)
        return total / max(len(found), 1), tuple(fmean(v) for v in zip(*found, strict=True))

    def _valid(self, lesson: Lesson, count: int) -> Tensor:
        side = self._lessons.teacher.side
        return asking.valid_cells(lesson.resized, side, count, self._device)

    def save(self, path: Path) -> None:
        """Write everything needed to go on, atomically.

        Raises:
            ModelError: the disk is full or cannot be written; an older file stays.
        """
        state = {
            "format": FORMAT,
            "settings": asdict(self.settings),
            "teacher": self._lessons.teacher.fingerprint,
            "images": len(self._lessons),
            "step": self.step,
            "model": self.student.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        write_checkpoint(path, state)

    @classmethod
    def resume(
        cls,
        path: Path,
        student: EdgeSam,
        lessons: Lessons,
        device: str = "cpu",
        change: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> Distiller:
        """Go on from a checkpoint, exactly, or with changed settings.

        Args:
            path: of the checkpoint.
            student: a network of the same sizes; its weights are replaced.
            lessons: the same images and teacher.
            device: "cpu" or "cuda".
            change: of the settings.

        Raises:
            ModelError: the file is missing, damaged, of another version, student, teacher or
                number of images.
        """
        state = read_checkpoint(path, FORMAT)
        try:
            settings, step, count = state["settings"], int(state["step"]), int(state["images"])
            model, optimizer, teacher = state["model"], state["optimizer"], state["teacher"]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"The checkpoint “{path}” is damaged. Use an earlier one.") from error
        if teacher != lessons.teacher.fingerprint:
            raise ModelError(f"“{path}” was begun with another teacher. Go on with that one.")
        if count != len(lessons):
            raise ModelError(
                f"“{path}” was begun with {count} images, but here are {len(lessons)}. Go on with "
                "the same folder, or begin anew."
            )
        load_exactly(student, model, TITLE, path.name)
        distiller = cls(student, lessons, change(Settings.of(settings)), device)
        fill(distiller._optimizer, optimizer, path)
        distiller.step = step
        return distiller
