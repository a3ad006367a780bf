"""The graphs of a folded decoder, run by onnxruntime or OpenVINO; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from models.api import ModelError
from models.onnx_session import open_session
from models.openvino_runtime import compile_graph, library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Cells = NDArray[np.bool_]

Kept: TypeAlias = Any
"""An array that the runtime keeps: an onnxruntime.OrtValue or an openvino.Tensor."""

CELLS_AT_ONCE = 1024
"""So that onnxruntime's arena, which keeps the memory of the largest run, stays at some 10 MB."""
SIDE_NAMES = ("queries", "keys", "values", "residual")
RESULTS = ["cells", "weights", "quality", "coarse"]


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """What the trunk says about B prompts.

    Attributes:
        cells: (B, N, C) final image tokens.
        weights: (B, M, C / 8).
        quality: (B, masks) predicted IoU of all masks.
        coarse: (B, M, G, G) logits of pixel (2, 2) of every cell's 4 x 4 pixels.
    """

    cells: Kept
    weights: Kept
    quality: Floats
    coarse: Floats


class Parts(Protocol):
    """Trunk and cells of one decoder; for all threads."""

    def trunk(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
    ) -> Trunk:
        """Everything but exact logits, for B prompts.

        Args:
            arrays: see `models.onnx_decoder.Decoder.decode`.
            coords: see there.
            labels: see there.
            chosen: see there.

        Raises:
            ModelError: the embedding is not finite.
        """

    def logits(self, trunk: Trunk, prompt: int, exact: Cells) -> Floats:
        """Logits (M, 4 G, 4 G) of one prompt: exact in the given cells (G, G), else coarse."""


class OnnxParts:
    """In onnxruntime.

    Args:
        folder: holds `trunk.onnx` and `cells.onnx`.
        threads: for each run, by default all that a network gets.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._trunk = open_session(folder / "trunk.onnx", arena=True, threads=threads, short=True)
        self._cells = open_session(folder / "cells.onnx", arena=True, threads=threads, short=True)

    def trunk(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
    ) -> Trunk:
        """See `Parts.trunk`."""
        feeds = {name: _value(arrays[name]) for name in SIDE_NAMES}
        feeds["coords"] = _value(coords)
        feeds["labels"] = _value(labels)
        feeds["chosen"] = _value(np.asarray(chosen, np.int64))
        cells, weights, quality, coarse = self._trunk.run_with_ort_values(RESULTS, feeds)
        quality = np.asarray(quality.numpy(), np.float32)
        return Trunk(cells, weights, quality, _squared(coarse.numpy()))

    def logits(self, trunk: Trunk, prompt: int, exact: Cells) -> Floats:
        """See `Parts.logits`."""

        def compute(where: NDArray[np.int64]) -> Floats:
            feeds = {
                "cells": trunk.cells,
                "weights": trunk.weights,
                "prompt": _value(np.array([prompt], np.int64)),
                "where": _value(where),
            }
            (found,) = self._cells.run_with_ort_values(["logits"], feeds)
            logits: Floats = found.numpy()
            return logits

        return _completed(trunk.coarse[prompt], exact, compute)


class OpenVinoParts:
    """In OpenVINO with 16-bit numbers: half the time, not exact.

    Args:
        folder: holds `trunk.onnx` and `cells.onnx`.

    Raises:
        NotStarted: OpenVINO cannot run them.
    """

    def __init__(self, folder: Path) -> None:
        kept = ("cells", "weights")
        self._trunk = compile_graph(folder / "trunk.onnx", kept)
        self._cells = compile_graph(folder / "cells.onnx", kept)

    def trunk(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
    ) -> Trunk:
        """See `Parts.trunk`."""
        feeds = {name: np.ascontiguousarray(arrays[name], np.float32) for name in SIDE_NAMES}
        feeds |= {"coords": np.ascontiguousarray(coords), "labels": np.ascontiguousarray(labels)}
        request = self._trunk.create_infer_request()
        request.infer({**feeds, "chosen": np.asarray(chosen, np.int64)}, share_inputs=True)
        cells, weights, quality, coarse = (request.get_tensor(name) for name in RESULTS)
        return Trunk(cells, weights, quality.data.copy(), _squared(coarse.data.copy()))

    def logits(self, trunk: Trunk, prompt: int, exact: Cells) -> Floats:
        """See `Parts.logits`."""
        tensor = library().Tensor

        def compute(where: NDArray[np.int64]) -> Floats:
            request = self._cells.create_infer_request()
            request.set_tensor("cells", trunk.cells)
            request.set_tensor("weights", trunk.weights)
            request.set_tensor("prompt", tensor(np.array([prompt], np.int64)))
            request.set_tensor("where", tensor(where))
            request.infer()
            logits: Floats = request.get_tensor("logits").data
            return logits

        return _completed(trunk.coarse[prompt], exact, compute)


def _squared(coarse: NDArray[np.generic]) -> Floats:
    """Samples (B, M, N) as (B, M, G, G).

    Raises:
        ModelError: they are not finite.
    """
    samples = np.asarray(coarse, np.float32)
    if not np.isfinite(samples).all():
        raise not_finite()
    grid = round(samples.shape[2] ** 0.5)
    return samples.reshape(*samples.shape[:2], grid, grid)


def _completed(
    coarse: Floats, exact: Cells, compute: Callable[[NDArray[np.int64]], Floats]
) -> Floats:
    """Logits (M, 4 G, 4 G): every sample (M, G, G) repeated, and the exact cells (G, G) computed.

    Args:
        coarse: the samples.
        exact: which cells to compute.
        compute: row-major cell numbers (K) to logits (K, M, 4, 4).
    """
    masks, grid, _ = coarse.shape
    full = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)
    view = full.reshape(masks, grid, 4, grid, 4).transpose(1, 3, 0, 2, 4)
    every_row, every_column = np.nonzero(exact)
    for first in range(0, len(every_row), CELLS_AT_ONCE):
        part = slice(first, first + CELLS_AT_ONCE)
        rows, columns = every_row[part], every_column[part]
        view[rows, columns] = compute(rows * grid + columns)
    return full


def not_finite() -> ModelError:
    """The embedding or its decoding contains values that are not numbers."""
    return ModelError(
        "The image embedding is damaged: it contains values that are not numbers. "
        "Clear the embedding cache; if that does not help, the weights are damaged."
    )


def _value(array: NDArray[np.generic]) -> Kept:
    """The array as onnxruntime's, without a copy where the memory is contiguous."""
    from onnxruntime import OrtValue  # type: ignore[import-untyped]

    return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
