"""MobileSAM under the published keys."""

from __future__ import annotations

import torch
from torch import nn

from models.networks.mobilesam.tiny_vit import NARROW, TINY_5M, TinyVit, TinyVitSizes
from models.networks.sam import Sam


def mobile_sam(sizes: TinyVitSizes = TINY_5M, hidden: int = 2048) -> Sam:
    """MobileSAM; `mobile_sam().load_state_dict(torch.load("mobile_sam.pt"))` is strict.

    Args:
        sizes: of the encoder.
        hidden: width of the MLPs in the decoder's transformer.
    """
    return Sam(TinyVit(sizes), sizes.output, sizes.side, hidden)


def narrow_mobile_sam(seed: int = 0) -> Sam:
    """A small MobileSAM with random weights, for tests in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = mobile_sam(NARROW, hidden=64)
        for name, value in network.named_parameters():
            if name.endswith("attention_biases"):
                nn.init.normal_(value)
    return network.eval()
