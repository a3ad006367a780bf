"""Candidate masks of any extent at the size of the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import MaskCandidate


def rendered(candidate: MaskCandidate, width: int, height: int) -> NDArray[np.bool_]:
    """A candidate as an (H, W) bool mask: bilinear in its extent, nothing outside of it."""
    mask = np.zeros((height, width), np.bool_)
    extent = candidate.extent
    # The pixels whose centres the grid covers.
    x0, y0 = max(0, math.ceil(extent.x0 - 0.5)), max(0, math.ceil(extent.y0 - 0.5))
    x1 = min(width, math.floor(extent.x1 + 0.5))
    y1 = min(height, math.floor(extent.y1 + 0.5))
    if x0 >= x1 or y0 >= y1:
        return mask
    rows, cols = candidate.logits.shape
    zoom_x, zoom_y = cols / extent.width, rows / extent.height
    # Pixel centre (x0 + i + 0.5) in grid coordinates, whose cell centres are at +0.5.
    to_grid = np.array(
        [
            [zoom_x, 0, (x0 + 0.5 - extent.x0) * zoom_x - 0.5],
            [0, zoom_y, (y0 + 0.5 - extent.y0) * zoom_y - 0.5],
        ]
    )
    resampled = cv2.warpAffine(
        candidate.logits,
        to_grid,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    mask[y0:y1, x0:x1] = resampled > 0
    return mask
