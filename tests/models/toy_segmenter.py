"""A small exact segmenter with a fixed input size: it finds areas of one brightness."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models import registry
from models.api import Box, Embedding, MaskCandidate, Prompt, Segmenter, SegmenterSpec
from models.runtimes import preferred

SIDE = 64


@dataclass(eq=False)
class ToyModel:
    """What the test controls and sees.

    Attributes:
        calls: thread and image size (width, height) of every `encode`.
        on_encode: called by every `encode`, on its thread.
        alter: changes what `encode` returns.
        fingerprint: of all instances.
        devices: what every instance may run on.
        asked: prompts of every `decode`.
    """

    calls: list[tuple[str, tuple[int, int]]] = field(default_factory=list)
    on_encode: Callable[[], None] = lambda: None
    alter: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda array: array
    fingerprint: str = "weights"
    loads: int = 0
    devices: list[str] = field(default_factory=list)
    asked: list[Prompt] = field(default_factory=list)
    spec: SegmenterSpec = field(init=False)

    def __post_init__(self) -> None:
        self.spec = SegmenterSpec(
            id="toy",
            title="Toy",
            version="1",
            summary="Tests.",
            licence="Apache-2.0",
            load=self._load,
            storage="float16",
            stored_arrays=("image",),
            input_size=SIDE,
        )

    @property
    def threads(self) -> list[str]:
        return [thread for thread, _ in self.calls]

    def _load(self) -> Segmenter:
        self.loads += 1
        self.devices.append(preferred())
        return ToySegmenter(self)


class ToySegmenter:
    """One instance; see `ToyModel`."""

    def __init__(self, model: ToyModel) -> None:
        self._model = model
        self.device = f"Toy processor: {preferred()}."

    @property
    def spec(self) -> SegmenterSpec:
        return self._model.spec

    @property
    def fingerprint(self) -> str:
        return self._model.fingerprint

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        height, width = image.shape[:2]
        self._model.calls.append((threading.current_thread().name, (width, height)))
        self._model.on_encode()
        scale = min(1.0, SIDE / max(width, height))
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = cv2.resize(image[..., 0], size, interpolation=cv2.INTER_AREA)
        array = self._model.alter(small.astype(np.float32))
        return self.complete(Embedding("toy", width, height, {"image": array}))

    def complete(self, embedding: Embedding) -> Embedding:
        image = embedding.arrays["image"]
        return replace(embedding, arrays={"image": image, "double": image * 2})

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        self._model.asked.append(prompt)
        image = np.asarray(embedding.arrays["double"], np.float32) / 2
        rows, columns = image.shape
        box = prompt.box or Box(prompt.points[0].x, prompt.points[0].y, 0, 0)
        x = (box.x0 + box.x1) / 2 if prompt.box else prompt.points[0].x
        y = (box.y0 + box.y1) / 2 if prompt.box else prompt.points[0].y
        column = min(int(x * columns / embedding.width), columns - 1)
        row = min(int(y * rows / embedding.height), rows - 1)
        found = []
        for score, tolerance in ((0.9, 20), (0.5, 90)):
            near = (np.abs(image - image[row, column]) <= tolerance).astype(np.uint8)
            _, labels = cv2.connectedComponents(near, connectivity=4)
            logits = np.where(labels == labels[row, column], 4, -4).astype(np.float32)
            extent = Box(0, 0, embedding.width, embedding.height)
            found.append(MaskCandidate(logits, extent, score))
        return tuple(found)

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        size = (embedding.width, embedding.height)
        return cv2.resize(candidate.logits, size, interpolation=cv2.INTER_NEAREST) > 0


def register(monkeypatch: pytest.MonkeyPatch, model: ToyModel) -> None:
    """Make the model known beside the real ones."""
    known = MappingProxyType({**registry.segmenters(), "toy": model.spec})
    monkeypatch.setattr(registry, "segmenters", lambda: known)
