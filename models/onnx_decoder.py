"""Mask decoders of the SAM family in onnxruntime: the folded one, and official files as they are.

`FoldedDecoder` runs what `models.networks.folded` exports: the trunk for every prompt, which also
samples each mask once per cell of the embedding, then exact logits only for cells near the edge
of a candidate. Nothing in here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from models.api import ModelError

Session: TypeAlias = Any
"""An onnxruntime.InferenceSession; onnxruntime has no types."""
OrtValue: TypeAlias = Any
"""An onnxruntime.OrtValue: an array that onnxruntime keeps."""

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Cells = NDArray[np.bool_]

SIDE_NAMES = ("queries", "keys", "values", "residual")
PADDING_LABEL = -1.0
CORNER_LABELS = (2.0, 3.0)
# A cell whose sample and those of its neighbours lie this far on one side of 0 needs no exact
# logits: stability looks at +1 and -1, and trained masks are smooth.
DECIDED = 4.0
# Prompts decoded in one run: more would only take memory.
BATCH = 2


def open_session(source: Path | bytes, *, arena: bool = False) -> Session:
    """An onnxruntime session for a desktop program.

    Threads do not spin, because other sessions and the GUI need the cores (spinning made a hover
    three times slower under load). The arena is off unless asked for: it keeps the peak of the
    encoder for ever, but spares a decoder, called often, the page faults of large buffers.

    Raises:
        ModelError: the file is missing, damaged or not an ONNX graph.
    """
    import onnxruntime  # type: ignore[import-untyped]
    from onnxruntime.capi import (  # type: ignore[import-untyped]
        onnxruntime_pybind11_state as states,
    )

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = arena
    options.intra_op_num_threads = thread_count()
    options.log_severity_level = 3
    name = source.name if isinstance(source, Path) else "graph"
    try:
        return onnxruntime.InferenceSession(
            str(source) if isinstance(source, Path) else source,
            options,
            providers=["CPUExecutionProvider"],
        )
    except (states.NoSuchFile, FileNotFoundError) as error:
        raise ModelError(f"The graph “{name}” does not exist.") from error
    except (states.InvalidProtobuf, states.InvalidGraph, states.Fail) as error:
        raise ModelError(f"“{name}” is not a readable ONNX graph; it may be cut off.") from error


def thread_count() -> int:
    """Threads for one network: all cores of a small machine, the real ones of a large one."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return cores if cores <= 4 else min(8, max(4, cores // 2))


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


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """What the trunk says about B prompts.

    Attributes:
        cells: (B, N, C) final image tokens, kept by onnxruntime.
        weights: (B, M, C / 8), kept by onnxruntime.
        quality: (B, masks) predicted IoU of all masks.
        coarse: (B, M, G, G) logits of pixel (2, 2) of every cell's 4 x 4 pixels.
    """

    cells: OrtValue
    weights: OrtValue
    quality: Floats
    coarse: Floats


class FoldedDecoder:
    """Runs `side.onnx`, `trunk.onnx` and `cells.onnx` of a folder."""

    def __init__(self, folder: Path) -> None:
        self._side = open_session(folder / "side.onnx")
        self._trunk = open_session(folder / "trunk.onnx", arena=True)
        self._cells = open_session(folder / "cells.onnx")
        self._shrinking = _shrinking()

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
        answers = []
        for first in range(0, len(coords), BATCH):
            part = slice(first, first + BATCH)
            last = len(coords) > 1 and first + BATCH >= len(coords)
            trunk = self.trunk(arrays, coords[part], labels[part], chosen, shrink=last)
            for prompt, near in enumerate(focus[part]):
                logits = self.logits(trunk, prompt, undecided(trunk.coarse[prompt]) | near)
                answers.append((logits, trunk.quality[prompt, list(chosen)]))
        return answers

    def trunk(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
        *,
        shrink: bool = False,
    ) -> Trunk:
        """Everything but exact logits, for B prompts.

        Args:
            arrays: see `Decoder.decode`.
            coords: see `Decoder.decode`.
            labels: see `Decoder.decode`.
            chosen: see `Decoder.decode`.
            shrink: give memory that only a batch needs back afterwards.

        Raises:
            ModelError: the embedding is not finite.
        """
        feeds = {name: _value(arrays[name]) for name in SIDE_NAMES}
        feeds["coords"] = _value(coords)
        feeds["labels"] = _value(labels)
        feeds["chosen"] = _value(np.asarray(chosen, np.int64))
        names = ["cells", "weights", "quality", "coarse"]
        options = self._shrinking if shrink else None
        cells, weights, quality, coarse = self._trunk.run_with_ort_values(names, feeds, options)
        samples = np.asarray(coarse.numpy(), np.float32)
        if not np.isfinite(samples).all():
            raise not_finite()
        grid = round(samples.shape[2] ** 0.5)
        samples = samples.reshape(*samples.shape[:2], grid, grid)
        return Trunk(cells, weights, np.asarray(quality.numpy(), np.float32), samples)

    def logits(self, trunk: Trunk, prompt: int, exact: Cells) -> Floats:
        """Logits (M, 4 G, 4 G) of one prompt: exact in the given cells (G, G), else coarse."""
        coarse = trunk.coarse[prompt]
        masks, grid, _ = coarse.shape
        full = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)
        rows, columns = np.nonzero(exact)
        if len(rows):
            feeds = {
                "cells": trunk.cells,
                "weights": trunk.weights,
                "prompt": _value(np.array([prompt], np.int64)),
                "where": _value(rows * grid + columns),
            }
            (found,) = self._cells.run_with_ort_values(["logits"], feeds)
            view = full.reshape(masks, grid, 4, grid, 4).transpose(1, 3, 0, 2, 4)
            view[rows, columns] = found.numpy()
        return full


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
    low = _eroded(_eroded(coarse < -DECIDED, 1), 2)
    high = _eroded(_eroded(coarse > DECIDED, 1), 2)
    decided: Cells = np.asarray((low | high).all(axis=0))
    return ~decided


def _eroded(inside: Cells, axis: int) -> Cells:
    """True where a cell and both its neighbours along the axis are; the border repeats."""
    width = [(1, 1) if number == axis else (0, 0) for number in range(inside.ndim)]
    padded = np.pad(inside, width, mode="edge")
    count = inside.shape[axis]
    parts = [np.take(padded, range(shift, shift + count), axis) for shift in range(3)]
    return parts[0] & parts[1] & parts[2]


def not_finite() -> ModelError:
    """The embedding or its decoding contains values that are not numbers."""
    return ModelError(
        "The image embedding is damaged: it contains values that are not numbers. "
        "Clear the embedding cache; if that does not help, the weights are damaged."
    )


def _shrinking() -> Any:
    """Options of a run after which the arena gives unused memory back."""
    from onnxruntime import RunOptions

    options = RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _value(array: NDArray[np.generic]) -> OrtValue:
    """The array as onnxruntime's, without a copy where the memory is contiguous."""
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
