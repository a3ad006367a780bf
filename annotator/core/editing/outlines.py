"""Redrawing a stretch of an outline, and cutting a mask in two along a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.cv import cv2
from annotator.core.editing import drawing, regions
from annotator.core.editing.drawing import Spot
from annotator.core.mask import Mask
from annotator.core.raster import Crop

Points = NDArray[np.float64]
"""(n, 2): x and y."""


def redrawn(mask: Mask, path: Sequence[Spot], reach: float) -> Crop | None:
    """What the mask looks like where a path from outline to outline is its new outline.

    Of the two stretches between the ends of the path, the one that encloses the smaller area with
    it is replaced. Where the path runs outside, pixels are added; where it runs inside, removed.

    Args:
        mask: any mask.
        path: the new stretch; both ends lie near one ring of the outline.
        reach: how far the ends may be from it, pixels.

    Returns:
        The pixels of the part that changes, or None when the ends are not near one ring.
    """
    rings = [np.array(ring).reshape(-1, 2) for ring in raster.outline(mask)]
    drawn = np.array(path, float).reshape(-1, 2)
    best: tuple[float, int, tuple[int, Points], tuple[int, Points]] | None = None
    for number, ring in enumerate(rings):
        start, end = _nearest(ring, drawn[0]), _nearest(ring, drawn[-1])
        far = max(start[0], end[0])
        if far <= reach and (best is None or far < best[0]):
            best = far, number, start[1:], end[1:]
    if best is None or len(drawn) < 2:
        return None
    _, number, start_at, end_at = best
    loop = min(_loops(rings[number], drawn, start_at, end_at), key=_area)
    piece = drawing.polygon(loop.tolist(), mask.width, mask.height, parity=True)
    if piece is None or not piece.pixels.any():
        return None
    h, w = piece.pixels.shape
    before = raster.crop_at(mask, piece.x, piece.y, piece.x + w, piece.y + h).pixels
    enclosed = _enclosed(rings[number], piece)
    # What the ring enclosed is now outside it, and the other way round; a hole's ring encloses
    # what does not belong to the mask.
    belongs = enclosed if _is_hole(rings[number]) else ~enclosed
    return Crop(piece.x, piece.y, np.where(piece.pixels, belongs, before))


def _nearest(ring: Points, spot: Points) -> tuple[float, int, Points]:
    """Distance to a ring, the side (its first corner) that is nearest, and the place on it."""
    ends = np.roll(ring, -1, axis=0)
    along = ends - ring
    share = np.clip(
        ((spot - ring) * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-12), 0, 1
    )
    places = ring + along * share[:, None]
    distances = np.hypot(*(places - spot).T)
    side = int(np.argmin(distances))
    return float(distances[side]), side, places[side]


def _loops(
    ring: Points, path: Points, start: tuple[int, Points], end: tuple[int, Points]
) -> list[Points]:
    """The path closed with each of the two stretches between its ends."""
    (first, from_place), (last, to_place) = start, end
    drawn = np.concatenate((from_place[None], path, to_place[None]))
    count = len(ring)
    along_first = float(np.hypot(*(from_place - ring[first])))
    along_last = float(np.hypot(*(to_place - ring[last])))
    ahead = (last - first) % count
    if first == last:
        # Both on one side: the short stretch has no corner, the other has all.
        ahead = 0 if along_last >= along_first else count
    forward = ring[(first + 1 + np.arange(ahead)) % count]
    backward = ring[(first - np.arange(count - ahead)) % count]
    return [np.concatenate((drawn, forward[::-1])), np.concatenate((drawn, backward[::-1]))]


def _area(loop: Points) -> float:
    x, y = loop.T
    return abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 2


def _is_hole(ring: Points) -> bool:
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) < 0


def _enclosed(ring: Points, piece: Crop) -> NDArray[np.bool_]:
    """Which pixels of a piece a ring encloses."""
    h, w = piece.pixels.shape
    shifted = (ring - (piece.x, piece.y)).tolist()
    found = drawing.polygon(shifted, w, h)
    inside = np.zeros((h, w), bool)
    if found is not None:
        rows, columns = found.pixels.shape
        inside[found.y : found.y + rows, found.x : found.x + columns] = found.pixels
    return inside


def cut(mask: Mask, path: Sequence[Spot]) -> tuple[Mask, Mask] | None:
    """The mask in two along a path: the larger part first; None when the path divides no piece.

    Pieces the path does not divide stay with the larger part. Together both are the mask.
    """
    crop = raster.crop(mask)
    h, w = crop.pixels.shape
    shifted = [(x - crop.x, y - crop.y) for x, y in path]
    way = drawing.line(shifted, w, h)
    if way is None:
        return None
    blade = np.zeros((h, w), bool)
    rows, columns = way.pixels.shape
    blade[way.y : way.y + rows, way.x : way.x + columns] = way.pixels
    whole, _ = regions.labels(crop.pixels, 8)
    parts, areas = regions.labels(crop.pixels & ~blade, 8)
    sides = _sides(parts, blade & crop.pixels, shifted)
    taken = _second_half(whole, parts, areas, sides)
    if not taken.any():
        return None
    second = _with_blade(taken[parts], crop.pixels & blade, parts, taken)
    first = crop.pixels & ~second
    pair = (first, second)
    larger, smaller = sorted(pair, key=np.count_nonzero, reverse=True)
    if not smaller.any():
        return None
    made = [
        raster.from_crop(Crop(crop.x, crop.y, p), mask.width, mask.height)
        for p in (larger, smaller)
    ]
    return made[0], made[1]


def _sides(
    parts: NDArray[np.int32], blade: NDArray[np.bool_], path: Sequence[Spot]
) -> NDArray[np.float64]:
    """On which side of the path every part lies where it touches it: positive, negative; 0: no."""
    touched = cv2.dilate(blade.view(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~blade
    rows, columns = np.nonzero(touched & (parts > 0))
    spots = np.array(path, float).reshape(-1, 2)
    total = np.zeros(int(parts.max()) + 1)
    if not rows.size or len(spots) < 2:
        return total
    centres = np.stack((columns, rows), axis=1) + 0.5
    begins, along = spots[:-1], np.diff(spots, axis=0)
    best, side = np.full(len(centres), np.inf), np.zeros(len(centres))
    for begin, step in zip(begins, along, strict=True):
        relative = centres - begin
        share = np.clip((relative @ step) / max(float(step @ step), 1e-12), 0, 1)
        distance = np.hypot(*(relative - share[:, None] * step).T)
        nearer = distance < best
        cross = step[0] * relative[:, 1] - step[1] * relative[:, 0]
        best, side = np.where(nearer, distance, best), np.where(nearer, np.sign(cross), side)
    np.add.at(total, parts[rows, columns], side)
    return total


def _second_half(
    whole: NDArray[np.int32],
    parts: NDArray[np.int32],
    areas: NDArray[np.int64],
    sides: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which parts leave: those on one side, of the pieces that were divided."""
    owner = np.zeros(areas.size, np.int64)
    owner[parts.ravel()] = whole.ravel()
    owner[0] = 0
    taken = np.zeros(areas.size, bool)
    for piece in np.unique(owner[1:]).tolist():
        here = np.flatnonzero(owner == piece)
        here = here[here > 0]
        left = here[sides[here] > 0]
        if len(here) > 1 and left.size in (0, len(here)):
            # The path winds so that all parts lie on one side: the largest one stays.
            taken[here] = True
            taken[here[np.argmax(areas[here])]] = False
        elif len(here) > 1:
            taken[left] = True
    return taken


def _with_blade(
    second: NDArray[np.bool_],
    blade: NDArray[np.bool_],
    parts: NDArray[np.int32],
    taken: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """The second half with those pixels of the line that lie nearer to it."""
    stays = (parts > 0) & ~taken[parts]
    if not blade.any() or not stays.any():
        return second | blade
    to_second = cv2.distanceTransform((~second).view(np.uint8), cv2.DIST_L2, 5)
    to_first = cv2.distanceTransform((~stays).view(np.uint8), cv2.DIST_L2, 5)
    return second | (blade & (np.asarray(to_second) < np.asarray(to_first)))
