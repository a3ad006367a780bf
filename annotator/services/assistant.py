"""Prompts become tasks on the model thread; answers nobody waits for any more are dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal, SignalInstance

from annotator.core.errors import UserError
from annotator.services.embeddings import Embeddings, ImageFile
from annotator.services.last_answer import LastAnswer
from annotator.services.look_ahead import LookAhead
from annotator.services.task_queue import TaskQueue
from models.api import Box, Describer, Embedding, MaskCandidate, ModelError, Prompt, Segmenter
from models.registry import segmenter_spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.mask import Mask
    from models.api import SegmenterSpec
    from models.crops import Crop
    from models.refining import Refining
    from models.runtimes import Device

T = TypeVar("T")

LOOK_MS = 150
"""How long the view has to rest before the visible part is encoded by itself, milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The image a prompt refers to.

    Attributes:
        key: the image's key in the project.
        file: the bytes the pixels were read from.
        pixels: (H, W, 3) uint8 RGB, upright.
        complete: False: `pixels` is a smaller picture of the whole image. Prompts can be answered
            then if the embedding was made before.
    """

    key: str
    file: ImageFile
    pixels: NDArray[np.uint8]
    complete: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the model thread found for one prompt.

    Attributes:
        key: the image.
        prompt: the prompt as it was asked.
        candidates: best first.
    """

    key: str
    prompt: Prompt
    candidates: tuple[MaskCandidate, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """One object ready to be kept: exact mask, who made it, how it looks."""

    key: str
    mask: Mask
    score: float
    model: SegmenterSpec
    vector: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Loading:
    """A model is being loaded.

    Attributes:
        title: what it is called.
        first: its file is being prepared for this computer, once, which takes up to a minute;
            choosing another model stops that.
    """

    title: str
    first: bool = False


@dataclass(frozen=True, slots=True)
class Encoding:
    """A slow model is looking at an image.

    Attributes:
        title: what the model is called.
        part: what it has just finished.
        share: of its work, 0 to 1.
    """

    title: str
    part: str
    share: float


class Assistant(QObject):
    """Runs one segmenter on a `TaskQueue`, and another instance of it beforehand on neighbours.

    The segmenter and the describer are touched by the model thread only.

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
        self._model_id = ""
        self._spec: SegmenterSpec | None = None
        self._device: Device = "auto"
        self._segmenter: Segmenter | None = None
        self._loaded_on: Device = "auto"
        self._devices: dict[str, str] = {}
        self._told = ("", "")
        self._describer: Describer | None = None
        self._embeddings = embeddings or Embeddings()
        self._ahead = LookAhead(self._embeddings, self)
        self._neighbours: tuple[Path, ...] = ()
        self._commits = 0
        self._closed = False
        self._visit = 0
        self._picture: Picture | None = None
        self._visible: Box | None = None
        self._crop: Crop | None = None
        self._wanted: Crop | None = None
        self._asked: tuple[Prompt, Crop | None] = (Prompt(), None)
        self._last = LastAnswer()
        self._refining: Refining | None = None
        self._resolution = ""
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(LOOK_MS)
        self._rest.timeout.connect(self._choose_crop)

    @property
    def pending(self) -> int:
        """Accepted objects whose masks are still being made."""
        return self._commits

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
        if (spec.id, device) == (self._model_id, self._device):
            return False
        self._model_id, self._spec, self._device = spec.id, spec, device
        self._ahead.device = device
        for slot in ("prepare", "ask", "preview", "looks"):
            self._queue.cancel(slot)
        self._ahead.stop()
        self._forget_crop()
        return True

    @property
    def model(self) -> SegmenterSpec:
        """The model in use; also when it was removed from this computer meanwhile."""
        return self._spec or segmenter_spec(self._model_id)

    def expect(self, key: str, path: Path) -> None:
        """This image is being opened: look for its embedding before there are pixels."""
        again = self._picture is not None and self._picture.file.path == path
        visible = self._visible if again else None
        self.leave()
        self._visible = visible
        model_id = self._model_id

        def done(found: bool) -> None:
            if found:
                self.prepared.emit(key)

        self._queue.submit("prepare", lambda: self._find_early(path, model_id), done, self._fail)

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
        self._visit += 1
        self._queue.cancel("prepare")
        self._ahead.stop()
        self._neighbours = ()
        self._picture = self._visible = None
        self._forget_crop()

    def warm_up(self) -> None:
        """Load the model while the first image is still being read."""
        model_id = self._model_id
        # What goes wrong is told when something is asked.
        self._queue.submit("warm up", lambda: self._load(model_id), _nothing, _raise_if_bug)

    def prepare(self, picture: Picture) -> None:
        """Compute the embedding of an image before the first click; of a preview, look for it."""
        model_id, visit = self._model_id, self._visit

        def done(found: bool) -> None:
            if found:
                self.prepared.emit(picture.key)
            if picture.complete:
                self._look_around(picture)

        self._queue.submit(
            "prepare",
            lambda: self._embedding(picture, model_id, visit) is not None,
            done,
            # What goes wrong with a preview goes wrong with the complete image, too.
            self._fail if picture.complete else _raise_if_bug,
        )

    def ask(self, picture: Picture, prompt: Prompt) -> None:
        """Emit `answered` for this prompt; a question still waiting is replaced.

        There is no answer for a preview whose embedding was not made before.
        """
        model_id, crop = self._model_id, self._crop_for(picture, prompt)
        self._asked, visit = (prompt, crop), self._visit
        self._queue.cancel("preview")
        self._queue.cancel("looks")
        self._queue.submit(
            "ask",
            lambda: self._answer(picture, prompt, model_id, crop, visit),
            partial(_tell, self.answered),
            self._fail,
        )

    def preview(self, picture: Picture, prompt: Prompt) -> None:
        """Emit `previewed` for this prompt, unless a newer preview or question comes first."""
        model_id, crop = self._model_id, self._crop_for(picture, prompt)
        self._queue.submit(
            "preview",
            lambda: self._answer(picture, prompt, model_id, crop),
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
        self._closed = True
        self._rest.stop()
        self._ahead.close()

    def _look_around(self, picture: Picture) -> None:
        """The current image is prepared: now for what is visible of it, then its neighbours."""
        self._picture = picture
        self._choose_crop()
        self._start_ahead()

    def _start_ahead(self) -> None:
        if self._picture is not None and self.model.cache_on_disk:
            self._ahead.start(self._model_id, self._neighbours)

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
        model_id, pixels = self._model_id, picture.pixels

        def done() -> None:
            if self._wanted == crop and self._picture is picture and self._model_id == model_id:
                self._crop = crop
                self._choose_crop()
                self.sharpened.emit()

        self._ahead.make(
            model_id, picture.file, lambda model: model.encode(crop.cut(pixels)), crop.name, done
        )

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
        self._commits += 1
        model_id, crop = self._model_id, self._crop_for(picture, prompt)

        def finished(result: Finished | UserError) -> None:
            self._commits -= 1
            done(result)

        def failed(error: Exception) -> None:
            self._commits -= 1
            done(_explained(error))
            _raise_if_bug(error)

        self._queue.submit(
            f"finish {id(finished)}",
            lambda: self._finish(picture, prompt, choice, known, model_id, crop),
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
        model_id = self._model_id
        self._queue.submit(
            "looks",
            lambda: self._describe_candidate(picture, candidate, model_id),
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
            lambda: self._describe_mask(picture, mask),
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
        model_id = self._model_id

        def start() -> Iterator[T]:
            embedding = self._embedding(picture, model_id)
            if embedding is None:
                raise _not_read()
            return work(self._load(model_id), embedding)

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
            self._model_id, picture.file, lambda segmenter: segmenter.encode(pixels), done, slot
        )

    def stop_work(self, slot: str) -> None:
        """Stop the iterator of a slot; nobody hears of it any more."""
        self._queue.cancel(slot)

    # The rest runs on the model thread.

    def _load(self, model_id: str) -> Segmenter:
        device, segmenter, spec = self._device, self._segmenter, segmenter_spec(model_id)
        # An adapted model may have been made anew under its name.
        wanted = spec.id, spec.version, device
        if segmenter is None or wanted != (
            segmenter.spec.id, segmenter.spec.version, self._loaded_on
        ):  # fmt: skip
            self._segmenter = segmenter = self._loaded(spec, device)
            self._loaded_on = device
            self._tell_device(segmenter)
        return segmenter

    def _tell_device(self, segmenter: Segmenter) -> None:
        told = segmenter.spec.id, getattr(segmenter, "device", "")
        if told != self._told:
            self._told = told
            self._queue.tell(partial(self._take_device, *told))

    def _take_device(self, model_id: str, text: str) -> None:
        """On the thread of this object."""
        self._devices[model_id] = text
        self.device_changed.emit(model_id, text)

    def _loaded(self, spec: SegmenterSpec, device: Device) -> Segmenter:
        from models import exporting
        from models.runtimes import using

        def tell(loading: Loading | None) -> None:
            self._queue.tell(lambda: self.loading_changed.emit(loading))

        tell(Loading(spec.title))
        try:
            with (
                exporting.watched(
                    lambda: tell(Loading(spec.title, first=True)),
                    lambda: self._closed or self._model_id != spec.id,
                ),
                using(device),
            ):
                return spec.load()
        finally:
            tell(None)

    def _load_describer(self) -> Describer:
        if self._describer is None:
            from models.describe import BasicDescriber

            self._describer = BasicDescriber()
        return self._describer

    def _find_early(self, path: Path, model_id: str) -> bool:
        if self._segmenter is None or self._segmenter.spec.id != model_id:
            return False  # loading it would delay the image
        try:
            file = ImageFile.now(path)
        except OSError:
            return False  # told by who reads the image
        return self._embeddings.find(file, self._segmenter) is not None

    def _embedding(
        self, picture: Picture, model_id: str, visit: int | None = None
    ) -> Embedding | None:
        """The embedding; None for a preview without one.

        A visit that has ended (see `leave`) stops a slow model, unless an accepted object waits;
        without a visit it is never stopped.
        """
        segmenter = self._load(model_id)
        if not picture.complete:
            return self._embeddings.find(picture.file, segmenter)

        def unwanted() -> bool:
            gone = self._closed or self._model_id != model_id or self._visit != visit
            return visit is not None and gone and not self._commits

        found = self._embeddings.obtain(
            picture.file, segmenter, lambda: self._encoded(picture, segmenter, unwanted)
        )
        self._tell_device(segmenter)  # a runtime that fails gives way to another
        return found

    def _encoded(
        self, picture: Picture, segmenter: Segmenter, unwanted: Callable[[], bool]
    ) -> Embedding:
        from models.encoding import Passed, watched

        told = False

        def tell(encoding: Encoding | None) -> None:
            self._queue.tell(lambda: self.encoding_changed.emit(encoding))

        def report(passed: Passed) -> None:
            nonlocal told
            told = True
            tell(Encoding(segmenter.spec.title, passed.part, passed.share))

        try:
            with watched(report, unwanted):
                return segmenter.encode(picture.pixels)
        finally:
            if told:
                tell(None)

    def _answer(
        self,
        picture: Picture,
        prompt: Prompt,
        model_id: str,
        crop: Crop | None,
        visit: int | None = None,
    ) -> Answer | None:
        embedding = self._embedding(picture, model_id, visit)
        if embedding is None:
            return None
        candidates = self._candidates(picture, embedding, prompt, model_id, crop)
        return Answer(picture.key, prompt, candidates)

    def _candidates(
        self,
        picture: Picture,
        embedding: Embedding,
        prompt: Prompt,
        model_id: str,
        crop: Crop | None,
    ) -> tuple[MaskCandidate, ...]:
        if prompt.start is not None:
            return self._refined(picture, embedding, prompt, model_id, crop)
        segmenter = self._load(model_id)
        if crop is not None:
            from models import crops

            detail = self._embeddings.find(picture.file, segmenter, crop.name)
            if detail is not None:
                return self._last.decode(
                    segmenter,
                    detail,
                    prompt,
                    lambda: crops.decode(
                        segmenter, detail, crop, prompt, lambda: segmenter.decode(embedding, prompt)
                    ),
                )
        return self._last.decode(
            segmenter, embedding, prompt, lambda: segmenter.decode(embedding, prompt)
        )

    def _refined(
        self,
        picture: Picture,
        embedding: Embedding,
        prompt: Prompt,
        model_id: str,
        crop: Crop | None,
    ) -> tuple[MaskCandidate, ...]:
        from models.refining import Refining

        if self._refining is None:
            self._refining = Refining()
        if crop is not None and prompt.start is not None and not crop.holds(prompt.start.box):
            crop = None
        return self._refining.decode(
            self._load(model_id),
            embedding,
            prompt,
            lambda asked: self._candidates(picture, embedding, asked, model_id, crop),
        )

    def _describe_candidate(
        self, picture: Picture, candidate: MaskCandidate, model_id: str
    ) -> NDArray[np.float32] | None:
        from annotator.core import views

        if not picture.complete:
            embedding = self._embedding(picture, model_id)
            if embedding is None:
                return None
            height, width = picture.pixels.shape[:2]
            candidate = _scaled(candidate, width / embedding.width, height / embedding.height)
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
        crop: Crop | None,
    ) -> Finished:
        from annotator.core import raster

        embedding = self._embedding(picture, model_id)
        if embedding is None:
            raise _not_read()
        candidates = known or self._candidates(picture, embedding, prompt, model_id, crop)
        if not candidates:
            raise _nothing_found()
        candidate = candidates[min(choice, len(candidates) - 1)]
        segmenter = self._load(model_id)
        pixels = self._render(picture, embedding, candidate, segmenter)
        mask = raster.from_array(pixels)
        if not raster.area(mask):
            raise _nothing_found()
        vector = self._describe_mask(picture, mask)
        return Finished(picture.key, mask, candidate.score, segmenter.spec, vector)

    def _render(
        self,
        picture: Picture,
        embedding: Embedding,
        candidate: MaskCandidate,
        segmenter: Segmenter,
    ) -> NDArray[np.bool_]:
        from models import crops
        from models.refining import RefinedCandidate

        if isinstance(candidate, RefinedCandidate):
            return candidate.drawn(embedding.width, embedding.height)
        if not isinstance(candidate, crops.CropCandidate):
            return segmenter.render(embedding, candidate)
        crop = candidate.crop
        detail = self._embeddings.obtain(
            picture.file,
            segmenter,
            lambda: segmenter.encode(crop.cut(picture.pixels)),
            crop.name,
        )
        return crops.render(segmenter, detail, candidate)

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


def _scaled(candidate: MaskCandidate, across: float, down: float) -> MaskCandidate:
    """The same on a picture of another size."""
    box = candidate.extent
    extent = Box(box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down)
    return MaskCandidate(candidate.logits, extent, candidate.score)


def _not_read() -> UserError:
    return UserError("The image is still being read.", "Accept again in a moment.")


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
