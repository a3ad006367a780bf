"""`Mask`: one lossless region of an image. Operations that need arrays: `annotator.core.raster`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mask:
    """A binary region of a whole image as compressed COCO run-length encoding.

    Equal by value, hashable, safe to share between threads, about a kilobyte. The encoding is the
    one of the COCO API (column-major runs, LEB128-like text), so it is also the file format.

    Attributes:
        width: image width in pixels.
        height: image height in pixels.
        counts: the compressed runs.
    """

    width: int
    height: int
    counts: bytes

    def to_coco(self) -> dict[str, object]:
        """The `segmentation` value of a COCO annotation."""
        return {"size": [self.height, self.width], "counts": self.counts.decode("ascii")}
