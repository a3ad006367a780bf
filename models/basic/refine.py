"""From superpixels to smooth edges: a guided filter that follows the colours of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

RADIUS = 3  # grid cells
SOFTNESS = 4.0  # Lab units squared: smaller follows the colours more closely


def guided_upsampling(guide: Floats, values: Floats, fine_guide: Floats) -> Floats:
    """Values on a coarse grid to a finer one along the edges of a colour image.

    The guided filter (He, Sun and Tang, PAMI 2013) in its fast form (He and Sun, "Fast guided
    filter", 2015): the local linear model is fitted on the coarse grid and applied to the fine one.

    Args:
        guide: (h, w, 3) float32 Lab.
        values: (h, w) float32.
        fine_guide: (h', w', 3) float32 Lab of the same area.

    Returns:
        (h', w') float32.
    """
    slope, offset = _linear_model(guide, values)
    size = (fine_guide.shape[1], fine_guide.shape[0])
    slope = np.asarray(cv2.resize(_mean(slope), size, interpolation=cv2.INTER_LINEAR), np.float32)
    offset = np.asarray(cv2.resize(_mean(offset), size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(np.einsum("ijk,ijk->ij", slope, fine_guide) + offset, np.float32)


def _mean(image: Floats) -> Floats:
    side = 2 * RADIUS + 1
    blurred = cv2.blur(image, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)


def _linear_model(guide: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Slopes (h, w, 3) and offsets (h, w) of the best local fit of values by Lab."""
    mean, level = _mean(guide), _mean(values)
    covariance = _mean(guide * values[..., None]) - mean * level[..., None]
    pairs = _mean(guide[..., (0, 0, 0, 1, 1, 2)] * guide[..., (0, 1, 2, 1, 2, 2)])
    pairs = pairs - mean[..., (0, 0, 0, 1, 1, 2)] * mean[..., (0, 1, 2, 1, 2, 2)]
    ll, la, lb, aa, ab, bb = np.moveaxis(pairs, -1, 0)
    ll, aa, bb = ll + SOFTNESS, aa + SOFTNESS, bb + SOFTNESS
    # Inverse of the symmetric 3x3 matrix by cofactors: far faster than a batched solver.
    c00, c01, c02 = aa * bb - ab * ab, lb * ab - la * bb, la * ab - lb * aa
    c11, c12, c22 = ll * bb - lb * lb, la * lb - ll * ab, ll * aa - la * la
    determinant = ll * c00 + la * c01 + lb * c02
    x, y, z = np.moveaxis(covariance, -1, 0)
    slope = np.stack(
        [c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z], -1
    )
    slope /= determinant[..., None]
    offset = level - np.einsum("ijk,ijk->ij", slope, mean)
    return slope.astype(np.float32), offset.astype(np.float32)
