"""`Answering`: what the model thread does with the segmenter in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.services.embeddings import Embeddings, ImageFile
from annotator.services.last_answer import LastAnswer
from models.api import Box, Describer, Embedding, MaskCandidate, Prompt, Segmenter
from models.registry import segmenter_spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.mask import Mask
    from annotator.core.views import View
    from models.api import SegmenterSpec
    from models.crops import Crop
    from models.refining import Refining
    from models.runtimes import Device


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


@dataclass(slots=True)
class Demand:
    """What is wanted now: written by the GUI thread, read by the model thread to stop in time.

    Attributes:
        model_id: the model to answer with.
        device: what it may run on.
        visit: number of the visit to an image; another one began when it differs.
        accepted: objects whose masks are still being made.
        closed: nobody wants anything any more.
    """

    model_id: str = ""
    device: Device = "auto"
    visit: int = 0
    accepted: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A prompt on its way to the model thread.

    Attributes:
        picture: what the prompt refers to.
        prompt: points, box, or a mask to go on from.
        model_id: which model is asked.
        crop: the part of the image that answers, if it was encoded by itself.
        visit: the answer is of no use after this visit; None: it always is.
    """

    picture: Picture
    prompt: Prompt
    model_id: str
    crop: Crop | None
    visit: int | None = None


@dataclass(frozen=True, slots=True)
class Hears:
    """Who is told about the work; called on the model thread.

    Attributes:
        loading: a model is being loaded, None at the end.
        encoding: how far a slow model is, None at the end.
        device: id of a model, and where it runs and why.
    """

    loading: Callable[[Loading | None], None]
    encoding: Callable[[Encoding | None], None]
    device: Callable[[str, str], None]


class Answering:
    """Holds the segmenter and the describer; only the model thread calls it.

    Args:
        demand: what is wanted.
        embeddings: where embeddings are kept.
        hears: who is told about the work.
    """

    def __init__(self, demand: Demand, embeddings: Embeddings, hears: Hears) -> None:
        self._demand = demand
        self._embeddings = embeddings
        self._hears = hears
        self._segmenter: Segmenter | None = None
        self._loaded_on: Device = "auto"
        self._told = ("", "")
        self._describer: Describer | None = None
        self._last = LastAnswer()
        self._refining: Refining | None = None

    def load(self, model_id: str) -> Segmenter:
        """The model, loaded where it is not yet."""
        device, segmenter, spec = self._demand.device, self._segmenter, segmenter_spec(model_id)
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
            self._hears.device(*told)

    def _loaded(self, spec: SegmenterSpec, device: Device) -> Segmenter:
        from models import exporting
        from models.runtimes import using

        demand, tell = self._demand, self._hears.loading
        tell(Loading(spec.title))
        try:
            with (
                exporting.watched(
                    lambda: tell(Loading(spec.title, first=True)),
                    lambda: demand.closed or demand.model_id != spec.id,
                ),
                using(device),
            ):
                return spec.load()
        finally:
            tell(None)

    def find_early(self, path: Path, model_id: str) -> bool:
        """Whether the embedding of an image that is still being read is there already."""
        if self._segmenter is None or self._segmenter.spec.id != model_id:
            return False  # loading it would delay the image
        try:
            file = ImageFile.now(path)
        except OSError:
            return False  # told by who reads the image
        return self._embeddings.find(file, self._segmenter) is not None

    def embedding(
        self, picture: Picture, model_id: str, visit: int | None = None
    ) -> Embedding | None:
        """The embedding; None for a preview without one.

        A visit that has ended stops a slow model, unless an accepted object waits; without a visit
        it is never stopped.
        """
        segmenter = self.load(model_id)
        if not picture.complete:
            return self._embeddings.find(picture.file, segmenter)
        demand = self._demand

        def unwanted() -> bool:
            gone = demand.closed or demand.model_id != model_id or demand.visit != visit
            return visit is not None and gone and not demand.accepted

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

        def report(passed: Passed) -> None:
            nonlocal told
            told = True
            self._hears.encoding(Encoding(segmenter.spec.title, passed.part, passed.share))

        try:
            with watched(report, unwanted):
                return segmenter.encode(picture.pixels)
        finally:
            if told:
                self._hears.encoding(None)

    def answer(self, question: Question) -> Answer | None:
        """The candidates; None for a preview without an embedding."""
        embedding = self.embedding(question.picture, question.model_id, question.visit)
        if embedding is None:
            return None
        candidates = self._candidates(question, embedding)
        return Answer(question.picture.key, question.prompt, candidates)

    def _candidates(self, question: Question, embedding: Embedding) -> tuple[MaskCandidate, ...]:
        prompt, crop = question.prompt, question.crop
        if prompt.start is not None:
            return self._refined(question, embedding)
        segmenter = self.load(question.model_id)

        def decode() -> tuple[MaskCandidate, ...]:
            return segmenter.decode(embedding, prompt)

        if crop is not None:
            from models import crops

            detail = self._embeddings.find(question.picture.file, segmenter, crop.name)
            if detail is not None:
                return self._last.decode(
                    segmenter,
                    detail,
                    prompt,
                    lambda: crops.decode(segmenter, detail, crop, prompt, decode),
                )
        return self._last.decode(segmenter, embedding, prompt, decode)

    def _refined(self, question: Question, embedding: Embedding) -> tuple[MaskCandidate, ...]:
        from models.refining import Refining

        if self._refining is None:
            self._refining = Refining()
        prompt, crop = question.prompt, question.crop
        if crop is not None and prompt.start is not None and not crop.holds(prompt.start.box):
            crop = None
        return self._refining.decode(
            self.load(question.model_id),
            embedding,
            prompt,
            lambda asked: self._candidates(replace(question, prompt=asked, crop=crop), embedding),
        )

    def describe_candidate(
        self, picture: Picture, candidate: MaskCandidate, model_id: str
    ) -> NDArray[np.float32] | None:
        """What a candidate looks like, a unit vector (d,)."""
        from annotator.core import views

        if not picture.complete:
            embedding = self.embedding(picture, model_id)
            if embedding is None:
                return None
            height, width = picture.pixels.shape[:2]
            candidate = _scaled(candidate, width / embedding.width, height / embedding.height)
        return self._describe(views.of_candidate(picture.pixels, candidate))

    def describe_mask(self, picture: Picture, mask: Mask) -> NDArray[np.float32] | None:
        """What an object looks like, a unit vector (d,)."""
        from annotator.core import views

        return self._describe(views.of_mask(picture.pixels, mask))

    def _describe(self, view: View | None) -> NDArray[np.float32] | None:
        if view is None:
            return None
        if self._describer is None:
            from models.describe import BasicDescriber

            self._describer = BasicDescriber()
        return self._describer.describe(*view)

    def finish(self, question: Question, choice: int, known: tuple[MaskCandidate, ...]) -> Finished:
        """The full-size mask of a candidate.

        Raises:
            UserError: there is none.
        """
        from annotator.core import raster

        picture = question.picture
        embedding = self.embedding(picture, question.model_id)
        if embedding is None:
            raise not_read()
        candidates = known or self._candidates(question, embedding)
        if not candidates:
            raise _nothing_found()
        candidate = candidates[min(choice, len(candidates) - 1)]
        segmenter = self.load(question.model_id)
        mask = self._mask(picture, embedding, candidate, segmenter)
        if not raster.area(mask):
            raise _nothing_found()
        vector = self.describe_mask(picture, mask)
        return Finished(picture.key, mask, candidate.score, segmenter.spec, vector)

    def _mask(
        self,
        picture: Picture,
        embedding: Embedding,
        candidate: MaskCandidate,
        segmenter: Segmenter,
    ) -> Mask:
        from annotator.core import raster
        from annotator.core.rendering import mask_of
        from models import crops
        from models.refining import RefinedCandidate

        if isinstance(candidate, RefinedCandidate):
            return raster.from_array(candidate.drawn(embedding.width, embedding.height))
        if not isinstance(candidate, crops.CropCandidate):
            return mask_of(segmenter, embedding, candidate)
        crop = candidate.crop
        detail = self._embeddings.obtain(
            picture.file,
            segmenter,
            lambda: segmenter.encode(crop.cut(picture.pixels)),
            crop.name,
        )
        return raster.from_array(crops.render(segmenter, detail, candidate))


def _scaled(candidate: MaskCandidate, across: float, down: float) -> MaskCandidate:
    """The same on a picture of another size."""
    box = candidate.extent
    extent = Box(box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down)
    return MaskCandidate(candidate.logits, extent, candidate.score)


def not_read() -> UserError:
    """The pixels are not there yet."""
    return UserError("The image is still being read.", "Accept again in a moment.")


def _nothing_found() -> UserError:
    return UserError("The model found nothing there.", "Add a point, or draw a box around it.")
