"""Shortest paths and random walks against plain dense arithmetic."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from numpy.typing import NDArray

from models.basic.neighbours import make_neighbours, random_walk, shortest_paths

Edges = NDArray[np.int64]


def random_graph(n: int, seed: int) -> tuple[Edges, NDArray[np.float32]]:
    """A chain, so that it is connected, with shortcuts; (m, 2) pairs and (m,) positive values."""
    rng = np.random.default_rng(seed)
    chain = {(i, i + 1) for i in range(n - 1)}
    shortcuts = {tuple(sorted(pair)) for pair in rng.integers(0, n, (n // 2, 2)).tolist()}
    pairs = sorted(chain | {(a, b) for a, b in shortcuts if a != b})
    edges = np.array(pairs, np.int64).reshape(-1, 2)
    return edges, rng.uniform(0.01, 3, len(edges)).astype(np.float32)


def dijkstra(edges: Edges, steps: NDArray[np.float32], seeds: NDArray[np.bool_]) -> list[float]:
    best = [np.inf] * len(seeds)
    queue = [(0.0, int(i)) for i in np.flatnonzero(seeds)]
    while queue:
        length, node = heapq.heappop(queue)
        if length >= best[node]:
            continue
        best[node] = length
        for (a, b), step in zip(edges.tolist(), steps.tolist(), strict=True):
            if node in (a, b):
                heapq.heappush(queue, (length + step, b if node == a else a))
    return best


@pytest.mark.parametrize("n", [2, 3, 40])
@pytest.mark.parametrize("seed", range(4))
def test_shortest_paths_are_dijkstras(n: int, seed: int) -> None:
    edges, steps = random_graph(n, seed)
    neighbours = make_neighbours(edges, n)
    seeds = np.arange(n) % 17 == seed % n
    found = shortest_paths(neighbours, neighbours.spread(steps, np.inf), seeds)
    np.testing.assert_allclose(found, dijkstra(edges, steps, seeds), rtol=1e-5)


@pytest.mark.parametrize("n", [2, 3, 40])
@pytest.mark.parametrize("seed", range(4))
def test_random_walks_solve_the_laplace_system(n: int, seed: int) -> None:
    edges, bonds = random_graph(n, seed)
    neighbours = make_neighbours(edges, n)
    rng = np.random.default_rng(seed)
    rest, start = rng.uniform(0.5, 20, n), rng.uniform(0, 1, n)
    matrix = np.diag(rest)
    for (a, b), bond in zip(edges.tolist(), bonds.tolist(), strict=True):
        matrix[[a, b], [a, b]] += 20 * bond
        matrix[[a, b], [b, a]] -= 20 * bond
    found = random_walk(neighbours, 20 * neighbours.spread(bonds, 0), rest, start)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, rest * start), atol=1e-6)


def test_a_single_node_has_no_neighbours() -> None:
    neighbours = make_neighbours(np.zeros((0, 2), np.int64), 1)
    none = np.zeros(0, np.float32)
    paths = neighbours.spread(none, np.inf)
    assert shortest_paths(neighbours, paths, np.array([True])).tolist() == [0]
    assert shortest_paths(neighbours, paths, np.array([False])).tolist() == [np.inf]
    walk = random_walk(neighbours, neighbours.spread(none, 0), np.ones(1), np.full(1, 0.25))
    assert walk.tolist() == [0.25]


def test_what_cannot_be_reached_is_infinitely_far() -> None:
    neighbours = make_neighbours(np.array([[0, 1], [2, 3]], np.int64), 4)
    steps = neighbours.spread(np.array([1, 2], np.float32), np.inf)
    seeds = np.array([True, False, False, False])
    assert shortest_paths(neighbours, steps, seeds).tolist() == [0, 1, np.inf, np.inf]


def test_a_walk_that_starts_nowhere_ends_nowhere() -> None:
    neighbours = make_neighbours(np.array([[0, 1]], np.int64), 2)
    bonds = neighbours.spread(np.ones(1, np.float32), 0)
    assert random_walk(neighbours, bonds, np.ones(2), np.zeros(2)).tolist() == [0, 0]
