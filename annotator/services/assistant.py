"""Prompts become tasks on the model thread; answers nobody waits for any more are dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal, SignalInstance

from annotator.core.errors import UserError
from annotator.services.answering import (
    Answer,
    Answering,
    Demand,
    Finished,
    Hears,
    Picture,
    Question,
    not_read,
)
from annotator.services.embeddings import Embeddings
from annotator.services.look_ahead import LookAhead
from annotator.services.task_queue import TaskQueue
from models.api import Box, Embedding, MaskCandidate, ModelError, Prompt, Segmenter
from models.registry import segmenter_spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.mask import Mask
    from models.api import SegmenterSpec
    from models.crops import Crop
    from models.runtimes import Device

T = TypeVar("T")

LOOK_MS = 150
"""How long the view has to rest before the visible part is encoded by itself, milliseconds."""


class Assistant(QObject):
    """Runs one segmenter on a `TaskQueue`, and another instance of it beforehand on neighbours.

    What the model thread does stands in `annotator.services.answering`.

    Args:
        queue: the model thread.
        parent: Qt parent.
        embeddings: where embeddings are kept; by default in memory and in the user's cache folder.
    """

    answered = Signal(object)
    """An `Answer` to the newest `ask`."""
    previewed = Signal(object)
    """An `Answer` to the newest `preview`."""
    prepared = Signal(str)
    """The embedding of this image is in memory: prompts are answered at once."""
    failed = Signal(object)
    """A `UserError`: the model could not be loaded or could not answer."""
    loading_changed = Signal(object)
    """`Loading` while the model is being loaded, else None."""
    encoding_changed = Signal(object)
    """`Encoding` while a model that says so looks at an image, else None."""

    resolution_changed = Signal(str)
    """How much of the current image's detail the model sees: "whole image 1:3.9", "detail 1:1",
    or "" for a model that sees all there is."""
    device_changed = Signal(str, str)
    """Id of a model, and where it runs and why; sentences for people."""
    sharpened = Signal()
    """The visible part is encoded by itself now: the same prompt gets a more exact answer."""

    def __init__(
        self,
        queue: TaskQueue,
        parent: QObject | None = None,
        embeddings: Embeddings | None = None,
    ) -> None:
        super().__init__(parent)
        self._queue = queue
        self._demand = Demand()
        self._spec: SegmenterSpec | None = None
        self._devices: dict[str, str] = {}
        embeddings = embeddings or Embeddings()
        self._answering = Answering(
            self._demand,
            embeddings,
            Hears(
                loading=partial(self._post, self.loading_changed.emit),
                encoding=partial(self._post, self.encoding_changed.emit),
                device=partial(self._post, self._take_device),
            ),
        )
        self._ahead = LookAhead(embeddings, self)
        self._neighbours: tuple[Path, ...] = ()
        self._picture: Picture | None = None
        self._visible: Box | None = None
        self._crop: Crop | None = None
        self._wanted: Crop | None = None
        self._asked: tuple[Prompt, Crop | None] = (Prompt(), None)
        self._resolution = ""
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(LOOK_MS)
        self._rest.timeout.connect(self._choose_crop)

    @property
    def pending(self) -> int:
        """Accepted objects whose masks are still being made."""
        return self._demand.accepted

    @property
    def devices(self) -> Mapping[str, str]:
        """What `device_changed` said of every model that was loaded."""
        return self._devices

    def use(self, model_id: str, device: Device = "auto") -> bool:
        """Answer the next prompts with this model; it is loaded when first needed.

        Args:
            model_id: which one.
            device: what it may run on.

        Returns:
            Whether that is a change.

        Raises:
            ModelError: no such model.
        """
        spec = segmenter_spec(model_id)
        if (spec.id, device) == (self._demand.model_id, self._demand.device):
            return False
        self._demand.model_id, self._demand.device, self._spec = spec.id, device, spec
        self._ahead.device = device
        for slot in ("prepare", "ask", "preview", "looks"):
            self._queue.cancel(slot)
        self._ahead.stop()
        self._forget_crop()
        return True

    @property
    def model(self) -> SegmenterSpec:
        """The model in use; also when it was removed from this computer meanwhile."""
        return self._spec or segmenter_spec(self._demand.model_id)

    def expect(self, key: str, path: Path) -> None:
        """This image is being opened: look for its embedding before there are pixels."""
        again = self._picture is not None and self._picture.file.path == path
        visible = self._visible if again else None
        self.leave()
        self._visible = visible
        model_id = self._demand.model_id

        def done(found: bool) -> None:
            if found:
                self.prepared.emit(key)

        self._queue.submit(
            "prepare", lambda: self._answering.find_early(path, model_id), done, self._fail
        )

    def look_ahead(self, neighbours: Sequence[Path]) -> None:
        """Encode these images in this order in the background, after the current one.

        Replaces what was still waiting. Only for models whose embeddings are worth it.
        """
        self._neighbours = tuple(neighbours)
        self._ahead.stop_neighbours()
        self._start_ahead()

    def leave(self) -> None:
        """There is no current image any more: nothing is made beforehand for it.

        A slow model that is looking at it stops at its next step, unless an accepted object waits.
        """
        self._demand.visit += 1
        self._queue.cancel("prepare")
        self._ahead.stop()
        self._neighbours = ()
        self._picture = self._visible = None
        self._forget_crop()

    def warm_up(self) -> None:
        """Load the model while the first image is still being read."""
        model_id = self._demand.model_id
        # What goes wrong is told when something is asked.
        self._queue.submit(
            "warm up", lambda: self._answering.load(model_id), _nothing, _raise_if_bug
        )

    def prepare(self, picture: Picture) -> None:
        """Compute the embedding of an image before the first click; of a preview, look for it."""
        model_id, visit = self._demand.model_id, self._demand.visit

        def done(found: bool) -> None:
            if found:
                self.prepared.emit(picture.key)
            if picture.complete:
                self._look_around(picture)

        self._queue.submit(
            "prepare",
            lambda: self._answering.embedding(picture, model_id, visit) is not None,
            done,
            # What goes wrong with a preview goes wrong with the complete image, too.
            self._fail if picture.complete else _raise_if_bug,
        )

    def ask(self, picture: Picture, prompt: Prompt) -> None:
        """Emit `answered` for this prompt; a question still waiting is replaced.

        There is no answer for a preview whose embedding was not made before.
        """
        question = self._question(picture, prompt, self._demand.visit)
        self._asked = prompt, question.crop
        self._queue.cancel("preview")
        self._queue.cancel("looks")
        self._queue.submit(
            "ask",
            lambda: self._answering.answer(question),
            partial(_tell, self.answered),
            self._fail,
        )

    def begin(self, picture: Picture, prompt: Prompt) -> None:
        """Start on what will probably be asked in a moment: then its answer is there sooner."""
        question = self._question(picture, prompt)
        # The model's thread keeps its last answer.
        self._queue.submit(
            "preview", lambda: self._answering.answer(question), _nothing, _raise_if_bug
        )

    def preview(self, picture: Picture, prompt: Prompt) -> None:
        """Emit `previewed` for this prompt, unless a newer preview or question comes first."""
        question = self._question(picture, prompt)
        self._queue.submit(
            "preview",
            lambda: self._answering.answer(question),
            partial(_tell, self.previewed),
            self._fail,
        )

    @property
    def resolution(self) -> str:
        """What `resolution_changed` said last."""
        return self._resolution

    def look_at(self, visible: Box) -> None:
        """The user sees this part of the current image (image pixels)."""
        self._visible = visible
        if self._picture is not None and self.model.input_size is not None:
            self._rest.start()

    def close(self) -> None:
        """End the thread that works beforehand."""
        self._demand.closed = True
        self._rest.stop()
        self._ahead.close()

    def _look_around(self, picture: Picture) -> None:
        """The current image is prepared: now for what is visible of it, then its neighbours."""
        self._picture = picture
        self._choose_crop()
        self._start_ahead()

    def _start_ahead(self) -> None:
        if self._picture is not None and self.model.cache_on_disk:
            self._ahead.start(self._demand.model_id, self._neighbours)

    def _choose_crop(self) -> None:
        picture, size = self._picture, self.model.input_size
        if picture is None:
            return
        if size is None:
            self._set_resolution("")
            return
        from models import crops

        height, width = picture.pixels.shape[:2]
        crop = None
        if self._visible is not None:
            crop = crops.choose(self._visible, width, height, size, self._wanted)
        if crop != self._wanted:
            self._wanted = crop
            seen = self._visible.clipped(width, height) if self._visible is not None else None
            if crop is None or seen is None or (self._crop and not self._crop.holds(seen)):
                self._crop = None
            if crop is not None:
                self._make_crop(picture, crop)
        self._set_resolution(crops.resolution(width, height, size, self._crop))

    def _make_crop(self, picture: Picture, crop: Crop) -> None:
        model_id, pixels = self._demand.model_id, picture.pixels

        def done() -> None:
            if (
                self._wanted == crop
                and self._picture is picture
                and self._demand.model_id == model_id
            ):
                self._crop = crop
                self._choose_crop()
                self.sharpened.emit()

        self._ahead.make(
            model_id, picture.file, lambda model: model.encode(crop.cut(pixels)), crop.name, done
        )

    def _question(self, picture: Picture, prompt: Prompt, visit: int | None = None) -> Question:
        crop = self._crop_for(picture, prompt)
        return Question(picture, prompt, self._demand.model_id, crop, visit)

    def _crop_for(self, picture: Picture, prompt: Prompt) -> Crop | None:
        """The crop that answers; while a prompt grows, the one it began with."""
        if self._picture is None or picture.file != self._picture.file:
            return None
        before, crop = self._asked
        if crop is not None and crop.answers(prompt) and _continues(prompt, before):
            return crop
        crop = self._crop
        return crop if crop is not None and crop.answers(prompt) else None

    def _forget_crop(self) -> None:
        self._rest.stop()
        self._crop = self._wanted = None
        self._asked = (Prompt(), None)
        self._set_resolution("")

    def _set_resolution(self, resolution: str) -> None:
        if resolution != self._resolution:
            self._resolution = resolution
            self.resolution_changed.emit(resolution)

    def forget_questions(self) -> None:
        """Nobody waits for `answered` and `previewed` any more."""
        self._asked = (Prompt(), None)
        self._queue.cancel("ask")
        self._queue.cancel("preview")
        self._queue.cancel("looks")

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
        self._demand.accepted += 1
        question = self._question(picture, prompt)

        def finished(result: Finished | UserError) -> None:
            self._demand.accepted -= 1
            done(result)

        def failed(error: Exception) -> None:
            self._demand.accepted -= 1
            done(_explained(error))
            _raise_if_bug(error)

        self._queue.submit(
            f"finish {id(finished)}",
            lambda: self._answering.finish(question, choice, known),
            finished,
            failed,
        )

    def describe_candidate(
        self,
        picture: Picture,
        candidate: MaskCandidate,
        done: Callable[[NDArray[np.float32] | None], None],
    ) -> None:
        """Hand what the candidate shown looks like, a unit vector (d,), to `done`.

        Not part of the answer: the mask is on the screen while this is computed. The newest wins.
        """
        model_id = self._demand.model_id
        self._queue.submit(
            "looks",
            lambda: self._answering.describe_candidate(picture, candidate, model_id),
            done,
            self._fail,
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
            lambda: self._answering.describe_mask(picture, mask),
            done,
            self._fail,
        )

    def work_through(
        self,
        slot: str,
        picture: Picture,
        work: Callable[[Segmenter, Embedding], Iterator[T]],
        step: Callable[[T], None],
        done: Callable[[], None],
        failed: Callable[[UserError], None],
    ) -> None:
        """Advance an iterator on the model thread whenever nothing else waits there.

        Questions wait for at most one of its steps. What is under way for the slot is stopped.

        Args:
            slot: names it.
            picture: what the embedding is of.
            work: makes the iterator, on the model thread.
            step: called with every item.
            done: called after the last one.
            failed: called with the reason why there are no more items.
        """
        model_id = self._demand.model_id

        def start() -> Iterator[T]:
            embedding = self._answering.embedding(picture, model_id)
            if embedding is None:
                raise not_read()
            return work(self._answering.load(model_id), embedding)

        def fail(error: Exception) -> None:
            failed(_explained(error))
            _raise_if_bug(error)

        self._queue.stream(slot, start, step, done, fail)

    def encode_ahead(self, picture: Picture, done: Callable[[], None], slot: str) -> None:
        """Make the embedding of an image where nobody waits for it, then call `done`.

        For those who `work_through` images that are not open; the newest picture of a slot wins.
        """
        pixels = picture.pixels
        self._ahead.embed(
            self._demand.model_id,
            picture.file,
            lambda segmenter: segmenter.encode(pixels),
            done,
            slot,
        )

    def stop_work(self, slot: str) -> None:
        """Stop the iterator of a slot; nobody hears of it any more."""
        self._queue.cancel(slot)

    def _post(self, slot: Callable[..., None], *what: object) -> None:
        """From the model thread to this object's."""
        self._queue.tell(partial(slot, *what))

    def _take_device(self, model_id: str, text: str) -> None:
        self._devices[model_id] = text
        self.device_changed.emit(model_id, text)

    def _fail(self, error: Exception) -> None:
        from models.encoding import EncodingStoppedError

        if isinstance(error, EncodingStoppedError):
            return  # the image was left
        self.failed.emit(_explained(error))
        _raise_if_bug(error)


def _nothing(_: object) -> None:
    """Nobody waits for it."""


def _tell(signal: SignalInstance, answer: Answer | None) -> None:
    if answer is not None:
        signal.emit(answer)


def _continues(prompt: Prompt, before: Prompt) -> bool:
    """Whether a prompt is an earlier one with more or fewer marks."""
    if before.points and prompt.points:
        return prompt.points[0] == before.points[0]
    return before.box is not None and prompt.box == before.box


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
