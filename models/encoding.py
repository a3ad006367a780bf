"""Encoders that take long say how far they are, and can be stopped between two steps.

A model calls `passed` after each of its steps; whoever waits for it watches. Without a watcher,
and in models that never call it, nothing happens. What an encoder made is refused here when it is
not numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from models.api import Embedding, ModelError, Segmenter


@dataclass(frozen=True, slots=True)
class Passed:
    """How far an encoder is.

    Attributes:
        part: of the network, which it has just run, for people.
        share: of all its work, 0 to 1.
    """

    part: str
    share: float


class EncodingStoppedError(ModelError):
    """Nobody wants the embedding any more."""


_WATCH: ContextVar[tuple[Callable[[Passed], None], Callable[[], bool]]] = ContextVar(
    "encoding", default=(lambda _: None, lambda: False)
)


@contextlib.contextmanager
def watched(report: Callable[[Passed], None], stopped: Callable[[], bool]) -> Iterator[None]:
    """Watch what is encoded inside, on this thread.

    Args:
        report: called after every step.
        stopped: asked after every step; True ends the work with `EncodingStoppedError`.
    """
    token = _WATCH.set((report, stopped))
    try:
        yield
    finally:
        _WATCH.reset(token)


def passed(part: str, share: float) -> None:
    """Say how far the encoder on this thread is.

    Raises:
        EncodingStoppedError: see `watched`.
    """
    report, stopped = _WATCH.get()
    report(Passed(part, share))
    if stopped():
        raise EncodingStoppedError("Encoding the image was stopped.")


def check(embedding: Embedding, segmenter: Segmenter) -> None:
    """Refuse an embedding with values that are not numbers.

    Raises:
        ModelError: it has some.
    """
    import numpy as np

    for array in embedding.arrays.values():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelError(
                f"“{segmenter.spec.title}” made values that are not numbers of this image. "
                "Its weights may be damaged: check them, or choose another model."
            )
