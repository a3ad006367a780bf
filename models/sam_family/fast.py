"""FastSAM behind `models.api.Segmenter`: all objects once per image, prompts choose among them.

Source: Zhao et al., "Fast Segment Anything" (2023). Choosing needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from models.api import Box, Embedding, MaskCandidate, ModelError, Point, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import SegmenterSpec
    from models.folded_parts import Floats

SIDE = 1024
STRIDE = 32
CELL = 4
"""Pixels of the network's frame along a side of a prototype's cell."""
GREY = 114
# Objects below this confidence are not kept, and of boxes that overlap more only the surest is.
# The original's examples ask for 0.4 and 0.9; prompts choose, so that less sure ones may stay.
CONFIDENCE = 0.25
OVERLAP = 0.9
MOST = 300
MOST_BEFORE = 1000
OTHERS = 3
"""Candidates after the best one."""
# For a box: candidates overlap it at least this much, relative to the best one.
WORTH = 0.5
RIVALS = 24
"""Objects whose masks are compared with a box."""
OUTSIDE = 0.5
"""Logits outside an object's box are at most minus this."""


class FastRuntime(Protocol):
    """Runs the network."""

    def frame(self, width: int, height: int) -> tuple[int, int]:
        """Height and width of the network's input for an image of this size."""

    def run(self, pixels: Floats) -> tuple[Floats, Floats]:
        """Find everything in (1, 3, H, W), RGB, 0 to 1.

        Returns:
            (5 + M, N), for N places the box (centre x and y, width, height, pixels of the frame),
            the confidence and the weights of the prototypes; and prototypes (M, H / 4, W / 4).
        """

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where an image lies in the network's frame: scaled evenly, centred, grey around it.

    Attributes:
        width: of the image, pixels.
        height: of the image, pixels.
        frame: height and width of the frame.
    """

    width: int
    height: int
    frame: tuple[int, int]

    @property
    def resized(self) -> tuple[int, int]:
        """Height and width of the image inside the frame."""
        ratio = min(self.frame[0] / self.height, self.frame[1] / self.width)
        return max(1, round(self.height * ratio)), max(1, round(self.width * ratio))

    @property
    def offset(self) -> tuple[int, int]:
        """Rows above and columns left of the image."""
        height, width = self.resized
        return (
            round((self.frame[0] - height) / 2 - 0.1),
            round((self.frame[1] - width) / 2 - 0.1),
        )

    def pixels(self, image: NDArray[np.uint8]) -> Floats:
        """(H, W, 3) uint8 RGB as the network's input (1, 3, frame height, frame width)."""
        (height, width), (top, left) = self.resized, self.offset
        small = image
        if image.shape[:2] != (height, width):
            small = np.asarray(
                cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
            )
        padded = np.full((*self.frame, 3), GREY, np.uint8)
        padded[top : top + height, left : left + width] = small
        planes = padded.transpose(2, 0, 1)[None].astype(np.float32)
        return np.asarray(planes / np.float32(255))

    def to_frame(self, places: Floats) -> Floats:
        """Image coordinates (..., 2), x then y, in pixels of the frame."""
        (height, width), (top, left) = self.resized, self.offset
        scale = np.array([width / self.width, height / self.height])
        return np.asarray(places * scale + (left, top), np.float32)

    def to_image(self, box: Box) -> Box:
        """A rectangle of the frame in image pixels."""
        (height, width), (top, left) = self.resized, self.offset
        x, y = self.width / width, self.height / height
        return Box((box.x0 - left) * x, (box.y0 - top) * y, (box.x1 - left) * x, (box.y1 - top) * y)


def usual_frame(width: int, height: int) -> tuple[int, int]:
    """The smallest frame for a network that takes any multiple of 32: height and width."""
    ratio = SIDE / max(width, height)
    return _up(height * ratio), _up(width * ratio)


def _up(size: float) -> int:
    return max(STRIDE, -(-round(size) // STRIDE) * STRIDE)


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What was found in an image.

    Attributes:
        boxes: (n, 4) x0, y0, x1, y1 in pixels of the frame.
        scores: (n) confidence, the surest first.
        weights: (n, M) of the prototypes.
        prototypes: (M, h, w); their weighted sum is an object's logits.
    """

    boxes: Floats
    scores: Floats
    weights: Floats
    prototypes: Floats

    def logits(self, which: Sequence[int]) -> Floats:
        """Logits (k, h, w), negative outside each object's box."""
        _, rows, columns = self.prototypes.shape
        flat = self.prototypes.reshape(len(self.prototypes), -1)
        found = (self.weights[list(which)] @ flat).reshape(-1, rows, columns)
        y, x = CELL * (np.arange(rows) + 0.5), CELL * (np.arange(columns) + 0.5)
        x0, y0, x1, y1 = (side[:, None] for side in self.boxes[list(which)].T)
        inside = ((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None]
        # As far below 0 outside as above it inside, so that the edge is in the middle.
        return np.where(inside, found, -np.maximum(np.abs(found), OUTSIDE)).astype(np.float32)

    def hold(self, places: Floats) -> NDArray[np.bool_]:
        """Which objects hold which places (k, 2) of the frame: (n, k)."""
        _, rows, columns = self.prototypes.shape
        row = np.clip(places[:, 1] // CELL, 0, rows - 1).astype(int)
        column = np.clip(places[:, 0] // CELL, 0, columns - 1).astype(int)
        positive = self.weights @ self.prototypes[:, row, column] > 0
        x0, y0, x1, y1 = (side[:, None] for side in self.boxes.T)
        x, y = places.T
        return np.asarray(positive & (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def find_objects(places: Floats, prototypes: Floats) -> Objects:
    """Sure enough objects without duplicates, from the outputs of `FastRuntime.run`."""
    scores = places[4]
    sure = np.flatnonzero(scores >= CONFIDENCE)
    order = sure[np.argsort(-scores[sure], kind="stable")][:MOST_BEFORE]
    centres, halves = places[:2, order].T, places[2:4, order].T / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    kept = without_duplicates(boxes)[:MOST]
    chosen = order[kept]
    return Objects(boxes[kept], scores[chosen], places[5:, chosen].T, prototypes)


def without_duplicates(boxes: Floats) -> list[int]:
    """Boxes (n, 4), the surest first, that overlap no surer one too much."""
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if not kept or overlaps(boxes[kept], box).max() <= OVERLAP:
            kept.append(index)
    return kept


def overlaps(boxes: Floats, box: Floats) -> Floats:
    """Intersection over union of boxes (n, 4) with one box (4): (n)."""
    start, end = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.prod(np.maximum(end - start, 0), axis=1)
    both = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - shared
    return np.asarray(shared / np.maximum(both, 1e-9), np.float32)


class FastSamSegmenter:
    """Rules of FastSAM around its network.

    Args:
        spec: the description this instance is made for.
        runtime: runs the network.
        fingerprint: changes with weights and runtime: part of the key of cached embeddings.
    """

    def __init__(self, spec: SegmenterSpec, runtime: FastRuntime, fingerprint: str) -> None:
        self._spec = spec
        self._runtime = runtime
        self._fingerprint = fingerprint

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

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Find everything in (H, W, 3) uint8 RGB: the arrays of `Objects`.

        Raises:
            ModelError: the network returns no numbers.
        """
        height, width = image.shape[:2]
        letterbox = Letterbox(width, height, self._runtime.frame(width, height))
        places, prototypes = self._runtime.run(letterbox.pixels(image))
        if not (np.isfinite(places).all() and np.isfinite(prototypes).all()):
            raise ModelError(
                "The network returned values that are not numbers: its weights are damaged. "
                "Remove the model's file and get it again."
            )
        found = find_objects(places, prototypes)
        arrays: dict[str, NDArray[np.generic]] = {
            "boxes": found.boxes,
            "scores": found.scores,
            "weights": found.weights,
            "prototypes": prototypes,
        }
        return Embedding(self._spec.id, width, height, arrays)

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """The objects a prompt means; see `models.api.Segmenter.decode`.

        When the network found nothing there, the only candidate is empty and scores 0.

        Raises:
            ModelError: the embedding is damaged.
        """
        objects, letterbox = _objects(embedding)
        points, box = _sensible(prompt, embedding)
        if box is None and not any(point.positive for point in points):
            return ()
        if len(objects.scores) == 0:
            return (_nothing(objects, letterbox),)
        if box is None:
            chosen = choose_by_points(objects, points, letterbox)
        else:
            chosen = choose_by_box(objects, box, points, letterbox)
        found = [_candidate(logits, score, letterbox) for logits, score in chosen]
        return tuple(one for one in found if one is not None) or (_nothing(objects, letterbox),)

    def instances(self, embedding: Embedding) -> list[MaskCandidate]:
        """Everything that was found, the surest first; nobody has to ask for it.

        Raises:
            ModelError: the embedding is damaged.
        """
        objects, letterbox = _objects(embedding)
        every = (
            _candidate(objects.logits([place])[0], float(score), letterbox)
            for place, score in enumerate(objects.scores)
        )
        return [one for one in every if one is not None]

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask, column-major."""
        return placed_mask(candidate, embedding.width, embedding.height)


def choose_by_points(
    objects: Objects, points: Sequence[Point], letterbox: Letterbox
) -> list[tuple[Floats, float]]:
    """Logits (h, w) and scores: the surest object that fits the clicks best, others by size.

    When no object holds all positive clicks, objects that hold one each are joined. Objects at a
    negative click that hold no positive one are cut away.
    """
    places = letterbox.to_frame(np.array([(point.x, point.y) for point in points]))
    held = objects.hold(places)
    positive = np.array([point.positive for point in points])
    right, wrong = held[:, positive].sum(axis=1), held[:, ~positive].sum(axis=1)
    away = np.flatnonzero((right == 0) & (wrong > 0))
    if not right.any():
        return []
    if right.max() < positive.sum():
        parts = sorted({int(np.argmax(column)) for column in held[:, positive].T if column.any()})
        joined = objects.logits(parts).max(axis=0)
        score = float(objects.scores[parts].min())
        return [(_cut(joined, objects, away), score)]
    fit = np.flatnonzero((right == right.max()) & (wrong == wrong[right == right.max()].min()))
    best, *others = fit[: OTHERS + 1]
    return _by_size(objects, [int(best)], [int(index) for index in others], away)


def choose_by_box(
    objects: Objects, box: Box, points: Sequence[Point], letterbox: Letterbox
) -> list[tuple[Floats, float]]:
    """Logits (h, w) and scores: the object whose mask overlaps the box best, others by size.

    Clicks that came with the box go before the overlap: objects that contradict fewer of them
    win.
    """
    corners = letterbox.to_frame(np.array([(box.x0, box.y0), (box.x1, box.y1)])).ravel()
    rivals = np.argsort(-overlaps(objects.boxes, corners), kind="stable")[:RIVALS]
    shares = _mask_overlaps(objects.logits([int(index) for index in rivals]) > 0, corners)
    contradicted = np.zeros(len(rivals), int)
    away = np.zeros(0, int)
    if points:
        places = letterbox.to_frame(np.array([(point.x, point.y) for point in points]))
        held = objects.hold(places)
        positive = np.array([point.positive for point in points])
        contradicted = (held != positive).sum(axis=1)[rivals]
        away = np.flatnonzero(~held[:, positive].any(axis=1) & held[:, ~positive].any(axis=1))
    order = np.lexsort((-shares, contradicted))
    order = order[shares[order] > 0]
    if len(order) == 0:
        return []
    best = order[0]
    others = [i for i in order[1:] if shares[i] >= WORTH * shares[best]][:OTHERS]
    away = np.setdiff1d(away, rivals[[best, *others]])
    return _by_size(objects, [int(rivals[best])], [int(rivals[i]) for i in others], away)


def _mask_overlaps(masks: NDArray[np.bool_], corners: Floats) -> Floats:
    """Intersection over union of masks (k, h, w) with a box (4) in pixels of the frame."""
    _, rows, columns = masks.shape
    x0, y0, x1, y1 = corners / CELL
    # The part of each row and column of cells that the box covers.
    y, x = np.arange(rows), np.arange(columns)
    down = np.clip(np.minimum(y + 1, y1) - np.maximum(y, y0), 0, 1)
    across = np.clip(np.minimum(x + 1, x1) - np.maximum(x, x0), 0, 1)
    shared = np.einsum("kyx,y,x->k", masks.astype(np.float32), down, across)
    both = masks.sum(axis=(1, 2)) + (x1 - x0) * (y1 - y0) - shared
    return np.asarray(shared / np.maximum(both, 1e-9), np.float32)


def _by_size(
    objects: Objects, first: list[int], others: list[int], away: NDArray[np.integer]
) -> list[tuple[Floats, float]]:
    logits = [_cut(one, objects, away) for one in objects.logits(first + others)]
    scores = [float(objects.scores[index]) for index in first + others]
    found = list(zip(logits, scores, strict=True))
    return found[:1] + sorted(found[1:], key=lambda one: int((one[0] > 0).sum()))


def _cut(logits: Floats, objects: Objects, away: NDArray[np.integer]) -> Floats:
    """Take the masks of other objects away."""
    for other in away:
        logits = np.minimum(logits, -objects.logits([int(other)])[0])
    return logits


def _objects(embedding: Embedding) -> tuple[Objects, Letterbox]:
    arrays = {name: np.asarray(value, np.float32) for name, value in embedding.arrays.items()}
    if not all(np.isfinite(value).all() for value in arrays.values()):
        from models.folded_parts import not_finite

        raise not_finite()
    prototypes = arrays["prototypes"]
    frame = (CELL * prototypes.shape[1], CELL * prototypes.shape[2])
    objects = Objects(arrays["boxes"], arrays["scores"], arrays["weights"], prototypes)
    return objects, Letterbox(embedding.width, embedding.height, frame)


def _sensible(prompt: Prompt, image: Embedding) -> tuple[list[Point], Box | None]:
    """Points moved into the image, corners in order; a box without area is its middle."""
    points = [
        Point(
            min(max(point.x, 0.0), float(image.width)),
            min(max(point.y, 0.0), float(image.height)),
            point.positive,
        )
        for point in prompt.points
    ]
    if prompt.box is None:
        return points, None
    box = Box.spanning(prompt.box.x0, prompt.box.y0, prompt.box.x1, prompt.box.y1)
    box = box.clipped(image.width, image.height)
    if box.width > 0 and box.height > 0:
        return points, box
    return [*points, Point((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)], None


def _candidate(logits: Floats, score: float, letterbox: Letterbox) -> MaskCandidate | None:
    """The part of the logits around the mask; None for an empty mask."""
    rows, columns = np.nonzero(logits > 0)
    if len(rows) == 0:
        return None
    top, left = max(0, int(rows.min()) - 1), max(0, int(columns.min()) - 1)
    bottom = min(logits.shape[0], int(rows.max()) + 2)
    right = min(logits.shape[1], int(columns.max()) + 2)
    extent = Box(CELL * left, CELL * top, CELL * right, CELL * bottom)
    part = np.ascontiguousarray(logits[top:bottom, left:right])
    return MaskCandidate(part, letterbox.to_image(extent), score)


def _nothing(objects: Objects, letterbox: Letterbox) -> MaskCandidate:
    _, rows, columns = objects.prototypes.shape
    extent = letterbox.to_image(Box(0, 0, CELL * columns, CELL * rows))
    return MaskCandidate(np.full((rows, columns), -1, np.float32), extent, 0.0)


def placed_mask(candidate: MaskCandidate, width: int, height: int) -> NDArray[np.bool_]:
    """A candidate on an image of this size: bilinear inside its extent, nothing outside.

    Returns:
        (height, width) bool, column-major, as run-length encoding reads it.
    """
    turned = np.zeros((width, height), np.bool_)
    extent = candidate.extent
    x0, y0 = max(0, round(extent.x0)), max(0, round(extent.y0))
    x1, y1 = min(width, round(extent.x1)), min(height, round(extent.y1))
    if x0 < x1 and y0 < y1:
        rows, columns = candidate.logits.shape
        across, down = columns / extent.width, rows / extent.height
        # Pixel centres of the turned image in cells of the turned grid, centres at + 0.5.
        grid = np.array(
            [
                [down, 0, (y0 + 0.5 - extent.y0) * down - 0.5],
                [0, across, (x0 + 0.5 - extent.x0) * across - 0.5],
            ]
        )
        large = cv2.warpAffine(
            np.ascontiguousarray(candidate.logits.T),
            grid,
            (y1 - y0, x1 - x0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        turned[x0:x1, y0:y1] = large > 0
    return turned.T
