"""EdgeSAM as ONNX graphs. As a program: `python -m models.networks.edgesam.export PTH FOLDER`."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.api import ModelError
from models.checkpoints import load_exactly, read_checkpoint
from models.exporting import REFUSED
from models.networks.edgesam.network import EdgeSam
from models.networks.edgesam.repvit import Upsampled, merge_branches
from models.networks.folded import export_folded, export_module


class MatrixUpsampled(nn.Module):
    """The same doubling as `Upsampled` as two matrix products, for one size of map.

    onnxruntime's bicubic resize is slow and bound to one interpretation of the border; products
    with the matrix torch itself interpolates are neither.
    """

    def __init__(self, original: Upsampled, size: int) -> None:
        super().__init__()
        self.op_list = original.op_list
        identity = torch.eye(size)[None, None]
        matrix = functional.interpolate(
            identity, (2 * size, size), mode=original.mode, align_corners=False
        )
        self.register_buffer("matrix", matrix[0, 0])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, size, size) to (B, C', 2 size, 2 size)."""
        matrix = self.get_buffer("matrix")
        result: Tensor = matrix @ self.op_list(x) @ matrix.T
        return result


def load(checkpoint: Path) -> EdgeSam:
    """The network of an official or own checkpoint.

    Raises:
        ModelError: the file does not fit key for key.
    """
    network = EdgeSam().eval()
    load_exactly(network, read_checkpoint(checkpoint), "EdgeSAM", checkpoint.name)
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise ModelError(f"“{checkpoint.name}” is damaged: “{name}” holds no numbers.")
    return network


def export_encoder(network: EdgeSam, path: Path) -> None:
    """Write the encoder with the signature of the official file, branches merged.

    `image` (1, 3, S, S) normalised and padded, to `image_embeddings` (1, C, S / 16, S / 16).
    """
    encoder = merge_branches(copy.deepcopy(network.image_encoder))
    side = network.prompt_encoder.side
    upsampled = encoder.fuse_stage3
    assert isinstance(upsampled, Upsampled)
    encoder.fuse_stage3 = MatrixUpsampled(upsampled, side // 32)
    export_module(
        encoder, (torch.zeros(1, 3, side, side),), path, ("image",), ("image_embeddings",)
    )


def export_all(network: EdgeSam, folder: Path) -> None:
    """Write encoder and folded decoder: the files `models.exporting.FILES`."""
    export_encoder(network, folder / "encoder.onnx")
    export_folded(network.prompt_encoder, network.mask_decoder, folder)


def main(arguments: list[str]) -> int:
    """Export a checkpoint into a folder; errors for people go to stderr."""
    checkpoint, folder = map(Path, arguments)
    try:
        export_all(load(checkpoint), folder)
    except ModelError as error:
        sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        sys.stderr.write(f"{error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
