"""Outlines of masks along pixel edges, straight from their runs: no pixel is ever decoded.

Where the runs of a column begin or end, a horizontal edge of one pixel lies; edges of one row
that follow each other are a side. The ends of the sides are the corners of the outline. Along a
column of corners vertical sides begin and end in turn, so two neighbours are joined by one.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Rings = tuple[tuple[float, ...], ...]
_Numbers = NDArray[np.int64]


def rings_of(starts: _Numbers, ends: _Numbers, height: int) -> Rings:
    """Closed rings x0, y0, x1, y1 … along pixel edges, corners only.

    The inside lies to the right of the direction of travel, and pixels that touch only by a corner
    belong to separate rings. A ring begins with its first upper side from the top, from the left.

    Args:
        starts: first positions of the foreground runs in the column-major sequence, (n,).
        ends: the positions behind their last ones, (n,).
        height: of the image, pixels.
    """
    if not starts.size:
        return ()
    columns, top, bottom = _in_columns(starts, ends, height)
    wide = int(columns[-1]) + 2
    upper_x0, upper_x1, upper_y = _sides(top * wide + columns, wide)
    lower_x0, lower_x1, lower_y = _sides(bottom * wide + columns, wide)
    # Upper sides are walked to the right, lower ones to the left.
    y = np.concatenate((upper_y, lower_y))
    begin = np.concatenate((upper_x0, lower_x1))
    end = np.concatenate((upper_x1, lower_x0))
    is_upper = np.zeros(2 * y.size, np.int64)
    is_upper[: upper_y.size] = is_upper[y.size : y.size + upper_y.size] = 1
    # Where pixels touch by a corner, two corners are one point: the one of the lower side comes
    # first, and ends the vertical side above; so every pixel keeps to its own ring.
    tall = height + 1
    corners = np.concatenate((begin, end)) * tall + np.concatenate((y, y))
    order = np.argsort(corners * 2 + is_upper)
    partner = np.empty_like(order)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    walk, cuts = _walked(partner[y.size :].tolist(), upper_y.size)
    corner_pairs = np.empty((y.size, 4))
    corner_pairs[:, 0], corner_pairs[:, 1::2], corner_pairs[:, 2] = begin, y[:, None], end
    points = corner_pairs[walk].ravel().tolist()
    return tuple(tuple(points[4 * low : 4 * high]) for low, high in pairwise(cuts))


def is_hole(ring: tuple[float, ...]) -> bool:
    """Whether a ring of `rings_of` goes around a hole: its highest side is none it begins with."""
    return min(ring[1::2]) < ring[1]


def _in_columns(
    starts: _Numbers, ends: _Numbers, height: int
) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Column, first row and row behind the last one of runs, cut where a column ends."""
    first, top = np.divmod(starts, height)
    bottom = ends - first * height
    if not (bottom > height).any():
        return first, top, bottom
    counts = (ends - 1) // height - first + 1
    columns = np.repeat(first, counts)
    behind = np.cumsum(counts)
    columns += np.arange(columns.size) - np.repeat(behind - counts, counts)
    tops, bottoms = np.zeros_like(columns), np.full_like(columns, height)
    tops[behind - counts] = top
    bottoms[behind - 1] = (ends - 1) % height + 1
    return columns, tops, bottoms


def _sides(edges: _Numbers, wide: int) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Left end, right end and row of the sides of edges (row * wide + column; get sorted)."""
    edges.sort()
    is_first, is_last = np.ones(edges.size, np.bool_), np.ones(edges.size, np.bool_)
    is_first[1:] = edges[1:] - edges[:-1] != 1
    is_last[:-1] = is_first[1:]
    rows, left = np.divmod(edges[is_first], wide)
    right = edges[is_last] - rows * wide + 1
    return left, right, rows


def _walked(following: list[int], uppers: int) -> tuple[list[int], list[int]]:
    """Sides in the order they are walked, and where in it the rings begin and the last one ends.

    Args:
        following: the side after each.
        uppers: how many of them are upper ones; those come first, sorted.
    """
    walk: list[int] = []
    cuts = [0]
    seen = bytearray(len(following))
    for start in range(uppers):
        at = start
        while not seen[at]:
            seen[at] = 1
            walk.append(at)
            at = following[at]
        if len(walk) > cuts[-1]:
            cuts.append(len(walk))
    return walk, cuts
