"""Prompts in the terms of networks in SAM's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.api import Box, Point, Prompt
from models.onnx_decoder import CORNER_LABELS, PADDING_LABEL

if TYPE_CHECKING:
    from models.folded_parts import Cells, Floats
    from models.transforms import Frame

CELL = 16
"""Side of an embedding's cell in pixels of the network's frame."""
NEAR = 2
"""Cells around a positive click that are always exact, so that tiny objects are not missed."""
SMALL = 400
"""Boxes of at most this many cells are exact all over, for the same reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A prompt in the terms of the network.

    Attributes:
        coords: (K, 2) float32 in the frame of the network, padding or corners included.
        labels: (K) float32.
    """

    coords: Floats
    labels: Floats

    @property
    def boxed(self) -> bool:
        """Whether there is a box; its corners are the last two tokens."""
        return bool(self.labels[-1] == CORNER_LABELS[1])

    @property
    def clicks(self) -> int:
        """Number of points, positive and negative."""
        return len(self.labels) - (2 if self.boxed else 1)

    def focus(self, grid: int) -> Cells:
        """The cells (grid, grid) of the embedding whose logits have to be exact."""
        focus = np.zeros((grid, grid), np.bool_)
        cells = np.minimum(self.coords // CELL, grid - 1).astype(int)
        for column, row in cells[self.labels == 1]:
            top, left = max(0, row - NEAR), max(0, column - NEAR)
            focus[top : row + NEAR + 1, left : column + NEAR + 1] = True
        if self.boxed:
            (left, top), (right, bottom) = np.maximum(cells[-2] - 1, 0), cells[-1] + 1
            if (right - left + 1) * (bottom - top + 1) <= SMALL:
                focus[top : bottom + 1, left : right + 1] = True
        return focus


def ask(prompt: Prompt, frame: Frame) -> Question | None:
    """Translate a prompt; None when it names nothing (no box and no positive point).

    Points and corners outside the image are moved to its edge, corners are put in order, a box
    without area is the click in its middle, and without a box the padding token the networks were
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
    if box is None:
        coords = np.concatenate([coords, np.zeros((1, 2), np.float32)])
        labels.append(PADDING_LABEL)
    return Question(coords, np.array(labels, np.float32))


def _clamped(point: Point, frame: Frame) -> Point:
    x = min(max(point.x, 0.0), float(frame.width))
    y = min(max(point.y, 0.0), float(frame.height))
    return Point(x, y, point.positive)


def _normalised(box: Box, frame: Frame) -> Box:
    ordered = Box.spanning(box.x0, box.y0, box.x1, box.y1)
    return ordered.clipped(frame.width, frame.height)
