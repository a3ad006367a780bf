"""Open-Vocabulary SAM behind `models.api`: masks for prompts, vectors for any box."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.api import Box, Embedding, MaskCandidate, ModelError, Prompt
from models.everything import stability
from models.ovsam.files import TOWER
from models.questions import ask
from models.transforms import SIDE, Frame, full_mask, mask_piece, network_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import SegmenterSpec
    from models.folded_parts import Floats
    from models.questions import Question

    Arrays = Mapping[str, NDArray[np.generic]]


class Runtime(Protocol):
    """Runs the network; see `models.ovsam.runtime.TorchOvsam`."""

    device: str

    def encode(self, pixels: Floats) -> dict[str, NDArray[np.generic]]:
        """Pixels (1, 3, S, S) to the arrays of an embedding."""

    def decode(self, arrays: Arrays, coords: Floats, labels: Floats) -> Floats:
        """Prompts (B, K, 2) and (B, K) to logits (B, S / 4, S / 4)."""

    def vectors(self, arrays: Arrays, boxes: Floats) -> Floats:
        """Boxes (n, 4) in the frame to vectors (n, d)."""

    def clip_vectors(self, arrays: Arrays, boxes: Floats) -> Floats:
        """The same from frozen CLIP."""


class OvsamSegmenter:
    """One mask for each prompt, and vectors in the space of CLIP's names for any box.

    The network predicts no quality; the score of a mask is its stability.

    Args:
        spec: the description this instance is made for.
        runtime: runs the network.
        fingerprint: changes with the weights: part of the key of cached embeddings.
        side: side of the network's square frame in pixels.
    """

    def __init__(
        self, spec: SegmenterSpec, runtime: Runtime, fingerprint: str, side: int = SIDE
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
        """Changes with the weights: part of the key of cached embeddings."""
        return self._fingerprint

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""
        return self._runtime.device

    @property
    def space(self) -> str:
        """See `models.api.ObjectDescriber`."""
        return f"{TOWER}-{self._spec.id}-{self._spec.version}"

    @property
    def tower(self) -> str:
        """See `models.api.ObjectDescriber`."""
        return TOWER

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Embed (H, W, 3) uint8 RGB; for the arrays see `TorchOvsam.encode`.

        Tens of seconds on a processor: it says how far it is, see `models.encoding`.

        Raises:
            ModelError: the network returns no numbers.
            EncodingStoppedError: nobody wants it any more.
        """
        height, width = image.shape[:2]
        arrays = self._runtime.encode(network_input(image, self._frame(width, height)))
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ModelError(
                "The encoder returned values that are not numbers: its weights are damaged. "
                "Remove the model's files and get them again."
            )
        return Embedding(self._spec.id, width, height, arrays)

    def complete(self, embedding: Embedding) -> Embedding:
        """An embedding from a disk: everything is kept there, but only to be read.

        torch wants arrays that could be written; copied here, they are copied once.
        """
        arrays = {
            name: array if array.flags.writeable else array.copy()
            for name, array in embedding.arrays.items()
        }
        return Embedding(embedding.model, embedding.width, embedding.height, arrays)

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """The mask for a prompt; see `models.api.Segmenter.decode`.

        Negative clicks are embedded as SAM does; this network was trained with positive ones only.

        Raises:
            ModelError: the embedding is damaged.
        """
        return self.decode_many(embedding, (prompt,))[0]

    def decode_many(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[tuple[MaskCandidate, ...]]:
        """`decode` for many prompts on one image, in batches of equal length.

        Raises:
            ModelError: the embedding is damaged.
        """
        frame = self._frame(embedding.width, embedding.height)
        groups: dict[int, list[tuple[int, Question]]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            question = ask(prompt, frame)
            if question is not None:
                groups[len(question.labels)].append((index, question))
        results: list[tuple[MaskCandidate, ...]] = [()] * len(prompts)
        for members in groups.values():
            coords = np.stack([question.coords for _, question in members])
            labels = np.stack([question.labels for _, question in members])
            found = self._runtime.decode(embedding.arrays, coords, labels)
            for (index, _), logits in zip(members, found, strict=True):
                results[index] = (MaskCandidate(logits, frame.extent, stability(logits)),)
        return results

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask, column-major; see `transforms.full_mask`."""
        return full_mask(candidate.logits, self._frame(embedding.width, embedding.height))

    def render_piece(
        self, embedding: Embedding, candidate: MaskCandidate
    ) -> tuple[int, int, NDArray[np.bool_]]:
        """See `models.api.PieceSegmenter`."""
        return mask_piece(candidate.logits, self._frame(embedding.width, embedding.height))

    def vector(self, embedding: Embedding, box: Box) -> NDArray[np.float32]:
        """See `models.api.ObjectDescriber`; the box may be that of anybody's mask."""
        return np.asarray(self.vectors(embedding, (box,))[0], np.float32)

    def vectors(self, embedding: Embedding, boxes: Sequence[Box]) -> NDArray[np.float32]:
        """See `models.api.ObjectDescriber`."""
        return _units(self._runtime.vectors(embedding.arrays, self._in_frame(embedding, boxes)))

    def clip_vectors(self, embedding: Embedding, boxes: Sequence[Box]) -> NDArray[np.float32]:
        """The same from frozen CLIP, for `models.ovsam.ensemble`: (n, d) unit vectors."""
        places = self._in_frame(embedding, boxes)
        return _units(self._runtime.clip_vectors(embedding.arrays, places))

    def _in_frame(self, embedding: Embedding, boxes: Sequence[Box]) -> Floats:
        frame = self._frame(embedding.width, embedding.height)
        kept = [box.clipped(embedding.width, embedding.height) for box in boxes]
        corners = np.array([[[b.x0, b.y0], [b.x1, b.y1]] for b in kept], np.float64)
        return frame.to_frame(corners.reshape(-1, 2, 2)).reshape(-1, 4)

    def _frame(self, width: int, height: int) -> Frame:
        # The demo cuts sizes where SAM rounds them.
        return Frame(width, height, self._side, rounding=0)


def _units(vectors: Floats) -> Floats:
    """Of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return found
