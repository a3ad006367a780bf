"""The graphs of a folded decoder, run by onnxruntime or OpenVINO; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from models.api import ModelError
from models.onnx_session import open_session
from models.openvino_runtime import Requests, compile_graph, library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Cells = NDArray[np.bool_]
    Numbers = NDArray[np.int64]

Kept: TypeAlias = Any
"""An array that the runtime keeps: an onnxruntime.OrtValue or an openvino.Tensor."""

BATCH = 4
"""Prompts whose tokens are computed in one run; OpenVINO takes as many through the trunk."""
CELLS_AT_ONCE = 1024
"""So that onnxruntime's arena, which keeps the memory of the largest run, stays at some 10 MB."""
SIDE_NAMES = ("queries", "keys", "values", "residual")
BEGUN = ("prompts", "tokens", "shares")
RESULTS = ("cells", "weights", "quality", "coarse")


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """What the trunk says about B prompts; use it before the next ones are asked for.

    Attributes:
        quality: (B, masks) predicted IoU of all masks.
        coarse: (B, M, G, G) logits of pixel (2, 2) of every cell's 4 x 4 pixels.
        compute: a prompt and row-major cell numbers (K) to logits (K, M, 4, 4).
    """

    quality: Floats
    coarse: Floats
    compute: Callable[[int, Numbers], Floats]

    def logits(self, prompt: int, exact: Cells) -> Floats:
        """Logits (M, 4 G, 4 G) of one prompt: exact in the given cells (G, G), else samples."""
        coarse = self.coarse[prompt]
        masks, grid, _ = coarse.shape
        full = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)
        view = full.reshape(masks, grid, 4, grid, 4).transpose(1, 3, 0, 2, 4)
        every_row, every_column = np.nonzero(exact)
        for first in range(0, len(every_row), CELLS_AT_ONCE):
            part = slice(first, first + CELLS_AT_ONCE)
            rows, columns = every_row[part], every_column[part]
            view[rows, columns] = self.compute(prompt, rows * grid + columns)
        return full


class Parts(Protocol):
    """A decoder without its image side; for all threads."""

    def trunks(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
    ) -> Iterator[Trunk]:
        """What the trunk says about all prompts, a few at a time, in order.

        Args:
            arrays: see `models.onnx_decoder.Decoder.decode`.
            coords: see there.
            labels: see there.
            chosen: see there.

        Raises:
            ModelError: the embedding is not finite.
        """


class OnnxParts:
    """In onnxruntime.

    The trunk gets one prompt at a time: two are no faster, and its arena keeps the memory of the
    largest run.

    Args:
        folder: holds `tokens.onnx`, `trunk.onnx` and `cells.onnx`.
        threads: for each run, by default all that a network gets.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._tokens, self._trunk, self._cells = (
            open_session(folder / f"{name}.onnx", arena=True, threads=threads, short=True)
            for name in ("tokens", "trunk", "cells")
        )

    def trunks(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
    ) -> Iterator[Trunk]:
        """See `Parts.trunks`."""
        *projected, residual = ((name, _value(arrays[name])) for name in SIDE_NAMES)
        fixed = dict([residual, ("chosen", _value(np.asarray(chosen, np.int64)))])
        for part in portions(len(coords), BATCH):
            asked = {"coords": _value(coords[part]), "labels": _value(labels[part])}
            begun = self._tokens.run_with_ort_values(list(BEGUN), dict(projected) | asked)
            for prompt in range(len(coords[part])):
                own = (_value(value.numpy()[prompt : prompt + 1]) for value in begun)
                yield self._trunk_of(fixed | dict(zip(BEGUN, own, strict=True)))

    def _trunk_of(self, feeds: Mapping[str, Kept]) -> Trunk:
        cells, weights, quality, coarse = self._trunk.run_with_ort_values(list(RESULTS), feeds)

        def compute(prompt: int, where: Numbers) -> Floats:
            feeds = {
                "cells": cells,
                "weights": weights,
                "prompt": _value(np.array([prompt], np.int64)),
                "where": _value(where),
            }
            (found,) = self._cells.run_with_ort_values(["logits"], feeds)
            logits: Floats = found.numpy()
            return logits

        return Trunk(np.asarray(quality.numpy(), np.float32), _squared(coarse.numpy()), compute)


class OpenVinoParts:
    """In OpenVINO with 16-bit numbers: half the time, not exact. One thread for each run.

    Args:
        folder: holds `tokens.onnx`, `trunk.onnx` and `cells.onnx`.

    Raises:
        NotStarted: OpenVINO cannot run them.
    """

    def __init__(self, folder: Path) -> None:
        kept = (*BEGUN, "cells", "weights")
        self._tokens, self._trunk, self._cells = (
            Requests(compile_graph(folder / f"{name}.onnx", kept, side_by_side=True))
            for name in ("tokens", "trunk", "cells")
        )

    def trunks(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
    ) -> Iterator[Trunk]:
        """See `Parts.trunks`."""
        *projected, residual = (
            (name, np.ascontiguousarray(arrays[name], np.float32)) for name in SIDE_NAMES
        )
        fixed = dict([residual, ("chosen", np.asarray(chosen, np.int64))])
        with self._tokens.one() as tokens, self._trunk.one() as trunk, self._cells.one() as cells:
            compute = partial(_compute, trunk, cells)
            for part in portions(len(coords), BATCH):
                asked = {
                    "coords": np.ascontiguousarray(coords[part]),
                    "labels": np.ascontiguousarray(labels[part]),
                }
                tokens.infer(dict(projected) | asked, share_inputs=True)
                begun = {name: tokens.get_tensor(name) for name in BEGUN}
                trunk.infer(fixed | begun, share_inputs=True)
                quality, coarse = (trunk.get_tensor(name).data.copy() for name in RESULTS[2:])
                yield Trunk(quality, _squared(coarse), compute)


def _compute(trunk: Any, cells: Any, prompt: int, where: Numbers) -> Floats:
    """`Trunk.compute` by a request of OpenVINO, on the results of another."""
    tensor = library().Tensor
    begun = {name: trunk.get_tensor(name) for name in RESULTS[:2]}
    own = {"prompt": tensor(np.array([prompt], np.int64)), "where": tensor(where)}
    cells.infer(begun | own, share_inputs=True)
    logits: Floats = cells.get_tensor("logits").data
    return logits


def portions(count: int, size: int) -> list[slice]:
    """Everything in order, at most so many at a time."""
    return [slice(first, first + size) for first in range(0, count, size)]


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
