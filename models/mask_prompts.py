"""Masks that are given to a network: sampled on the grid it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import Box, MaskPrompt


def sampled(mask: MaskPrompt, extent: Box, grid: int) -> NDArray[np.float32]:
    """How much of every cell of a grid a mask covers, (grid, grid), about 0 to 1.

    Args:
        mask: in image pixels.
        extent: what the grid covers evenly, image pixels; outside the mask is nothing.
        grid: cells along each side.
    """
    h, w = mask.pixels.shape
    step = extent.width / grid, extent.height / grid
    # Shrunk to about the cells first, so that no pixel of the mask is passed over.
    size = max(round(w / max(step[0], 1.0)), 1), max(round(h / max(step[1], 1.0)), 1)
    small = cv2.resize(mask.pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = small.reshape(size[::-1])
    zoom = size[0] / w, size[1] / h
    to_small = np.array(
        [
            [step[0] * zoom[0], 0, (extent.x0 + step[0] / 2 - mask.x) * zoom[0] - 0.5],
            [0, step[1] * zoom[1], (extent.y0 + step[1] / 2 - mask.y) * zoom[1] - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(small, to_small, (grid, grid), flags=flags), np.float32)
