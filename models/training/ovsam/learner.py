"""What both halves share: parts of one network learn, deterministically, and can be resumed."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from models.api import ModelError
from models.checkpoints import load_exactly
from models.networks.ovsam import OpenVocabularySam
from models.training.checkpoints import fill, read_checkpoint, write_checkpoint
from models.training.loop import Progress
from models.training.ovsam.settings import Settings


class Learner(ABC):
    """Trains some parts of a network; all others stay as they are, in evaluation mode.

    Args:
        network: its parts are trained in place.
        settings: how.
        count: number of images.
        device: "cpu" or "cuda".
    """

    form: str
    """What checkpoints say they are."""
    parts: tuple[str, ...]
    """Modules of the network that learn and are kept in checkpoints."""

    def __init__(
        self, network: OpenVocabularySam, settings: Settings, count: int, device: str = "cpu"
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.settings = replace(settings, images=min(settings.images, count))
        self.step = 0
        self._count = count
        self._device = torch.device(device)
        for name in self.parts:
            network.get_submodule(name).requires_grad_(True)
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        decay = settings.weight_decay
        wide = [p for p in self._parameters if p.ndim > 1]
        flat = [p for p in self._parameters if p.ndim <= 1]
        self._optimizer = torch.optim.AdamW(
            [{"params": wide, "weight_decay": decay}, {"params": flat, "weight_decay": 0.0}]
        )

    @abstractmethod
    def _learn_from(self, rng: np.random.Generator, index: int) -> tuple[Tensor, float | None]:
        """The loss of one image, and the IoU of its masks where there are masks."""

    @abstractmethod
    def _data(self) -> str:
        """Names what is learnt from, so that a run goes on with the same."""

    @property
    def steps(self) -> int:
        """How many there will be."""
        return self.settings.epochs * self.epoch_steps

    @property
    def epoch_steps(self) -> int:
        """Steps in which every image is seen once; a rest that fills no batch is left out."""
        return self._count // self.settings.images

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
            loss, ious = self._learn()
            self.step += 1
            yield Progress(self.step, loss, ious, rate, time.perf_counter() - start)

    def _learn(self) -> tuple[float, tuple[float, ...]]:
        # One image at a time: no part that learns has a norm over images, and memory is short.
        self._optimizer.zero_grad(set_to_none=True)
        losses, ious = [], []
        indices = self._indices()
        for place, index in enumerate(indices):
            rng = np.random.default_rng([self.settings.seed, 1, self.step, place])
            loss, iou = self._learn_from(rng, index)
            (loss / len(indices)).backward()  # type: ignore[no-untyped-call]
            losses.append(float(loss.detach()))
            ious += [] if iou is None else [iou]
        total = fmean(losses)
        if not math.isfinite(total):
            raise ModelError(
                f"The loss is no longer a number at step {self.step}. Go on from the last "
                f"checkpoint with a lower --rate than {self.settings.rate:g}."
            )
        torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self._optimizer.step()
        return total, (fmean(ious),) if ious else ()

    def _indices(self) -> Sequence[int]:
        """The images of this step: a new order in every epoch."""
        epoch, place = divmod(self.step, self.epoch_steps)
        rng = np.random.default_rng([self.settings.seed, 0, epoch])
        first = place * self.settings.images
        order: list[int] = rng.permutation(self._count).tolist()
        return order[first : first + self.settings.images]

    def learnt(self) -> dict[str, Tensor]:
        """The parts that learn, on the CPU, under the keys of the published files."""
        return {
            name: value.cpu()
            for name, value in self.network.state_dict().items()
            if name.split(".")[0] in self.parts
        }

    def save(self, path: Path) -> None:
        """Write everything needed to go on, atomically.

        Raises:
            ModelError: the disk is full or cannot be written; an older file stays.
        """
        state = {
            "format": self.form,
            "settings": asdict(self.settings),
            "data": self._data(),
            "images": self._count,
            "step": self.step,
            "model": self.learnt(),
            "optimizer": self._optimizer.state_dict(),
        }
        write_checkpoint(path, state)

    def resume(self, path: Path, change: Callable[[Settings], Settings] = lambda one: one) -> None:
        """Go on from a checkpoint, exactly, or with changed settings.

        Raises:
            ModelError: the file is missing, damaged, or of another network, data or version.
        """
        state = read_checkpoint(path, self.form)
        try:
            settings, step = change(Settings.of(state["settings"])), int(state["step"])
            model, optimizer = dict(state["model"]), state["optimizer"]
            data, count = state["data"], int(state["images"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"The checkpoint “{path}” is damaged. Use an earlier one.") from error
        if (data, count) != (self._data(), self._count):
            raise ModelError(
                f"“{path}” was begun with other data ({count} images; here are {self._count}). "
                "Go on with the same images, names and teacher, or begin anew."
            )
        for name in self.parts:
            part = {
                key.removeprefix(f"{name}."): value
                for key, value in model.items()
                if key.startswith(f"{name}.")
            }
            load_exactly(self.network.get_submodule(name), part, f"“{name}”", path.name)
        fill(self._optimizer, optimizer, path)
        self.settings = replace(settings, images=min(settings.images, count))
        self.step = step
