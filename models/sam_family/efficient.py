"""EfficientSAM behind `models.api.Segmenter`.

Unlike SAM it stretches images to a square, plainly bilinear, and enlarges logits in one bicubic
step; both are part of the network's definition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from models.api import Box, Embedding, MaskCandidate, ModelError, Point, Prompt
from models.questions import CELL, ask
from models.sam_family.segmenter import ranked
from models.transforms import SIDE, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import SegmenterSpec
    from models.folded_parts import Floats

TOKENS = 6
"""What the network reads of a prompt at most; a box takes two."""


class EfficientRuntime(Protocol):
    """Runs the two halves of the network."""

    def encode(self, image: NDArray[np.uint8], side: int) -> Floats:
        """(H, W, 3) RGB, stretched to a square of `side` pixels, to (C, side / 16, side / 16).

        Raises:
            ModelError: the network cannot encode at this size.
        """

    def decode(self, image: Floats, coords: Floats, labels: Floats) -> tuple[Floats, Floats]:
        """Embedding, (K, 2) and (K) to logits (3, n, n) and predicted IoU (3).

        Raises:
            ModelError: the embedding is not finite.
        """

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""


class EfficientSegmenter:
    """Rules of EfficientSAM around its network.

    Args:
        spec: the description this instance is made for.
        runtime: runs the network.
        fingerprint: changes with weights and runtime: part of the key of cached embeddings.
        side: side of the network's square frame in pixels, as in training.
    """

    def __init__(
        self, spec: SegmenterSpec, runtime: EfficientRuntime, fingerprint: str, side: int = SIDE
    ) -> None:
        self._spec = spec
        self._runtime = runtime
        self._fingerprint = fingerprint
        self._side = side

    @property
    def spec(self) -> SegmenterSpec:
        """The description this instance was made from."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """Changes with weights and runtime: part of the key of cached embeddings."""
        return self._fingerprint

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""
        return self._runtime.device

    def at(self, spec: SegmenterSpec) -> EfficientSegmenter:
        """See `models.api.ResizableSegmenter`: BA-SAM's high-resolution encoding."""
        side = spec.input_size or self._side
        return EfficientSegmenter(spec, self._runtime, f"{self._fingerprint}-{side}", side)

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Embed (H, W, 3) uint8 RGB: `image` (256, 64, 64) float32."""
        return self.encode_at(image, self._side)

    def encode_at(self, image: NDArray[np.uint8], side: int) -> Embedding:
        """Embed at another size of the frame; see `SamSegmenter.encode_at`.

        Raises:
            ModelError: the network cannot encode at this size, or returns no numbers.
        """
        height, width = image.shape[:2]
        embedding = self._runtime.encode(image, side)
        if not np.isfinite(embedding).all():
            raise ModelError(
                "The encoder returned values that are not numbers: its weights are damaged. "
                "Remove the model's file and get it again."
            )
        return Embedding(self._spec.id, width, height, {"image": embedding})

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """Three candidates for every prompt; see `models.api.Segmenter.decode`.

        Raises:
            ModelError: the embedding is damaged.
        """
        image = np.asarray(embedding.arrays["image"], np.float32)
        width, height = embedding.width, embedding.height
        # A square frame with the image's own coordinates: `ask` then only sets the prompt right.
        question = ask(shortened(prompt), Frame(width, height, max(width, height)))
        if question is None:
            return ()
        used = question.labels >= 0
        ratios = np.array([CELL * image.shape[-1] / width, CELL * image.shape[-1] / height])
        coords = (question.coords[used] * ratios).astype(np.float32)
        logits, quality = self._runtime.decode(image, coords, question.labels[used])
        extent = Box(0.0, 0.0, float(width), float(height))
        return _respecting(ranked(logits, quality, extent), prompt)

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask, column-major."""
        size = (embedding.height, embedding.width)
        # The transposed image, so that the result is column-major without a copy.
        turned = np.ascontiguousarray(candidate.logits.T)
        large = cv2.resize(turned, size, interpolation=cv2.INTER_CUBIC)
        mask: NDArray[np.bool_] = np.asarray(large > 0)
        return mask.T


def shortened(prompt: Prompt) -> Prompt:
    """A prompt the network can read whole: the first positive click and the latest others."""
    room = TOKENS - (2 if prompt.box is not None else 0)
    points = list(prompt.points)
    if len(points) <= room:
        return prompt
    first = next((point for point in points if point.positive), points[0])
    kept = [point for point in points if point is not first][-(room - 1) :]
    return Prompt((first, *kept), prompt.box)


def _respecting(candidates: tuple[MaskCandidate, ...], prompt: Prompt) -> tuple[MaskCandidate, ...]:
    """Masks that hold a negative click come last: the network has no embedding for those."""
    negative = [point for point in prompt.points if not point.positive]
    return tuple(
        sorted(
            candidates, key=lambda candidate: sum(_holds(candidate, point) for point in negative)
        )
    )


def _holds(candidate: MaskCandidate, point: Point) -> bool:
    rows, columns = candidate.logits.shape
    row = int(np.clip(point.y / candidate.extent.height * rows, 0, rows - 1))
    column = int(np.clip(point.x / candidate.extent.width * columns, 0, columns - 1))
    return bool(candidate.logits[row, column] > 0)
