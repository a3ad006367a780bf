"""Labels as PNG files: 8 bits, 16 bits, 8 bits with a palette, and RGB; nothing is ever scaled."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from annotator.core.image_header import DECODE_ERRORS

Pixels = NDArray[Any]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
assert PngImagePlugin  # registers the format


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height the header claims.

    Raises:
        ValueError: not the beginning of a PNG.
    """
    if len(data) < 24 or not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def decode(data: bytes, most_pixels: int) -> Pixels:
    """The numbers in a PNG: (H, W) uint8 or uint16, indexes where it has a palette, or (H, W, 3).

    Args:
        data: the file.
        most_pixels: more than these are refused before anything is decoded.

    Raises:
        ValueError: damaged, too large, or of a kind that is no labels.
    """
    width, height = size_of(data)
    if not 0 < width * height <= most_pixels:
        raise ValueError(f"has {width} × {height} pixels")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()
            if image.mode in ("P", "L", "RGB"):
                return np.asarray(image)
            if image.mode == "1":
                return np.asarray(image).astype(np.uint8)
            if image.mode in ("I", "I;16", "I;16B"):
                return np.asarray(image).astype(np.uint16)
            if image.mode in ("RGBA", "LA"):
                return np.asarray(image)[..., : 3 if image.mode == "RGBA" else 1].squeeze()
    except DECODE_ERRORS as error:
        raise ValueError(str(error) or "damaged") from error
    raise ValueError(f"has pixels of the kind {image.mode}")


def encode(pixels: Pixels, palette: bytes = b"") -> bytes:
    """A PNG of (H, W) uint8 or uint16, or (H, W, 3) uint8; with a palette, of indexes into it.

    Args:
        pixels: the numbers.
        palette: red, green and blue of each index, up to 768 bytes.
    """
    if palette:
        image = Image.fromarray(np.ascontiguousarray(pixels, np.uint8), "L")
        image.putpalette(palette)
    else:
        image = Image.fromarray(np.ascontiguousarray(pixels))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
