"""Many images: one is read, one encoded, one asked and one written at the same time.

Every stage has its own threads; OpenCV and the runtimes of models let go of the interpreter lock.
Few images are on their way at once, so memory stays bounded whatever the number of images.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.core.prelabel.proposing import Outcome, ProposalSource, complete, encode
from models.api import AbreastSegmenter, Embedding, ModelError, Segmenter
from models.encoding import watched

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage

Read = Callable[[str], "LoadedImage"]
"""See `annotator.core.prelabel.reading.reader`."""
MOST_READERS = 4
WAITING = 1
"""Finished images that wait in front of each stage."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An image nothing could be done with.

    Attributes:
        key: of the image.
        error: why.
    """

    key: str
    error: UserError | ModelError


def never() -> bool:
    """Nobody stops it."""
    return False


def outcomes(
    keys: Iterable[str],
    read: Read,
    segmenter: Segmenter,
    source: ProposalSource,
    stopped: Callable[[], bool] = never,
) -> Generator[Outcome | Failed, None, None]:
    """`annotator.core.prelabel.proposing.propose` for images in their order.

    Close the iterator to stop: what other stages are doing is finished and thrown away.

    Args:
        keys: of the images; taken as they are needed.
        read: reads an image, on several threads at once.
        segmenter: encodes on one thread, or some (`AbreastSegmenter`), and answers on another.
        source: what is asked; used by one thread.
        stopped: asked between the steps of a slow model: if nobody wants to wait for the image at
            hand, it has failed.
    """
    readers = max(1, min(MOST_READERS, (os.cpu_count() or 2) // 2))
    encoders = segmenter.abreast if isinstance(segmenter, AbreastSegmenter) else 1
    stages = _Stages(read, segmenter, source, (readers, encoders), stopped)
    waiting: deque[Future[Outcome]] = deque()
    # One image for each thread, and those that wait in front of the second and the third stage.
    ahead = readers + encoders + 1 + 2 * WAITING
    wait = True
    try:
        for key in keys:
            waiting.append(stages.start(key))
            if len(waiting) >= ahead:
                yield _ended(waiting.popleft())
        while waiting:
            yield _ended(waiting.popleft())
    except KeyboardInterrupt:
        # Somebody is impatient: the process ends without these threads.
        wait = False
        raise
    finally:
        stages.end(wait)


class _KeyedError(Exception):
    """Which image an error belongs to."""

    def __init__(self, key: str, error: UserError | ModelError) -> None:
        super().__init__(key)
        self.key, self.error = key, error


def _ended(future: Future[Outcome]) -> Outcome | Failed:
    try:
        return future.result()
    except _KeyedError as failure:
        return Failed(failure.key, failure.error)


class _Stages:
    """The threads. Each waits for the one before it, and all take images in the same order."""

    def __init__(
        self,
        read: Read,
        segmenter: Segmenter,
        source: ProposalSource,
        threads: tuple[int, int],
        stopped: Callable[[], bool],
    ) -> None:
        self._read = read
        self._segmenter = segmenter
        self._source = source
        self._stopped = stopped
        self._ended = threading.Event()
        self._pools = tuple(
            ThreadPoolExecutor(count, name)
            for count, name in zip((*threads, 1), ("reader", "encoder", "asker"), strict=True)
        )
        self._readers, self._encoder, self._asker = self._pools

    def end(self, wait: bool) -> None:
        """Drop what has not begun, and wait for what has, or not."""
        self._ended.set()
        for pool in self._pools:
            pool.shutdown(wait, cancel_futures=True)

    def start(self, key: str) -> Future[Outcome]:
        """Send an image on its way."""
        if not self._source.wants(key):
            done: Future[Outcome] = Future()
            done.set_result(Outcome(key))
            return done
        image = self._readers.submit(self._read, key)
        embedding = self._encoder.submit(self._encode, image)
        return self._asker.submit(self._ask, key, image, embedding)

    def _encode(self, image: Future[LoadedImage]) -> Embedding:
        picture = image.result()
        with watched(lambda _: None, lambda: self._ended.is_set() or self._stopped()):
            return encode(picture.pixels, self._segmenter, (picture.width, picture.height))

    def _ask(self, key: str, image: Future[LoadedImage], embedding: Future[Embedding]) -> Outcome:
        try:
            picture = image.result()
            found = complete(picture.pixels, key, self._segmenter, self._source, embedding.result())
        except (UserError, ModelError) as error:
            raise _KeyedError(key, error) from error
        return replace(found, orientation=picture.orientation)
