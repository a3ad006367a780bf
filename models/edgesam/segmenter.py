"""The EdgeSAM segmenter: rules of spec/edgesam.md, section 0, around encoder and decoder."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.api import Box, Embedding, MaskCandidate, ModelError, Point, Prompt
from models.onnx_decoder import CORNER_LABELS, PADDING_LABEL, SIDE_NAMES
from models.transforms import SIDE, Frame, full_mask, network_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import SegmenterSpec
    from models.edgesam.graphs import Graphs
    from models.onnx_decoder import Cells, Floats, Session

# Only token 0 was trained with boxes, all four with points.
BOX_TOKENS = (0,)
POINT_TOKENS = (0, 1, 2, 3)
GRID = 64
CELL = SIDE / GRID
# Cells around a positive click that are always exact, so that tiny objects are not missed.
NEAR = 2
# Boxes of at most this many cells are exact all over, for the same reason.
SMALL = 400


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A prompt in the terms of the network.

    Attributes:
        coords: (K, 2) float32 in the frame of the network, padding or corners included.
        labels: (K) float32.
        tokens: mask tokens that answer.
        focus: (G, G) cells that have to be exact.
    """

    coords: Floats
    labels: Floats
    tokens: tuple[int, ...]
    focus: Cells


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
        self._graphs = graphs
        self._decoder = graphs.open_decoder()
        self._encoder: Session | None = None
        self._opening = threading.Lock()
        self._prepared: tuple[object, dict[str, Floats]] = (None, {})

    @property
    def spec(self) -> SegmenterSpec:
        """The description this instance was made from."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """Changes with weights, graphs and up-sampling: part of the key of cached embeddings."""
        return self._graphs.fingerprint

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Embed (H, W, 3) uint8 RGB: `image` (256, 64, 64) float32 and the decoder's image side.

        Raises:
            ModelError: the encoder is damaged or another model, or returns no numbers.
        """
        height, width = image.shape[:2]
        pixels = network_input(image, Frame(width, height))
        (result,) = self._open_encoder().run(None, {"image": pixels})
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
                key = (len(question.labels), question.tokens)
                groups[key].append((index, question))
        results: list[tuple[MaskCandidate, ...]] = [()] * len(prompts)
        arrays = self._arrays(embedding) if groups else {}
        for (_, tokens), members in groups.items():
            answers = self._decoder.decode(
                arrays,
                np.stack([question.coords for _, question in members]),
                np.stack([question.labels for _, question in members]),
                tokens,
                np.stack([question.focus for _, question in members]),
            )
            for (index, _), (logits, _) in zip(members, answers, strict=True):
                results[index] = ranked(logits, frame.extent)
        return results

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask, column-major; see `transforms.full_mask`."""
        return full_mask(candidate.logits, Frame(embedding.width, embedding.height))

    def _open_encoder(self) -> Session:
        with self._opening:
            if self._encoder is None:
                self._encoder = self._graphs.open_encoder()
            return self._encoder

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


def ask(prompt: Prompt, frame: Frame) -> Question | None:
    """Translate a prompt; None when it names nothing (no box and no positive point).

    Points and corners outside the image are moved to its edge, corners are put in order, a box
    without area is the click in its middle, and without a box the padding token the network was
    trained with is added.
    """
    points = [_clamped(point, frame) for point in prompt.points]
    box = _normalised(prompt.box, frame) if prompt.box is not None else None
    if box is not None and (box.width <= 0 or box.height <= 0):
        points.append(Point((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
        box = None
    if box is None and not any(point.positive for point in points):
        return None
    places = [(point.x, point.y) for point in points]
    labels = [float(point.positive) for point in points]
    if box is not None:
        places += [(box.x0, box.y0), (box.x1, box.y1)]
        labels += CORNER_LABELS
    coords = frame.to_frame(np.array(places, np.float64))
    focus = _focus(coords, labels, box is not None)
    if box is None:
        coords = np.concatenate([coords, np.zeros((1, 2), np.float32)])
        labels.append(PADDING_LABEL)
    tokens = POINT_TOKENS if box is None else BOX_TOKENS
    return Question(coords, np.array(labels, np.float32), tokens, focus)


def ranked(logits: Floats, extent: Box) -> tuple[MaskCandidate, ...]:
    """Candidates of (M, n, n) logits: the most stable first, the others from small to large.

    An empty mask has no stability (0 / 0); it comes last and scores 0.
    """
    high = np.count_nonzero(logits > 1, axis=(1, 2))
    low = np.count_nonzero(logits > -1, axis=(1, 2))
    scores = np.where(low > 0, high / np.maximum(low, 1), -1.0)
    areas = np.count_nonzero(logits > 0, axis=(1, 2))
    best = int(np.argmax(scores))
    others = [index for index in range(len(logits)) if index != best]
    others.sort(key=lambda index: (areas[index] == 0, areas[index]))
    return tuple(
        MaskCandidate(logits[index], extent, max(0.0, float(scores[index])))
        for index in (best, *others)
    )


def _clamped(point: Point, frame: Frame) -> Point:
    x = min(max(point.x, 0.0), float(frame.width))
    y = min(max(point.y, 0.0), float(frame.height))
    return Point(x, y, point.positive)


def _normalised(box: Box, frame: Frame) -> Box:
    ordered = Box.spanning(box.x0, box.y0, box.x1, box.y1)
    return ordered.clipped(frame.width, frame.height)


def _focus(coords: Floats, labels: Sequence[float], boxed: bool) -> Cells:
    focus = np.zeros((GRID, GRID), np.bool_)
    cells = np.minimum(coords // CELL, GRID - 1).astype(int)
    for (column, row), label in zip(cells, labels, strict=True):
        if label == 1:
            focus[
                max(0, row - NEAR) : row + NEAR + 1, max(0, column - NEAR) : column + NEAR + 1
            ] = 1
    if boxed:
        (left, top), (right, bottom) = np.maximum(cells[-2] - 1, 0), cells[-1] + 1
        if (right - left + 1) * (bottom - top + 1) <= SMALL:
            focus[top : bottom + 1, left : right + 1] = True
    return focus
