"""Ranking names by cosine, as Open-Vocabulary SAM does it (spec/ovsam_omgseg.md, A.1.7).

A class may have several names; the best of them counts. A background whose embedding is zero comes
last: it wins where nothing looks like any name. Plain NumPy, for any space of unit vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.api import ModelError, Suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SCALE = math.exp(4.6052)
"""What cosines are multiplied by: CLIP's temperature, 100.003."""

SHOWN = 50
"""Classes a ranking holds at most."""
_CHUNK = 1024
"""Vectors ranked at once, so that their scores stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """The names of all classes, each only once: make it when the vocabulary changes, then rank.

    Attributes:
        rows: (m, d) float32, the unit vectors of the names of class 0, then of class 1, ...
        starts: (C,) where the names of each class begin.
    """

    rows: NDArray[np.float32]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, table: NDArray[np.floating]) -> Names:
        """The names of a classifier tensor as it is published.

        Args:
            table: (C, P, d) unit vectors; classes with fewer than P names repeat their first.

        Raises:
            ModelError: another shape, or values that are not numbers.
        """
        if table.ndim != 3 or not all(table.shape):
            shape = " × ".join(map(str, table.shape)) or "a single number"
            raise ModelError(
                f"The vectors of names have the wrong shape ({shape}): "
                "classes × names × dimensions are expected."
            )
        if not np.isfinite(table).all():
            raise ModelError("The vectors of names hold values that are not numbers.")
        own = np.ones(table.shape[:2], np.bool_)
        own[:, 1:] = (table[:, 1:] != table[:, :1]).any(axis=2)
        counts = own.sum(axis=1)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
        return cls(np.ascontiguousarray(table[own], np.float32), starts)

    def __len__(self) -> int:
        return len(self.starts)


def logits(
    vectors: NDArray[np.floating], names: Names | NDArray[np.floating], scale: float = SCALE
) -> NDArray[np.float32]:
    """How well every class fits every object.

    Args:
        vectors: (n, d), of any length; a vector of zeros fits nothing.
        names: the classes; a table (C, P, d) is taken as `Names.of` it, which costs more than
            ranking one vector does.
        scale: what cosines are multiplied by.

    Returns:
        (n, C + 1): `scale` times the cosine with the best name of each class; last the
        background, 0.

    Raises:
        ModelError: the vectors and the names are not of one space, or `Names.of` refuses.
    """
    names = names if isinstance(names, Names) else Names.of(names)
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != names.rows.shape[1]:
        raise ModelError(
            f"Objects of shape {vectors.shape} cannot be compared with names of "
            f"{names.rows.shape[1]} dimensions: they come from different models."
        )
    found = np.zeros((len(vectors), len(names) + 1), np.float32)
    for first in range(0, len(vectors), _CHUNK):
        part = vectors[first : first + _CHUNK]
        # Names by objects: the maximum then runs along whole rows of memory.
        scores = np.maximum.reduceat(_cosines(names.rows, part), names.starts, axis=0)
        length = np.sqrt(np.einsum("nd,nd->n", part, part))
        factor = np.divide(scale, length, out=np.zeros_like(length), where=length > 0)
        found[first : first + _CHUNK, :-1] = (scores * factor).T
    return found


def _cosines(rows: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m, d) and (n, d) to (m, n)."""
    if len(vectors) == 1:
        # BLAS starts threads for so little: on a busy machine that is 8 ms instead of 0.1.
        one: NDArray[np.float32] = np.einsum("md,d->m", rows, vectors[0])
        return one[:, None]
    found: NDArray[np.float32] = rows @ vectors.T
    return found


def probabilities(
    vectors: NDArray[np.floating], names: Names | NDArray[np.floating], scale: float = SCALE
) -> NDArray[np.float32]:
    """How probable every class is for every object: (n, C).

    What is missing to 1 in a row is the background. For arguments and errors see `logits`.
    """
    return softmax(logits(vectors, names, scale))[:, :-1]


def ranking(
    vector: NDArray[np.floating], titles: Sequence[str], names: Names, limit: int = SHOWN
) -> tuple[Suggestion, ...]:
    """The most probable classes for one object, best first.

    Args:
        vector: (d,).
        titles: (C,) what the classes are called.
        names: of the same classes.
        limit: the most to return: nobody looks at the rest of 20,000.

    Raises:
        ModelError: see `logits`.
    """
    found = probabilities(vector[None], names)[0]
    best = np.arange(found.size)
    if found.size > limit:
        best = np.sort(np.argpartition(-found, limit)[:limit])
    order = best[np.argsort(-found[best], kind="stable")]
    return tuple(Suggestion(titles[place], float(found[place])) for place in order)


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
    return result
