"""From a box and clicks to the probability that each superpixel belongs to the object.

A logistic model over a few measured cues per superpixel (where it lies in the box, how its colour
compares with inside and outside, how hard it is to reach from outside), refined twice with the
cues recomputed from the previous answer (auto-context: Tu and Bai, PAMI 2010). The cues are
classical: colour models inside and outside (GrabCut: Rother et al., SIGGRAPH 2004), geodesic
background distance (Wei et al., "Geodesic saliency", ECCV 2012), random walks with restart
(Grady, PAMI 2006) and fully connected smoothing (Krähenbühl and Koltun, NIPS 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.basic.neighbours import Neighbours, make_neighbours, random_walk, shortest_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.api import Box
    from models.basic.graph import Graph

    Floats = NDArray[np.float32]

LIGHTNESS_WEIGHT = 0.7
FINE, COARSE = 5.0, 12.0  # colour bandwidths, Lab units
NEAR, FAR = 0.45, 0.9  # spatial bandwidths in object radii
OPEN_TOLERANCE = 0.015  # a box side this close to the image edge may cut the object
REACHES = (4, 20)  # of the two random walks, window pixels per unit of bond
UNDECIDED = 0.15  # a greatest probability below this says that nothing stands out
STRIPS = 14  # rows and columns of a box that must not stay empty
CLICK_LOGIT = 2.0  # what a clicked superpixel should reach
CLICK_NOISE = 0.1  # how far it may miss that, as a part of the kernel
MIN_CUT = 0.01  # lowest threshold: below lies what is certainly outside
SMALL = np.float32(1e-6)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A graph seen from one box: coordinates in the box, affinities and distances.

    Attributes:
        graph: the window.
        u: (n,) horizontal position, -1 and 1 at the sides of the box.
        v: (n,) vertical position, likewise.
        inside: (n,) 1 inside the box, else 0.
        open_u: (n,) 1 where the nearer vertical side lies on the image edge.
        open_v: (n,) the same for the horizontal sides.
        fine: (n, n) colour affinity, narrow.
        coarse: (n, n) colour affinity, wide.
        near_fine: (n, n) narrow colour affinity of neighbours.
        far_fine: (n, n) narrow colour affinity of a wider neighbourhood.
        far_coarse: (n, n) wide colour affinity of a wider neighbourhood.
        near: (n, n) spatial affinity.
        neighbours: which superpixels touch, up to k each.
        path: (k, n) lengths of steps across boundaries.
        steep: (k, n) the same to a high power: approximates the weakest barrier.
        bonds: (k, n) how easily a random walk crosses the boundaries.
    """

    graph: Graph
    u: Floats
    v: Floats
    inside: Floats
    open_u: Floats
    open_v: Floats
    fine: Floats
    coarse: Floats
    near_fine: Floats
    far_fine: Floats
    far_coarse: Floats
    near: Floats
    neighbours: Neighbours
    path: NDArray[np.float32]
    steep: NDArray[np.float32]
    bonds: NDArray[np.float64]


def make_scene(graph: Graph, box: Box, width: int, height: int) -> Scene:
    """Look at a graph from a box; all in image pixels."""
    half_w, half_h = max(box.width / 2, 0.5), max(box.height / 2, 0.5)
    u = (graph.xy[:, 0] - np.float32((box.x0 + box.x1) / 2)) / np.float32(half_w)
    v = (graph.xy[:, 1] - np.float32((box.y0 + box.y1) / 2)) / np.float32(half_h)
    dx, dy = OPEN_TOLERANCE * width + 1, OPEN_TOLERANCE * height + 1
    open_u = np.where(u < 0, box.x0 <= dx, box.x1 >= width - dx)
    open_v = np.where(v < 0, box.y0 <= dy, box.y1 >= height - dy)
    look = np.concatenate(
        [graph.colour * np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32), graph.texture[:, None]], 1
    )
    place = graph.xy / np.float32(np.sqrt(half_w * half_h))
    colour_distance, distance = _squared_distances(look), _squared_distances(place)
    fine, coarse = _gaussian(colour_distance, FINE), _gaussian(colour_distance, COARSE)
    near, far = _gaussian(distance, NEAR), _gaussian(distance, FAR)
    neighbours = make_neighbours(graph.edges, len(graph.area))
    path, steep, bonds = _edge_values(graph, place)
    return Scene(
        graph=graph,
        u=u,
        v=v,
        inside=graph.inside,
        open_u=open_u.astype(np.float32),
        open_v=open_v.astype(np.float32),
        fine=fine,
        coarse=coarse,
        near_fine=fine * near,
        far_fine=fine * far,
        far_coarse=coarse * far,
        near=near,
        neighbours=neighbours,
        path=neighbours.spread(path, np.inf).astype(np.float32),
        steep=neighbours.spread(steep, np.inf).astype(np.float32),
        bonds=neighbours.spread(bonds, 0),
    )


def _squared_distances(rows: Floats) -> Floats:
    """(n, d) to (n, n) squared Euclidean distances."""
    square = np.einsum("ij,ij->i", rows, rows)
    across = np.ascontiguousarray(rows.T)
    squared = square[:, None] + square[None] - 2 * np.einsum("ki,kj->ij", across, across)
    return np.asarray(np.maximum(squared, 0), np.float32)


def _times(matrix: Floats, vector: Floats) -> Floats:
    """(n, m) times (m,) without BLAS, whose waiting threads cost more than they gain here."""
    return np.asarray(np.einsum("ij,j->i", matrix, vector), np.float32)


def _gaussian(squared: Floats, bandwidth: float) -> Floats:
    return np.asarray(np.exp(squared * np.float32(-0.5 / bandwidth**2)), np.float32)


def _edge_values(graph: Graph, place: Floats) -> tuple[Floats, Floats, Floats]:
    """(m,) the two kinds of step length between neighbours, and the bonds (see `Scene`)."""
    one, two = graph.edges.T
    barrier = _barriers(graph)
    step = np.sqrt(((place[one] - place[two]) ** 2).sum(1)) / np.float32(0.14)
    path = (barrier + 0.05) * (step + 0.007)
    return path, barrier**3 + 1e-3, np.exp(-1.5 * barrier) * graph.length


def _barriers(graph: Graph) -> Floats:
    """(m,) boundary strengths relative to the mean of the window."""
    mean = (graph.strength * graph.length).sum() / max(graph.length.sum(), 1) + 1
    return np.asarray(graph.strength / mean, np.float32)


def distance_from(scene: Scene, steps: Floats, seeds: NDArray[np.bool_]) -> Floats:
    """(n,) shortest path from the nearest seed; a constant without seeds."""
    if not seeds.any():
        return np.full(len(seeds), 3, np.float32)
    return np.minimum(shortest_paths(scene.neighbours, steps, seeds), np.float32(50))


def _log_ratio(affinity: Floats, inside: Floats, outside: Floats) -> Floats:
    """Log of how common a node's colour is in one weighted set compared with another."""
    one = _times(affinity, inside) / (inside.sum() + SMALL)
    two = _times(affinity, outside) / (outside.sum() + SMALL)
    return np.asarray(np.log((one + 1e-3) / (two + 1e-3)), np.float32)


def first_cues(scene: Scene) -> Floats:
    """(n, 20) cues that need only the box."""
    graph, inside = scene.graph, scene.inside
    uu, vv = scene.u**2, scene.v**2
    middle = graph.area * np.exp(-1.5 * (uu + vv)) * inside
    outside = graph.area * (1 - inside)
    seeds = inside == 0
    if not seeds.any():
        seeds = np.maximum(np.abs(scene.u), np.abs(scene.v)) > 0.93
    reach = distance_from(scene, scene.path, seeds)
    wall = np.cbrt(distance_from(scene, scene.steep, seeds))
    crowd = _times(scene.near, outside) + np.float32(1e-3) * scene.near.sum(1)
    total = graph.area
    cues = [
        np.ones_like(uu),
        uu,
        vv,
        uu**2,
        vv**2,
        uu * vv,
        scene.v,
        scene.v * uu,
        scene.open_u * uu,
        scene.open_v * vv,
        _log_ratio(scene.fine, middle, outside),
        _log_ratio(scene.coarse, middle, outside),
        _times(scene.near_fine, outside) / crowd,
        _times(scene.coarse * scene.near, outside) / crowd,
        np.log(reach + np.float32(0.2)),
        reach / (reach.max() + SMALL),
        np.log(wall + np.float32(0.1)),
        wall / (wall.max() + SMALL),
        _times(scene.fine, outside) / (_times(scene.fine, total) + SMALL),
        _times(scene.coarse, outside) / (_times(scene.coarse, total) + SMALL),
    ]
    return np.stack(cues, 1).astype(np.float32)


def click_cues(scene: Scene, positive: list[int], negative: list[int]) -> Floats:
    """(n, 11) closeness to the clicked object and background superpixels; 0 without clicks."""
    n = len(scene.graph.area)
    columns: list[Floats] = []
    distances: list[Floats] = []
    for nodes in (positive, negative):
        if not nodes:
            columns += [np.zeros(n, np.float32)] * 5
            continue
        seeds = np.zeros(n, np.bool_)
        seeds[nodes] = True
        distance = distance_from(scene, scene.path, seeds)
        distances.append(distance)
        columns += [np.exp(-2 * distance), np.exp(-0.5 * distance)]
        columns.append(np.exp(-2 * np.cbrt(distance_from(scene, scene.steep, seeds))))
        columns += [scene.near_fine[:, nodes].max(1), scene.far_coarse[:, nodes].max(1)]
    if len(distances) == 2:
        near, far = distances[0] + np.float32(0.2), distances[1] + np.float32(0.2)
        columns.append(np.log(far / near))
    else:
        columns.append(np.zeros(n, np.float32))
    return np.stack(columns, 1).astype(np.float32)


def next_cues(scene: Scene, first: Floats, probability: Floats) -> Floats:
    """(n, k + 11) the first (n, k) cues and those that need a previous answer, (n,) in 0..1."""
    graph = scene.graph
    p = probability * scene.inside
    here = graph.area * p
    rest = graph.area - here
    close, wide = (
        _times(matrix, here) / (_times(matrix, graph.area) + SMALL)
        for matrix in (scene.near_fine, scene.far_coarse)
    )
    within = p[scene.inside > 0]
    seeds = p >= (min(0.8, float(np.quantile(within, 0.85))) if within.size else 0.5)
    filled = (here.sum() + SMALL) / ((graph.area * scene.inside).sum() + SMALL)
    cues = [
        _soft_logit(p),
        _log_ratio(scene.fine, here, rest),
        _log_ratio(scene.coarse, here, rest),
        _soft_logit(close),
        _soft_logit(wide),
        _soft_logit(_random_walk(scene, p, REACHES[0])),
        _soft_logit(_random_walk(scene, p, REACHES[1])),
        np.full_like(p, filled),
        np.log(distance_from(scene, scene.path, seeds) + np.float32(0.2)),
        _needed(scene.u, p),
        _needed(scene.v, p),
    ]
    return np.concatenate([first, np.stack(cues, 1)], 1).astype(np.float32)


def _soft_logit(p: Floats) -> Floats:
    return np.asarray(np.log((p + 0.02) / (1.02 - p)), np.float32)


def _needed(position: Floats, p: Floats) -> Floats:
    """How much a node is the only hope of its row or column.

    A tight box leaves no row or column without the object (Lempitsky et al., "Image segmentation
    with a bounding box prior", ICCV 2009): where all are unlikely, the likeliest gains.
    """
    strip = np.clip((position + 1) * np.float32(STRIPS / 2), 0, STRIPS - 1).astype(np.int64)
    highest = np.full(STRIPS, 0.02, np.float32)
    np.maximum.at(highest, strip, p)
    return np.asarray((1 - highest[strip]) * (p / highest[strip]) ** 4, np.float32)


def _random_walk(scene: Scene, p: Floats, reach: int) -> Floats:
    """(n,) chance that a walk over bonds that stops at random ends in the object."""
    ends = random_walk(scene.neighbours, reach * scene.bonds, scene.graph.area, p)
    return np.asarray(np.clip(ends, 0, 1), np.float32)


def solve(
    scene: Scene,
    positive: list[int],
    negative: list[int],
    weights: Sequence[Sequence[float]],
) -> Floats:
    """(n,) probability that each superpixel belongs to the object; 0 outside the box.

    Where nothing stands out (an even surface) the ellipse in the box answers.

    Args:
        scene: the window and the box.
        positive: superpixels clicked as object.
        negative: superpixels clicked as background.
        weights: constants of the first model and of each refinement.
    """
    first = np.concatenate([first_cues(scene), click_cues(scene, positive, negative)], 1)
    p = sigmoid(_times(first, np.asarray(weights[0], np.float32)))
    for later in weights[1:]:
        p = sigmoid(_times(next_cues(scene, first, p), np.asarray(later, np.float32)))
    if float((p * scene.inside).max(initial=0)) < UNDECIDED:
        p = sigmoid(6 * (1 - scene.u**2 - scene.v**2))
    return _corrected(scene, p, positive, negative) * scene.inside


def _corrected(scene: Scene, p: Floats, positive: list[int], negative: list[int]) -> Floats:
    """The answer bent to what the clicks say, like Gaussian process regression of the error.

    Clicks in the middle of a large error must move all of it; the fitted model has learned that
    most corrections are small.
    """
    nodes = positive + negative
    if not nodes:
        return p
    sign = np.array([1] * len(positive) + [-1] * len(negative), np.float32)
    logit = np.log(np.clip(p, 1e-4, 1 - 1e-4) / np.clip(1 - p, 1e-4, 1 - 1e-4))
    wrong = np.maximum(-sign * logit[nodes], 0)
    wanted = sign * (CLICK_LOGIT + wrong)
    missing = np.where(sign * logit[nodes] < CLICK_LOGIT, wanted - logit[nodes], 0)
    among = scene.far_fine[np.ix_(nodes, nodes)] + CLICK_NOISE * np.eye(len(nodes))
    return sigmoid(logit + scene.far_fine[:, nodes] @ np.linalg.solve(among, missing))


def sigmoid(z: Floats) -> Floats:
    """The logistic function, safe for large arguments."""
    return (1 / (1 + np.exp(-np.clip(z, -30, 30)))).astype(np.float32)


def best_cut(probability: Floats, area: Floats) -> float:
    """The threshold whose mask has the greatest expected IoU.

    With independent membership the expected intersection and union of a mask and the unknown
    object are sums of probabilities, so the best threshold needs only a sort.
    """
    order = np.argsort(-probability, kind="stable")
    p, a = probability[order].astype(np.float64), area[order].astype(np.float64)
    common = np.cumsum(p * a)
    union = np.cumsum(a) + (p * a).sum() - common
    return _cut_after(p, int(np.argmax(common / np.maximum(union, 1e-9))))


def cut_for_area(probability: Floats, area: Floats, wanted: float) -> float:
    """The threshold whose mask comes nearest to a wanted area; at least one superpixel passes."""
    order = np.argsort(-probability, kind="stable")
    p = probability[order].astype(np.float64)
    return _cut_after(p, int(np.argmin(np.abs(np.cumsum(area[order]) - wanted))))


def _cut_after(p: NDArray[np.float64], last: int) -> float:
    """A threshold between entry `last` of a falling sequence and the next lower value."""
    lower = p[p < p[last]]
    return max(float(p[last] + (lower[0] if lower.size else 0)) / 2, MIN_CUT)


def expected_iou(probability: Floats, area: Floats, chosen: NDArray[np.bool_]) -> float:
    """Expected IoU of a mask with the unknown object (see `best_cut`)."""
    mass = probability * area
    union = area[chosen].sum() + mass[~chosen].sum()
    return float(mass[chosen].sum() / union) if union > 0 else 0.0
