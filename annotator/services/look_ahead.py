"""`LookAhead`: embeddings made beforehand, on a thread that gives way to all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from annotator.core.errors import UserError
from annotator.services.embeddings import Embeddings, ImageFile
from annotator.services.priority import lower_priority
from annotator.services.task_queue import CLOSING_S, TaskQueue
from models.api import Embedding, ModelError, Segmenter
from models.encoding import watched
from models.registry import segmenter_spec

if TYPE_CHECKING:
    from models.runtimes import Device


class LookAhead(QObject):
    """Encodes with a segmenter of its own, so that a click never waits for it.

    The segmenter is loaded by the thread with low priority: threads it starts for itself inherit
    that. The thread starts with the first work.

    Args:
        embeddings: where the results go.
        parent: Qt parent.
    """

    def __init__(self, embeddings: Embeddings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._embeddings = embeddings
        self._queue: TaskQueue | None = None
        self._closed = False
        self._part: object = None
        self._segmenter: Segmenter | None = None
        self._loaded_on: Device = "auto"
        self.device: Device = "auto"
        """What models may run on."""

    def start(self, model_id: str, neighbours: Sequence[Path]) -> None:
        """Make the embeddings of these images, in this order, one at a time."""
        if neighbours and not self._closed:
            self._started().stream(
                "neighbours",
                lambda: self._steps(model_id, tuple(neighbours)),
                lambda _: None,
                lambda: None,
                _fail,
            )

    def stop_neighbours(self) -> None:
        """Forget the images that wait; what is being encoded now is finished and kept."""
        if self._queue is not None:
            self._queue.cancel("neighbours")

    def stop(self) -> None:
        """Forget everything that waits."""
        self.stop_neighbours()
        self._part = None
        if self._queue is not None:
            self._queue.cancel("part")

    def make(
        self,
        model_id: str,
        file: ImageFile,
        encode: Callable[[Segmenter], Embedding],
        part: str,
        done: Callable[[], None],
    ) -> None:
        """Make the embedding of a part of an image before that of neighbours; the newest wins.

        A slow model stops at its next step when another part is wanted.
        """
        if not self._closed:
            self._part = one = object()

            def work() -> None:
                with watched(lambda _: None, lambda: self._part is not one):
                    self._make(model_id, file, encode, part)

            self._started().submit("part", work, lambda _: done(), _fail)

    def embed(
        self,
        model_id: str,
        file: ImageFile,
        encode: Callable[[Segmenter], Embedding],
        done: Callable[[], None],
        slot: str,
    ) -> None:
        """Make the embedding of an image somebody works through, then call `done`.

        The newest of a slot wins. Neither `stop` nor another current image ends that. `done` is
        called, too, when the model fails: whoever asks it next tells why.
        """

        def failed(error: Exception) -> None:
            _fail(error)
            done()

        if not self._closed:
            self._started().submit(
                slot, lambda: self._make(model_id, file, encode, ""), lambda _: done(), failed
            )

    def close(self) -> None:
        """End the thread, or leave it alone with what it encodes; later work is ignored."""
        self._closed, self._part = True, None
        if self._queue is not None:
            self._queue.close(patience=CLOSING_S)
            self._queue = None

    def _started(self) -> TaskQueue:
        if self._queue is None:
            self._queue = TaskQueue("models ahead", self)
        return self._queue

    # The rest runs on the thread.

    def _load(self, model_id: str) -> Segmenter:
        from models.runtimes import using

        device, segmenter = self.device, self._segmenter
        if segmenter is None or segmenter.spec.id != model_id or device != self._loaded_on:
            lower_priority()
            self._segmenter = None  # two at a time may be too much for the memory
            with using(device):
                self._segmenter = segmenter = segmenter_spec(model_id).load()
            self._loaded_on = device
        return segmenter

    def _make(
        self, model_id: str, file: ImageFile, encode: Callable[[Segmenter], Embedding], part: str
    ) -> None:
        segmenter = self._load(model_id)
        self._embeddings.obtain(file, segmenter, lambda: encode(segmenter), part)

    def _steps(self, model_id: str, paths: Sequence[Path]) -> Iterator[None]:
        """One embedding at most each; reading and encoding are steps of their own."""
        from annotator.core import images

        segmenter = self._load(model_id)
        for path in paths:
            yield
            try:
                if self._embeddings.find(ImageFile.now(path), segmenter) is not None:
                    continue
                image = images.load("", path)
            except (OSError, UserError):
                continue  # told when a person opens it
            yield
            file = ImageFile(path, *image.stamp)
            self._embeddings.obtain(file, segmenter, partial(segmenter.encode, image.pixels))


def _fail(error: Exception) -> None:
    # What a model cannot do is told when a person asks for it.
    if not isinstance(error, ModelError):
        raise error
