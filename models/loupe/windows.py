"""Where Loupe looks: windows around prompts, and where their features lie in the atlas.

A window is cx, cy, width, height in pixels of the network's input (the resized image). The atlas
is one array that holds every level of the pyramid, so that one grid sample serves windows of all
sizes:

    +-----------------+
    | level 0         |
    |                 |
    +--------+---+-+--+
    | 1      | 2 |3|  |
    +--------+---+-+--+
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

GRID = 32
"""Cells along each side of a window; masks have twice as many."""
LEVELS = 4
COARSE_STRIDE = 4
"""Input pixels per cell of level 0 of the coarse atlas; the fine one has half."""
ALIGNMENT = 32
"""The sides of the input are multiples of this."""
BOX_MARGIN = 1.3
MASK_MARGIN = 1.25
MIN_SIDE = 24.0
"""Input pixels: smaller windows would only magnify the pixels of level 0."""
MAX_ASPECT = 2.0
"""Long objects get windows up to this ratio of sides, and so more cells across."""
POINT_SIDES = (0.1, 0.25, 0.6)
"""Sides of the windows around a single click, in long sides of the image; the image is one more."""


def atlas_shape(height: int, width: int, stride: int) -> tuple[int, int]:
    """Rows and columns of the atlas of an input of this size with `stride` at level 0."""
    rows = height // stride
    return rows + rows // 2, width // stride


def level_origins(height: int, width: int, stride: int) -> tuple[tuple[int, int], ...]:
    """Row and column of every level's first cell."""
    rows, cols = height // stride, width // stride
    return (0, 0), (rows, 0), (rows, cols // 2), (rows, cols // 2 + cols // 4)


def places(windows: Floats, height: int, width: int) -> Floats:
    """How to find windows in the atlases.

    Args:
        windows: (..., 4).
        height: of the padded input, pixels.
        width: of the padded input, pixels.

    Returns:
        (..., 2, 3): for the coarse and the fine atlas column, row of the level's origin and cells
        per pixel. The level is the one whose cells are nearest in size to the window's.
    """
    cell = np.sqrt(windows[..., 2] * windows[..., 3]) / GRID
    level = np.clip(np.rint(np.log2(cell / COARSE_STRIDE)), 0, LEVELS - 1).astype(np.intp)
    found = np.empty((*windows.shape[:-1], 2, 3), np.float32)
    # The fine grid has half the cell and half the stride: the same level.
    for atlas, stride in enumerate((COARSE_STRIDE, COARSE_STRIDE // 2)):
        origins = np.array(level_origins(height, width, stride), np.float32)
        found[..., atlas, 0] = origins[level, 1]
        found[..., atlas, 1] = origins[level, 0]
        found[..., atlas, 2] = 1.0 / (stride * 2.0**level)
    return found


def around_boxes(boxes: Floats, margin: float | Floats = BOX_MARGIN) -> Floats:
    """Windows around boxes x0, y0, x1, y1 (..., 4), with room, not too small, not too long."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 1.0)
    margins = np.asarray(margin, np.float32)
    if margins.ndim:
        margins = margins[..., None]
    sides = np.maximum(sides * margins, MIN_SIDE)
    sides = np.maximum(sides, sides[..., ::-1] / MAX_ASPECT)
    return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, sides], -1).astype(np.float32)


def around_point(x: float, y: float, height: int, width: int) -> Floats:
    """(4, 4): a click's windows, small to large; the last one is the whole image."""
    long = max(height, width)
    sides = [max(side * long, MIN_SIDE) for side in POINT_SIDES]
    near = [(x, y, side, side) for side in sides]
    return np.array([*near, whole_image(height, width)], np.float32)


def whole_image(height: int, width: int) -> tuple[float, float, float, float]:
    """The window that holds an image of this size."""
    return (
        width / 2,
        height / 2,
        max(width * 1.04, MIN_SIDE, height / MAX_ASPECT),
        max(height * 1.04, MIN_SIDE, width / MAX_ASPECT),
    )


def box_of_mask(logits: Floats, window: Floats) -> Floats | None:
    """The box x0, y0, x1, y1 in pixels around the positive cells (n, n); None without any."""
    inside = logits > 0
    cols, rows = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    if not len(cols):
        return None
    count = logits.shape[-1]
    edges = np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1], np.float32) / count - 0.5
    center, sides = window[[0, 1, 0, 1]], window[[2, 3, 2, 3]]
    return np.asarray(center + edges * sides, np.float32)


def closer(logits: Floats, window: Floats, points: Floats) -> Floats:
    """The window for a second look at a mask.

    Args:
        logits: (n, n) the mask in `window`.
        window: (4,).
        points: (p, 2) places that have to stay in view.
    """
    box = box_of_mask(logits, window)
    if box is None:
        return window
    if len(points):
        low = np.minimum(box[:2], points.min(0) - 2)
        high = np.maximum(box[2:], points.max(0) + 2)
        box = np.concatenate([low, high]).astype(np.float32)
    return around_boxes(box, MASK_MARGIN)


def seen_from(picture: Floats, window: Floats, other: Floats, grid: int) -> Floats:
    """What (n, n) in `window` looks like in another window, (grid, grid); 0 where it is unknown."""
    import cv2

    count = picture.shape[-1]
    # Output cell (j, i) to picture cell, both counted from the centres of their first cells.
    scale = other[2:] / window[2:] * (count / grid)
    start = ((other[:2] - other[2:] / 2) - (window[:2] - window[2:] / 2)) / window[2:] * count
    shift = start + scale / 2 - 0.5
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(picture, matrix, (grid, grid), flags=flags, borderValue=0)
    return np.asarray(seen, np.float32)
