"""Questions about the objects of a scene, one turn after the other, made beforehand by a thread."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.api import ModelError
from models.training import rounds
from models.training.data import Image
from models.training.rounds import Floats
from models.training.sampling import Sampler
from models.training.settings import Settings

AHEAD = 4
"""Steps made before they are wanted."""


class Turn(NamedTuple):
    """K questions about each of B scenes, and what is right.

    The first seven are those of `models.networks.loupe.Questions`.

    Attributes:
        targets: (B, K, 2 G, 2 G) the truth in the windows, 0 to 1.
        weights: (B, K) how much the mask is worth learning.
        real: (B, K) 1, or 0 for what only fills up the batch.
        areas: (B, K) pixels of the whole object.
    """

    windows: Floats
    places: Floats
    points: Floats
    boxes: Floats
    previous: Floats
    has_previous: Floats
    sizes: Floats
    targets: Floats
    weights: Floats
    real: Floats
    areas: Floats


class Conversation(Protocol):
    """One part of a step."""

    @property
    def images(self) -> Image:
        """(B, S, S, 3) uint8 RGB."""

    def turn(self) -> Turn:
        """The open questions.

        Raises:
            ModelError: they could not be made.
        """

    def answer(self, logits: Floats) -> None:
        """Go on from the answers (B, K, 2 G, 2 G) to the next questions."""


@dataclass(frozen=True, slots=True, eq=False)
class Talk:
    """A conversation in this process."""

    images: Image
    asked: rounds.Rounds
    rng: np.random.Generator

    def turn(self) -> Turn:
        """See `Conversation`."""
        asked = self.asked
        return Turn(
            asked.windows,
            asked.places,
            asked.points,
            asked.boxes,
            asked.previous,
            asked.has_previous,
            asked.sizes,
            asked.targets(),
            asked.weights(),
            asked.real.astype(np.float32),
            asked.truths.sum((2, 3), dtype=np.float32),
        )

    def answer(self, logits: NDArray[np.float32]) -> None:
        """See `Conversation`."""
        rounds.follow_up(self.rng, self.asked, logits)


Steps = Generator[list[Conversation], None, None]
"""The conversations of one step after the other."""


def begin_all(sampler: Sampler, settings: Settings, step: int) -> list[Conversation]:
    """The conversations of one step."""
    return [Talk(*sampler.begin(step, part)) for part in range(settings.parts)]


def from_thread(sampler: Sampler, settings: Settings, first: int) -> Steps:
    """Steps from `first` on, made beforehand by a thread.

    Raises:
        ModelError: an image cannot be read, or the memory does not suffice.
    """
    ready: queue.Queue[list[Conversation] | ModelError] = queue.Queue(maxsize=AHEAD)
    stop = threading.Event()

    def put(item: list[Conversation] | ModelError) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.2)
                return

    def work() -> None:
        try:
            for step in range(first, settings.steps):
                if stop.is_set():
                    return
                put(begin_all(sampler, settings, step))
        except ModelError as error:
            put(error)
        except MemoryError:
            put(too_little_memory())

    thread = threading.Thread(target=work, name="scenes", daemon=True)
    thread.start()
    try:
        for _ in range(first, settings.steps):
            item = ready.get()
            if isinstance(item, ModelError):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def too_little_memory() -> ModelError:
    """What a person can do about it."""
    return ModelError(
        "The memory does not suffice for the scenes. Use fewer --images, a smaller --side, or "
        "fewer --workers."
    )
