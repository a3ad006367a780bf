"""Mask decoders of the SAM family in onnxruntime: the folded one, and official files as they are.

`FoldedDecoder` runs what `models.networks.folded` exports: the trunk for every prompt, which also
samples each mask once per cell of the embedding, then exact logits only for cells near the edge
of a candidate. Many prompts are answered by OpenVINO with 16-bit numbers where it is there, else
by one thread for each core; single prompts are exact always. Nothing in here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from models import openvino_runtime
from models.folded_parts import (
    SIDE_NAMES,
    OnnxParts,
    OpenVinoParts,
    Parts,
    Trunk,
    not_finite,
    portions,
)
from models.onnx_session import NotStarted, Session, failures, open_session
from models.processors import apart, thread_count, threads_each
from models.runtimes import preferred

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.folded_parts import Cells, Floats

PADDING_LABEL = -1.0
CORNER_LABELS = (2.0, 3.0)
# A cell whose sample and those of its neighbours lie this far on one side of 0 needs no exact
# logits: stability looks at +1 and -1, and trained masks are smooth.
DECIDED = 4.0
_AROUND = np.ones((3, 3), np.uint8)
# Prompts for a thread at a time: enough for what each call costs, few enough that threads end
# together.
PIECE = 16
# From so many prompts on OpenVINO answers: it takes a third less work, and a tenth of a second to
# get ready, once.
MANY = 4


class Decoder(Protocol):
    """Prompts in the frame of the network to logits; a function of its arguments."""

    def prepare(self, image: Floats) -> dict[str, Floats]:
        """What is worth computing once for an embedding (C, G, G), by name."""

    def decode(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
        focus: Cells,
    ) -> list[tuple[Floats, Floats]]:
        """Answer B prompts.

        Args:
            arrays: `image`, the embedding (C, G, G), and what `prepare` returned for it.
            coords: (B, K, 2), x and y in the frame of the network, padding or corners included.
            labels: (B, K).
            chosen: the M mask tokens wanted.
            focus: (B, G, G) cells whose logits have to be exact whatever the samples say.

        Returns:
            For every prompt logits (M, 4 G, 4 G) and predicted quality (M).

        Raises:
            ModelError: the embedding is not finite.
        """


class FoldedDecoder:
    """Runs `side.onnx`, `tokens.onnx`, `trunk.onnx` and `cells.onnx` of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._side = open_session(folder / "side.onnx")
        self._parts: Parts = OnnxParts(folder)
        self._helped = threads_each() > 1
        self._exact = preferred() == "exact"
        self._few: Parts | None = None
        self._many: Parts | None = None

    def prepare(self, image: Floats) -> dict[str, Floats]:
        """The image side; see `Decoder.prepare`."""
        results = self._side.run(None, {"image": np.ascontiguousarray(image, np.float32)})
        return {
            name: np.asarray(value, np.float32)
            for name, value in zip(SIDE_NAMES, results, strict=True)
        }

    def decode(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
        focus: Cells,
    ) -> list[tuple[Floats, Floats]]:
        """Answer B prompts; see `Decoder.decode`. Undecided cells are exact, others coarse."""
        if len(coords) > 1:
            return self._decode_some(arrays, coords, labels, chosen, focus)
        with apart() if self._helped else nullcontext():
            return _answers(self.trunks(arrays, coords, labels, chosen), chosen, focus)

    def trunks(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
    ) -> Iterator[Trunk]:
        """Everything but exact logits, for a few prompts; see `Parts.trunks`."""
        return self._parts.trunks(arrays, coords, labels, chosen)

    def _decode_some(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
        focus: Cells,
    ) -> list[tuple[Floats, Floats]]:
        parts, threads = self._crew(len(coords)), thread_count()

        def work(part: slice) -> list[tuple[Floats, Floats]]:
            trunks = parts.trunks(arrays, coords[part], labels[part], chosen)
            return _answers(trunks, chosen, focus[part])

        try:
            with ThreadPoolExecutor(threads, "decoder") as pool:
                found = list(pool.map(work, _pieces(len(coords), threads)))
        except failures():
            if self._exact or len(coords) < MANY:
                raise
            self._exact, self._many = True, None
            return self._decode_some(arrays, coords, labels, chosen, focus)
        return [answer for answers in found for answer in answers]

    def _crew(self, count: int) -> Parts:
        """What answers so many prompts, in one thread for every core.

        A whole prompt for each thread is a fifth faster than all threads for one prompt.
        """
        if count >= MANY and not self._exact and openvino_runtime.lack() is None:
            try:
                self._many = self._many or OpenVinoParts(self._folder)
            except NotStarted:
                self._exact = True
            else:
                return self._many
        if self._few is None:
            self._few = OnnxParts(self._folder, threads=1) if self._helped else self._parts
        return self._few


def _pieces(count: int, threads: int) -> list[slice]:
    """At most `PIECE` prompts each, as much for one thread as for another."""
    rounds = math.ceil(count / (threads * PIECE))
    return portions(count, math.ceil(count / (threads * rounds)))


def _answers(
    trunks: Iterable[Trunk], chosen: Sequence[int], focus: Cells
) -> list[tuple[Floats, Floats]]:
    """Logits, exact where the edge may run and where asked, and quality of every prompt."""
    answers: list[tuple[Floats, Floats]] = []
    for trunk in trunks:
        for prompt, coarse in enumerate(trunk.coarse):
            near = focus[len(answers)]
            logits = trunk.logits(prompt, undecided(coarse) | near)
            answers.append((logits, trunk.quality[prompt, list(chosen)]))
    return answers


class PlainDecoder:
    """Runs an official decoder file as it is: one prompt at a time, everything exact."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def prepare(self, image: Floats) -> dict[str, Floats]:
        """Nothing can be computed in advance."""
        return {}

    def decode(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
        focus: Cells,
    ) -> list[tuple[Floats, Floats]]:
        """Answer B prompts; see `Decoder.decode`."""
        image = np.asarray(arrays["image"], np.float32)[None]
        answers = []
        for where, kinds in zip(coords, labels, strict=True):
            feeds = {
                "image_embeddings": image,
                "point_coords": where[None],
                "point_labels": kinds[None],
            }
            scores, masks = self._session.run(["scores", "masks"], feeds)
            logits = np.asarray(masks, np.float32)[0, list(chosen)]
            if not np.isfinite(logits).all():
                raise not_finite()
            answers.append((logits, np.asarray(scores, np.float32)[0, list(chosen)]))
        return answers


def undecided(coarse: Floats) -> Cells:
    """Cells (G, G) where the edge of any of the masks (M, G, G) may run.

    A cell is decided when its own sample and those of its eight neighbours are all well inside or
    all well outside.
    """
    samples = np.ascontiguousarray(np.moveaxis(coarse, 0, -1))
    lowest, highest = (
        change(samples, _AROUND, borderType=cv2.BORDER_REPLICATE).reshape(samples.shape)
        for change in (cv2.erode, cv2.dilate)
    )
    decided = (lowest > DECIDED) | (highest < -DECIDED)
    result: Cells = ~np.all(decided, axis=-1)
    return result
