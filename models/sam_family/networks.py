"""The networks in SAM's layout by model id; importing this module imports torch."""

from __future__ import annotations

from pathlib import Path

from models.networks.edgesam import merge_branches
from models.networks.mobilesam import TINY_5M, mobile_sam
from models.networks.sam import Sam
from models.networks.sam_vit import VIT_B, VIT_H, VIT_L, sam_vit
from models.sam_family.torch_runtime import loaded

VITS = {"sam-vit-b": VIT_B, "sam-vit-l": VIT_L, "sam-vit-h": VIT_H}


def load_sam(model_id: str, title: str, checkpoint: Path) -> Sam:
    """A network ready for inference, batch norms merged.

    Raises:
        ModelError: the file does not fit key for key, or holds values that are not numbers.
    """
    if model_id in VITS:
        return loaded(lambda: sam_vit(VITS[model_id]), checkpoint, title)
    network = loaded(lambda: mobile_sam(TINY_5M), checkpoint, title)
    merge_branches(network.image_encoder)
    return network
