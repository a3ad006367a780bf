"""The Loupe segmenter: windows around prompts, answered by one small graph in onnxruntime."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.api import Box, Embedding, MaskCandidate, MaskPrompt, ModelError, Prompt
from models.candidates import rendered
from models.loupe import windows as geometry
from models.mask_prompts import sampled
from models.onnx_session import open_session
from models.processors import apart, shared
from models.runtimes import preferred_abreast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.api import Point, SegmenterSpec

    Floats = NDArray[np.float32]

INPUT_SIDE = 768
"""Longest side of the resized image."""
FILL = 114
REMEMBERED = 48
"""Answers kept, because every click goes on from the answer before it."""
SAME = 0.8
"""Candidates of one click whose IoU is at least this are one."""
COMPARED = 64
SURE = 6.0
"""Logits inside a mask that is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One answer: a mask (2 G, 2 G) in a window cx, cy, width, height of the network's input."""

    logits: Floats
    window: Floats
    score: float


@dataclass(frozen=True, slots=True)
class Resized:
    """An image as the network sees it: resized, in the upper left corner of a padded input."""

    width: int
    height: int
    scale_x: float
    scale_y: float

    @classmethod
    def of(cls, width: int, height: int) -> Resized:
        """For an image of this size."""
        scale = INPUT_SIDE / max(width, height)
        small = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(*small, small[0] / width, small[1] / height)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the input."""
        step = geometry.ALIGNMENT
        return -(-self.height // step) * step, -(-self.width // step) * step

    def extent(self, window: Floats) -> Box:
        """A window in image pixels."""
        x, y, width, height = (float(v) for v in window)
        return Box(
            (x - width / 2) / self.scale_x,
            (y - height / 2) / self.scale_y,
            (x + width / 2) / self.scale_x,
            (y + height / 2) / self.scale_y,
        )


class LoupeSegmenter:
    """Loupe in onnxruntime.

    Args:
        spec: the description this instance is made for.
        folder: `encoder.onnx` and `decoder.onnx`.

    Raises:
        ModelError: a graph is missing or damaged.
    """

    def __init__(self, spec: SegmenterSpec, folder: Path) -> None:
        self._spec = spec
        self._abreast = preferred_abreast()
        files = folder / "encoder.onnx", folder / "decoder.onnx"
        with shared(self._abreast):
            self._encoder = open_session(files[0])
        self._decoder = open_session(files[1], arena=True, short=True)
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
        self._fingerprint = digest.hexdigest()[:16]
        self._known: OrderedDict[tuple[int, Prompt], tuple[object, tuple[Look, ...]]] = (
            OrderedDict()
        )

    @property
    def spec(self) -> SegmenterSpec:
        """The description this instance was made from."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """Changes with the weights."""
        return self._fingerprint

    def complete(self, embedding: Embedding) -> Embedding:
        """An embedding from a disk, with the numbers the decoder takes."""
        arrays = {name: np.asarray(a, np.float32) for name, a in embedding.arrays.items()}
        return Embedding(embedding.model, embedding.width, embedding.height, arrays)

    @property
    def abreast(self) -> int:
        """See `AbreastSegmenter`."""
        return self._abreast

    @property
    def seen_side(self) -> int:
        """See `ReducingSegmenter`."""
        return INPUT_SIDE

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Embed (H, W, 3) uint8 RGB as `coarse` (C, R, Q) and `fine` (F, 2 R, 2 Q) atlases.

        Raises:
            ModelError: the result is not a number: the weights are damaged.
        """
        height, width = image.shape[:2]
        return self.encode_reduced(image, width, height)

    def encode_reduced(self, picture: NDArray[np.uint8], width: int, height: int) -> Embedding:
        """`encode` from a smaller picture; see `ReducingSegmenter`."""
        shape = Resized.of(width, height)
        padded = np.full((*shape.padded, 3), FILL, np.uint8)
        method = cv2.INTER_AREA if shape.scale_x < 1 else cv2.INTER_LINEAR
        padded[: shape.height, : shape.width] = cv2.resize(
            picture, (shape.width, shape.height), interpolation=method
        )
        maps = self._encoder.run(None, {"image": padded[None]})
        stride = geometry.COARSE_STRIDE
        arrays = {
            "coarse": _packed(maps[:4], *shape.padded, stride),
            "fine": _packed(maps[4:], *shape.padded, stride // 2),
        }
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ModelError("The encoder returned values that are not numbers.")
        return Embedding(self._spec.id, width, height, arrays)

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """Candidate masks for a prompt; see `models.api.Segmenter.decode`.

        Every click is answered from the mask of the clicks before it.
        """
        if not prompt:
            return ()
        shape = Resized.of(embedding.width, embedding.height)
        return tuple(
            MaskCandidate(look.logits, shape.extent(look.window), look.score)
            for look in self._looks(embedding, shape, prompt)
        )

    def decode_from(
        self, embedding: Embedding, start: MaskPrompt, prompt: Prompt
    ) -> tuple[MaskCandidate, ...]:
        """See `models.api.MaskPromptable`: it was trained to go on from the mask before."""
        shape = Resized.of(embedding.width, embedding.height)
        look = self._again(embedding, shape, prompt, _started(shape, start))
        return (MaskCandidate(look.logits, shape.extent(look.window), look.score),)

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask at the size of the image."""
        return rendered(candidate, embedding.width, embedding.height)

    def _looks(self, embedding: Embedding, shape: Resized, prompt: Prompt) -> tuple[Look, ...]:
        key = id(embedding.arrays["coarse"]), prompt
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known[1]
        looks = self._look(embedding, shape, prompt)
        # The array is kept so that no other one can get its id.
        self._known[key] = embedding.arrays["coarse"], looks
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return looks

    def _look(self, embedding: Embedding, shape: Resized, prompt: Prompt) -> tuple[Look, ...]:
        before = Prompt(prompt.points[:-1], prompt.box)
        if before and prompt.points:
            earlier = self._looks(embedding, shape, before)[0]
            return (self._again(embedding, shape, prompt, earlier),)
        if prompt.box is not None:
            corners = _corners(embedding, shape, prompt.box)
            return tuple(self._ask(embedding, shape, prompt, geometry.around_boxes(corners)[None]))
        x, y = _scaled(shape, prompt.points[-1:])[0, :2]
        tried = self._ask(
            embedding, shape, prompt, geometry.around_point(x, y, shape.height, shape.width)
        )
        best = max(tried, key=lambda look: look.score)
        closer = self._again(embedding, shape, prompt, best)
        return closer, *_distinct(closer, [look for look in tried if look is not best])

    def _again(self, embedding: Embedding, shape: Resized, prompt: Prompt, before: Look) -> Look:
        """A closer look at a mask, with what was said since."""
        points = _scaled(shape, prompt.points)
        stay = [points[points[:, 2] > 0, :2]]
        if prompt.box is not None:
            stay.append(_corners(embedding, shape, prompt.box).reshape(2, 2))
        window = geometry.closer(before.logits, before.window, np.concatenate(stay))
        probability = 1 / (1 + np.exp(-np.clip(before.logits, -30, 30)))
        previous = geometry.seen_from(
            probability.astype(np.float32), before.window, window, geometry.GRID
        )
        return self._ask(embedding, shape, prompt, window[None], previous[None])[0]

    def _ask(
        self,
        embedding: Embedding,
        shape: Resized,
        prompt: Prompt,
        windows: Floats,
        previous: Floats | None = None,
    ) -> list[Look]:
        """One look through each of K windows (K, 4), with the mask so far (K, G, G) if any."""
        count, grid = len(windows), geometry.GRID
        points = _scaled(shape, prompt.points)
        if not len(points):
            points = np.zeros((1, 3), np.float32)
        boxes = np.zeros((count, 5), np.float32)
        if prompt.box is not None:
            boxes[:] = *_corners(embedding, shape, prompt.box), 1
        blank = np.zeros((count, grid, grid), np.float32)
        feeds = {
            "coarse": embedding.arrays["coarse"][None],
            "fine": embedding.arrays["fine"][None],
            "windows": windows[None],
            "places": geometry.places(windows, *shape.padded)[None],
            "points": np.broadcast_to(points, (1, count, *points.shape)).copy(),
            "boxes": boxes[None],
            "previous": (blank if previous is None else previous)[None],
            "has_previous": np.full((1, count), previous is not None, np.float32),
            "sizes": np.array([[shape.width, shape.height]], np.float32),
        }
        with apart():
            logits, scores = self._decoder.run(None, feeds)
        return [Look(logits[0, i], windows[i], float(scores[0, i])) for i in range(count)]


def _started(shape: Resized, start: MaskPrompt) -> Look:
    """A mask as if it had been answered."""
    box, scale = start.box, (shape.scale_x, shape.scale_y) * 2
    corners = np.array([box.x0, box.y0, box.x1, box.y1]) * scale
    window = geometry.around_boxes(corners.astype(np.float32), geometry.MASK_MARGIN)
    share = sampled(start, shape.extent(window), 2 * geometry.GRID)
    return Look(np.asarray((share - 0.5) * (2 * SURE), np.float32), window, 1.0)


def _scaled(shape: Resized, points: Sequence[Point]) -> Floats:
    """Clicks as (n, 3): x, y in the input, +1 or -1."""
    rows = [(p.x * shape.scale_x, p.y * shape.scale_y, 1 if p.positive else -1) for p in points]
    return np.array(rows, np.float32).reshape(-1, 3)


def _corners(embedding: Embedding, shape: Resized, box: Box) -> Floats:
    """A box inside the image as x0, y0, x1, y1 of the input."""
    box = box.clipped(embedding.width, embedding.height)
    corners = np.array([box.x0, box.y0, box.x1, box.y1], np.float32)
    return corners * np.array([shape.scale_x, shape.scale_y] * 2, np.float32)


def _packed(maps: Sequence[Floats], height: int, width: int, stride: int) -> Floats:
    """The levels of a pyramid (1, C, h, w) in one atlas (C, rows, columns)."""
    atlas = np.zeros((maps[0].shape[1], *geometry.atlas_shape(height, width, stride)), np.float32)
    for (row, col), level in zip(geometry.level_origins(height, width, stride), maps, strict=True):
        atlas[:, row : row + level.shape[2], col : col + level.shape[3]] = level[0]
    return atlas


def _distinct(first: Look, others: list[Look]) -> list[Look]:
    """The others from small to large, without empty ones and without what is there already."""
    kept: list[Look] = []
    for look in others:
        if (look.logits > 0).any() and all(_iou(look, one) < SAME for one in (first, *kept)):
            kept.append(look)
    return kept


def _iou(one: Look, two: Look) -> float:
    """IoU of two masks, roughly, on a grid that holds both windows."""
    low = np.minimum(one.window[:2] - one.window[2:] / 2, two.window[:2] - two.window[2:] / 2)
    high = np.maximum(one.window[:2] + one.window[2:] / 2, two.window[:2] + two.window[2:] / 2)
    around = np.concatenate([(low + high) / 2, high - low]).astype(np.float32)
    inside = [
        geometry.seen_from((look.logits > 0).astype(np.float32), look.window, around, COMPARED)
        > 0.5
        for look in (one, two)
    ]
    union = np.count_nonzero(inside[0] | inside[1])
    return np.count_nonzero(inside[0] & inside[1]) / union if union else 0.0
