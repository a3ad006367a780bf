"""Shortest paths and random walks on a graph of a few hundred nodes, in plain NumPy.

Each node's neighbours stand in one column, so that a step of either algorithm is a few operations
on whole arrays: as quick here as SciPy's sparse routines, whose import alone takes longer than
several prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

TOLERANCE = 1e-8  # of the random walks, relative
MAX_ITERATIONS = 500  # ten times what the hardest windows need


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Who lies beside whom.

    Attributes:
        nodes: (k, n) int64 neighbours of each node; the node itself where it has fewer than k.
        edges: (k, n) int64 the edges that lead there; the number of edges where there is none.
    """

    nodes: NDArray[np.int64]
    edges: NDArray[np.int64]

    def spread(self, values: NDArray[np.floating], none: float) -> Doubles:
        """(m,) values of edges to (k, n), with `none` where there is no edge."""
        return np.append(values, none)[self.edges].astype(np.float64)


def make_neighbours(edges: NDArray[np.int64], n: int) -> Neighbours:
    """The neighbours of n nodes by (m, 2) pairs of nodes."""
    ends = edges.ravel()
    order = np.argsort(ends, kind="stable")
    here, there = ends[order], edges[:, ::-1].ravel()[order]
    count = np.bincount(ends, minlength=n)
    place = np.arange(len(ends)) - (np.cumsum(count) - count)[here]
    k = max(1, int(count.max()))
    nodes, along = np.tile(np.arange(n), (k, 1)), np.full((k, n), len(edges))
    nodes[place, here], along[place, here] = there, order // 2
    return Neighbours(nodes, along)


def shortest_paths(
    neighbours: Neighbours, steps: NDArray[np.floating], seeds: NDArray[np.bool_]
) -> Floats:
    """Length of the shortest path from the nearest seed, by Bellman and Ford.

    Args:
        neighbours: the graph.
        steps: (k, n) lengths, not negative, infinite where there is no edge.
        seeds: (n,) bool.

    Returns:
        (n,) float32; infinite where no path leads.
    """
    lengths = np.asarray(steps, np.float32)
    best = np.where(seeds, np.float32(0), np.float32(np.inf))
    while True:
        found = (best[neighbours.nodes] + lengths).min(0)
        if (found >= best).all():
            return best
        best = np.minimum(best, found)


def random_walk(
    neighbours: Neighbours, bonds: Doubles, rest: NDArray[np.floating], start: NDArray[np.floating]
) -> Doubles:
    """The solution x of (diag(rest) + L) x = rest start, L the Laplacian of the bonds.

    x is the mean of `start` where a walk ends that stops at a node by `rest` against the bonds
    that lead away. By conjugate gradients with the diagonal as preconditioner.

    Args:
        neighbours: the graph.
        bonds: (k, n), not negative, 0 where there is no edge.
        rest: (n,) positive.
        start: (n,).
    """
    diagonal = rest + bonds.sum(0)

    def times(x: Doubles) -> Doubles:
        return np.asarray(diagonal * x - np.einsum("kn,kn->n", bonds, x[neighbours.nodes]))

    wanted, x = rest * start, start.astype(np.float64)
    residual = wanted - times(x)
    direction = scaled = residual / diagonal
    error, enough = residual @ scaled, TOLERANCE**2 * (wanted @ (wanted / diagonal))
    for _ in range(MAX_ITERATIONS):
        if error <= enough:
            break
        ahead = times(direction)
        length = error / (direction @ ahead)
        x = x + length * direction
        residual = residual - length * ahead
        scaled = residual / diagonal
        error, before = residual @ scaled, error
        direction = scaled + (error / before) * direction
    return x
