"""Prompts become tasks on the model thread; answers nobody waits for any more are dropped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services.task_queue import TaskQueue
from models.api import Describer, Embedding, MaskCandidate, ModelError, Prompt, Segmenter
from models.registry import segmenter_spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.mask import Mask
    from models.api import SegmenterSpec

EMBEDDING_BYTES = 96 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The complete image a prompt refers to.

    Attributes:
        key: the image's key in the project.
        identity: names these very pixels; another file, or the same file read again, has another.
        pixels: (H, W, 3) uint8 RGB, upright.
    """

    key: str
    identity: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the model thread found for one prompt.

    Attributes:
        key: the image.
        prompt: the prompt as it was asked.
        candidates: best first.
        vectors: one description per candidate, for names; unit vectors (d,) float32.
    """

    key: str
    prompt: Prompt
    candidates: tuple[MaskCandidate, ...]
    vectors: tuple[NDArray[np.float32] | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """One object ready to be kept: exact mask, who made it, how it looks."""

    key: str
    mask: Mask
    score: float
    model: SegmenterSpec
    vector: NDArray[np.float32] | None


class Assistant(QObject):
    """Runs one segmenter on a `TaskQueue`.

    The segmenter, the describer and the embedding cache are touched by the model thread only.

    Args:
        queue: the model thread.
        parent: Qt parent.
    """

    answered = Signal(object)
    """An `Answer` to the newest `ask`."""
    previewed = Signal(object)
    """An `Answer` to the newest `preview`."""
    prepared = Signal(str)
    """The embedding of this image is in memory: prompts are answered at once."""
    failed = Signal(object)
    """A `UserError`: the model could not be loaded or could not answer."""

    def __init__(self, queue: TaskQueue, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._model_id = ""
        self._segmenter: Segmenter | None = None
        self._describer: Describer | None = None
        self._embeddings: OrderedDict[tuple[str, str], Embedding] = OrderedDict()
        self._commits = 0

    @property
    def pending(self) -> int:
        """Accepted objects whose masks are still being made."""
        return self._commits

    def use(self, model_id: str) -> None:
        """Answer the next prompts with this model; it is loaded when first needed.

        Raises:
            ModelError: no such model.
        """
        spec = segmenter_spec(model_id)
        self._model_id = spec.id

    @property
    def model(self) -> SegmenterSpec:
        """The model in use."""
        return segmenter_spec(self._model_id)

    def prepare(self, picture: Picture) -> None:
        """Compute the embedding of an image before the first click."""
        model_id = self._model_id
        self._queue.submit(
            "prepare",
            lambda: self._embedding(picture, model_id),
            lambda _: self.prepared.emit(picture.key),
            self._fail,
        )

    def ask(self, picture: Picture, prompt: Prompt) -> None:
        """Emit `answered` for this prompt; a question still waiting is replaced."""
        model_id = self._model_id
        self._queue.cancel("preview")
        self._queue.submit(
            "ask", lambda: self._answer(picture, prompt, model_id), self.answered.emit, self._fail
        )

    def preview(self, picture: Picture, prompt: Prompt) -> None:
        """Emit `previewed` for this prompt, unless a newer preview or question comes first."""
        model_id = self._model_id
        self._queue.submit(
            "preview",
            lambda: self._answer(picture, prompt, model_id, describe=False),
            self.previewed.emit,
            self._fail,
        )

    def forget_questions(self) -> None:
        """Nobody waits for `answered` and `previewed` any more."""
        self._queue.cancel("ask")
        self._queue.cancel("preview")

    def finish(
        self,
        picture: Picture,
        prompt: Prompt,
        choice: int,
        known: tuple[MaskCandidate, ...],
        done: Callable[[Finished | UserError], None],
    ) -> None:
        """Make the full-size mask of candidate `choice` and hand it to `done`.

        Every call is carried out, however many wait: an accepted object is never dropped. `known`
        are the prompt's candidates if they have arrived already. `done` gets the reason when there
        is no mask.
        """
        self._commits += 1
        model_id = self._model_id

        def finished(result: Finished | UserError) -> None:
            self._commits -= 1
            done(result)

        def failed(error: Exception) -> None:
            self._commits -= 1
            done(_explained(error))
            _raise_if_bug(error)

        self._queue.submit(
            f"finish {id(finished)}",
            lambda: self._finish(picture, prompt, choice, known, model_id),
            finished,
            failed,
        )

    def describe(
        self,
        picture: Picture,
        mask: Mask,
        done: Callable[[NDArray[np.float32] | None], None],
    ) -> None:
        """Hand the description of an object drawn by hand to `done`."""
        self._queue.submit(
            f"describe {id(done)}",
            lambda: self._describe_mask(picture, mask),
            done,
            self._fail,
        )

    # The rest runs on the model thread.

    def _load(self, model_id: str) -> Segmenter:
        if self._segmenter is None or self._segmenter.spec.id != model_id:
            self._segmenter = segmenter_spec(model_id).load()
        return self._segmenter

    def _load_describer(self) -> Describer:
        if self._describer is None:
            from models.describe import BasicDescriber

            self._describer = BasicDescriber()
        return self._describer

    def _embedding(self, picture: Picture, model_id: str) -> Embedding:
        name = (picture.identity, model_id)
        known = self._embeddings.get(name)
        if known is None:
            known = self._load(model_id).encode(picture.pixels)
            self._embeddings[name] = known
        self._embeddings.move_to_end(name)
        while (
            len(self._embeddings) > 1
            and sum(entry.nbytes for entry in self._embeddings.values()) > EMBEDDING_BYTES
        ):
            self._embeddings.popitem(last=False)
        return known

    def _answer(
        self, picture: Picture, prompt: Prompt, model_id: str, *, describe: bool = True
    ) -> Answer:
        candidates = self._candidates(picture, prompt, model_id)
        vectors = tuple(
            self._describe_candidate(picture, candidate) if describe else None
            for candidate in candidates
        )
        return Answer(picture.key, prompt, candidates, vectors)

    def _candidates(
        self, picture: Picture, prompt: Prompt, model_id: str
    ) -> tuple[MaskCandidate, ...]:
        embedding = self._embedding(picture, model_id)
        return self._load(model_id).decode(embedding, prompt)

    def _describe_candidate(
        self, picture: Picture, candidate: MaskCandidate
    ) -> NDArray[np.float32] | None:
        from annotator.core import views

        view = views.of_candidate(picture.pixels, candidate)
        return None if view is None else self._load_describer().describe(*view)

    def _describe_mask(self, picture: Picture, mask: Mask) -> NDArray[np.float32] | None:
        from annotator.core import views

        view = views.of_mask(picture.pixels, mask)
        return None if view is None else self._load_describer().describe(*view)

    def _finish(
        self,
        picture: Picture,
        prompt: Prompt,
        choice: int,
        known: tuple[MaskCandidate, ...],
        model_id: str,
    ) -> Finished:
        from annotator.core import raster

        candidates = known or self._candidates(picture, prompt, model_id)
        if not candidates:
            raise _nothing_found()
        candidate = candidates[min(choice, len(candidates) - 1)]
        segmenter = self._load(model_id)
        pixels = segmenter.render(self._embedding(picture, model_id), candidate)
        mask = raster.from_array(pixels)
        if not raster.area(mask):
            raise _nothing_found()
        vector = self._describe_mask(picture, mask)
        return Finished(picture.key, mask, candidate.score, segmenter.spec, vector)

    def _fail(self, error: Exception) -> None:
        self.failed.emit(_explained(error))
        _raise_if_bug(error)


def _nothing_found() -> UserError:
    return UserError("The model found nothing there.", "Add a point, or draw a box around it.")


def _explained(error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    if isinstance(error, ModelError):
        return UserError(str(error))
    return UserError(
        f"The model failed: {type(error).__name__}: {error}.",
        "Your prompt is kept. This is a bug; the details are in the log file.",
    )


def _raise_if_bug(error: Exception) -> None:
    if not isinstance(error, UserError | ModelError):
        raise error
