"""SAM with one of its own image encoders, under the published keys."""

from __future__ import annotations

import torch
from torch import nn

from models.networks.sam import Sam
from models.networks.sam_vit.encoder import SamVit, VitSizes

NARROW = VitSizes(32, 3, 2, (1,), window=3, side=128, output=64)


def sam_vit(sizes: VitSizes, hidden: int = 2048) -> Sam:
    """SAM; `sam_vit(VIT_B).load_state_dict(torch.load("sam_vit_b_01ec64.pth"))` is strict."""
    return Sam(SamVit(sizes), sizes.output, sizes.side, hidden)


def narrow_sam(seed: int = 0) -> Sam:
    """A small SAM with random weights, position tables included, for tests in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = sam_vit(NARROW, hidden=64)
        for name, value in network.named_parameters():
            if "pos" in name:
                nn.init.normal_(value, std=0.5)
    return network.eval()
