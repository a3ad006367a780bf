"""What makes two objects look alike, without weights: colour, texture and shape.

Every block of the vector has unit length times a fixed weight, so the cosine of two vectors is
the weighted mean of how well colours, textures and shapes agree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from models.api import CropFrame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.api import Box

    Floats = NDArray[np.float32]

SIDE = 96  # longest side of the crop that is looked at, pixels
LIGHT_BINS = 8
CHROMA_BINS = 7  # per axis of the a, b plane
CHROMA_RANGE = 63.0  # Lab units; beyond counts as the last bin
ORIENTATIONS = 8
CELLS = 3  # the object is looked at in CELLS x CELLS parts for texture
OCCUPANCY = 8  # the mask is compared at this many rows and columns
# Loupe's features, pooled over the mask, were tried beside these: at best 0.6 of 100 more first
# names were right, for an encoding of the image. Shares of the cosine, fitted by simulated naming
# (`annotator evaluate-names`) on training data.
WEIGHTS = {
    "light": 0.11,
    "chroma": 0.09,
    "surroundings": 0.04,
    "texture": 0.16,
    "pattern": 0.29,
    "occupancy": 0.10,
    "proportions": 0.21,
}


class BasicDescriber:
    """Hand-made features of one object; see `describe`."""

    @property
    def id(self) -> str:
        """Stable name of the vector space."""
        return "basic-descriptor-1"

    @property
    def frame(self) -> CropFrame:
        """The object alone, small."""
        return CropFrame()

    def describe(self, image: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box) -> Floats:
        """A unit vector (d,) float32 for one object.

        Args:
            image: (h, w, 3) uint8 RGB crop.
            mask: (h, w) bool, the object inside the crop; an empty one counts as full.
            box: where the crop lies, image pixels.
        """
        import numpy as np

        parts = blocks(image, mask, box)
        vector = np.concatenate([math.sqrt(WEIGHTS[name]) * part for name, part in parts.items()])
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def blocks(image: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box) -> dict[str, Floats]:
    """The parts of the descriptor by name, each a vector of length 1 (or 0 when unknown)."""
    import cv2
    import numpy as np

    height, width = mask.shape
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    cover = np.asarray(
        cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32
    )
    if cover.sum() <= 0:
        cover = np.ones_like(cover)
    scaled = small.astype(np.float32) * np.float32(1 / 255)
    lab = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB), np.float32)
    light = np.ascontiguousarray(lab[..., 0], np.float32)
    bins = light * np.float32((LIGHT_BINS - 1) / 100)
    return {
        "light": _unit(_soft_histogram(bins, LIGHT_BINS, cover)),
        "chroma": _unit(_chroma_histogram(lab, cover)),
        "surroundings": _unit(_chroma_histogram(lab, 1 - cover)),
        "texture": _unit(_orientation_histograms(light, cover)),
        "pattern": _unit(_local_patterns(light, cover)),
        "occupancy": _occupancy(cover),
        "proportions": _proportions(cover, box),
    }


def _unit(histogram: Floats) -> Floats:
    """A histogram to unit length by square roots (cosine becomes the Bhattacharyya measure)."""
    import numpy as np

    total = float(histogram.sum())
    return np.sqrt(np.maximum(histogram, 0) / total) if total > 0 else histogram


def _soft_histogram(position: Floats, bins: int, weight: Floats) -> Floats:
    """Histogram with linear sharing between neighbouring bins; positions 0..bins-1."""
    import numpy as np

    place = np.clip(position, 0, bins - 1).ravel()
    low = np.minimum(place.astype(np.int64), bins - 2)
    part = place - low
    mass = weight.ravel()
    histogram = np.bincount(low, mass * (1 - part), bins) + np.bincount(low + 1, mass * part, bins)
    return histogram.astype(np.float32)


def _chroma_histogram(lab: Floats, weight: Floats) -> Floats:
    """Joint histogram of a and b, bilinear sharing, finer near grey."""
    import numpy as np

    scaled = np.clip(lab[..., 1:] / CHROMA_RANGE, -1, 1)
    warped = np.sign(scaled) * np.sqrt(np.abs(scaled))
    place = (warped.reshape(-1, 2) + 1) / 2 * (CHROMA_BINS - 1)
    low = np.minimum(place.astype(np.int64), CHROMA_BINS - 2)
    part = place - low
    total = np.zeros(CHROMA_BINS**2)
    for da in (0, 1):
        for db in (0, 1):
            share = np.abs(1 - da - part[:, 0]) * np.abs(1 - db - part[:, 1])
            index = (low[:, 0] + da) * CHROMA_BINS + low[:, 1] + db
            total += np.bincount(index, weight.ravel() * share, CHROMA_BINS**2)
    return total.astype(np.float32)


def _orientation_histograms(light: Floats, cover: Floats) -> Floats:
    """Gradient orientations per part of the object (Dalal and Triggs, CVPR 2005)."""
    import cv2
    import numpy as np

    gx, gy = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    strength = np.sqrt(np.hypot(gx, gy)) * cover
    angle = np.mod(np.arctan2(gy, gx), np.pi) / np.pi * ORIENTATIONS
    low = np.floor(angle).astype(np.int64)
    part = angle - low
    rows = np.arange(light.shape[0]) * CELLS // light.shape[0]
    cols = np.arange(light.shape[1]) * CELLS // light.shape[1]
    cell = (rows[:, None] * CELLS + cols[None]) * ORIENTATIONS
    count = CELLS**2 * ORIENTATIONS
    near, far = cell + low % ORIENTATIONS, cell + (low + 1) % ORIENTATIONS
    total = np.bincount(near.ravel(), (strength * (1 - part)).ravel(), count)
    total += np.bincount(far.ravel(), (strength * part).ravel(), count)
    return total.astype(np.float32)


def _local_patterns(light: Floats, cover: Floats) -> Floats:
    """Rotation-invariant uniform local binary patterns (Ojala et al., PAMI 2002), 10 bins."""
    import cv2
    import numpy as np

    smooth = np.asarray(cv2.GaussianBlur(light, (0, 0), 1.0), np.float32)
    padded = np.pad(smooth, 1, mode="edge")
    h, w = light.shape
    ring = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    bits = np.stack([padded[r : r + h, c : c + w] > smooth + 0.5 for r, c in ring])
    changes = (bits != np.roll(bits, 1, 0)).sum(0)
    pattern = np.where(changes <= 2, bits.sum(0), 9)
    return np.bincount(pattern.ravel(), cover.ravel(), 10).astype(np.float32)


def _occupancy(cover: Floats) -> Floats:
    """Where in its own tight frame the object has mass, mean removed; length 1."""
    import cv2
    import numpy as np

    ys, xs = np.flatnonzero(cover.max(1) > 0.5), np.flatnonzero(cover.max(0) > 0.5)
    tight = cover[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] if len(ys) and len(xs) else cover
    grid = cv2.resize(tight, (OCCUPANCY, OCCUPANCY), interpolation=cv2.INTER_AREA)
    vector = np.asarray(grid, np.float32).ravel() - np.float32(0.5)
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _proportions(cover: Floats, box: Box) -> Floats:
    """Aspect, fill, compactness and size as soft one-hot codes, so that a cosine compares them."""
    import cv2
    import numpy as np

    solid = (cover > 0.5).astype(np.uint8)
    ys, xs = np.flatnonzero(cover.max(1) > 0), np.flatnonzero(cover.max(0) > 0)
    high, wide = float(ys[-1] - ys[0] + 1), float(xs[-1] - xs[0] + 1)
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(outline, True) for outline in outlines)
    area = float(cover.sum())
    compactness = 4 * math.pi * area / max(length, 1.0) ** 2
    pixels = max(area / cover.size * box.width * box.height, 1.0)
    codes = [
        _code(math.log(wide / high), -1.8, 1.8),
        _code(area / (high * wide), 0.2, 1.0),
        _code(math.sqrt(min(compactness, 1.0)), 0.2, 1.0),
        _code(math.log(pixels), math.log(200.0), math.log(200_000.0)),
    ]
    vector = np.concatenate(codes)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _code(value: float, low: float, high: float) -> Floats:
    """A number as seven overlapping bumps between low and high."""
    import numpy as np

    place = (min(max(value, low), high) - low) / (high - low) * 6
    return np.asarray(np.exp(-0.5 * (np.arange(7) - place) ** 2), np.float32)
