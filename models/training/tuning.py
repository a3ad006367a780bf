"""Adapting a trained Loupe to few images of one kind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np
import torch

from models.adapted import STEPS, Parts
from models.api import ModelError
from models.networks.loupe import Loupe
from models.training import rounds
from models.training.conversations import Talk
from models.training.data import LabelledImage
from models.training.loop import Trainer, ask, encode
from models.training.scenes import plain_scene
from models.training.settings import Settings

KEPT_STAGES = 3
"""Of the encoder; edges and textures are the same everywhere."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How to adapt a network.

    Attributes:
        settings: of the training; `steps` is the most there will be.
        trained: the parts that change.
        check_every: steps between two looks at what is held out.
        patience: how many looks in a row may bring nothing better before it ends.
        held_side: pixels of the whole images that are held out.
    """

    settings: Settings = field(
        default_factory=lambda: Settings(
            steps=STEPS,
            decay=STEPS // 2,
            rate=3e-4,
            warm_up=20,
            images=4,
            paste_share=0.2,
            average=0.98,
        )
    )
    trained: Parts = "decoder"
    check_every: int = 25
    patience: int = 4
    held_side: int = 512


@dataclass(frozen=True, slots=True)
class Checked:
    """A look at what is held out: mean IoU after the first question and each later one."""

    step: int
    steps: int
    ious: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over all questions."""
        return fmean(self.ious)


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What came of it.

    Attributes:
        network: the best one, in evaluation mode; the original when nothing was better.
        before: what the original does on what is held out.
        after: what `network` does.
        stopped: somebody ended it before its time.
    """

    network: Loupe
    before: Checked
    after: Checked
    stopped: bool = False

    @property
    def helped(self) -> bool:
        """Whether the network is better than the original."""
        return self.after.mean > self.before.mean


def fine_tune(
    network: Loupe,
    images: Sequence[LabelledImage],
    held: Sequence[LabelledImage],
    tuning: Tuning = Tuning(),
    *,
    device: str = "cpu",
    told: Callable[[Checked], None] = lambda checked: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Tuned:
    """Train a copy of a network on few images, as long as it gets better on others.

    The statistics of batch norms stay those of the original: few images would spoil them.

    Args:
        network: stays as it is.
        images: what is learnt from.
        held: what is measured on.
        tuning: how.
        device: "cpu" or "cuda".
        told: called after every look at what is held out.
        stopped: asked after every step; True ends it, and the best so far counts.

    Raises:
        ModelError: a part of the data is empty or cannot be read, or the loss is no number.
    """
    if not any(image.masks for image in held):
        raise ModelError("Nothing is held out to see whether it helps. Label more images.")
    settings = tuning.settings
    trainer = Trainer(_copy(network, tuning.trained), settings, device, frozen_norms=True)

    def look() -> Checked:
        at_side = replace(settings, side=tuning.held_side)
        ious = held_ious(trainer.averaged, held, at_side, device)
        checked = Checked(trainer.step, settings.steps, ious)
        told(checked)
        return checked

    before = best = look()
    state = copy.deepcopy(trainer.averaged.state_dict())
    ended = False
    with closing(trainer.run(images)) as steps:
        for done in steps:
            ended = stopped()
            if ended:
                break
            if done.step % tuning.check_every and done.step < settings.steps:
                continue
            checked = look()
            if checked.mean > best.mean:
                best, state = checked, copy.deepcopy(trainer.averaged.state_dict())
            elif checked.step - best.step >= tuning.patience * tuning.check_every:
                break
    tuned = Loupe(network.config)
    tuned.load_state_dict({name: value.cpu() for name, value in state.items()})
    return Tuned(tuned.eval(), before, best, ended)


def held_ious(
    network: Loupe, images: Sequence[LabelledImage], settings: Settings, device: str = "cpu"
) -> tuple[float, ...]:
    """Mean IoU after every question about the objects of whole images; the same every time.

    Raises:
        ModelError: an image cannot be read, or no object is large enough to be asked for.
    """
    network.eval()
    measured, real = np.zeros(settings.passes), 0.0
    for talk in _talks(images, settings):
        with torch.inference_mode():
            atlases = encode(network, talk.images, device)
            for number in range(settings.passes):
                turn = talk.turn()
                found = ask(network, atlases, turn, device)
                measured[number] += float((found.ious * found.real).sum())
                if number + 1 < settings.passes:
                    shape = (*turn.real.shape, *found.logits.shape[1:])
                    talk.answer(found.logits.cpu().numpy().reshape(shape))
        real += float(turn.real.sum())
    if not real:
        raise ModelError("No object that is held out is large enough to be measured.")
    return tuple(float(value) / real for value in measured)


def _talks(images: Sequence[LabelledImage], settings: Settings) -> Iterator[Talk]:
    for number, image in enumerate(images):
        scene = plain_scene(image, settings.side, settings.objects)
        # One question for each object, in the same words every time.
        count = len(scene.masks)
        if count:
            rng = np.random.default_rng([settings.seed, number])
            yield Talk(scene.image[None], rounds.begin(rng, [scene], count), rng)


def _copy(network: Loupe, trained: Parts) -> Loupe:
    """A copy of which only some parts are trained."""
    made = Loupe(network.config)
    made.load_state_dict(network.state_dict())
    made.requires_grad_(False)
    made.decoder.requires_grad_(True)
    if trained != "decoder":
        made.encoder.requires_grad_(True)
        made.encoder.stages[:KEPT_STAGES].requires_grad_(False)
    return made
