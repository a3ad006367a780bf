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
MAX_ENLARGEMENT = 12.0  # window pixels per image pixel
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
    side = math.sqrt(max(box.width, 1) * max(box.height, 1))
    dx, dy = (max(MARGIN * side, MIN_MARGIN * length) for length in (box.width, box.height))
    around = Box(box.x0 - dx, box.y0 - dy, box.x1 + dx, box.y1 + dy)
    crop, extent = _crop(image, width, height, around)
    zoom = min(OBJECT_SIDE / side, MAX_ENLARGEMENT)
    zoom *= min(1.0, math.sqrt(MAX_WINDOW_AREA / (extent.width * extent.height)) / zoom)
    size = (max(2, round(extent.width * zoom)), max(2, round(extent.height * zoom)))
    return _resized(crop, size), extent


def detail(
    image: NDArray[np.uint8], width: int, height: int, extent: Box, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """What a rectangle of the image shows at a given size.

    Args:
        image: (h, w, 3) uint8, the whole image at working resolution.
        width: image width in image pixels.
        height: image height in image pixels.
        extent: the rectangle, image pixels.
        size: columns and rows wanted.

    Returns:
        (rows, columns, 3) uint8.
    """
    crop, _ = _crop(image, width, height, extent)
    return _resized(crop, size)


def _crop(
    image: NDArray[np.uint8], width: int, height: int, around: Box
) -> tuple[NDArray[np.uint8], Box]:
    """The working pixels that cover a rectangle, and what they cover in image pixels."""
    sy, sx = image.shape[0] / height, image.shape[1] / width
    x0, x1 = _span(around.x0, around.x1, sx, image.shape[1])
    y0, y1 = _span(around.y0, around.y1, sy, image.shape[0])
    return image[y0:y1, x0:x1], Box(x0 / sx, y0 / sy, x1 / sx, y1 / sy)


def _resized(crop: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    shrinks = size[0] < crop.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, size, interpolation=method), np.uint8)


def _span(low: float, high: float, scale: float, size: int) -> tuple[int, int]:
    """The working pixels that cover low..high image pixels: at least one, inside the image."""
    # A whole number that went through a division must not reach the next pixel.
    start = min(max(math.floor(low * scale + 1e-6), 0), size - 1)
    stop = max(min(math.ceil(high * scale - 1e-6), size), start + 1)
    return start, stop
