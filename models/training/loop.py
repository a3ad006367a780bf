"""Training Loupe on masks: deterministic batches, checkpoints that resume, averaged weights."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.api import ModelError
from models.networks.loupe import Loupe, LoupeConfig, Questions
from models.training import losses, rounds
from models.training.data import LabelledImage
from models.training.scenes import Scene, make_scene

FORMAT = "annotator-loupe-training-1"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train; part of every checkpoint.

    Attributes:
        steps: batches altogether.
        decay: how many of the last steps lower the rate to nothing.
        rate: of AdamW, after warming up.
        images: scenes per batch.
        objects: questions per scene.
        side: pixels of a scene.
        passes: questions asked about each object in a step.
        paste_share: how often an object of another image is put in front.
        weights: how often a source is drawn, by name; 1 for others.
        paste_sources: sources whose objects are cut out well enough to be pasted, () for all.
        average: decay of the averaged weights.
        seed: of everything that is drawn.
    """

    steps: int = 20000
    decay: int = 4000
    rate: float = 1.5e-3
    warm_up: int = 200
    weight_decay: float = 0.02
    clip: float = 5.0
    images: int = 8
    objects: int = 8
    side: int = 384
    passes: int = 3
    paste_share: float = 0.35
    weights: Mapping[str, float] = field(default_factory=dict)
    paste_sources: tuple[str, ...] = ()
    average: float = 0.999
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Warm up, stay, fall to nothing: going on later only needs more `steps`."""
        warm = min(1.0, (step + 1) / self.warm_up)
        left = min(1.0, (self.steps - step) / max(self.decay, 1))
        return self.rate * warm * max(left, 0.0)


class Sampler:
    """Which scenes a step sees: a function of seed and step alone."""

    def __init__(self, images: Sequence[LabelledImage], settings: Settings) -> None:
        usable = [image for image in images if len(image.masks)]
        if not usable:
            raise ModelError("There is nothing to learn from: no image has an object.")
        self._images, self._settings = usable, settings
        sources = [image.source for image in usable]
        sizes = {source: sources.count(source) for source in set(sources)}
        share = np.array([settings.weights.get(s, 1.0) / sizes[s] for s in sources])
        self._shares = share / share.sum()
        wanted = settings.paste_sources
        self._pasted = [image for image in usable if not wanted or image.source in wanted]

    def scenes(self, step: int) -> tuple[list[Scene], np.random.Generator]:
        """The scenes of a step, and the generator for what follows."""
        settings = self._settings
        rng = np.random.default_rng([settings.seed, step])
        chosen = rng.choice(len(self._images), settings.images, p=self._shares)
        found = []
        for index in chosen:
            pasted = None
            if self._pasted and rng.random() < settings.paste_share:
                pasted = self._pasted[int(rng.integers(len(self._pasted)))]
            found.append(
                make_scene(rng, self._images[index], settings.side, settings.objects, pasted)
            )
        return found, rng


Batch = tuple[Tensor, rounds.Rounds, np.random.Generator]


def batches(sampler: Sampler, settings: Settings, first: int) -> Iterator[Batch]:
    """Batches from step `first` on, made beforehand by a thread."""
    ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=4)
    stop = threading.Event()

    def put(item: Batch | BaseException) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.2)
                return

    def work() -> None:
        try:
            for step in range(first, settings.steps):
                if stop.is_set():
                    return
                scenes, rng = sampler.scenes(step)
                image = torch.from_numpy(np.stack([scene.image for scene in scenes]))
                put((image, rounds.begin(rng, scenes, settings.objects), rng))
        except (ModelError, MemoryError) as error:
            put(error)

    thread = threading.Thread(target=work, name="scenes", daemon=True)
    thread.start()
    try:
        for _ in range(first, settings.steps):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


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
        network: what is trained, in place.
        settings: how.
        device: "cpu" or "cuda".
    """

    def __init__(self, network: Loupe, settings: Settings, device: str = "cpu") -> None:
        self.network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = Loupe(network.config).to(device)
        self.averaged.load_state_dict(self.network.state_dict())
        self.settings = settings
        self.step = 0
        self._device = device
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=settings.rate,
        )
        self._parameters = [*decayed, *others]

    def run(self, images: Sequence[LabelledImage]) -> Iterator[Progress]:
        """Train until `settings.steps`; every step is reported after it is done.

        Raises:
            ModelError: the loss is not a number, or an image cannot be read.
        """
        self.network.train()
        for batch in batches(Sampler(images, self.settings), self.settings, self.step):
            start = time.perf_counter()
            rate = self.settings.rate_at(self.step)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            loss, ious = self._learn(*batch)
            self.step += 1
            self._average()
            yield Progress(self.step, loss, ious, rate, time.perf_counter() - start)

    def _learn(
        self, image: Tensor, asked: rounds.Rounds, rng: np.random.Generator
    ) -> tuple[float, tuple[float, ...]]:
        device = self._device
        pixels = image.to(device).permute(0, 3, 1, 2).float() / 255.0
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        areas = torch.from_numpy(asked.truths.sum((2, 3), dtype=np.float32)).to(device).flatten()
        total = torch.zeros((), device=device)
        ious = []
        with torch.autocast(device, torch.bfloat16):
            atlases = self.network.encode(pixels)
        for turn in range(self.settings.passes):
            with torch.autocast(device, torch.bfloat16):
                logits, scores = self.network.decode(*atlases, as_questions(asked, device))
            logits, scores = logits.float().flatten(0, 1), scores.float().flatten()
            targets = torch.from_numpy(asked.targets()).to(device).flatten(0, 1)
            real = torch.from_numpy(asked.real).to(scores).flatten()
            weights = torch.from_numpy(asked.weights()).to(device).flatten()
            cells = torch.from_numpy(asked.windows[..., 2] * asked.windows[..., 3]).to(device)
            cells = cells.flatten() / targets.shape[-1] ** 2
            measured = losses.window_ious(logits.detach(), targets, cells, areas)
            total = total + losses.mask_loss(logits, targets, weights)
            total = total + 0.3 * losses.score_loss(scores, measured, real)
            ious.append(float((measured * real).sum() / real.sum().clamp(min=1)))
            if turn + 1 < self.settings.passes:
                shape = (*asked.real.shape, *logits.shape[1:])
                rounds.follow_up(rng, asked, logits.detach().cpu().numpy().reshape(shape))
        self._update(total)
        return float(total.detach()) / self.settings.passes, tuple(ious)

    def _update(self, total: Tensor) -> None:
        if not math.isfinite(float(total.detach())):
            raise ModelError(
                f"The loss is no longer a number at step {self.step}. Go on from the last "
                "checkpoint with a lower rate."
            )
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
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
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, part)
            part.replace(path)
        except (OSError, RuntimeError) as error:
            part.unlink(missing_ok=True)
            raise ModelError(f"The checkpoint “{path}” cannot be written: {error}.") from error

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
        stored = dict(state["settings"])
        stored["paste_sources"] = tuple(stored["paste_sources"])
        trainer = cls(Loupe(as_config(state["config"])), change(Settings(**stored)), device)
        trainer.network.load_state_dict(state["network"])
        trainer.averaged.load_state_dict(state["averaged"])
        trainer._optimizer.load_state_dict(state["optimizer"])
        trainer.step = int(state["step"])
        return trainer


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint, of this version.

    Raises:
        ModelError: it is missing, damaged or of another version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"There is no checkpoint “{path}”.") from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise ModelError(f"The checkpoint “{path}” is damaged. Use an earlier one.") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ModelError(f"“{path}” is not a checkpoint of this version of the training.")
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


def as_questions(asked: rounds.Rounds, device: str = "cpu") -> Questions:
    """The state of a conversation as tensors."""
    arrays = (
        asked.windows,
        asked.places,
        asked.points,
        asked.boxes,
        asked.previous,
        asked.has_previous,
        asked.sizes,
    )
    return Questions(*(torch.from_numpy(array).to(device) for array in arrays))
