"""The segmenter without weights: prompts to candidate masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.api import Box, Embedding, MaskCandidate, Point, Prompt
from models.basic import constants, solver
from models.basic.graph import Graph, box_cells, build_graph, to_lab
from models.basic.rank import mask_cues
from models.basic.refine import guided_upsampling
from models.basic.window import cut_window, detail
from models.candidates import rendered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.api import SegmenterSpec

    Floats = NDArray[np.float32]

WORKING_SIDE = 1024  # longest side of the image kept in the embedding, pixels
BOX_STEP = 5.0  # superpixel spacing for box prompts, window pixels
POINT_STEP = 6.5  # coarser for points, because several sizes are tried
CERTAIN = 8.0  # logit of clicked places
GRANULARITY = (0.65, 1.4)  # areas of part and whole relative to the best mask in a box
POINT_SIDES = (0.1, 0.2, 0.4, 0.8)  # box sides tried around a click, parts of sqrt(image area)
MAX_MAGNIFICATION = 3.0  # how much finer than the window a mask normally is
MAX_CELLS = 4_000_000.0  # cells of a mask grid that has to tell close clicks apart
MIN_POINT_SIDE = 8.0  # image pixels
SPECK = 0.01  # pieces smaller than this part of the largest one are dropped
PINHOLE = 0.002  # holes smaller than this part of the object are filled


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What the solver says about one box.

    Attributes:
        scene: the window.
        box: the box, image pixels.
        p: (n,) probability per superpixel.
        cut: threshold of `p` for the best mask.
        score: confidence in that mask, 0 to 1.
    """

    scene: solver.Scene
    box: Box
    p: Floats
    cut: float
    score: float

    @property
    def area(self) -> float:
        """Area of the best mask in image pixels, never quite 0."""
        graph = self.scene.graph
        cells = float(graph.area[self.p >= self.cut].sum())
        return max(cells, 1e-3) * math.prod(_cell_size(graph))


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
        small = _shrunk(image, size) if scale < 1 else image.copy()
        return Embedding(self._spec.id, width, height, {"image": small})

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """Candidate masks for a prompt; see `models.api.Segmenter.decode`.

        A box gives the best mask, then a tighter and a more generous one. Points alone give the
        most believable of several sizes, then its smaller and larger rivals.
        """
        points = tuple(_clamped(point, embedding) for point in prompt.points)
        box = prompt.box.clipped(embedding.width, embedding.height) if prompt.box else None
        if box is not None and (box.width < 1e-6 or box.height < 1e-6):
            centre = Point((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
            points, box = (*points, _clamped(centre, embedding)), None
        if box is not None:
            return _box_candidates(embedding, box, points)
        if not any(point.positive for point in points):
            return ()
        return _point_candidates(embedding, points)

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """The candidate as an (H, W) bool mask at the size of the image."""
        return rendered(candidate, embedding.width, embedding.height)


def _shrunk(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Area averages; by halves as far as that goes, because OpenCV halves several times faster."""
    height, width = image.shape[:2]
    while width >= 2 * size[0] and height >= 2 * size[1] and not (width % 2 or height % 2):
        width, height = width // 2, height // 2
        halved = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        image = np.asarray(halved, np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _box_candidates(
    embedding: Embedding, box: Box, points: tuple[Point, ...]
) -> tuple[MaskCandidate, ...]:
    """Best, tight and generous mask in a box that grows to hold all positive points."""
    if box.width < 1 or box.height < 1:  # it names a row, a column or a pixel
        box = Box(math.floor(box.x0), math.floor(box.y0), math.ceil(box.x1), math.ceil(box.y1))
    box = _grown(box, points).clipped(embedding.width, embedding.height)
    answer = _answer(embedding, box, points, BOX_STEP, constants.BOX)
    area = answer.scene.graph.area
    size = float(area[answer.p >= answer.cut].sum())
    cuts = [solver.cut_for_area(answer.p, area, part * size) for part in GRANULARITY]
    return tuple(_candidates(embedding, answer, points, [answer.cut, *cuts]))


def _grown(box: Box, points: tuple[Point, ...]) -> Box:
    """The box with room for the positive points outside it: it was drawn too small."""
    rim = 1 + 0.02 * max(box.width, box.height)
    x0, y0, x1, y1 = box.x0, box.y0, box.x1, box.y1
    for point in points:
        if point.positive and not box.contains(point.x, point.y):
            x0, x1 = min(x0, point.x - rim), max(x1, point.x + rim)
            y0, y1 = min(y0, point.y - rim), max(y1, point.y + rim)
    return Box(x0, y0, x1, y1)


def _point_candidates(embedding: Embedding, points: tuple[Point, ...]) -> tuple[MaskCandidate, ...]:
    """The most believable size first, then the others that differ, small to large."""
    answers = _ranked_answers(embedding, points)
    best = max(answers, key=lambda answer: answer.score)
    rivals = [a for a in answers if a is not best and abs(math.log(a.area / best.area)) > 0.2]
    rivals = sorted(rivals, key=lambda answer: -answer.score)[:2]
    ordered = [best, *sorted(rivals, key=lambda answer: answer.area)]
    return tuple(
        candidate
        for answer in ordered
        for candidate in _candidates(embedding, answer, points, [answer.cut])
    )


def _ranked_answers(embedding: Embedding, points: tuple[Point, ...]) -> list[_Answer]:
    """One answer per tried size, each scored by how believable its mask is."""
    size = (embedding.width, embedding.height)
    answers = [
        _answer(embedding, box, points, POINT_STEP, constants.POINT)
        for box in _tried_boxes(embedding, points)
    ]
    ranked = []
    for index, answer in enumerate(answers):
        chosen = answer.p >= answer.cut
        cues = mask_cues(answer.scene, answer.p, chosen, answer.score, size)
        score = float(cues @ np.asarray(constants.RANK, np.float32)) + constants.SIZE_BIAS[index]
        ranked.append(
            _Answer(answer.scene, answer.box, answer.p, answer.cut, min(max(score, 0.01), 0.99))
        )
    return ranked


def _tried_boxes(embedding: Embedding, points: tuple[Point, ...]) -> list[Box]:
    """Squares of several sizes around the first positive point that hold all of them."""
    positive = [point for point in points if point.positive]
    x, y = positive[0].x, positive[0].y
    boxes = []
    for part in POINT_SIDES:
        half = max(part * math.sqrt(embedding.width * embedding.height), MIN_POINT_SIDE) / 2
        rim = 0.2 * half
        boxes.append(
            Box(
                min(x - half, *(p.x - rim for p in positive), x),
                min(y - half, *(p.y - rim for p in positive), y),
                max(x + half, *(p.x + rim for p in positive), x),
                max(y + half, *(p.y + rim for p in positive), y),
            )
        )
    return boxes


def _answer(
    embedding: Embedding,
    box: Box,
    points: tuple[Point, ...],
    step: float,
    weights: Sequence[Sequence[float]],
) -> _Answer:
    """Solve one box; the score is the expected IoU."""
    image = np.asarray(embedding.arrays["image"], np.uint8)
    window, extent = cut_window(image, embedding.width, embedding.height, box)
    graph = build_graph(window, extent, box, step)
    scene = solver.make_scene(graph, box, embedding.width, embedding.height)
    positive, negative = _clicked(graph, points, True), _clicked(graph, points, False)
    p = solver.solve(scene, positive, negative, weights)
    cut = solver.best_cut(p, graph.area)
    return _Answer(scene, box, p, cut, solver.expected_iou(p, graph.area, p >= cut))


def _candidates(
    embedding: Embedding, answer: _Answer, points: tuple[Point, ...], cuts: list[float]
) -> list[MaskCandidate]:
    """Masks of one answer at several thresholds, with edges that follow the image."""
    graph = answer.scene.graph
    rows, cols = box_cells(graph.labels.shape, graph.extent, answer.box)
    wide, high = _cell_size(graph)
    extent = Box(
        graph.extent.x0 + cols.start * wide,
        graph.extent.y0 + rows.start * high,
        graph.extent.x0 + cols.stop * wide,
        graph.extent.y0 + rows.stop * high,
    )
    p = answer.p[graph.labels[rows, cols]]
    image = np.asarray(embedding.arrays["image"], np.uint8)
    zoom = _magnification(embedding, graph, p.size, points)
    size = (max(1, round(p.shape[1] * zoom)), max(1, round(p.shape[0] * zoom)))
    fine = to_lab(detail(image, embedding.width, embedding.height, extent, size))
    p = np.clip(guided_upsampling(graph.lab[rows, cols], p, fine), 1e-4, 1 - 1e-4)
    logits = np.log(p / (1 - p))
    beyond = np.ones(logits.shape, np.bool_)
    beyond[box_cells(logits.shape, extent, answer.box)] = False
    found = []
    for cut in cuts:
        grid = np.clip(logits - np.float32(_logit(cut)), -CERTAIN, CERTAIN).astype(np.float32)
        grid[beyond] = -CERTAIN
        _tidy(grid, extent, points)
        _pin(grid, extent, points)
        score = answer.score
        if cut != answer.cut:
            score = min(score, solver.expected_iou(answer.p, graph.area, answer.p >= cut))
        found.append(MaskCandidate(grid, extent, score))
    return found


def _cell_size(graph: Graph) -> tuple[float, float]:
    """Width and height of a window pixel in image pixels."""
    rows, cols = graph.labels.shape
    return graph.extent.width / cols, graph.extent.height / rows


def _magnification(
    embedding: Embedding, graph: Graph, cells: int, points: tuple[Point, ...]
) -> float:
    """How much finer than the window the mask grid is.

    As fine as the working image within limits, and fine enough to tell opposite clicks apart.
    """
    cell = max(_cell_size(graph))
    working_pixel: float = embedding.width / embedding.arrays["image"].shape[1]
    zoom = min(max(1.0, cell / working_pixel), MAX_MAGNIFICATION)
    gaps = [
        max(abs(one.x - two.x), abs(one.y - two.y))
        for one in points
        for two in points
        if one.positive and not two.positive
    ]
    closest = min((gap for gap in gaps if gap > 0), default=math.inf)
    return max(zoom, min(2.01 * cell / closest, math.sqrt(MAX_CELLS / cells)))


def _logit(p: float) -> float:
    return math.log(p / (1 - min(p, 1 - 1e-4)))


def _clamped(point: Point, embedding: Embedding) -> Point:
    """The centre of the image pixel nearest to the point."""
    x = min(max(math.floor(point.x), 0), embedding.width - 1) + 0.5
    y = min(max(math.floor(point.y), 0), embedding.height - 1) + 0.5
    return Point(x, y, point.positive)


def _cell(shape: tuple[int, ...], extent: Box, x: float, y: float) -> tuple[int, int]:
    """Row and column of the grid cell that contains a position inside the extent."""
    rows, cols = shape[:2]
    row = math.floor((y - extent.y0) / extent.height * rows)
    col = math.floor((x - extent.x0) / extent.width * cols)
    return min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)


def _clicked(graph: Graph, points: tuple[Point, ...], positive: bool) -> list[int]:
    """The superpixels under the positive or the negative points of the window."""
    cells = [
        _cell(graph.labels.shape, graph.extent, point.x, point.y)
        for point in points
        if point.positive == positive and graph.extent.contains(point.x, point.y)
    ]
    return sorted({int(graph.labels[cell]) for cell in cells})


def _tidy(logits: Floats, extent: Box, points: tuple[Point, ...]) -> None:
    """Drop specks and fill pinholes nobody clicked, in place: cleaning them up is tedious.

    The mean IoU stays what it is; larger pieces are left to the user, they may be meant.
    """
    inside = logits > 0
    for region, positive, share in ((inside, True, SPECK), (~inside, False, PINHOLE)):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
        if count < 3:
            continue
        areas = stats[:, cv2.CC_STAT_AREA]
        whole = areas[1:].max() if positive else int(inside.sum())
        small = areas < share * whole
        small[0] = False
        for point in points:
            if point.positive == positive and extent.contains(point.x, point.y):
                small[labels[_cell(logits.shape, extent, point.x, point.y)]] = False
        logits[small[labels]] *= -1


def _pin(logits: Floats, extent: Box, points: tuple[Point, ...]) -> None:
    """Make the grid agree with every click, in place.

    Three by three cells, because bilinear resampling at the clicked pixel mixes up to four. The
    middle cells come last and outweigh the others, so that clicks close together all hold.
    """
    for reach, value in ((1, 0.2 * CERTAIN), (0, CERTAIN)):
        for point in points:
            if extent.contains(point.x, point.y):
                row, col = _cell(logits.shape, extent, point.x, point.y)
                rows = slice(max(row - reach, 0), row + reach + 1)
                cols = slice(max(col - reach, 0), col + reach + 1)
                logits[rows, cols] = value if point.positive else -value
