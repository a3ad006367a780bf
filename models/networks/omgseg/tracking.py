"""Sequences: clips of a few frames, whose queries are recognised from one to the next.

The published code keeps the features and masks of all frames until the end; here a clip is done
when the next one begins, so sequences may have any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from models.networks.omgseg.found import Found, Framing
from models.networks.omgseg.fusion import render

PROPOSALS = 25
"""Queries that may continue a given mask: those with the best quality."""
LEAST_OVERLAP = 0.5
"""A given mask is refused below this IoU; the published code takes whatever is left."""


def clip_ends(frames: int, length: int) -> list[int]:
    """Where the clips of a sequence end, each at most `length` frames; the last ones share a lack.

    Eleven frames in clips of five are 4 + 4 + 3: no clip is left with a single frame, if there are
    enough others to take from; otherwise the last one is short.

    Raises:
        ValueError: no frames, or clips without length.
    """
    if frames < 1 or length < 1:
        raise ValueError("a sequence needs frames and clips need a length")
    count = -(-frames // length)
    lack = count * length - frames
    if lack >= count:
        return [*(length * number for number in range(1, count)), frames]
    short = [length - (number >= count - lack) for number in range(count)]
    return [int(end) for end in np.cumsum(short)]


def matched(before: Tensor, after: Tensor) -> list[int]:
    """Which query of the next clip continues each query of the last one.

    Args:
        before: (N, C) decoder outputs, see `Found.queries`.
        after: (N, C) of the next clip.

    Returns:
        N different indices: `after[indices]` is in the order of `before`. The sum of
        1 - cosine is the smallest possible.
    """
    cost = 1 - _unit(before) @ _unit(after).T
    _, columns = linear_sum_assignment(cost.double().cpu().numpy())
    return [int(column) for column in columns]


class Tracks:
    """The queries of a sequence under stable numbers: index i is the same object in every clip.

    Holds one clip's queries and running means; `logits` and `quality` are those over all clips
    so far.
    """

    def __init__(self) -> None:
        self._queries: Tensor | None = None
        self._clips = 0
        self._logits = torch.zeros(0)
        self._quality = torch.zeros(0)

    def follow(self, found: Found, logits: Tensor) -> tuple[Found, list[int]]:
        """The next clip in the order of those before it.

        Args:
            found: what the network found in the clip.
            logits: (N, C + 1) classes of its queries, of one vocabulary for the whole sequence.

        Returns:
            What was found, and the order it was brought into: query i of the result was
            query order[i] of `found`.
        """
        if self._queries is None:
            order = list(range(len(found.queries)))
            self._logits, self._quality = torch.zeros_like(logits), torch.zeros_like(found.quality)
        else:
            order = matched(self._queries, found.queries)
        ordered = found.chosen(order)
        self._queries = ordered.queries
        self._clips += 1
        self._logits = self._logits + logits[order]
        self._quality = self._quality + ordered.quality
        return ordered, order

    @property
    def logits(self) -> Tensor:
        """(N, C + 1), mean over the clips so far."""
        return self._logits / max(self._clips, 1)

    @property
    def quality(self) -> Tensor:
        """(N) logits, mean over the clips so far."""
        return self._quality / max(self._clips, 1)


@dataclass(frozen=True, slots=True)
class Start:
    """Which query goes on with a given mask.

    Attributes:
        query: None where no proposal overlaps enough.
        overlap: IoU with the best proposal that was left for it.
    """

    query: int | None
    overlap: float


def start_from(
    found: Found,
    framing: Framing,
    given: Sequence[Tensor],
    frame: int = 0,
    proposals: int = PROPOSALS,
    least: float = LEAST_OVERLAP,
) -> list[Start]:
    """Give every accepted mask the query that goes on with it, each query once.

    Args:
        found: the first clip, see `Tracks.follow`.
        framing: where the image lies.
        given: masks (H, W) bool at the size of the image.
        frame: which frame of the clip they are of.
        proposals: how many queries are considered.
        least: IoU below which a mask is refused.
    """
    if not given:
        return []
    count = min(proposals, len(found.quality))
    queries = found.quality.topk(count).indices.tolist()
    overlaps = np.zeros((len(given), count))
    sizes = [int(mask.sum()) for mask in given]
    for column, proposal in enumerate(render(found.masks[:, frame], framing, queries)):
        area = int(proposal.sum())
        for row, mask in enumerate(given):
            common = int((proposal & mask.to(proposal.device)).sum())
            union = area + sizes[row] - common
            overlaps[row, column] = common / union if union else 0.0
    starts = [Start(None, 0.0)] * len(given)
    rows, columns = linear_sum_assignment(-overlaps)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        overlap = float(overlaps[row, column])
        starts[row] = Start(queries[column] if overlap >= least else None, overlap)
    return starts


def painted(masks: Tensor, framing: Framing, ids: dict[int, int], quality: Tensor) -> Tensor:
    """One frame's objects as a map (H, W) int32 of their ids, 0 is nothing.

    Args:
        masks: (N, h, w) logits of the frame.
        framing: where the image lies.
        ids: id by query.
        quality: (N); where masks overlap the better one is seen.
    """
    order = sorted(ids, key=lambda query: float(quality[query]))
    found = torch.zeros(framing.original, dtype=torch.int32, device=masks.device)
    for query, mask in zip(order, render(masks, framing, order), strict=True):
        found[mask] = ids[query]
    return found


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=1)
