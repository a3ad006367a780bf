"""What is done to a whole mask: holes, specks, smoothing, growing, pieces; and flood fill."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.cv import cv2
from annotator.core.mask import Mask
from annotator.core.raster import Crop

Connectivity = Literal[4, 8]
"""8: pixels that touch by a corner belong together; 4: only those that share a side."""

MOST_FLOODED = 1448
"""A flood reaches at most half of this many pixels in each direction: 2 megapixels in all."""
_FREEDOM = 0.2
"""How far from one half the threshold of smoothing may go to keep the area."""


def around(mask: Mask, margin: int) -> Crop:
    """The mask in its box and `margin` pixels of its surroundings, as far as the image reaches."""
    box = raster.box(mask)
    x0, y0 = max(int(box.x0) - margin, 0), max(int(box.y0) - margin, 0)
    x1, y1 = min(int(box.x1) + margin, mask.width), min(int(box.y1) + margin, mask.height)
    return raster.crop_at(mask, x0, y0, x1, y1)


def _as_mask(like: Mask, crop: Crop, pixels: NDArray[np.bool_]) -> Mask:
    return raster.from_crop(Crop(crop.x, crop.y, pixels), like.width, like.height)


def _bytes(pixels: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels).view(np.uint8)


def labels(
    pixels: NDArray[np.bool_], connectivity: Connectivity
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The piece of every pixel (0: background), and the area of every piece (background first)."""
    if not pixels.size:  # OpenCV would crash
        return np.zeros(pixels.shape, np.int32), np.zeros(1, np.int64)
    _, found, stats, _ = cv2.connectedComponentsWithStats(_bytes(pixels), connectivity=connectivity)
    return np.asarray(found, np.int32), stats[:, cv2.CC_STAT_AREA].astype(np.int64)


def hole_at(mask: Mask, x: int, y: int) -> Crop | None:
    """The hole a pixel lies in; None outside, and on the mask.

    Pixels of a hole share sides (the mask itself holds together by corners).
    """
    crop = raster.crop(mask)
    h, w = crop.pixels.shape
    column, row = x - crop.x, y - crop.y
    if not (0 <= column < w and 0 <= row < h) or crop.pixels[row, column]:
        return None
    found, _ = labels(np.pad(~crop.pixels, 1, constant_values=True), 4)
    number = found[row + 1, column + 1]
    if number == found[0, 0]:
        return None
    return Crop(crop.x, crop.y, found[1:-1, 1:-1] == number)


def _holes(crop: Crop) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
    """The background's piece of every pixel, areas of the pieces, and which is around it all."""
    found, areas = labels(np.pad(~crop.pixels, 1, constant_values=True), 4)
    return found[1:-1, 1:-1], areas, int(found[0, 0])


def hole_areas(mask: Mask) -> NDArray[np.int64]:
    """Pixels of every hole, (n,)."""
    _, areas, around_it = _holes(raster.crop(mask))
    areas[around_it] = 0
    return areas[1:][areas[1:] > 0]


def without_holes(mask: Mask, smallest: float = math.inf) -> Mask:
    """Every hole of fewer than `smallest` pixels filled."""
    crop = raster.crop(mask)
    found, areas, around_it = _holes(crop)
    fill = areas < smallest
    fill[around_it] = False
    fill[0] = True  # the mask itself
    return _as_mask(mask, crop, fill[found])


def without_specks(mask: Mask, smallest: int) -> Mask:
    """Without pieces of fewer than `smallest` pixels; the largest piece always stays."""
    crop = raster.crop(mask)
    found, areas = labels(crop.pixels, 8)
    keep = areas >= smallest
    if areas.size > 1:
        keep[1 + int(np.argmax(areas[1:]))] = True
    keep[0] = False
    return _as_mask(mask, crop, keep[found])


def smoothed(mask: Mask, strength: float) -> Mask:
    """A smoother outline that encloses about the same area.

    The mask is blurred and cut at the level that keeps its area, as far as that level is near one
    half: a speck smaller than the blur vanishes.

    Args:
        mask: any mask.
        strength: standard deviation of the blur, pixels; 0 changes nothing.
    """
    if strength <= 0 or not raster.area(mask):
        return mask
    margin = math.ceil(3 * strength) + 1
    crop = around(mask, margin)
    # At the image's border the object is taken to go on.
    blurred = cv2.GaussianBlur(
        _bytes(crop.pixels) * np.uint8(255), (0, 0), strength, borderType=cv2.BORDER_REPLICATE
    )
    wanted = int(np.count_nonzero(crop.pixels))
    levels = np.bincount(np.asarray(blurred, np.uint8).ravel(), minlength=256)
    above = np.cumsum(levels[::-1])[::-1]
    low, high = round(255 * (0.5 - _FREEDOM)), round(255 * (0.5 + _FREEDOM))
    best = low + int(np.argmin(np.abs(above[low : high + 1] - wanted)))
    return _as_mask(mask, crop, np.asarray(blurred) >= best)


def grown(mask: Mask, pixels: float) -> Mask:
    """Larger by so many pixels on all sides, or smaller where `pixels` is negative.

    Distances are Euclidean between pixel centres. The image's border is no side: what touches it
    does not shrink there.
    """
    if not pixels or not raster.area(mask):
        return mask
    crop = around(mask, max(math.ceil(pixels), 0) + 1)
    outward = pixels > 0
    from_what = ~crop.pixels if outward else crop.pixels
    distance = cv2.distanceTransform(_bytes(from_what), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    reach = abs(pixels) + 1e-3
    if not from_what.all():
        inside = distance <= reach if outward else distance > reach
    else:
        inside = crop.pixels
    return _as_mask(mask, crop, np.asarray(inside))


def pieces(mask: Mask, connectivity: Connectivity = 8) -> tuple[Mask, ...]:
    """The connected pieces, largest first."""
    crop = raster.crop(mask)
    found, areas = labels(crop.pixels, connectivity)
    order = np.argsort(-areas[1:], kind="stable") + 1
    return tuple(_as_mask(mask, crop, found == number) for number in order.tolist())


def flood(
    image: NDArray[np.uint8], x: int, y: int, tolerance: int, inside: Crop | None = None
) -> Crop:
    """The connected pixels around one whose colour is nearly its own.

    Args:
        image: (H, W, 3) uint8 RGB.
        x: column of the first pixel.
        y: its row.
        tolerance: greatest difference of each channel from that pixel, 0 to 255.
        inside: only pixels of this piece.

    Returns:
        At most 2 megapixels around the pixel.
    """
    height, width = image.shape[:2]
    half = MOST_FLOODED // 2
    x0, y0 = max(x - half, 0), max(y - half, 0)
    x1, y1 = min(x + half, width), min(y + half, height)
    # OpenCV asks for an array it might write into, though it only writes into the barrier.
    piece = image[y0:y1, x0:x1]
    piece = piece if piece.flags.writeable else piece.copy()
    barrier = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
    if inside is not None:
        barrier[1:-1, 1:-1] = 1
        h, w = inside.pixels.shape
        left, top = max(inside.x, x0), max(inside.y, y0)
        right, bottom = max(min(inside.x + w, x1), left), max(min(inside.y + h, y1), top)
        kept = inside.pixels[top - inside.y : bottom - inside.y, left - inside.x : right - inside.x]
        barrier[1 + top - y0 : 1 + bottom - y0, 1 + left - x0 : 1 + right - x0] = ~kept
    spread = (tolerance, tolerance, tolerance)
    flags = 4 | (2 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    cv2.floodFill(piece, barrier, (x - x0, y - y0), (0, 0, 0), spread, spread, flags)
    return Crop(x0, y0, barrier[1:-1, 1:-1] == 2)
