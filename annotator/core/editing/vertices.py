"""Outlines with few vertices for people to drag; only what they drag is rasterised again.

The exact outline of a mask has a corner at every step of its pixels. A `Ring` has all of them, and
says which few are shown: showing fewer changes no pixel. Where shown vertices are moved, put in or
erased, the stretch between their unchanged neighbours becomes straight lines; everything else keeps
its corners, so its pixels are the same bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.cv import cv2
from annotator.core.editing import drawing
from annotator.core.editing.drawing import Spot
from annotator.core.mask import Mask
from annotator.core.raster import Crop

Points = NDArray[np.float64]
"""(n, 2): x and y."""

LEAST = 3
"""Vertices a ring needs."""
_SHIFT = 2.0
"""Pixels by which the vertices beside one that moved may be elsewhere afterwards."""


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """One closed outline.

    Attributes:
        corners: (n, 2) all its corners, image pixels; the inside lies to the right.
        shown: (m,) which of them are shown as vertices, ascending.
        hole: what it encloses does not belong to the mask.
    """

    corners: Points
    shown: NDArray[np.int64]
    hole: bool

    @property
    def vertices(self) -> Points:
        """(m, 2) places of the vertices shown."""
        return self.corners[self.shown]


def ringed(mask: Mask, tolerance: float, keep: Iterable[Spot] = ()) -> tuple[Ring, ...]:
    """The outlines of a mask with as many vertices as it takes.

    Args:
        mask: any mask.
        tolerance: how far the lines between vertices may be from the outline, pixels.
        keep: corners that are shown whatever they tell; places that are no corner are ignored.
    """
    kept = set(keep)
    return tuple(_simplified(ring, tolerance, kept) for ring in raster.outline(mask))


def _simplified(ring: Sequence[float], tolerance: float, keep: Collection[Spot]) -> Ring:
    corners = np.array(ring, float).reshape(-1, 2)
    fixed = [i for i, (x, y) in enumerate(corners.tolist()) if (x, y) in keep] if keep else []
    shown = _shown(corners, tolerance, fixed)
    return Ring(corners, shown, _signed_area(corners) < 0)


def _shown(corners: Points, tolerance: float, fixed: Sequence[int]) -> NDArray[np.int64]:
    """Which corners are vertices: the fixed ones, and between them what the tolerance asks for."""
    count = len(corners)
    if not fixed:
        found = _places(corners, _approximate(corners, tolerance, closed=True))
    else:
        found = set(fixed)
        for first, last in zip(fixed, (*fixed[1:], fixed[0] + count), strict=True):
            if last - first < 2:
                continue
            stretch = np.arange(first, last + 1) % count
            inner = _places(
                corners[stretch], _approximate(corners[stretch], tolerance, closed=False)
            )
            found |= {int(stretch[place]) for place in inner}
    if len(found) < LEAST:
        # A ring that is a mere line or point at this tolerance.
        found |= set(np.linspace(0, count, min(count, 4), endpoint=False).astype(int).tolist())
    return np.array(sorted(found), np.int64)


def _approximate(corners: Points, tolerance: float, *, closed: bool) -> Points:
    if len(corners) <= LEAST - (not closed) or tolerance <= 0:
        return corners
    found = cv2.approxPolyDP(corners.astype(np.float32)[:, None], tolerance, closed)
    return np.asarray(found[:, 0], float)


def _places(corners: Points, chosen: Points) -> set[int]:
    """Where the chosen corners stand among all; twice where an outline passes one twice."""
    exact = corners.astype(np.float32).astype(float)
    wanted = np.isin(exact[:, 0] + 1j * exact[:, 1], chosen[:, 0] + 1j * chosen[:, 1])
    return set(np.flatnonzero(wanted).tolist())


def _signed_area(ring: Points) -> float:
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


# --- Changing vertices ---


def inserted(ring: Ring, at: Spot) -> tuple[Ring, int]:
    """The ring with one more vertex on its outline, as near as possible to a place.

    No pixel changes by that.

    Returns:
        The ring, and the number of the vertex among those shown.
    """
    ends = np.roll(ring.corners, -1, axis=0)
    along = ends - ring.corners
    lengths = np.maximum((along**2).sum(axis=1), 1e-12)
    share = np.clip(((np.array(at) - ring.corners) * along).sum(axis=1) / lengths, 0, 1)
    places = ring.corners + along * share[:, None]
    side = int(np.argmin(np.hypot(*(places - at).T)))
    x, y = places[side].tolist()
    for corner in (side, (side + 1) % len(ring.corners)):
        if math.dist(ring.corners[corner], (x, y)) < 0.5:
            return _showing(ring, corner)
    corners = np.insert(ring.corners, side + 1, (x, y), axis=0)
    shown = np.where(ring.shown > side, ring.shown + 1, ring.shown)
    return _showing(Ring(corners, shown, ring.hole), side + 1)


def _showing(ring: Ring, corner: int) -> tuple[Ring, int]:
    shown = np.union1d(ring.shown, [corner]).astype(np.int64)
    return Ring(ring.corners, shown, ring.hole), int(np.searchsorted(shown, corner))


def reshaped(ring: Ring, after: Mapping[int, Spot | None]) -> Points:
    """All corners of the ring after some of its vertices have moved, or are gone.

    Args:
        ring: before.
        after: by the number of the vertex its new place, or None to erase it.

    Returns:
        (k, 2): untouched stretches as they were, straight lines beside what changed; () when
        fewer than three vertices are left.
    """
    count, shown = len(ring.corners), ring.shown
    if len(shown) - sum(spot is None for spot in after.values()) < LEAST:
        return np.zeros((0, 2))
    corners, kept = ring.corners.copy(), np.ones(count, bool)
    for number, spot in after.items():
        for before in (number - 1, number):
            following = (before + 1) % len(shown)
            last = int(shown[following]) + (count if following == 0 else 0)
            kept[np.arange(int(shown[before]) + 1, last) % count] = False
        if spot is None:
            kept[shown[number]] = False
        else:
            corners[shown[number]] = spot
    order = np.roll(np.arange(count), -int(shown[0]))
    return corners[order[kept[order]]]


def changed(mask: Mask, ring: Ring, after: Mapping[int, Spot | None]) -> Crop | None:
    """What the mask looks like where vertices of a ring have moved or are gone.

    Where the new outline encloses what the old one did not, pixels are added (of a hole: removed),
    and the other way round; also where other outlines lie.

    Returns:
        The pixels of the part that changes, None when there is none.
    """
    new = reshaped(ring, after)
    frame = _affected(ring, after, new, mask)
    if frame is None:
        return None
    was, will = _inside(ring.corners, frame), _inside(new, frame)
    h, w = frame.pixels.shape
    before = raster.crop_at(mask, frame.x, frame.y, frame.x + w, frame.y + h).pixels
    pixels = np.where(was == will, before, ~will if ring.hole else will)
    if np.array_equal(pixels, before):
        return None
    return Crop(frame.x, frame.y, pixels)


def _affected(ring: Ring, after: Mapping[int, Spot | None], new: Points, mask: Mask) -> Crop | None:
    """Room for everything that can change."""
    places = [ring.corners] if not len(new) else []
    count, shown = len(ring.corners), ring.shown
    for number in after:
        # The stretches on both sides of the vertex, as they were, and where it is now.
        first = int(shown[number - 1]) - (count if number == 0 else 0)
        following = (number + 1) % len(shown)
        last = int(shown[following]) + (count if following == 0 else 0)
        places.append(ring.corners[np.arange(first, last + 1) % count])
        spot = after[number]
        if spot is not None:
            places.append(np.array([spot], float))
    if not places:
        return None
    every = np.concatenate(places)
    (x0, y0), (x1, y1) = every.min(axis=0), every.max(axis=0)
    return drawing.room(x0, y0, x1, y1, mask.width, mask.height)


def _inside(corners: Points, frame: Crop) -> NDArray[np.bool_]:
    """Which pixels of a part of the image an outline encloses an odd number of times."""
    if len(corners) < LEAST:
        return np.zeros(frame.pixels.shape, bool)
    return np.asarray(drawing.turns(corners, frame) % 2 == 1)


def renewed(
    mask: Mask, tolerance: float, keep: Sequence[Spot], moved: Iterable[Spot]
) -> tuple[tuple[Ring, ...], tuple[tuple[int, int], ...]]:
    """The outlines after an edit, with the same vertices wherever nothing changed.

    Args:
        mask: after the edit.
        tolerance: as for `ringed`.
        keep: vertices that were not touched.
        moved: where people have put vertices; the corner that is nearest becomes one.

    Returns:
        The rings, and for every moved vertex its ring and its number there.
    """
    exact = [np.array(ring, float).reshape(-1, 2) for ring in raster.outline(mask)]
    corners = np.concatenate(exact) if exact else np.full((1, 2), np.inf)
    known = set(map(tuple, corners.tolist()))

    def nearest(spot: Spot) -> Spot:
        x, y = corners[np.argmin(np.hypot(*(corners - spot).T))].tolist()
        return x, y

    found = [nearest(spot) for spot in moved if exact]
    # Beside what moved a corner may have become part of a straight line.
    kept = [spot if spot in known else nearest(spot) for spot in keep]
    kept = [now for now, spot in zip(kept, keep, strict=True) if math.dist(now, spot) < _SHIFT]
    rings = ringed(mask, tolerance, {*kept, *found})
    places = {
        (x, y): (place, number)
        for place, ring in enumerate(rings)
        for number, (x, y) in enumerate(ring.vertices.tolist())
    }
    return rings, tuple(dict.fromkeys(places[spot] for spot in found))
