"""Where something is, as sines and cosines (Vaswani et al., 2017; DETR, 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10_000
_TINY = 1e-6


def waves(angles: Tensor, count: int) -> Tensor:
    """Angles (...) to (..., count): sine and cosine in turn, of ever slower waves."""
    steps = torch.arange(count, device=angles.device).div(2, rounding_mode="floor")
    phases = angles[..., None] / TEMPERATURE ** (2 * steps / count)
    pairs = torch.stack([phases[..., 0::2].sin(), phases[..., 1::2].cos()], -1)
    return pairs.flatten(-2)


def clip_positions(frames: int, height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Positions of the cells of a clip: (frames * height * width, channels).

    Rows stand in the first half of the channels, columns in the second; a wave over all channels
    for the frame is added, for a single image too. `like` says where and in which type.
    """
    cells = cell_positions(height, width, channels, like)
    times = waves(_angles(frames, like), channels)
    return (cells + times[:, None]).flatten(0, 1)


def cell_positions(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Positions of the cells of one map without a time: (height * width, channels)."""
    rows = waves(_angles(height, like), channels // 2)[:, None].expand(-1, width, -1)
    columns = waves(_angles(width, like), channels // 2)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)


def box_positions(boxes: Tensor, channels: int) -> Tensor:
    """Boxes (n, 4), x0, y0, x1, y1 from 0 to 1, to (n, 2 * channels).

    In the order centre y, centre x, width, height. What lies outside the image counts as its edge.
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    (x, y), (width, height) = ((low + high) / 2).unbind(1), (high - low).unbind(1)
    # The published code goes through the inverse of the logistic function, which cuts at 1e-5.
    values = torch.stack([y, x, width, height], 1).clamp(1e-5, 1 - 1e-5)
    return waves(2 * math.pi * values, channels // 2).flatten(1)


def _angles(count: int, like: Tensor) -> Tensor:
    """The first cell is at 2 pi / count, the last at 2 pi."""
    cells = torch.arange(1, count + 1, device=like.device, dtype=like.dtype)
    return cells / (count + _TINY) * (2 * math.pi)
