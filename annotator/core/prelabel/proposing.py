"""Image to proposals: one pure function, whatever is asked and wherever it runs.

`propose` is all of it; `encode` and `complete` are its two halves, for those who let them overlap.
Has numpy at its top: import it inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from annotator.core import raster, views
from annotator.core.annotation import Origin, Source
from annotator.core.mask import Mask
from annotator.core.rendering import mask_of
from annotator.core.troubles import NO_ANSWER, NOT_NUMBERS, Trouble
from models.api import (
    BatchSegmenter,
    Embedding,
    MaskCandidate,
    Prompt,
    ReducingSegmenter,
    Segmenter,
    SegmenterSpec,
)
from models.describe import BasicDescriber
from models.encoding import check

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_PIXELS = "answers of the model without a pixel in the image"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a source chose among the model's answers, still at the model's resolution.

    Attributes:
        candidate: the mask.
        prompt: what was asked; None if nobody had to ask.
        score: 0 to 1, None if nobody knows.
        stability: 0 to 1, None if nobody knows.
        label: the name it has already, or "".
        resembles: see `Origin`.
    """

    candidate: MaskCandidate
    prompt: Prompt | None
    score: float | None
    stability: float | None
    label: str = ""
    resembles: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One proposal for one image, before a project gives it an id and a class.

    Attributes:
        mask: its pixels.
        origin: model, version, score, prompt, stability and label.
        looks: (d,) vector of `models.describe.BasicDescriber`; None if nobody looked.
        given: the name of its class where that is settled, "" for none; None: the label of its
            origin, or what its looks suggest.
    """

    mask: Mask
    origin: Origin
    looks: NDArray[np.float32] | None
    given: str | None = None

    @property
    def name(self) -> str:
        """What it came with, "" for nothing."""
        return self.origin.label if self.given is None else self.given


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What was found in one image.

    Attributes:
        key: of the image.
        found: best first, or as the boxes came.
        troubles: what went wrong on the way.
        size: width and height of the upright image; None if it was not opened.
        orientation: EXIF orientation of the file.
    """

    key: str
    found: tuple[Found, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    size: tuple[int, int] | None = None
    orientation: int = 1


class ProposalSource(Protocol):
    """Decides what a segmenter is asked about an image and which answers are kept.

    Its answers depend on its settings, the model and the image only, so that an image can be done
    anywhere and again.
    """

    @property
    def settings(self) -> Mapping[str, Any]:
        """What tells it from another one: JSON values."""

    @property
    def labels(self) -> Sequence[str]:
        """All names its answers can have, in a fixed order."""

    def wants(self, key: str) -> bool:
        """Whether there is anything to ask about an image; if not, it need not be opened."""

    def names_all(self, key: str) -> bool:
        """Whether its answers for an image all have a label.

        Then nobody looks at the objects, and a smaller picture of a large image may do
        (`annotator.core.prelabel.reading`).
        """

    def ask(
        self, segmenter: Checked, embedding: Embedding, key: str
    ) -> tuple[Sequence[Answer], Sequence[Trouble]]:
        """Ask, and choose.

        Raises:
            ModelError: the model cannot answer.
        """


class Checked:
    """A segmenter of which only usable answers come through; the others are counted.

    Args:
        segmenter: answers.
        key: of the image, for the troubles.
        pixels: of the image, for sources that look at it.
    """

    def __init__(self, segmenter: Segmenter, key: str, pixels: NDArray[np.uint8]) -> None:
        self._segmenter = segmenter
        self._key = key
        self.pixels = pixels
        self.troubles: list[Trouble] = []

    @property
    def spec(self) -> SegmenterSpec:
        """See `Segmenter`."""
        return self._segmenter.spec

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """See `Segmenter`."""
        return encode(image, self._segmenter)

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """See `Segmenter`; () where nothing is usable."""
        return self.decode_many(embedding, (prompt,))[0]

    def decode_many(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[tuple[MaskCandidate, ...]]:
        """See `BatchSegmenter`; also asks models that take one prompt at a time."""
        if isinstance(self._segmenter, BatchSegmenter) and len(prompts) > 1:
            answers = self._segmenter.decode_many(embedding, prompts)
        else:
            answers = [self._segmenter.decode(embedding, prompt) for prompt in prompts]
        return [self._usable(candidates) for candidates in answers]

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """See `Segmenter`."""
        return self._segmenter.render(embedding, candidate)

    def _usable(self, candidates: tuple[MaskCandidate, ...]) -> tuple[MaskCandidate, ...]:
        if not candidates:
            self.troubles.append(Trouble(NO_ANSWER, self._key))
        good = tuple(c for c in candidates if np.isfinite(c.score) and np.isfinite(c.logits).all())
        self.troubles += [Trouble(NOT_NUMBERS, self._key)] * (len(candidates) - len(good))
        return good


def propose(
    pixels: NDArray[np.uint8],
    key: str,
    segmenter: Segmenter,
    source: ProposalSource,
    size: tuple[int, int] | None = None,
) -> Outcome:
    """The proposals for an image.

    Args:
        pixels: (H, W, 3) uint8 RGB, upright; as `annotator.core.prelabel.reading` reads them.
        key: names the image.
        segmenter: the model.
        source: what is asked.
        size: width and height of the image, if `pixels` is a smaller picture of it.

    Raises:
        ModelError: the model cannot do it, or gives values that are not numbers.
    """
    return complete(pixels, key, segmenter, source, encode(pixels, segmenter, size))


def encode(
    pixels: NDArray[np.uint8], segmenter: Segmenter, size: tuple[int, int] | None = None
) -> Embedding:
    """The first half of `propose`, nearly all of the work for most models.

    Raises:
        ModelError: as `propose`.
    """
    if size is not None and pixels.shape[1::-1] != size:
        assert isinstance(segmenter, ReducingSegmenter), "others are given the whole image"
        embedding = segmenter.encode_reduced(pixels, *size)
    else:
        embedding = segmenter.encode(pixels)
    check(embedding, segmenter)
    return embedding


def complete(
    pixels: NDArray[np.uint8],
    key: str,
    segmenter: Segmenter,
    source: ProposalSource,
    embedding: Embedding,
) -> Outcome:
    """The second half of `propose`.

    Raises:
        ModelError: as `propose`.
    """
    checked = Checked(segmenter, key, pixels)
    size = embedding.width, embedding.height
    answers, troubles = source.ask(checked, embedding, key)
    found, missing = [], 0
    for answer in answers:
        one = _found(answer, pixels, segmenter, embedding)
        if one is None:
            missing += 1
        else:
            found.append(one)
    every = (*troubles, *checked.troubles, *[Trouble(NO_PIXELS, key)] * missing)
    return Outcome(key, tuple(found), every, size)


def _found(
    answer: Answer, pixels: NDArray[np.uint8], segmenter: Segmenter, embedding: Embedding
) -> Found | None:
    mask = mask_of(segmenter, embedding, answer.candidate)
    if not raster.area(mask):
        return None
    spec = segmenter.spec
    origin = Origin(
        Source.MODEL,
        spec.id,
        spec.version,
        answer.score,
        answer.prompt,
        stability=answer.stability,
        label=answer.label,
        resembles=answer.resembles,
    )
    return Found(mask, origin, None if answer.label else _looks(pixels, mask))


def _looks(pixels: NDArray[np.uint8], mask: Mask) -> NDArray[np.float32] | None:
    """What an object without a name looks like; None in a smaller picture than the image."""
    view = views.of_mask(pixels, mask)
    return None if view is None else BasicDescriber().describe(*view)
