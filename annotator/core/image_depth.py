"""From samples of more than 8 bits to the 8 bits that screens and models take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.cv import cv2

Samples = NDArray[Any]
"""(H, W) or (H, W, 3) uint16, int16, int32, uint32, float32 or float64 as stored."""

_TAIL = 0.0005
_SAMPLE = 1 << 20
_BLOCK = 1 << 20
_SENSOR_TOPS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)


def display_range(samples: Samples) -> tuple[float, float]:
    """The values shown as black and as white; depends on the file's own values only.

    Cameras deliver 8, 10, 12, 14 or 16 bits in 16-bit files. The range is 0 to the smallest of
    those tops that holds all but the brightest 0.05 % of the samples, so that a 12-bit microscope
    image is not black and a true 16-bit photograph is divided by 257 exactly. Where that would
    leave less than a quarter of the range in use (an offset, signed or arbitrary floats), the range
    runs between the 0.05 % tails.
    """
    low, high = _tails(samples)
    tops = (1.0, *_SENSOR_TOPS) if samples.dtype.kind == "f" else _SENSOR_TOPS
    top = next((t for t in tops if high <= t), None)
    if low >= 0 and top is not None and (high - low >= top / 4 or high == low):
        return 0.0, top
    return (low, high) if high > low else (low, low + 1.0)


def _tails(samples: Samples) -> tuple[float, float]:
    if samples.dtype == np.uint16:
        channels = range(1 if samples.ndim == 2 else samples.shape[2])
        counts = np.zeros(65536)
        for channel in channels:
            histogram = cv2.calcHist([samples], [channel], None, [65536], [0, 65536])
            counts += histogram.ravel()
        total = np.cumsum(counts)
        low, high = np.searchsorted(total, (total[-1] * _TAIL, total[-1] * (1 - _TAIL)))
        return float(low), float(high)
    flat = samples.reshape(-1)
    some = flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64)
    some = some[np.isfinite(some)]
    if some.size == 0:
        return 0.0, 0.0
    low, high = np.quantile(some, (_TAIL, 1 - _TAIL))
    return float(low), float(high)


def to_8bit(samples: Samples) -> NDArray[np.uint8]:
    """Samples to 0 … 255 over `display_range`, same shape; not-a-number becomes 0.

    Works in blocks of rows: no second full-size temporary, and the GUI thread gets its turn.
    """
    low, high = display_range(samples)
    out = np.empty(samples.shape, np.uint8)
    step = max(1, _BLOCK // max(1, samples[0].size))
    table: NDArray[np.uint8] | None = None
    if samples.dtype == np.uint16:
        table = _scaled(np.arange(65536), low, high)
    for row in range(0, samples.shape[0], step):
        block = samples[row : row + step]
        out[row : row + step] = _scaled(block, low, high) if table is None else table[block]
    return out


def _scaled(values: Samples, low: float, high: float) -> NDArray[np.uint8]:
    scaled = (values.astype(np.float64) - low) * (255.0 / (high - low))
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
