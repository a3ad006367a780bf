"""Conversations in other processes, for machines with many cores and a graphics processor.

Worker w of n holds every n-th conversation, from its scenes to its last turn, and always has one
more prepared. What it says depends on the answers alone, never on the number of workers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import cv2

from models.api import ModelError
from models.training.conversations import (
    Conversation,
    Steps,
    Talk,
    Turn,
    too_little_memory,
)
from models.training.data import Image, LabelledImage
from models.training.rounds import Floats
from models.training.sampling import Sampler
from models.training.settings import Settings


def from_processes(
    images: Sequence[LabelledImage], settings: Settings, first: int, workers: int
) -> Steps:
    """Steps from `first` on, made by other processes.

    Twice as many workers as there are parts in a step keep both sides busy; fewer workers than
    parts cannot be, as a worker holds one conversation at a time.

    Raises:
        ModelError: an image cannot be read, or a worker ended.
    """
    Sampler(images, settings)  # refuses what cannot be used before processes are started
    workers = max(workers, settings.parts)
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(workers)]
    processes = [
        context.Process(
            target=_work,
            args=(theirs, list(images), settings, first, number, workers),
            name=f"scenes-{number}",
            daemon=True,
        )
        for number, (_, theirs) in enumerate(pipes)
    ]
    try:
        for process, (_, theirs) in zip(processes, pipes, strict=True):
            process.start()
            # With this end closed here, the death of the worker is the end of the file.
            theirs.close()
        for step in range(first, settings.steps):
            begun: list[Conversation] = []
            for part in range(settings.parts):
                number = (step - first) * settings.parts + part
                begun.append(_Far(pipes[number % workers][0]))
            yield begun
    finally:
        for ours, _ in pipes:
            ours.close()
        for process in processes:
            if process.pid is not None:
                process.join(5)
                process.kill()
                process.join()


class _Far:
    """A conversation in another process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._images: Image | None = None

    @property
    def images(self) -> Image:
        """See `Conversation`."""
        if self._images is None:
            self._images = self._receive()
        return self._images

    def turn(self) -> Turn:
        """See `Conversation`."""
        return Turn(*self._receive())

    def answer(self, logits: Floats) -> None:
        """See `Conversation`."""
        with _ended_badly():
            self._pipe.send(logits)

    def _receive(self) -> Any:
        with _ended_badly():
            found = self._pipe.recv()
        if isinstance(found, str):
            raise ModelError(found)
        return found


@contextlib.contextmanager
def _ended_badly() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise ModelError(
            "A process that makes scenes ended unexpectedly; probably the memory does not "
            "suffice. Use fewer --workers."
        ) from error


def _work(
    pipe: Connection,
    images: list[LabelledImage],
    settings: Settings,
    first: int,
    number: int,
    workers: int,
) -> None:
    """Hold every `workers`-th conversation until all steps are done or nobody listens."""
    # Ctrl+C reaches the whole group; the trainer decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    # The trainer closed its end: it has enough, or died.
    with contextlib.suppress(EOFError, OSError):
        try:
            sampler = Sampler(images, settings)
            for index in range(number, (settings.steps - first) * settings.parts, workers):
                step, part = divmod(index, settings.parts)
                _hold(pipe, Talk(*sampler.begin(first + step, part)), settings.passes)
        except ModelError as error:
            pipe.send(str(error))
        except MemoryError:
            pipe.send(str(too_little_memory()))


def _hold(pipe: Connection, talk: Talk, passes: int) -> None:
    pipe.send(talk.images)
    pipe.send(tuple(talk.turn()))
    for _ in range(passes - 1):
        talk.answer(pipe.recv())
        pipe.send(tuple(talk.turn()))
