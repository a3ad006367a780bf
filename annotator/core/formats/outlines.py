"""Masks as rings, for formats that know nothing else, with a measure of what that costs.

Rings run along pixel edges. Where one ring has to say it all, holes and pieces are joined by cuts
of no width, which even-odd fillers (pycocotools among them) do not see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.mask import Mask
from models.api import Box

Rings = tuple[tuple[float, ...], ...]


def polygons(annotation: Annotation) -> tuple[Rings, float]:
    """Rings to be united, one for each piece, and the IoU of what pycocotools makes of them.

    A piece with holes is one ring with cuts. Rings that came with the object are kept. A box is
    its four corners.
    """
    shape = annotation.shape
    if annotation.polygons:
        return annotation.polygons, 1.0
    if isinstance(shape, Box):
        return (corners(shape),), 1.0
    exact = raster.exact_polygons(shape)
    if exact is not None:
        return exact, 1.0
    rings = tuple(joined(piece) for piece in _pieces(raster.outline(shape)))
    return rings, agreement(rings, shape)


def one_ring(annotation: Annotation) -> tuple[tuple[float, ...], float]:
    """One ring for the whole object, and the IoU of what pycocotools makes of it."""
    shape = annotation.shape
    if isinstance(shape, Box):
        return corners(shape), 1.0
    rings = raster.outline(shape)
    ring = joined(rings) if rings else ()
    return ring, agreement([ring], shape)


def agreement(rings: Sequence[Sequence[float]], mask: Mask) -> float:
    """IoU of rings, as pycocotools rasterises them, with the mask they stand for."""
    if not any(rings):
        return 0.0
    return raster.iou(raster.from_polygons(rings, mask.width, mask.height), mask)


def joined(rings: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """One ring that goes along all of them, with a cut there and back between two."""
    points = [np.reshape(np.asarray(ring, float), (-1, 2)) for ring in rings]
    # From left to right, each ring is near to one that is there already.
    points.sort(key=lambda ring: (ring[:, 0].min(), ring[:, 1].min()))
    path = points[0]
    for ring in points[1:]:
        start = int(np.lexsort((ring[:, 1], ring[:, 0]))[0])
        near = int(np.argmin(((path - ring[start]) ** 2).sum(axis=1)))
        there_and_back = np.roll(ring, -start, axis=0)
        path = np.concatenate((path[: near + 1], there_and_back, there_and_back[:1], path[near:]))
    return tuple(path.ravel().tolist())


def _pieces(rings: Rings) -> list[list[tuple[float, ...]]]:
    """Outer rings, each with the holes inside of it."""
    outer = [ring for ring in rings if _turn(ring) > 0]
    pieces = [[ring] for ring in outer]
    boxes = np.array([_box(ring) for ring in outer])
    for hole in (ring for ring in rings if _turn(ring) < 0):
        x0, y0, x1, y1 = _box(hole)
        around = (boxes[:, 0] < x0) & (boxes[:, 1] < y0) & (boxes[:, 2] > x1) & (boxes[:, 3] > y1)
        inside = [i for i in np.flatnonzero(around) if _holds(outer[i], hole[0], hole[1])]
        # Of rings inside of each other, the smallest is the one the hole was cut into.
        home = min(inside, key=lambda i: abs(_turn(outer[i])))
        pieces[home].append(hole)
    return pieces


def _turn(ring: Sequence[float]) -> float:
    """Area, negative for holes."""
    points = np.reshape(ring, (-1, 2))
    x, y = points[:, 0], points[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def _box(ring: Sequence[float]) -> tuple[float, float, float, float]:
    return min(ring[0::2]), min(ring[1::2]), max(ring[0::2]), max(ring[1::2])


def _holds(ring: Sequence[float], x: float, y: float) -> bool:
    """Whether a point is inside of a ring along pixel edges; the point is a corner of pixels."""
    points: NDArray[np.float64] = np.reshape(np.asarray(ring, float), (-1, 2))
    after = np.roll(points, -1, axis=0)
    # The pixel right below the corner lies in the hole or in what is around it: inside both ways.
    x, y = x + 0.5, y + 0.5
    crosses = (points[:, 1] > y) != (after[:, 1] > y)
    return bool((crosses & (points[:, 0] > x)).sum() % 2)


def corners(box: Box) -> tuple[float, ...]:
    """The ring of a box."""
    return (box.x0, box.y0, box.x1, box.y0, box.x1, box.y1, box.x0, box.y1)
