"""Training Loupe on masks: deterministic batches, checkpoints that resume, averaged weights."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.api import ModelError
from models.networks.loupe import Loupe, LoupeConfig, Questions
from models.openvino_runtime import bfloat16_instructions
from models.training import losses
from models.training.checkpoints import fill, write_checkpoint
from models.training.checkpoints import read_checkpoint as read_any_checkpoint
from models.training.conversations import Conversation, Steps, Turn, from_thread
from models.training.data import Image, LabelledImage
from models.training.sampling import Sampler
from models.training.settings import Settings
from models.training.workers import from_processes

FORMAT = "annotator-loupe-training-1"

Atlases = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step: its number, loss, and mean IoU after every pass."""

    step: int
    loss: float
    ious: tuple[float, ...]
    rate: float
    seconds: float


class Trainer:
    """A network on its way.

    Args:
        network: what is trained, in place; parameters without `requires_grad` stay as they are.
        settings: how.
        device: "cpu" or "cuda".
        frozen_norms: keep the statistics of all batch norms, for few images.
    """

    def __init__(
        self,
        network: Loupe,
        settings: Settings,
        device: str = "cpu",
        *,
        frozen_norms: bool = False,
    ) -> None:
        self.network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = Loupe(network.config).to(device)
        self.averaged.load_state_dict(self.network.state_dict())
        self.settings = settings
        self.step = 0
        self._device = device
        self._frozen_norms = frozen_norms
        trained = [p for p in network.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1]
        others = [p for p in trained if p.ndim <= 1]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=settings.rate,
        )
        self._parameters = [*decayed, *others]

    @property
    def steps(self) -> int:
        """How many there will be."""
        return self.settings.steps

    def run(
        self, images: Sequence[LabelledImage], workers: int = 0
    ) -> Generator[Progress, None, None]:
        """Train until `settings.steps`; every step is reported after it is done.

        Args:
            images: what to learn from.
            workers: processes that make scenes and questions; 0 for a thread of this one. The
                result does not depend on it.

        Raises:
            ModelError: the loss is not a number, or an image cannot be read.
        """
        with contextlib.closing(self._steps(images, workers)) as steps:
            for talks in steps:
                if self.step >= self.steps:  # somebody changed the settings on the way
                    return
                start = time.perf_counter()
                self._prepare()
                rate = self.settings.rate_at(self.step)
                for group in self._optimizer.param_groups:
                    group["lr"] = rate
                loss, ious = self._learn(talks)
                self.step += 1
                self._average()
                yield Progress(self.step, loss, ious, rate, time.perf_counter() - start)

    def _steps(self, images: Sequence[LabelledImage], workers: int) -> Steps:
        if workers:
            return from_processes(images, self.settings, self.step, workers)
        return from_thread(Sampler(images, self.settings), self.settings, self.step)

    def _prepare(self) -> None:
        self.network.train()
        if self._frozen_norms:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _learn(self, talks: Sequence[Conversation]) -> tuple[float, tuple[float, ...]]:
        """One step; parts take turns, so that one is thought about while others are answered."""
        self._optimizer.zero_grad(set_to_none=True)
        nothing = torch.zeros((), device=self._device)
        parts = [
            _Part(talk, encode(self.network, talk.images, self._device), nothing) for talk in talks
        ]
        passes = self.settings.passes
        ious = [
            fmean(self._ask(part, len(parts), last=turn + 1 == passes) for part in parts)
            for turn in range(passes)
        ]
        loss = fmean(float(part.total) for part in parts)
        self._update(loss)
        return loss / passes, tuple(ious)

    def _ask(self, part: _Part, parts: int, *, last: bool) -> float:
        turn = part.talk.turn()
        found = ask(self.network, part.atlases, turn, self._device)
        weights = torch.from_numpy(turn.weights).to(self._device).flatten()
        part.total = part.total + losses.mask_loss(found.logits, found.targets, weights)
        part.total = part.total + 0.3 * losses.score_loss(found.scores, found.ious, found.real)
        if last:
            # The sum over parts is the gradient of their mean.
            (part.total / parts).backward()  # type: ignore[no-untyped-call]
            part.total = part.total.detach()
        else:
            shape = (*turn.real.shape, *found.logits.shape[1:])
            part.talk.answer(found.logits.detach().cpu().numpy().reshape(shape))
        return found.mean_iou()

    def _update(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ModelError(
                f"The loss is no longer a number at step {self.step}. Go on from the last "
                "checkpoint with a lower --rate."
            )
        torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self._optimizer.step()

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        new = self.network.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name].to(value), 1 - keep)
            else:
                value.copy_(new[name])

    def save(self, path: Path) -> None:
        """Write everything needed to go on, atomically.

        Raises:
            ModelError: the disk is full or cannot be written; an older file stays.
        """
        state = {
            "format": FORMAT,
            "config": asdict(self.network.config),
            "settings": asdict(self.settings),
            "step": self.step,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        write_checkpoint(path, state)

    @classmethod
    def resume(
        cls,
        path: Path,
        device: str = "cpu",
        change: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> Trainer:
        """Go on from a checkpoint, exactly, or with changed settings.

        Raises:
            ModelError: the file is missing, damaged or of another version.
        """
        state = read_checkpoint(path)
        settings = change(Settings.of(state["settings"]))
        trainer = cls(Loupe(as_config(state["config"])), settings, device)
        fill(trainer.network, state["network"], path)
        fill(trainer.averaged, state["averaged"], path)
        fill(trainer._optimizer, state["optimizer"], path)
        trainer.step = int(state["step"])
        return trainer


@dataclass(slots=True, eq=False)
class _Part:
    """A conversation, the features of its images, and the loss so far."""

    talk: Conversation
    atlases: Atlases
    total: Tensor


class Answers(NamedTuple):
    """What a network says to N = B K questions, and what is right.

    Attributes:
        logits: (N, 2 G, 2 G).
        scores: (N,) logits.
        targets: (N, 2 G, 2 G).
        ious: (N,) of the masks with the whole objects.
        real: (N,) 1, or 0 for what only fills up the batch.
    """

    logits: Tensor
    scores: Tensor
    targets: Tensor
    ious: Tensor
    real: Tensor

    def mean_iou(self) -> float:
        """Over what is real."""
        return float((self.ious * self.real).sum() / self.real.sum().clamp(min=1))


def encode(network: Loupe, images: Image, device: str) -> Atlases:
    """The atlases of images (B, S, S, 3) uint8."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255.0
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    with short_numbers(device):
        coarse, fine = network.encode(pixels)
    return coarse.float(), fine.float()  # once: they are sampled in 32 bits in every turn


def ask(network: Loupe, atlases: Atlases, turn: Turn, device: str) -> Answers:
    """Answer the questions of a turn, and compare with the truth."""
    with short_numbers(device):
        logits, scores = network.decode(*atlases, as_questions(turn, device))
    logits, scores = logits.float().flatten(0, 1), scores.float().flatten()
    targets = torch.from_numpy(turn.targets).to(device).flatten(0, 1)
    cells = torch.from_numpy(turn.windows[..., 2] * turn.windows[..., 3]).to(device)
    cells = cells.flatten() / targets.shape[-1] ** 2
    areas = torch.from_numpy(turn.areas).to(device).flatten()
    ious = losses.window_ious(logits.detach(), targets, cells, areas)
    return Answers(logits, scores, targets, ious, torch.from_numpy(turn.real).to(ious).flatten())


def short_numbers(device: str) -> torch.autocast:
    """bfloat16 where the processor computes with it, else 32 bits."""
    able = device != "cpu" or bfloat16_instructions() is True
    return torch.autocast(device, torch.bfloat16, enabled=able)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint of Loupe, of this version.

    Raises:
        ModelError: it is missing, damaged or of another version.
    """
    state = read_any_checkpoint(path, FORMAT)
    if lacking := {"config", "settings", "step", "network", "averaged", "optimizer"} - set(state):
        raise ModelError(f"The checkpoint “{path}” is damaged: it lacks {', '.join(lacking)}.")
    return state


def as_config(stored: Mapping[str, Any]) -> LoupeConfig:
    """Widths as they stand in a checkpoint."""
    return LoupeConfig(
        stages=tuple(stored["stages"]),
        blocks=tuple(stored["blocks"]),
        coarse=int(stored["coarse"]),
        fine=int(stored["fine"]),
        decoder=tuple(stored["decoder"]),
    )


def as_questions(turn: Turn, device: str = "cpu") -> Questions:
    """The questions of a turn as tensors."""
    arrays = turn[: len(Questions._fields)]
    return Questions(*(torch.from_numpy(array).to(device) for array in arrays))
