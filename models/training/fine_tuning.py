"""Training a finished network a little further on few images, without forgetting what it knows.

Small steps, kept statistics of the batch norms, and a part of the images that says when to stop:
of all states on the way the one that answers best about them is kept, the first one included.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

import numpy as np
import torch

from models.api import ModelError
from models.networks.loupe import Loupe
from models.training import rounds
from models.training.conversations import Talk
from models.training.data import LabelledImage
from models.training.loop import Trainer, ask, encode
from models.training.scenes import Scene, plain_scene
from models.training.settings import Settings
from models.weight_files import Cancelled, Flag, never

Parts = Literal["decoder", "decoder+last"]
"""What is trained: the decoder, or also the encoder's last stages and its pyramid."""
LAST = ("stages.3.", "stages.4.", "context.", "laterals.", "smooth.", "fine.")
"""Beginnings of the names of the encoder's last parameters."""
SETTINGS = Settings(
    steps=300,
    decay=150,
    rate=3e-4,
    warm_up=20,
    images=4,
    average=0.98,
    paste_share=0.15,
)
"""Few steps, a fifth of the rate that a network is trained with from the beginning."""
CHECKS = 12
"""How often, at most, the watched images are asked about."""
PATIENCE = 4
"""Checks without a better answer after which it is over."""
WATCHED_SIDE = 512
"""Pixels of the watched images."""
WATCHED_OBJECTS = 12
"""Questions about each of them; small numbers of objects are asked about several times."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far the training is.

    Attributes:
        done: steps.
        total: steps at most.
        loss: of this step.
        watched: mean IoU on the watched images at the last check.
    """

    done: int
    total: int
    loss: float
    watched: float


@dataclass(frozen=True, slots=True, eq=False)
class FineTuned:
    """What came out.

    Attributes:
        network: the best state, ready to answer.
        step: when it was reached; 0 when nothing was better than the beginning.
        curve: step and mean IoU on the watched images, for every check.
    """

    network: Loupe
    step: int
    curve: tuple[tuple[int, float], ...]


def fine_tune(
    network: Loupe,
    images: Sequence[LabelledImage],
    watched: Sequence[LabelledImage],
    settings: Settings = SETTINGS,
    parts: Parts = "decoder",
    device: str = "cpu",
    told: Callable[[Step], None] = lambda step: None,
    stopped: Flag = never,
) -> FineTuned:
    """Train a copy of a network further.

    Args:
        network: where it begins; it stays as it is.
        images: what to learn from.
        watched: what says when to stop; nothing is learned from them.
        settings: how; `steps` at most.
        parts: what may change.
        device: "cpu" or "cuda".
        told: called after every step.
        stopped: asked after every step; True ends it.

    Raises:
        ModelError: the loss is not a number, or an image cannot be read.
        Cancelled: stopped.
    """
    trained = _copy(network)
    choose_parts(trained, parts)
    trainer = Trainer(trained, settings, device, frozen_norms=True)
    scenes = [plain_scene(image, WATCHED_SIDE, WATCHED_OBJECTS) for image in watched]
    scenes = [scene for scene in scenes if len(scene.masks)]
    if not scenes:
        raise ModelError("The objects set aside are too small: nothing would say when to stop.")
    every = max(1, -(-settings.steps // CHECKS))
    best = value = watched_iou(trainer.averaged, scenes, device)
    found, reached, curve = _copy(network), 0, [(0, value)]
    with contextlib.closing(trainer.run(images)) as steps:
        for step in steps:
            if stopped():
                raise Cancelled("Stopped.")
            if step.step % every == 0 or step.step == settings.steps:
                value = watched_iou(trainer.averaged, scenes, device)
                curve.append((step.step, value))
                if value > best:
                    best, reached, found = value, step.step, _copy(trainer.averaged)
            told(Step(step.step, settings.steps, step.loss, value))
            if step.step - reached >= PATIENCE * every:
                break
    return FineTuned(found.eval(), reached, tuple(curve))


def choose_parts(network: Loupe, parts: Parts) -> None:
    """Only these parameters are trained from now on."""
    for name, parameter in network.named_parameters():
        inside = name.startswith("decoder.")
        last = parts == "decoder+last" and name.removeprefix("encoder.").startswith(LAST)
        parameter.requires_grad_(inside or last)


@torch.no_grad()
def watched_iou(network: Loupe, scenes: Sequence[Scene], device: str) -> float:
    """Mean IoU over all turns of one fixed conversation about every scene."""
    network.eval()
    passes = SETTINGS.passes
    found = []
    for number, scene in enumerate(scenes):
        rng = np.random.default_rng(number)
        images = scene.image[None]
        talk = Talk(images, rounds.begin(rng, [scene], WATCHED_OBJECTS), rng)
        atlases = encode(network, images, device)
        for turn_number in range(passes):
            turn = talk.turn()
            answers = ask(network, atlases, turn, device)
            found.append(answers.mean_iou())
            if turn_number + 1 < passes:
                shape = (*turn.real.shape, *answers.logits.shape[1:])
                talk.answer(answers.logits.cpu().numpy().reshape(shape))
    return fmean(found)


def with_steps(settings: Settings, steps: int) -> Settings:
    """The same in another number of steps, half of them with a falling rate."""
    return replace(settings, steps=steps, decay=max(steps // 2, 1), warm_up=min(20, steps))


def _copy(network: Loupe) -> Loupe:
    copy = Loupe(network.config)
    copy.load_state_dict(network.state_dict())
    return copy
