"""Asking a model about one image, with a clock running."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from models.api import Embedding, MaskCandidate, Prompt, Segmenter
from models.training.evaluation import masks
from models.training.evaluation.masks import Mask
from models.training.evaluation.report import Answer


class Clock:
    """Milliseconds of each step of a model."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Adds what the block takes."""
        began = time.perf_counter()
        yield
        self.times.setdefault(step, []).append(1e3 * (time.perf_counter() - began))


@dataclass(frozen=True, slots=True)
class Asking:
    """One encoded image that can be asked for objects."""

    segmenter: Segmenter
    embedding: Embedding
    clock: Clock

    def first(self, prompt: Prompt, kind: str) -> tuple[tuple[MaskCandidate, ...], Mask]:
        """All candidates for a prompt, and the mask of the one that is shown first."""
        with self.clock.timed(f"decode, {kind}"):
            candidates = self.segmenter.decode(self.embedding, prompt)
        with self.clock.timed("render"):
            mask = np.asarray(self.segmenter.render(self.embedding, candidates[0]))
        return candidates, mask

    def answer(self, truth: Mask, prompt: Prompt, kind: str) -> tuple[Answer, Mask]:
        """The answer to a prompt measured against the truth, and the mask shown first."""
        candidates, first = self.first(prompt, kind)
        others = (self.segmenter.render(self.embedding, other) for other in candidates[1:])
        iou = masks.iou(truth, first)
        answer = Answer(
            iou=iou,
            oracle=max([iou, *(masks.iou(truth, np.asarray(other)) for other in others)]),
            boundary=masks.iou(masks.boundary(truth), masks.boundary(first)),
            score=float(candidates[0].score),
            stability=masks.stability(candidates[0].logits),
        )
        return answer, first
