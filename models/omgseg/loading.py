"""OMG-Seg's and RAP-SAM's published files, key for key; importing this module imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch  # noqa: TID253

from models.checkpoints import read_checkpoint
from models.naming.clip import read_towers
from models.networks.omgseg import PUBLISHED, OmgSeg, OmgSegSizes
from models.networks.rapsam import PUBLISHED as RAPSAM_PUBLISHED
from models.networks.rapsam import RapSam, RapSamSizes
from models.ovsam.loading import fill_part, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

HEAD = "panoptic_head"
TOWER = "visual"
RAPSAM_PARTS = ("backbone", "neck", HEAD)


def load_omgseg(tower: Path, head: Path, sizes: OmgSegSizes = PUBLISHED) -> OmgSeg:
    """A network ready for inference.

    Args:
        tower: open_clip's `convnext_large_d_320`; its text tower is not used here.
        head: `omg_seg_convl.pth`: the 310 entries of `panoptic_head`.
        sizes: of the network.

    Raises:
        ModelError: a file is missing or damaged, or does not fit key for key.
    """
    # On the meta device nothing is initialised, and the network takes the tensors over.
    with torch.device("meta"):
        network = OmgSeg(sizes)
    state = parts_of(read_towers(tower), tower, TOWER)
    fill_part(network, TOWER, state, "CLIP's ConvNeXt-L (convnext_large_d_320)", tower.name)
    state = parts_of(read_checkpoint(head), head, HEAD)
    fill_part(network, HEAD, state, "OMG-Seg's head", head.name)
    return network.eval().requires_grad_(False)


def load_rapsam(path: Path, sizes: RapSamSizes = RAPSAM_PUBLISHED) -> RapSam:
    """A network ready for inference, all of it from one file.

    Raises:
        ModelError: the file is missing or damaged, or does not fit key for key.
    """
    with torch.device("meta"):
        network = RapSam(sizes)
    state: Mapping[str, Tensor] = parts_of(read_checkpoint(path), path, *RAPSAM_PARTS)
    for part in RAPSAM_PARTS:
        fill_part(network, part, state, f"RAP-SAM ({part.replace('_', ' ')})", path.name)
    return network.eval().requires_grad_(False)
