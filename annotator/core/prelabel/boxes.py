"""Boxes from elsewhere as a source of proposals: prompts that keep their label and score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from annotator.core.formats.detections.values import Detections, LabelledBox
from annotator.core.prelabel.proposing import Answer, Checked
from annotator.core.troubles import Trouble
from models.api import Box, Embedding, Prompt
from models.everything import stability

BATCH = 16
"""Boxes asked at once, fixed."""
OUTSIDE = "boxes with no area in their image"
OTHER_SIZE = "images that have another size than the file with their boxes says"


@dataclass(frozen=True, slots=True)
class BoxOptions:
    """Which boxes and masks are kept.

    Attributes:
        min_score: the least score of a box; boxes without one stay.
        min_stability: the least stability of a mask.
        min_area: of a mask, image pixels at the model's resolution.
    """

    min_score: float = 0.0
    min_stability: float = 0.0
    min_area: float = 1.0


class Boxes:
    """What a detector found.

    Args:
        detections: from `annotator.core.formats.detections`.
        options: what is kept.
    """

    def __init__(self, detections: Detections, options: BoxOptions) -> None:
        self._detections = detections
        self._options = options

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `ProposalSource`."""
        return {"ask": "boxes", "boxes": self._detections.digest, **asdict(self._options)}

    @property
    def labels(self) -> Sequence[str]:
        """See `ProposalSource`."""
        return self._detections.labels

    def wants(self, key: str) -> bool:
        """See `ProposalSource`."""
        return key in self._detections.boxes

    def only(self, keys: Iterable[str]) -> Boxes:
        """The same for some images: what a worker needs to know."""
        every = self._detections
        boxes = {key: every.boxes[key] for key in keys if key in every.boxes}
        sizes = {key: every.sizes[key] for key in boxes if key in every.sizes}
        some = Detections(boxes, every.labels, sizes, digest=every.digest)
        return Boxes(some, self._options)

    def names_all(self, key: str) -> bool:
        """See `ProposalSource`."""
        return all(one.label for one in self._detections.boxes.get(key, ()))

    def ask(
        self, segmenter: Checked, embedding: Embedding, key: str
    ) -> tuple[Sequence[Answer], Sequence[Trouble]]:
        """See `ProposalSource`."""
        size = embedding.width, embedding.height
        told = self._detections.sizes.get(key, size)
        if told != size:
            where = f"{key}: {size[0]} × {size[1]}, not {told[0]} × {told[1]}"
            return (), (Trouble(OTHER_SIZE, where),)
        troubles, wanted = [], []
        for one in self._detections.boxes[key]:
            if one.score is not None and one.score < self._options.min_score:
                continue
            box = one.in_image(*size)
            if box.width <= 0 or box.height <= 0:
                troubles.append(Trouble(OUTSIDE, key))
            else:
                wanted.append((one, box))
        answers: list[Answer] = []
        for first in range(0, len(wanted), BATCH):
            answers += self._decoded(segmenter, embedding, wanted[first : first + BATCH])
        return answers, troubles

    def _decoded(
        self, segmenter: Checked, embedding: Embedding, wanted: Sequence[tuple[LabelledBox, Box]]
    ) -> list[Answer]:
        prompts = [Prompt(box=box) for _, box in wanted]
        answers = []
        found = segmenter.decode_many(embedding, prompts)
        for (one, _), prompt, candidates in zip(wanted, prompts, found, strict=True):
            if not candidates:
                continue
            best = candidates[0]
            stable = stability(best.logits)
            cell = best.extent.width * best.extent.height / best.logits.size
            area = int(np.count_nonzero(best.logits > 0)) * cell
            if stable < self._options.min_stability or 0 < area < self._options.min_area:
                continue
            # An empty mask goes on: that it is empty is told with the others.
            score = best.score if one.score is None else one.score
            answers.append(Answer(best, prompt, score, stable, one.label))
        return answers
