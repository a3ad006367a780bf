"""SAM and MobileSAM: an encoder and a decoder in SAM's layout behind `models.api.Segmenter`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.api import Box, Embedding, MaskCandidate, MaskPrompt, ModelError, Prompt
from models.mask_prompts import sampled
from models.onnx_decoder import Decoder
from models.questions import CELL, ask
from models.runtimes import precise
from models.transforms import SIDE, Frame, full_mask, mask_piece, network_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import SegmenterSpec
    from models.folded_parts import Floats
    from models.questions import Question

ONE_MASK = (0,)
THREE_MASKS = (1, 2, 3)
SURE = 8.0
"""Logits inside a mask that is given."""


class Encoder(Protocol):
    """An image encoder."""

    def encode(self, pixels: Floats) -> Floats:
        """Normalised, padded pixels (1, 3, S, S) to an embedding (C, S / 16, S / 16).

        Raises:
            ModelError: the network cannot encode at this size.
        """

    @property
    def precision(self) -> str:
        """Empty for numbers of 32 bits, else a word for fingerprints."""

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""


class MaskedDecoder(Decoder, Protocol):
    """A decoder that was trained to go on from a mask."""

    def masked(self, logits: Floats) -> Floats:
        """What a mask adds to an embedding.

        Args:
            logits: (4 G, 4 G) of the mask in the square frame of the network.

        Returns:
            (C, G, G), to be added to the image embedding before `prepare` and `decode`, which
            take it that there is no mask.
        """


class SamSegmenter:
    """Rules of segment-anything around encoder and decoder.

    Args:
        spec: the description this instance is made for.
        encoder: makes embeddings.
        decoder: answers prompts; the mask tokens are those of SAM.
        fingerprint: changes with weights and runtime: part of the key of cached embeddings.
        side: side of the network's square frame in pixels, as in training.
    """

    def __init__(
        self,
        spec: SegmenterSpec,
        encoder: Encoder,
        decoder: MaskedDecoder,
        fingerprint: str,
        side: int = SIDE,
    ) -> None:
        self._spec = spec
        self._encoder = encoder
        self._decoder = decoder
        self._fingerprint = fingerprint
        self._side = side

    @property
    def spec(self) -> SegmenterSpec:
        """The description this instance was made from."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """Changes with weights, runtime and precision: part of the key of cached embeddings."""
        return precise(self._fingerprint, self._encoder.precision)

    @property
    def device(self) -> str:
        """Where images are encoded, and why; sentences for people."""
        return self._encoder.device

    def at(self, spec: SegmenterSpec) -> SamSegmenter:
        """See `models.api.ResizableSegmenter`: BA-SAM's high-resolution encoding."""
        side = spec.input_size or self._side
        return SamSegmenter(spec, self._encoder, self._decoder, f"{self._fingerprint}-{side}", side)

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Embed (H, W, 3) uint8 RGB: `image` (256, 64, 64) and what the decoder prepares."""
        return self.encode_at(image, self._side)

    def encode_at(self, image: NDArray[np.uint8], side: int) -> Embedding:
        """Embed with the longest side at `side` pixels: `image` (256, side / 16, side / 16).

        Other sizes than 1024 are BA-SAM's high-resolution encoding: small objects get finer
        masks for about the square of the effort; nobody published how exact they are.

        Raises:
            ModelError: the network cannot encode at this size, or returns no numbers.
        """
        height, width = image.shape[:2]
        embedding = self._encoder.encode(network_input(image, Frame(width, height, side)))
        if not np.isfinite(embedding).all():
            raise ModelError(
                "The encoder returned values that are not numbers: its weights are damaged. "
                "Remove the model's file and get it again."
            )
        arrays = {"image": embedding, **self._decoder.prepare(embedding)}
        return Embedding(self._spec.id, width, height, arrays)

    def complete(self, embedding: Embedding) -> Embedding:
        """An embedding that has only `image` (from a disk), with what the decoder prepares."""
        arrays = dict(embedding.arrays)
        if len(arrays) == 1:
            image = np.asarray(arrays["image"], np.float32)
            arrays = {"image": image, **self._decoder.prepare(image)}
        return Embedding(embedding.model, embedding.width, embedding.height, arrays)

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """Candidate masks for a prompt; see `models.api.Segmenter.decode`.

        One click is ambiguous and gets three candidates; a box or several clicks get the one
        that the network was trained to give for them.
        """
        return self.decode_many(embedding, (prompt,))[0]

    def decode_many(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[tuple[MaskCandidate, ...]]:
        """`decode` for many prompts on one image, in batches of equal kind.

        Raises:
            ModelError: the embedding is damaged.
        """
        embedding, frame = self.complete(embedding), _frame(embedding)
        groups: dict[tuple[int, tuple[int, ...]], list[tuple[int, Question]]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            question = ask(prompt, frame)
            if question is not None:
                tokens = chosen_tokens(question)
                groups[len(question.labels), tokens].append((index, question))
        results: list[tuple[MaskCandidate, ...]] = [()] * len(prompts)
        for (_, tokens), members in groups.items():
            questions = [question for _, question in members]
            answers = self._decoder.decode(
                embedding.arrays,
                np.stack([question.coords for question in questions]),
                np.stack([question.labels for question in questions]),
                tokens,
                np.stack([question.focus(frame.side // CELL) for question in questions]),
            )
            for (index, _), (logits, quality) in zip(members, answers, strict=True):
                results[index] = ranked(logits, quality, frame.extent)
        return results

    def decode_from(
        self, embedding: Embedding, start: MaskPrompt, prompt: Prompt
    ) -> tuple[MaskCandidate, ...]:
        """See `models.api.MaskPromptable`: segment-anything was trained with its own masks."""
        frame = _frame(embedding)
        share = sampled(start, frame.extent, 4 * (frame.side // CELL))
        mask = self._decoder.masked((share - 0.5) * (2 * SURE))
        image = np.asarray(embedding.arrays["image"], np.float32) + mask
        arrays = {"image": image, **self._decoder.prepare(image)}
        with_mask = Embedding(embedding.model, embedding.width, embedding.height, arrays)
        return self.decode(with_mask, prompt)

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask, column-major; see `transforms.full_mask`."""
        return full_mask(candidate.logits, _frame(embedding))

    def render_piece(
        self, embedding: Embedding, candidate: MaskCandidate
    ) -> tuple[int, int, NDArray[np.bool_]]:
        """See `models.api.PieceSegmenter`."""
        return mask_piece(candidate.logits, _frame(embedding))


def chosen_tokens(question: Question) -> tuple[int, ...]:
    """Three masks for a single click, one for anything less ambiguous, as SAM was trained."""
    return THREE_MASKS if question.clicks == 1 and not question.boxed else ONE_MASK


def ranked(logits: Floats, quality: Floats, extent: Box) -> tuple[MaskCandidate, ...]:
    """Candidates of (M, n, n) logits: the best quality first, the others from small to large.

    An empty mask is no answer whatever its quality (M): it comes last and scores 0.
    """
    areas = np.count_nonzero(logits > 0, axis=(1, 2))
    # Not clipped before the best is chosen: a sure network predicts more than 1 for several masks.
    ranks = np.where((areas > 0) & np.isfinite(quality), quality, -np.inf)
    best, scores = int(np.argmax(ranks)), np.clip(ranks, 0, 1)
    others = [index for index in range(len(logits)) if index != best]
    others.sort(key=lambda index: (areas[index] == 0, areas[index]))
    return tuple(
        MaskCandidate(logits[index], extent, float(scores[index])) for index in (best, *others)
    )


def _frame(embedding: Embedding) -> Frame:
    """How the image lay in the network's frame; the embedding's size says at which size."""
    side = CELL * embedding.arrays["image"].shape[-1]
    return Frame(embedding.width, embedding.height, side)
