"""Which of many vectors are close to one: exact cosine similarity.

Has numpy at its top: import it inside functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cosine(
    vectors: NDArray[np.float32], query: NDArray[np.float32] | None
) -> NDArray[np.float64] | None:
    """(n,) cosine, -inf for rows without direction; None when nothing can be compared.

    Args:
        vectors: (n, d) of any length; rows that are not finite have no direction, nor has zero.
        query: (d,); None, another length, zero or not finite: nothing can be compared.
    """
    if query is None or query.ndim != 1 or vectors.ndim != 2 or vectors.shape[1] != query.size:
        return None
    length = float(np.linalg.norm(query.astype(np.float64)))
    if not np.isfinite(length) or length <= 0:
        return None
    # Damaged vectors may hold anything: they drop out below instead of warning here.
    with np.errstate(all="ignore"):
        unit = (query / np.float32(length)).astype(np.float32)
        sizes = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float32))
        # einsum, not "@": one thread needs 0.3 ms for 10,000 rows, while the threads of a BLAS
        # wait up to 20 ms for a processor when a segmenter is busy.
        similarity = np.einsum("ij,j->i", vectors, unit).astype(np.float64) / sizes
    return np.where(np.isfinite(similarity), similarity, -np.inf)


def largest(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Positions of the `count` largest finite values, in no order."""
    found = np.arange(values.size)
    if values.size > count:
        found = np.argpartition(values, values.size - count)[values.size - count :]
    return found[np.isfinite(values[found])].astype(np.int64)


def closest(
    vectors: NDArray[np.float32],
    query: NDArray[np.float32],
    limit: int,
    at_least: float = -1.0,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The rows most similar to a query, best first; equals in their order.

    Args:
        vectors: (n, d); rows that are not finite, or zero, are ignored.
        query: (d,); a vector that cannot be compared has nothing close to it.
        limit: the most rows to return.
        at_least: the least cosine, -1 to 1.

    Returns:
        Positions (k,) and cosines (k,), k at most `limit`.
    """
    similarity = cosine(vectors, query)
    if similarity is None or limit <= 0:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    found = np.sort(largest(similarity, limit))
    found = found[similarity[found] >= at_least]
    found = found[np.argsort(-similarity[found], kind="stable")]
    # Rounding may lead past 1.
    return found, np.clip(similarity[found], -1.0, 1.0)


def rows_of(known: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of the wanted numbers stands among the known ones, -1 where it does not.

    Args:
        known: (n,) in any order, each once.
        wanted: (k,) any numbers.
    """
    if not known.size:
        return np.full(wanted.shape, -1, np.int64)
    order = np.argsort(known)
    slot = np.minimum(np.searchsorted(known[order], wanted), known.size - 1)
    found = order[slot]
    return np.where(known[found] == wanted, found, -1)
