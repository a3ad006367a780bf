"""A window of the image as a small graph of superpixels.

Every prompt is answered on a graph of a few hundred nodes, whatever the size of the object, so
the dense (n, n) matrices below stay small and the time per prompt stays constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import Box

    Floats = NDArray[np.float32]
    Labels = NDArray[np.int32]

SLIC_ITERATIONS = 3
SLIC_COMPACTNESS = 9.0  # Lab distance that weighs as much as one grid step


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Superpixels of one window.

    Attributes:
        extent: the window in image pixels.
        lab: (h, w, 3) float32 CIELAB of the window, L 0..100.
        labels: (h, w) int32 superpixel of each window pixel, 0..n-1.
        inside: (n,) 1 for superpixels inside the box, else 0; none lies on both sides.
        area: (n,) window pixels per superpixel.
        xy: (n, 2) centres in image pixels.
        colour: (n, 3) mean Lab.
        texture: (n,) mean local contrast of L.
        edges: (m, 2) int32 neighbouring pairs, first < second.
        strength: (m,) boundary contrast between the two, Lab units: the mean step across the
            boundary and half the difference of the mean colours, which blurred edges keep.
        length: (m,) length of the common boundary, window pixels.
    """

    extent: Box
    lab: Floats
    labels: Labels
    inside: Floats
    area: Floats
    xy: Floats
    colour: Floats
    texture: Floats
    edges: NDArray[np.int64]
    strength: Floats
    length: Floats


def to_lab(rgb: NDArray[np.uint8]) -> Floats:
    """(h, w, 3) uint8 sRGB to float32 CIELAB with L 0..100."""
    scaled = rgb.astype(np.float32) * np.float32(1 / 255)
    return cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB).astype(np.float32, copy=False)


def slic(lab: Floats, step: float) -> Labels:
    """Superpixels by local k-means in (L, a, b, x, y) from a regular grid of seeds.

    After Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods"
    (PAMI 2012): each pixel chooses among the nine seeds of its grid neighbourhood.

    Args:
        lab: (h, w, 3) float32.
        step: seed spacing in pixels.

    Returns:
        (h, w) int32 labels, some unused; a label need not be one connected piece.
    """
    h, w = lab.shape[:2]
    rows, cols = max(1, round(h / step)), max(1, round(w / step))
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    space = np.float32(SLIC_COMPACTNESS / step)
    data = np.concatenate([lab.reshape(-1, 3), (np.stack([yy, xx], -1) * space).reshape(-1, 2)], 1)
    cell_r = np.minimum((yy * rows / h).astype(np.int32), rows - 1).ravel()
    cell_c = np.minimum((xx * cols / w).astype(np.int32), cols - 1).ravel()
    label = cell_r * cols + cell_c
    around = [(dr, dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
    near = np.stack(
        [
            np.clip(cell_r + dr, 0, rows - 1) * cols + np.clip(cell_c + dc, 0, cols - 1)
            for dr, dc in around
        ]
    )
    for _ in range(SLIC_ITERATIONS):
        centre = _means(data, label, rows * cols)
        best = np.full(label.shape, np.inf, np.float32)
        for candidate in near:
            difference = data - centre[candidate]
            distance = np.einsum("ij,ij->i", difference, difference)
            closer = distance < best
            label = np.where(closer, candidate, label)
            best = np.minimum(best, distance)
    return np.asarray(label.reshape(h, w), np.int32)


def _means(data: Floats, label: Labels, n: int) -> Floats:
    """Mean of the rows of (p, d) `data` per label; (n, d), zero for unused labels."""
    count = np.maximum(np.bincount(label, minlength=n), 1)
    columns = [np.bincount(label, column, minlength=n) / count for column in data.T]
    return np.stack(columns, 1).astype(np.float32)


def box_cells(shape: tuple[int, ...], extent: Box, box: Box) -> tuple[slice, slice]:
    """The rows and columns of a grid over `extent` that the box covers; at least one each."""
    rows = _cells(shape[0], box.y0 - extent.y0, box.y1 - extent.y0, extent.height)
    cols = _cells(shape[1], box.x0 - extent.x0, box.x1 - extent.x0, extent.width)
    return rows, cols


def _cells(count: int, low: float, high: float, length: float) -> slice:
    """Every cell that the span touches by more than rounding errors."""
    start = min(max(math.floor(low / length * count + 1e-3), 0), count - 1)
    return slice(start, min(max(math.ceil(high / length * count - 1e-3), start + 1), count))


def build_graph(rgb: NDArray[np.uint8], extent: Box, box: Box, step: float) -> Graph:
    """The graph of a window.

    Args:
        rgb: (h, w, 3) uint8 pixels of the window.
        extent: the window in image pixels.
        box: what splits superpixels into inside and outside, image pixels.
        step: superpixel spacing in window pixels.
    """
    lab = to_lab(rgb)
    h, w = lab.shape[:2]
    smooth = np.asarray(cv2.GaussianBlur(lab, (0, 0), 0.7), np.float32)
    inside = np.zeros((h, w), np.int32)
    inside[box_cells(lab.shape, extent, box)] = 1
    sides, index = np.unique(slic(smooth, step) * 2 + inside, return_inverse=True)
    flat: Labels = np.asarray(index.ravel(), np.int32)
    labels: Labels = np.asarray(flat.reshape(h, w), np.int32)
    n = int(flat.max()) + 1
    light = np.ascontiguousarray(lab[..., 0])
    contrast = cv2.blur(np.abs(light - cv2.GaussianBlur(light, (0, 0), 2.0)), (5, 5))
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    columns = np.stack([xx.ravel(), yy.ravel(), contrast.ravel()], 1)
    means = _means(np.concatenate([lab.reshape(-1, 3), columns], 1), flat, n)
    pixel = np.array([extent.width / w, extent.height / h], np.float32)
    origin = np.array([extent.x0, extent.y0], np.float32)
    edges, step_height, length = _boundaries(lab, labels, n)
    apart = np.linalg.norm(means[edges[:, 0], :3] - means[edges[:, 1], :3], axis=1)
    return Graph(
        extent=extent,
        lab=lab,
        labels=labels,
        inside=(sides % 2).astype(np.float32),
        area=np.bincount(flat, minlength=n).astype(np.float32),
        xy=((means[:, 3:5] + np.float32(0.5)) * pixel + origin).astype(np.float32),
        colour=means[:, :3],
        texture=means[:, 5],
        edges=edges,
        strength=(step_height + apart / 2).astype(np.float32),
        length=length,
    )


def _boundaries(lab: Floats, labels: Labels, n: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Neighbouring pairs, the mean Lab step across their common boundary, and its length."""
    keys, steps = [], []
    for axis in (0, 1):
        ahead = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        behind = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        one, two = labels[ahead], labels[behind]
        crossing = one != two
        one, two = one[crossing].astype(np.int64), two[crossing].astype(np.int64)
        keys.append(np.minimum(one, two) * n + np.maximum(one, two))
        step = lab[ahead][crossing] - lab[behind][crossing]
        steps.append(np.sqrt(np.einsum("ij,ij->i", step, step)))
    pairs, index = np.unique(np.concatenate(keys), return_inverse=True)
    length = np.bincount(index, minlength=len(pairs)).astype(np.float32)
    total = np.bincount(index, np.concatenate(steps), minlength=len(pairs))
    strength = (total / np.maximum(length, 1)).astype(np.float32)
    return np.stack([pairs // n, pairs % n], 1), strength, length
