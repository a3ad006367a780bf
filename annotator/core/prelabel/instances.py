"""Models that need not be asked as a source of proposals: instances and stuff with their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np

from annotator.core.annotation import Category
from annotator.core.prelabel.proposing import Answer, Checked
from annotator.core.troubles import NOT_NUMBERS, Trouble
from models.api import Embedding, MaskCandidate
from models.everything import Footprint, footprint, overlap
from models.labelling import LabelledMask, Name, labelled


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """What is kept.

    Attributes:
        min_score: the least score.
        min_stability: the least stability, of masks of which it is known.
        min_area: of a mask, image pixels at the model's resolution.
        max_overlap: of two things of one name that overlap more, the surer one stays. Names may
            overlap each other: a rider covers a part of the horse.
        max_share: of the image; larger things are background. Stuff may be as large as it is.
        crumbs: pieces of a mask smaller than this share of its largest one are dropped.
    """

    min_score: float = 0.3
    min_stability: float = 0.0
    min_area: float = 64.0
    max_overlap: float = 0.6
    max_share: float = 0.9
    crumbs: float = 0.02


def vocabulary(categories: Iterable[Category]) -> tuple[Name, ...]:
    """The classes of a project for a model that takes names.

    Stuff is what COCO's panoptic files say it is: a class with `isthing` 0.
    """
    return tuple(Name(one.name, one.synonyms, one.is_thing) for one in categories)


class Instances:
    """What a labeller found; the segmenter is a `models.labelling.Unasked`.

    Args:
        names: its vocabulary, or its own names.
        options: what is kept.
    """

    def __init__(self, names: Sequence[Name], options: InstanceOptions) -> None:
        self._names = tuple(names)
        self._options = options

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `ProposalSource`; the vocabulary is in the fingerprint of the model."""
        return {"ask": "instances", **asdict(self._options)}

    @property
    def labels(self) -> Sequence[str]:
        """See `ProposalSource`."""
        return tuple(one.name for one in self._names)

    def wants(self, key: str) -> bool:
        """See `ProposalSource`."""
        return True

    def names_all(self, key: str) -> bool:
        """See `ProposalSource`."""
        return bool(self._names)

    def ask(
        self, segmenter: Checked, embedding: Embedding, key: str
    ) -> tuple[Sequence[Answer], Sequence[Trouble]]:
        """See `ProposalSource`."""
        kept: list[tuple[LabelledMask, Footprint]] = []
        found = sorted(labelled(embedding), key=lambda one: -one.candidate.score)
        broken = [one for one in found if not np.isfinite(one.candidate.logits).all()]
        for one in found:
            if one in broken or not self._is_sure(one):
                continue
            whole = replace(one, candidate=without_crumbs(one.candidate, self._options.crumbs))
            area = footprint(whole.candidate, embedding.width, embedding.height)
            if area is None or not self._fits(whole, area, embedding.width * embedding.height):
                continue
            if not any(self._is_same(whole, area, *other) for other in kept):
                kept.append((whole, area))
        answers = [
            Answer(one.candidate, None, one.candidate.score, one.stability, one.label)
            for one, _ in kept
        ]
        return answers, [Trouble(NOT_NUMBERS, key)] * len(broken)

    def _is_sure(self, one: LabelledMask) -> bool:
        stable = one.stability is None or one.stability >= self._options.min_stability
        return stable and one.candidate.score >= self._options.min_score

    def _fits(self, one: LabelledMask, area: Footprint, image: int) -> bool:
        largest = self._options.max_share * image if one.is_thing else image
        return self._options.min_area <= area.area <= largest

    def _is_same(
        self, one: LabelledMask, area: Footprint, other: LabelledMask, there: Footprint
    ) -> bool:
        if one.label != other.label:
            return False
        return overlap(area, there) > self._options.max_overlap


def without_crumbs(candidate: MaskCandidate, least: float) -> MaskCandidate:
    """The mask without pieces smaller than a share of its largest one."""
    if least <= 0:
        return candidate
    inside = (candidate.logits > 0).astype(np.uint8)
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    if count <= 2:
        return candidate
    areas = facts[1:, cv2.CC_STAT_AREA]
    crumbs = np.flatnonzero(areas < least * areas.max()) + 1
    if not crumbs.size:
        return candidate
    # As far below 0 as they were above it: the edges of what stays do not move.
    gone = np.isin(pieces, crumbs)
    logits = np.where(gone, -np.abs(candidate.logits), candidate.logits)
    return replace(candidate, logits=np.asarray(logits, np.float32))
