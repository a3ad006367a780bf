"""Networks in SAM's layout as ONNX graphs.

As a program: `python -m models.sam_family.export MODEL_ID TITLE CHECKPOINT FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch  # noqa: TID253

from models.api import ModelError
from models.exporting import REFUSED
from models.networks.folded import MaskSide, export_folded, export_module
from models.networks.sam import Sam
from models.sam_family.graphs import MASK
from models.sam_family.networks import load_sam


def export_all(network: Sam, folder: Path) -> None:
    """Write encoder and folded decoder, the files `models.exporting.FILES`, and the mask side.

    The encoder takes `image` (1, 3, S, S), normalised and padded, and returns
    `image_embeddings` (1, C, S / 16, S / 16), as EdgeSAM's does.
    """
    side = network.prompt_encoder.side
    image = torch.zeros(1, 3, side, side)
    export_module(
        network.image_encoder,
        (image,),
        folder / "encoder.onnx",
        ("image",),
        ("image_embeddings",),
    )
    export_folded(network.prompt_encoder, network.mask_decoder, folder)
    grid = 4 * network.prompt_encoder.grid
    export_module(
        MaskSide(network.prompt_encoder),
        (torch.zeros(grid, grid),),
        folder / MASK,
        ("logits",),
        ("added",),
    )


def main(arguments: list[str]) -> int:
    """Export a checkpoint into a folder; errors for people go to stderr."""
    model_id, title, checkpoint, folder = arguments
    try:
        export_all(load_sam(model_id, title, Path(checkpoint)), Path(folder))
    except ModelError as error:
        sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        sys.stderr.write(f"{error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
