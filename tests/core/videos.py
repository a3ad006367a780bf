"""Real video files of frames that tell their number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 96, 64


def picture(number: int) -> NDArray[np.uint8]:
    """The number as eight blocks, black or white: compression cannot change them."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(8):
        if number >> bit & 1:
            pixels[16:48, 8 + bit * 10 : 16 + bit * 10] = 255
    pixels[:8] = 180
    return pixels


def number_in(pixels: NDArray[np.uint8]) -> int:
    """What `picture` was made for."""
    return sum((int(pixels[32, 12 + bit * 10].mean()) > 127) << bit for bit in range(8))


def write(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    codec: str = "mpeg4",
    times: Sequence[int] | None = None,
    **options: str,
) -> None:
    """A video; `times` in hundredths of a second, else 25 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 100)
        for place, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[place], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
