"""The EdgeSAM segmenter: rules of spec/edgesam.md, section 0, around encoder and decoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.api import Embedding, MaskCandidate, ModelError, Prompt
from models.folded_parts import SIDE_NAMES
from models.processors import shared
from models.questions import CELL, ask
from models.runtimes import precise, preferred_abreast
from models.transforms import SIDE, Frame, full_mask, mask_piece, network_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import Box, SegmenterSpec
    from models.edgesam.graphs import Graphs
    from models.folded_parts import Floats
    from models.questions import Question

# Only token 0 was trained with boxes, all four with points.
BOX_TOKENS: tuple[int, ...] = (0,)
POINT_TOKENS: tuple[int, ...] = (0, 1, 2, 3)


class EdgeSamSegmenter:
    """EdgeSAM in onnxruntime, from exported or official graphs.

    Args:
        spec: the description this instance is made for.
        graphs: where encoder and decoder lie; the encoder is opened by the first `encode`.

    Raises:
        ModelError: the decoder is damaged or another model.
    """

    def __init__(self, spec: SegmenterSpec, graphs: Graphs) -> None:
        self._spec = spec
        self._abreast = preferred_abreast()
        self._graphs = graphs
        with shared(self._abreast):
            self._decoder = graphs.open_decoder()
            self._encoder = graphs.encoder_network()
        self._prepared: tuple[object, dict[str, Floats]] = (None, {})

    @property
    def spec(self) -> SegmenterSpec:
        """The description this instance was made from."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """Changes with weights, graphs, up-sampling and precision: part of the key of caches."""
        return precise(self._graphs.fingerprint, self._encoder.precision)

    @property
    def device(self) -> str:
        """Where images are encoded, and why; sentences for people."""
        return self._encoder.device

    @property
    def abreast(self) -> int:
        """See `AbreastSegmenter`."""
        return self._abreast

    @property
    def seen_side(self) -> int:
        """See `ReducingSegmenter`."""
        return SIDE

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Embed (H, W, 3) uint8 RGB: `image` (256, 64, 64) float32 and the decoder's image side.

        Raises:
            ModelError: the encoder is damaged or another model, or returns no numbers.
        """
        height, width = image.shape[:2]
        return self.encode_reduced(image, width, height)

    def encode_reduced(self, picture: NDArray[np.uint8], width: int, height: int) -> Embedding:
        """`encode` from a smaller picture; see `ReducingSegmenter`."""
        pixels = network_input(picture, Frame(width, height))
        (result,) = self._encoder.run({"image": pixels})
        embedding = np.asarray(result, np.float32)[0]
        if not np.isfinite(embedding).all():
            raise ModelError(
                "The encoder returned values that are not numbers: its weights are damaged. "
                "Remove the model's files and get them again."
            )
        arrays = {"image": embedding, **self._decoder.prepare(embedding)}
        return Embedding(self._spec.id, width, height, arrays)

    def complete(self, embedding: Embedding) -> Embedding:
        """An embedding that has only `image` (from a cache), with the image side added."""
        arrays = self._arrays(embedding)
        return Embedding(embedding.model, embedding.width, embedding.height, arrays)

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """Candidate masks for a prompt; see `models.api.Segmenter.decode`.

        One candidate for a prompt with a box, four for points. Logits are exact wherever the
        edge of a candidate may run and repeat one sample per 4 x 4 elsewhere.
        """
        return self.decode_many(embedding, (prompt,))[0]

    def decode_many(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[tuple[MaskCandidate, ...]]:
        """`decode` for many prompts on one image, in batches of equal kind.

        Raises:
            ModelError: the embedding is damaged.
        """
        frame = Frame(embedding.width, embedding.height)
        groups: dict[tuple[int, tuple[int, ...]], list[tuple[int, Question]]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            question = ask(prompt, frame)
            if question is not None:
                tokens = BOX_TOKENS if question.boxed else POINT_TOKENS
                groups[len(question.labels), tokens].append((index, question))
        results: list[tuple[MaskCandidate, ...]] = [()] * len(prompts)
        arrays = self._arrays(embedding) if groups else {}
        grid = frame.side // CELL
        for (_, tokens), members in groups.items():
            answers = self._decoder.decode(
                arrays,
                np.stack([question.coords for _, question in members]),
                np.stack([question.labels for _, question in members]),
                tokens,
                np.stack([question.focus(grid) for _, question in members]),
            )
            for (index, _), (logits, _) in zip(members, answers, strict=True):
                results[index] = ranked(logits, frame.extent)
        return results

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask, column-major; see `transforms.full_mask`."""
        return full_mask(candidate.logits, Frame(embedding.width, embedding.height))

    def render_piece(
        self, embedding: Embedding, candidate: MaskCandidate
    ) -> tuple[int, int, NDArray[np.bool_]]:
        """See `models.api.PieceSegmenter`."""
        return mask_piece(candidate.logits, Frame(embedding.width, embedding.height))

    def _arrays(self, embedding: Embedding) -> dict[str, NDArray[np.generic]]:
        """The arrays with the image side, which an embedding from a disk does not carry."""
        arrays = dict(embedding.arrays)
        if all(name in arrays for name in SIDE_NAMES):
            return arrays
        image = arrays["image"]
        if self._prepared[0] is not image:
            made = self._decoder.prepare(np.asarray(image, np.float32))
            self._prepared = (image, made)
        return {**arrays, **self._prepared[1]}


def ranked(logits: Floats, extent: Box) -> tuple[MaskCandidate, ...]:
    """Candidates of (M, n, n) logits: the most stable first, the others from small to large.

    An empty mask has no stability (0 / 0); it comes last and scores 0.
    """
    high, areas, low = (
        np.array([np.count_nonzero(plane > level) for plane in logits]) for level in (1, 0, -1)
    )
    scores = np.where(low > 0, high / np.maximum(low, 1), -1.0)
    best = int(np.argmax(scores))
    others = [index for index in range(len(logits)) if index != best]
    others.sort(key=lambda index: (areas[index] == 0, areas[index]))
    return tuple(
        MaskCandidate(logits[index], extent, max(0.0, float(scores[index])))
        for index in (best, *others)
    )
