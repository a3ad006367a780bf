"""Lines that follow the edges of an image between two places (“intelligent scissors”).

OpenCV finds the path: the cheapest one over a window around its beginning, where strong edges cost
least. Close up a cell of the window is a pixel; far away it is what a pixel of the screen shows,
so the costs are the same at any zoom.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.cv import cv2
from annotator.core.editing.drawing import Spot

RADIUS = 150
"""Cells from the beginning of a path to the sides of its window."""
SNAP = 5
"""A click is moved to the strongest edge within so many cells."""
_SMOOTHNESS = 0.7
"""Cells that the path given may be from the path found: steps of single cells are left out."""
_FAINTEST = 12.0
"""Gradients below are no edge a click should be moved to, grey values for each cell."""


class Wire:
    """The edges around one place of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        start: where paths begin, image pixels; it is moved to an edge that is near.
        unit: image pixels for each pixel of the screen.
        snap: whether the beginning may be moved.
    """

    def __init__(
        self, image: NDArray[np.uint8], start: Spot, unit: float, *, snap: bool = True
    ) -> None:
        self._cell = max(unit, 1.0)
        reach = RADIUS * self._cell
        height, width = image.shape[:2]
        # Paths may begin beside the image; what they can follow lies in it.
        x, y = min(max(start[0], 0.0), float(width)), min(max(start[1], 0.0), float(height))
        self._x, self._y = max(int(x - reach), 0), max(int(y - reach), 0)
        right, bottom = min(math.ceil(x + reach), width), min(math.ceil(y + reach), height)
        part = image[self._y : bottom, self._x : right]
        size = (
            max(round(part.shape[1] / self._cell), 1),
            max(round(part.shape[0] / self._cell), 1),
        )
        if size != (part.shape[1], part.shape[0]):
            small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
            part = np.asarray(small, np.uint8).reshape(size[1], size[0], 3)
        self._width, self._height = size
        # Noise of single pixels is no edge.
        quiet = cv2.GaussianBlur(np.ascontiguousarray(part), (0, 0), 1.0)
        self._strength = _strength(np.asarray(quiet, np.uint8))
        self.start = self.snapped(start) if snap else start
        """Where paths begin."""
        self._scissors = self._built(np.asarray(quiet, np.uint8))

    def _built(self, pixels: NDArray[np.uint8]) -> Any:
        scissors = cv2.segmentation.IntelligentScissorsMB()
        scissors.setEdgeFeatureCannyParameters(24, 72)
        scissors.setGradientMagnitudeMaxLimit(160)
        scissors.applyImage(pixels)
        scissors.buildMap(self._place(self.start))
        return scissors

    def _place(self, spot: Spot) -> tuple[int, int]:
        """Column and row of the cell at an image position."""
        column = int((spot[0] - self._x) / self._cell)
        row = int((spot[1] - self._y) / self._cell)
        return min(max(column, 0), self._width - 1), min(max(row, 0), self._height - 1)

    def _spot(self, column: float, row: float) -> Spot:
        """The image position of the middle of a cell."""
        return self._x + (column + 0.5) * self._cell, self._y + (row + 0.5) * self._cell

    def reaches(self, to: Spot) -> bool:
        """Whether a place lies in the window."""
        column, row = (to[0] - self._x) / self._cell, (to[1] - self._y) / self._cell
        return bool(0 <= column <= self._width and 0 <= row <= self._height)

    def snapped(self, spot: Spot) -> Spot:
        """The strongest edge near a place, or the place itself."""
        if not self.reaches(spot):
            return spot
        column, row = self._place(spot)
        left, top = max(column - SNAP, 0), max(row - SNAP, 0)
        near = self._strength[top : row + SNAP + 1, left : column + SNAP + 1]
        rows, columns = np.mgrid[: near.shape[0], : near.shape[1]]
        far = np.hypot(columns + left - column, rows + top - row)
        # Of edges as strong as each other the nearest.
        rank = np.where(far <= SNAP, near * (1 - 0.5 * far / SNAP), 0)
        best = int(np.argmax(rank))
        if rank.ravel()[best] < _FAINTEST:
            return spot
        down, across = divmod(best, near.shape[1])
        return self._spot(left + across, top + down)

    def path(self, to: Spot) -> tuple[Spot, ...]:
        """From the beginning to a place along edges; straight to one outside the window."""
        if not self.reaches(to):
            return self.start, to
        found = self._scissors.getContour(self._place(to))
        cells = np.asarray(found, np.float32).reshape(-1, 1, 2)
        if len(cells) > 2:
            cells = np.asarray(cv2.approxPolyDP(cells, _SMOOTHNESS, False))
        between = [self._spot(column, row) for column, row in cells[1:-1, 0].tolist()]
        return (self.start, *between, to)


def _strength(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How strong the edges are, the strongest channel at every cell (h, w)."""
    across = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, scale=0.25)
    down = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, scale=0.25)
    return np.asarray(np.hypot(across, down).max(axis=2), np.float32)
