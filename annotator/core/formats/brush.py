"""Label Studio's brush: four equal bytes a pixel along rows, packed as run lengths of bits.

The layout is that of thi.ng's “rle-pack”: 32 bits with the number of bytes, 5 with the bits of a
value less one, four times 4 with the bits of a length less one. Then tokens: a bit that says
whether one value is repeated, two that choose the length, the length less one, and the value, or
as many values as the length says. Source: the published converter of Label Studio.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.core.formats.foreign import from_row_runs, row_runs

_SIZES = (3, 4, 8, 16)
_CHANNELS = 4
_MOST = 1 << _SIZES[-1]
_HALF = 128
"""Alpha from which on a pixel counts; Label Studio's brush has soft edges."""


def encode(pixels: NDArray[np.bool_]) -> list[int]:
    """The bytes for (H, W) pixels, exactly those of Label Studio's own converter."""
    height, width = pixels.shape
    lengths, values = _split(row_runs(pixels) * _CHANNELS)
    # The smallest of the four sizes that fits; a run has four bytes at least.
    choice = np.searchsorted(np.array([1 << size for size in _SIZES]), lengths)
    size_bits = np.array(_SIZES)[choice]
    tokens = ((4 + choice) << size_bits | lengths - 1) << 8 | values
    head = np.array([height * width * _CHANNELS, 7, *(size - 1 for size in _SIZES)], np.int64)
    numbers = np.concatenate((head, tokens))
    bits = np.concatenate(([32, 5, 4, 4, 4, 4], size_bits + 11))
    ends = np.cumsum(bits)
    index = np.repeat(np.arange(numbers.size), bits)
    shifts = ends[index] - 1 - np.arange(int(ends[-1]))
    packed = np.packbits((numbers[index] >> shifts & 1).astype(np.uint8))
    # The converter adds a whole byte where nothing is left to fill.
    padding = [0] if ends[-1] % 8 == 0 else []
    return [*packed.tolist(), *padding]


def _split(runs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths and values (0 or 255) of runs, those too long for a token cut."""
    values = np.where(np.arange(runs.size) % 2, 255, 0)
    pieces = -(-runs // _MOST)
    lengths = np.full(int(pieces.sum()), _MOST, np.int64)
    ends = np.cumsum(pieces)
    last = ends[pieces > 0] - 1
    lengths[last] = runs[pieces > 0] - (pieces[pieces > 0] - 1) * _MOST
    return lengths, np.repeat(values, pieces)


def decode(data: bytes, width: int, height: int) -> NDArray[np.bool_] | None:
    """The (height, width) pixels, None where the bytes are damaged or of another size."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    try:
        runs = _runs(_Bits(bits), width * height * _CHANNELS)
    except (IndexError, ValueError):
        return None
    return None if runs is None else from_row_runs(runs, width, height)


class _Bits:
    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self._bits = bits
        self._at = 0

    def number(self, count: int) -> int:
        """The next number of so many bits.

        Raises:
            IndexError: there are not so many.
        """
        value = 0
        for bit in self._take(count).tolist():
            value = value << 1 | bit
        return value

    def values(self, count: int, size: int) -> NDArray[np.int64]:
        """The next numbers of equal size."""
        rows = self._take(count * size).reshape(count, size).astype(np.int64)
        return rows @ (1 << np.arange(size - 1, -1, -1, dtype=np.int64))

    def _take(self, count: int) -> NDArray[np.uint8]:
        end = self._at + count
        if end > self._bits.size:
            raise IndexError("too short")
        taken = self._bits[self._at : end]
        self._at = end
        return taken


def _runs(bits: _Bits, expected: int) -> NDArray[np.int64] | None:
    """Run lengths of the pixels, background first; their last byte, alpha, decides."""
    count, word = bits.number(32), bits.number(5) + 1
    sizes = [bits.number(4) + 1 for _ in range(4)]
    if count != expected:
        return None
    runs, inside, start, at = [], False, 0, 0
    while at < count:
        repeated = bits.number(1)
        length = bits.number(sizes[bits.number(2)]) + 1
        values = bits.values(1 if repeated else length, word) >= _HALF
        end = min(at + length, count)
        if repeated:
            first = at + (3 - at) % _CHANNELS
            changes = [(first, bool(values[0]))] if first < end else []
        else:
            places = range(at + (3 - at) % _CHANNELS, end, _CHANNELS)
            changes = [(place, bool(values[place - at])) for place in places]
        for place, value in changes:
            if value != inside:
                pixel = place // _CHANNELS
                runs.append(pixel - start)
                start, inside = pixel, value
        at = end
    runs.append(expected // _CHANNELS - start)
    return np.array(runs, np.int64)
