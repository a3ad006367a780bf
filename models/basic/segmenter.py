"""The segmenter without weights: prompts to candidate masks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.api import Box, Embedding, MaskCandidate, Point, Prompt
from models.basic import constants, solver
from models.basic.graph import build_graph
from models.basic.window import cut_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import SegmenterSpec

    Floats = NDArray[np.float32]

WORKING_SIDE = 1024  # longest side of the image kept in the embedding, pixels
SUPERPIXEL_STEP = 5.0  # window pixels
CERTAIN = np.float32(8.0)  # logit of clicked places and of everything outside the box
CLICK_REACH = 1.2  # how far a click is believed, in mean boundary crossings
CLICK_WEIGHT = 6.0  # logit at the click
POINT_SIZES = (0.12, 0.25, 0.5)  # box sides tried around a lone click, parts of the image side


class BasicSegmenter:
    """Superpixels, colour models and shape priors; see `models.basic.solver`."""

    def __init__(self, spec: SegmenterSpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> SegmenterSpec:
        """The description this instance was made from."""
        return self._spec

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Keep the image at working resolution; (H, W, 3) uint8 RGB."""
        height, width = image.shape[:2]
        scale = min(1.0, WORKING_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image.copy()
        return Embedding(self._spec.id, width, height, {"image": small})

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """Candidate masks for a prompt; see `models.api.Segmenter.decode`."""
        points = tuple(_clamped(point, embedding) for point in prompt.points)
        box = prompt.box.clipped(embedding.width, embedding.height) if prompt.box else None
        if box is not None and (box.width < 1e-6 or box.height < 1e-6):
            centre = Point((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
            points, box = (*points, _clamped(centre, embedding)), None
        if box is not None:
            return self._in_box(embedding, box, points)
        if not any(point.positive for point in points):
            return ()
        found = [
            candidate
            for guess in _boxes_around(points, embedding)
            for candidate in self._in_box(embedding, guess, points)[:1]
        ]
        best = max(range(len(found)), key=lambda index: found[index].score)
        return (found[best], *(c for index, c in enumerate(found) if index != best))

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask at the size of the image."""
        mask = np.zeros((embedding.height, embedding.width), np.bool_)
        extent = candidate.extent
        x0, y0 = max(0, math.floor(extent.x0)), max(0, math.floor(extent.y0))
        x1 = min(embedding.width, math.ceil(extent.x1))
        y1 = min(embedding.height, math.ceil(extent.y1))
        rows, cols = candidate.logits.shape
        zoom_x, zoom_y = cols / extent.width, rows / extent.height
        # Pixel centre (x0 + i + 0.5) in grid coordinates, whose cell centres are at +0.5.
        to_grid = np.array(
            [
                [zoom_x, 0, (x0 + 0.5 - extent.x0) * zoom_x - 0.5],
                [0, zoom_y, (y0 + 0.5 - extent.y0) * zoom_y - 0.5],
            ]
        )
        resampled = cv2.warpAffine(
            candidate.logits,
            to_grid,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        mask[y0:y1, x0:x1] = resampled > 0
        return mask

    def _in_box(
        self, embedding: Embedding, box: Box, points: tuple[Point, ...]
    ) -> tuple[MaskCandidate, ...]:
        image = np.asarray(embedding.arrays["image"], np.uint8)
        window, extent = cut_window(image, embedding.width, embedding.height, box)
        graph = build_graph(window, extent, SUPERPIXEL_STEP)
        scene = solver.make_scene(graph, box, embedding.width, embedding.height)
        clicks = _click_logits(scene, points)
        first = solver.first_cues(scene)
        p = solver.sigmoid(first @ np.float32(constants.FIRST) + clicks)
        for weights in (constants.SECOND, constants.THIRD):
            cues = solver.next_cues(scene, first, p)
            p = solver.sigmoid(cues @ np.float32(weights) + clicks)
        p = p * scene.inside
        cut, score = solver.best_cut(p, graph.area)
        middle = math.log(max(cut, 1e-4) / (1.0001 - cut))
        candidates = []
        for shift in (0.0, 1.5, -1.5):
            z = np.log((p + np.float32(1e-4)) / (np.float32(1.0001) - p)) - np.float32(
                middle + shift
            )
            logits = (z + np.float32(1e-3))[graph.labels].astype(np.float32)
            _pin(logits, extent, points)
            candidates.append(MaskCandidate(logits, extent, score - 0.1 * abs(shift)))
        return tuple(candidates)


def _clamped(point: Point, embedding: Embedding) -> Point:
    """The centre of the image pixel nearest to the point."""
    x = min(max(math.floor(point.x), 0), embedding.width - 1) + 0.5
    y = min(max(math.floor(point.y), 0), embedding.height - 1) + 0.5
    return Point(x, y, point.positive)


def _boxes_around(points: tuple[Point, ...], embedding: Embedding) -> list[Box]:
    """Boxes of several sizes around the positive points."""
    xs = [point.x for point in points if point.positive]
    ys = [point.y for point in points if point.positive]
    boxes = []
    for size in POINT_SIZES:
        grow = size / 2 * math.sqrt(embedding.width * embedding.height)
        around = Box(min(xs) - grow, min(ys) - grow, max(xs) + grow, max(ys) + grow)
        boxes.append(around.clipped(embedding.width, embedding.height))
    return boxes


def _cell(graph_shape: tuple[int, ...], extent: Box, x: float, y: float) -> tuple[int, int]:
    """Row and column of the grid cell that contains an image position (clamped)."""
    rows, cols = graph_shape[:2]
    row = math.floor((y - extent.y0) / extent.height * rows)
    col = math.floor((x - extent.x0) / extent.width * cols)
    return min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)


def _click_logits(scene: solver.Scene, points: tuple[Point, ...]) -> Floats:
    """(n,) what the clicks add to the logit: most at the click, less beyond boundaries."""
    graph = scene.graph
    total = np.zeros(len(graph.area), np.float32)
    for positive in (True, False):
        seeds = np.zeros(len(total), np.bool_)
        for point in points:
            if point.positive == positive:
                seeds[graph.labels[_cell(graph.labels.shape, graph.extent, point.x, point.y)]] = (
                    True
                )
        if seeds.any():
            belief = CLICK_WEIGHT * np.exp(-solver.distance_from(scene.path, seeds) / CLICK_REACH)
            total += (1 if positive else -1) * belief.astype(np.float32)
    return total


def _pin(logits: Floats, extent: Box, points: tuple[Point, ...]) -> None:
    """Make the grid agree with every click, in place.

    Three by three cells, so that bilinear resampling at the clicked pixel sees nothing else.
    """
    for point in sorted(points, key=lambda p: p.positive):
        row, col = _cell(logits.shape, extent, point.x, point.y)
        patch = logits[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2]
        patch[:] = CERTAIN if point.positive else -CERTAIN
