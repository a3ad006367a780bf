"""ONNX graphs of encoders and of plain and folded decoders.

`torch.onnx.export(dynamo=False)` because the new exporter specialises the dynamic axes.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from models.networks.folded.decoder import fold
from models.networks.sam import MaskDecoder, PromptEncoder, stability_score

OPSET = 17


def export_module(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write one module as an ONNX file.

    Args:
        module: the network, moved to evaluation mode.
        example: arguments to trace it with.
        path: the file; its folder exists.
        inputs: names of the arguments.
        outputs: names of the results.
        dynamic: axes whose length may vary, by argument or result.
    """
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
        warnings.catch_warnings(),
        torch.no_grad(),
    ):
        # The exporter is deprecated in favour of one that cannot do this yet.
        warnings.simplefilter("ignore")
        made = Path(folder) / path.name
        torch.onnx.export(
            module.eval(),
            example,
            str(made),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name, axes in (dynamic or {}).items()},
            opset_version=OPSET,
            dynamo=False,
        )
        _put(made, path)


def _put(made: Path, path: Path) -> None:
    """Move a graph; what does not fit into it, from 2 GB on, lies in one file beside it."""
    if len(list(made.parent.iterdir())) == 1:
        shutil.move(made, path)
        return
    import onnx

    onnx.save_model(
        onnx.load(made),
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=f"{path.name}.data",
    )


def export_folded(prompts: PromptEncoder, decoder: MaskDecoder, folder: Path) -> None:
    """Write `side.onnx`, `tokens.onnx`, `trunk.onnx` and `cells.onnx` of a decoder like SAM's."""
    side, start, trunk, cells = fold(prompts, decoder)
    channels, grid = prompts.channels, prompts.grid
    image = torch.zeros(channels, grid, grid)
    names = ("queries", "keys", "values", "residual")
    export_module(side, (image,), folder / "side.onnx", ("image",), names)
    asked = (torch.zeros(2, 3, 2), torch.ones(2, 3))
    chosen = torch.arange(2)
    with torch.no_grad():
        *projected, residual = side(image)
        started = start(*projected, *asked)
        tokens, weights, _, _ = trunk(residual, *started, chosen)
    begun = ("prompts", "tokens", "shares")
    export_module(
        start,
        (*projected, *asked),
        folder / "tokens.onnx",
        (*names[:3], "coords", "labels"),
        begun,
        {
            "coords": {0: "count", 1: "points"},
            "labels": {0: "count", 1: "points"},
            "prompts": {0: "count", 1: "tokens"},
            "tokens": {0: "count", 1: "tokens"},
            "shares": {0: "count", 1: "rows"},
        },
    )
    export_module(
        trunk,
        (residual, *started, chosen),
        folder / "trunk.onnx",
        ("residual", *begun, "chosen"),
        ("cells", "weights", "quality", "coarse"),
        {
            "prompts": {0: "count", 1: "tokens"},
            "tokens": {0: "count", 1: "tokens"},
            "shares": {0: "count", 1: "rows"},
            "chosen": {0: "masks"},
            "cells": {0: "count"},
            "weights": {0: "count", 1: "masks"},
            "quality": {0: "count"},
            "coarse": {0: "count", 1: "masks"},
        },
    )
    export_module(
        cells,
        (tokens, weights, torch.tensor([1]), torch.arange(3)),
        folder / "cells.onnx",
        ("cells", "weights", "prompt", "where"),
        ("logits",),
        {
            "cells": {0: "prompts"},
            "weights": {0: "prompts", 1: "masks"},
            "where": {0: "count"},
            "logits": {0: "count", 1: "masks"},
        },
    )


class PlainDecoder(nn.Module):
    """The decoder as the original exports it: one prompt, all masks, no padding token added."""

    def __init__(self, prompts: PromptEncoder, decoder: MaskDecoder, stability: bool) -> None:
        super().__init__()
        self.prompts, self.decoder, self.stability = prompts, decoder, stability
        self.register_buffer("positions", prompts.dense_positions())
        dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        self.register_buffer("dense", dense.expand(1, -1, prompts.grid, prompts.grid).clone())

    def forward(self, image: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (1, masks) and logits (1, masks, 4 G, 4 G)."""
        sparse = self.prompts.embed_tokens(coords, labels)
        positions, dense = self.get_buffer("positions"), self.get_buffer("dense")
        logits, quality = self.decoder.decode_all(image, positions, sparse, dense)
        return (stability_score(logits) if self.stability else quality), logits


def export_plain(
    prompts: PromptEncoder, decoder: MaskDecoder, path: Path, stability: bool = True
) -> None:
    """Write a decoder with the signature of the official EdgeSAM file.

    `image_embeddings` (1, C, G, G), `point_coords` (1, K, 2), `point_labels` (1, K) to `scores`
    (1, masks) and `masks` (1, masks, 4 G, 4 G).

    Args:
        prompts: the prompt encoder.
        decoder: the mask decoder.
        path: the file to write.
        stability: scores are stability scores (as in the official files) or predicted IoU.
    """
    image = torch.zeros(1, prompts.channels, prompts.grid, prompts.grid)
    export_module(
        PlainDecoder(prompts, decoder, stability),
        (image, torch.zeros(1, 5, 2), torch.ones(1, 5)),
        path,
        ("image_embeddings", "point_coords", "point_labels"),
        ("scores", "masks"),
        {"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
    )
