"""Between image pixels and the square frame of a SAM-like network (spec/edgesam.md, section 2).

The network sees the image with its longest side at 1024 pixels in the top left corner of a
square; the rest is zero after normalisation. Needs numpy, OpenCV and Pillow, never torch.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from models.api import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 1024
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
# Rendering skips blocks of this many logits a side whose sign is the same all around.
BLOCK = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """How an image of a given size lies in the square frame.

    Attributes:
        width: image width in pixels.
        height: image height in pixels.
        side: side of the square frame in pixels.
        rounding: what is added to sizes inside the frame before they are cut to whole numbers:
            networks differ in what they were trained with.
    """

    width: int
    height: int
    side: int = SIDE
    rounding: float = 0.5

    @property
    def resized(self) -> tuple[int, int]:
        """Height and width inside the frame, rounded the way the original does."""
        scale = self.side / max(self.width, self.height)
        return (
            max(1, int(self.height * scale + self.rounding)),
            max(1, int(self.width * scale + self.rounding)),
        )

    @property
    def extent(self) -> Box:
        """The whole square in image pixels; it reaches past the image."""
        height, width = self.resized
        return Box(0.0, 0.0, self.side * self.width / width, self.side * self.height / height)

    def to_frame(self, coords: NDArray[np.float64]) -> NDArray[np.float32]:
        """Image coordinates (..., 2), x then y, in frame pixels; nothing is rounded."""
        height, width = self.resized
        ratios = np.array([width / self.width, height / self.height])
        scaled: NDArray[np.float64] = np.asarray(coords, np.float64) * ratios
        return scaled.astype(np.float32)


def resize(image: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """The image (H, W, 3) at its size inside the frame, Pillow's antialiased bilinear.

    The resampler is part of the network's definition: plain OpenCV linear costs 4 to 9 % of IoU.
    """
    height, width = frame.resized
    if (height, width) == image.shape[:2]:
        return image
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


@functools.cache
def _normal_values() -> NDArray[np.float32]:
    """What every byte becomes in each channel, (3, 256)."""
    values = np.arange(256, dtype=np.float32)
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    return (values - mean[:, None]) / std[:, None]


def network_input(image: NDArray[np.uint8], frame: Frame) -> NDArray[np.float32]:
    """Resize, normalise and pad: (H, W, 3) uint8 RGB to (1, 3, side, side) float32."""
    return padded_input(resize(image, frame), frame.side)


def padded_input(small: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Normalise and pad what is no larger than the square: (h, w, 3) to (1, 3, side, side)."""
    padded = np.zeros((1, 3, side, side), np.float32)
    height, width = small.shape[:2]
    for channel, values in enumerate(_normal_values()):
        plane = np.ascontiguousarray(small[..., channel])
        padded[0, channel, :height, :width] = cv2.LUT(plane, values)
    return padded


def full_mask(logits: NDArray[np.float32], frame: Frame) -> NDArray[np.bool_]:
    """The mask (H, W) at the size of the image, in column-major memory.

    The definition is: logits to the frame's side, crop the padding, then to the image's size,
    bilinear both times, and inside where above 0. Both steps together take a weighted mean of
    three neighbouring logits along each axis, so blocks whose surroundings agree in sign need no
    arithmetic. Column-major because run-length encoding for COCO reads columns.

    Args:
        logits: (n, n) float32 over the whole frame.
        frame: where the image lies in it.
    """
    x, y, pixels = mask_piece(logits, frame)
    # The transposed image, so that the result is column-major without a copy.
    mask = np.zeros((frame.width, frame.height), np.bool_)
    mask[x : x + pixels.shape[1], y : y + pixels.shape[0]] = pixels.T
    return mask.T


def mask_piece(logits: NDArray[np.float32], frame: Frame) -> tuple[int, int, NDArray[np.bool_]]:
    """The part of `full_mask` that is not empty: its left column, top row and pixels."""
    count = logits.shape[0]
    height, width = frame.resized
    rows = _blocks(count, frame.side, height, frame.height)
    columns = _blocks(count, frame.side, width, frame.width)
    x, y, pixels = _filled(np.ascontiguousarray(logits.T), columns, rows)
    return x, y, pixels.T


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Two-step bilinear sampling of a run of pixels: they are matrix @ logits[used]."""

    pixels: slice
    used: slice
    matrix: NDArray[np.float32]


@functools.lru_cache(maxsize=16)
def _blocks(count: int, side: int, resized: int, size: int) -> tuple[_Block, ...]:
    """Sampling along one axis, block by block of `BLOCK` logits."""
    small, small_part = _bilinear(count, side)
    large, large_part = _bilinear(resized, size)
    first = large.astype(np.int64)
    second = np.minimum(first + 1, resized - 1)
    start = np.minimum(small[first], count - 1)
    weights = np.zeros((size, 3), np.float64)
    rows = np.arange(size)
    for index, share in ((first, 1 - large_part), (second, large_part)):
        for step, part in ((0, 1 - small_part[index]), (1, small_part[index])):
            tap = np.minimum(small[index] + step, count - 1) - start
            np.add.at(weights, (rows, tap), share * part)
    blocks = []
    for edge in range(0, count, BLOCK):
        low, high = np.searchsorted(start, [edge, edge + BLOCK])
        used = slice(edge, min(edge + BLOCK + 2, count))
        # The last pixels have no use for taps past the last logit.
        matrix = np.zeros((high - low, used.stop - edge + 2), np.float32)
        place = np.arange(high - low), start[low:high] - edge
        for step in range(3):
            matrix[place[0], place[1] + step] += weights[low:high, step]
        blocks.append(_Block(slice(int(low), int(high)), used, matrix[:, :-2].copy()))
    return tuple(blocks)


def _bilinear(source: int, target: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lower neighbour and the upper one's share for every target pixel, corners not aligned."""
    # In float32, as torch does it: the last bits of the position decide pixels on the edge.
    scale = np.float32(source / target)
    position = scale * (np.arange(target, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
    position = np.maximum(position, np.float32(0))
    lower = np.minimum(position.astype(np.int64), source - 1)
    part = np.where(lower < source - 1, position - lower.astype(np.float32), 0)
    return lower, part.astype(np.float64)


def _filled(
    logits: NDArray[np.float32], rows: tuple[_Block, ...], columns: tuple[_Block, ...]
) -> tuple[int, int, NDArray[np.bool_]]:
    """Pixels above 0, from the first to the last block with any: first row, column, pixels."""
    inside = (logits > 0).view(np.uint8)
    some, every = _pooled(inside, np.maximum), _pooled(inside, np.minimum)
    used, across = np.flatnonzero(some.any(axis=1)), np.flatnonzero(some.any(axis=0))
    if not used.size:
        return 0, 0, np.zeros((0, 0), np.bool_)
    top, left = rows[used[0]].pixels.start, columns[across[0]].pixels.start
    bottom, right = rows[used[-1]].pixels.stop, columns[across[-1]].pixels.stop
    mask = np.zeros((bottom - top, right - left), np.bool_)
    for number in used:
        row = rows[number]
        line = mask[row.pixels.start - top : row.pixels.stop - top]
        for first, behind in _runs(every[number]):
            line[:, columns[first].pixels.start - left : columns[behind - 1].pixels.stop - left] = 1
        mixed = np.flatnonzero(some[number] & ~every[number])
        if not mixed.size:
            continue
        vertical = row.matrix @ logits[row.used]
        for column in (columns[place] for place in mixed):
            values = vertical[:, column.used] @ column.matrix.T
            part = line[:, column.pixels.start - left : column.pixels.stop - left]
            np.greater(values, 0, out=part)
    return top, left, mask


def _pooled(inside: NDArray[np.uint8], reduce: np.ufunc) -> NDArray[np.bool_]:
    """What all logits that the pixels of a block need have in common, (blocks, blocks)."""
    for _ in range(2):
        count = inside.shape[0]
        starts = np.arange(0, count, BLOCK)
        blocks = reduce.reduceat(inside, starts)
        for step in range(BLOCK, BLOCK + 2):
            further = starts[starts + step < count] + step
            reduce(blocks[: len(further)], inside[further], out=blocks[: len(further)])
        inside = blocks.T
    return inside.astype(np.bool_)


def _runs(wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and behind the last of neighbours that are true."""
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
