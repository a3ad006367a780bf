"""Cutting the window of the image that a prompt is about."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.api import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

OBJECT_SIDE = 72.0  # window pixels along the square root of the box area
MARGIN = 0.35  # surroundings shown around the box, in square roots of the box area
MIN_MARGIN = 0.15  # the same along one axis, in parts of the box
MAX_WINDOW_AREA = 18_000.0  # window pixels


def cut_window(
    image: NDArray[np.uint8], width: int, height: int, box: Box
) -> tuple[NDArray[np.uint8], Box]:
    """The box with its surroundings, resampled so that the box has a standard size.

    Args:
        image: (h, w, 3) uint8, the whole image at working resolution.
        width: image width in image pixels.
        height: image height in image pixels.
        box: image pixels, inside the image, at least a pixel wide and high.

    Returns:
        The (h', w', 3) window and the rectangle it covers in image pixels.
    """
    side = math.sqrt(box.width * box.height)
    dx, dy = (max(MARGIN * side, MIN_MARGIN * length) for length in (box.width, box.height))
    sy, sx = image.shape[0] / height, image.shape[1] / width
    x0, x1 = _span(box.x0 - dx, box.x1 + dx, sx, image.shape[1])
    y0, y1 = _span(box.y0 - dy, box.y1 + dy, sy, image.shape[0])
    extent = Box(x0 / sx, y0 / sy, x1 / sx, y1 / sy)
    zoom = OBJECT_SIDE / side
    zoom *= min(1.0, math.sqrt(MAX_WINDOW_AREA / (extent.width * extent.height)) / zoom)
    size = (max(2, round(extent.width * zoom)), max(2, round(extent.height * zoom)))
    crop = image[y0:y1, x0:x1]
    shrinks = size[0] < crop.shape[1]
    resampled = cv2.resize(
        crop, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(resampled, np.uint8), extent


def _span(low: float, high: float, scale: float, size: int) -> tuple[int, int]:
    """The working pixels that cover low..high image pixels: at least one, inside the image."""
    start = min(max(math.floor(low * scale), 0), size - 1)
    stop = max(min(math.ceil(high * scale), size), start + 1)
    return start, stop
