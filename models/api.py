"""The vocabulary every model and the whole application share.

Frames: image pixels, x to the right and y down, the top left corner of the top left pixel is
(0, 0), so the centre of that pixel is (0.5, 0.5). Images are (H, W, 3) uint8 RGB arrays, already
turned upright (EXIF orientation applied).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Storage = Literal["exact", "float16", "int8"]
"""How the numbers of an embedding are kept on disk; int8 has a scale for every channel."""


FIXED_SIZE = (
    "It has no attention that could be fitted to another resolution, and its answers would only "
    "get worse. Zoom in instead: then the visible part is encoded at full resolution."
)
"""Why a convolutional encoder keeps to the size of its training."""


class ModelError(Exception):
    """A model cannot do what was asked; the text is for people and names the remedy."""


@dataclass(frozen=True, slots=True)
class Point:
    """One click: x, y in image pixels; positive means "this belongs to the object"."""

    x: float
    y: float
    positive: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel rectangle in image pixels, edges included: x0 <= x1 and y0 <= y1."""

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def spanning(cls, x0: float, y0: float, x1: float, y1: float) -> Box:
        """The box between two opposite corners given in any order."""
        return cls(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))

    @property
    def width(self) -> float:
        """Extent along x in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Extent along y in pixels."""
        return self.y1 - self.y0

    def clipped(self, width: float, height: float) -> Box:
        """The part inside an image of this size (may have no area)."""
        return Box(
            min(max(self.x0, 0.0), width),
            min(max(self.y0, 0.0), height),
            min(max(self.x1, 0.0), width),
            min(max(self.y1, 0.0), height),
        )

    def contains(self, x: float, y: float) -> bool:
        """Whether the point lies inside or on the edge."""
        return self.x0 <= x <= self.x1 and self.y0 <= y <= self.y1


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt:
    """The pixels of an object to go on from; equal only to itself.

    Attributes:
        x: image column of the first column of pixels; likewise y.
        y: image row of the first row.
        pixels: (h, w) bool, inside the image.
    """

    x: int
    y: int
    pixels: NDArray[np.bool_]

    @property
    def box(self) -> Box:
        """Where the pixels lie."""
        height, width = self.pixels.shape
        return Box(self.x, self.y, self.x + width, self.y + height)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user said about one object: clicks, a box, or both.

    `start` is a mask that clicks correct; segmenters never get it in here (`models.refining`).
    """

    points: tuple[Point, ...] = ()
    box: Box | None = None
    start: MaskPrompt | None = None

    def __bool__(self) -> bool:
        """True when it can be answered: there is a box, a positive point, or a start."""
        named = self.box is not None or any(point.positive for point in self.points)
        return named or self.start is not None


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Everything a segmenter computed once per image.

    Attributes:
        model: the `SegmenterSpec.id` that made it.
        width: image width in pixels.
        height: image height in pixels.
        arrays: named arrays; their meaning belongs to the model. Treat as read-only.
    """

    model: str
    width: int
    height: int
    arrays: Mapping[str, NDArray[np.generic]]

    @property
    def nbytes(self) -> int:
        """Memory the arrays take, in bytes."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True, slots=True, eq=False)
class MaskCandidate:
    """One possible answer to a prompt, at the model's own resolution.

    Attributes:
        logits: (h, w) float32; values above 0 are inside. The grid covers `extent` evenly, so
            grid cell (r, c) covers `extent.width / w` by `extent.height / h` image pixels.
        extent: the rectangle of the image the grid covers (it may reach past the image).
        score: the model's confidence, 0 to 1, comparable between candidates of one prompt.
    """

    logits: NDArray[np.float32]
    extent: Box
    score: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One ranked name: `score` is a probability-like number, 0 to 1."""

    name: str
    score: float


@runtime_checkable
class Segmenter(Protocol):
    """Image to embedding once; embedding and prompt to candidate masks for every click.

    `encode` and `decode` are functions of their arguments: an instance keeps no current image.
    """

    @property
    def spec(self) -> SegmenterSpec:
        """The description this instance was made from."""

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Compute what is needed once per image, (H, W, 3) uint8 RGB."""

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """Candidate masks for a prompt, the one to show first in front.

        The others follow in a fixed, useful order (small to large) so that cycling through them
        reads as part, object, whole. At least one candidate for every prompt that is true.
        """

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask at the size of the image."""


@runtime_checkable
class CachedSegmenter(Segmenter, Protocol):
    """A segmenter that says more about embeddings that come from a disk; others need not."""

    @property
    def fingerprint(self) -> str:
        """Names weights, preprocessing and arithmetic: embeddings of another one are not used."""

    def complete(self, embedding: Embedding) -> Embedding:
        """An embedding with only `SegmenterSpec.stored_arrays`, with the other arrays added."""


@runtime_checkable
class BatchSegmenter(Segmenter, Protocol):
    """A segmenter that answers many prompts on one image at once; others are asked one by one."""

    def decode_many(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> Sequence[tuple[MaskCandidate, ...]]:
        """What `decode` gives for every prompt, in their order."""


@runtime_checkable
class PieceSegmenter(Segmenter, Protocol):
    """A segmenter that need not draw all of a large image for a small object."""

    def render_piece(
        self, embedding: Embedding, candidate: MaskCandidate
    ) -> tuple[int, int, NDArray[np.bool_]]:
        """The part of `render` that is not empty: its left column, top row and (h, w) pixels."""


@runtime_checkable
class MaskPromptable(Segmenter, Protocol):
    """A segmenter that was trained to go on from a mask; for others it only becomes points."""

    def decode_from(
        self, embedding: Embedding, start: MaskPrompt, prompt: Prompt
    ) -> tuple[MaskCandidate, ...]:
        """`decode` what the points of a prompt correct of a mask.

        Args:
            embedding: of the image.
            start: the mask.
            prompt: at least one point, and the box of the object.
        """


@runtime_checkable
class ReducingSegmenter(Segmenter, Protocol):
    """A segmenter that only needs a smaller picture of a large image: others get all of it."""

    @property
    def seen_side(self) -> int:
        """Longest side of the image inside the network, pixels: a picture may not be smaller."""

    def encode_reduced(self, picture: NDArray[np.uint8], width: int, height: int) -> Embedding:
        """`encode` an image of this size from a smaller picture (h, w, 3) uint8 RGB of it."""


@runtime_checkable
class AbreastSegmenter(Segmenter, Protocol):
    """A segmenter that encodes several images in less time than one after the other."""

    @property
    def abreast(self) -> int:
        """How many, each on a thread of its own; see `models.runtimes.using`."""


@runtime_checkable
class ResizableSegmenter(Segmenter, Protocol):
    """A segmenter whose network can see the image in a larger square than in training."""

    def at(self, spec: SegmenterSpec) -> Segmenter:
        """The same network with the square of another spec: `SegmenterSpec.input_size`."""


@dataclass(frozen=True, slots=True)
class CropFrame:
    """What a describer wants to see of an object.

    Attributes:
        side: longest side of the crop it needs at most, pixels.
        margin: what it sees around the object, as a share of the object's longer side.
    """

    side: int = 128
    margin: float = 0.0


@runtime_checkable
class Describer(Protocol):
    """Object to vector: what "looks similar" means when names are suggested."""

    @property
    def id(self) -> str:
        """Stable name of the vector space; vectors of different spaces are never compared."""

    @property
    def frame(self) -> CropFrame:
        """What it wants to see."""

    def describe(
        self, image: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box
    ) -> NDArray[np.float32]:
        """A unit vector (d,) float32 for one object.

        Args:
            image: (h, w, 3) uint8 RGB, the crop of the image that `box` names.
            mask: (h, w) bool, the object inside that crop.
            box: where the crop lies, image pixels.
        """


@runtime_checkable
class ObjectDescriber(Protocol):
    """Box to vector, from what was computed once for the image: masks may come from anywhere.

    Vectors lie in the space of a text tower, so that any names can be ranked by them.
    """

    @property
    def space(self) -> str:
        """Stable name of the vector space, as `Describer.id`."""

    @property
    def tower(self) -> str:
        """`models.naming.towers.Tower.id` of the tower whose vectors of names they fit."""

    def vector(self, embedding: Embedding, box: Box) -> NDArray[np.float32]:
        """A unit vector (d,) float32 for the object in a box (image pixels).

        Zeros for a box without area: they fit no name.
        """

    def vectors(self, embedding: Embedding, boxes: Sequence[Box]) -> NDArray[np.float32]:
        """`vector` for many boxes at once: (n, d)."""


@dataclass(frozen=True, slots=True)
class SegmenterSpec:
    """What a module in `models.segmenters` says about itself without loading anything heavy.

    Attributes:
        id: stable key used in settings, caches and provenance, for example "basic".
        title: what people read, for example "Basic (no weights)".
        version: changes whenever results change.
        summary: one sentence: what it is good for.
        licence: SPDX identifier or name of the licence of code and weights.
        load: makes the segmenter; may take seconds, so it is called on the worker thread.
        available: returns None when the model can run now, else a sentence saying what is missing.
        cache_on_disk: embeddings are worth keeping and worth making beforehand. False for a model
            that encodes an image in less time than it takes to read one.
        storage: what the model's masks allow to be lost of an embedding on disk.
        stored_arrays: the arrays of an embedding that are kept on disk, () for all; a segmenter
            that leaves some out is a `CachedSegmenter`.
        input_size: side in pixels of the square the network sees, whatever the size of the image;
            None for a model without one.
        sides: larger squares it can also be asked for, see `models.registry.segmenter_spec`; its
            segmenters are `ResizableSegmenter`.
        least_score: masks that nobody asked for (`models.everything`) are kept from this score
            on; by default what segment-anything uses.
        least_stability: likewise, from this stability on.
    """

    id: str
    title: str
    version: str
    summary: str
    licence: str
    load: Callable[[], Segmenter] = field(repr=False, compare=False)
    available: Callable[[], str | None] = field(default=lambda: None, repr=False, compare=False)
    cache_on_disk: bool = True
    storage: Storage = "exact"
    stored_arrays: tuple[str, ...] = ()
    input_size: int | None = None
    sides: tuple[int, ...] = ()
    least_score: float = 0.88
    least_stability: float = 0.95
