"""EfficientSAM under the published keys."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from models.networks.efficientsam.decoder import EfficientDecoder, EfficientPrompts, padded
from models.networks.efficientsam.encoder import EfficientSizes, EfficientVit

NARROW = EfficientSizes(32, 2, depth=2, side=128, table=4, output=64)
TOKENS = 6
"""Every prompt has as many tokens; those that it does not use say so."""


class EfficientSam(nn.Module):
    """EfficientSAM; strict for `torch.load("efficient_sam_vitt.pt")["model"]`.

    Args:
        sizes: of the encoder.
        hidden: width of the MLPs in the decoder's transformer.
    """

    def __init__(self, sizes: EfficientSizes, hidden: int = 2048) -> None:
        super().__init__()
        self.image_encoder = EfficientVit(sizes)
        self.prompt_encoder = EfficientPrompts(sizes.output, sizes.grid, sizes.side)
        self.mask_decoder = EfficientDecoder(sizes.output, hidden)

    def decode(self, embedding: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Answer B prompts on one embedding.

        Args:
            embedding: (1, C, G, G).
            coords: (B, N, 2), N <= 6, in the square frame the image was stretched to.
            labels: (B, N): 1 positive, 0 negative, 2 and 3 the corners of a box.

        Returns:
            Logits (B, 3, 4 G, 4 G) and predicted IoU (B, 3).
        """
        prompts, grid = self.prompt_encoder, embedding.shape[-1]
        if grid != prompts.grid:
            # A module's shallow copy shares parameters, buffers and children.
            patch = prompts.side // prompts.grid
            prompts = copy.copy(prompts)
            prompts.grid, prompts.side = grid, grid * patch
        sparse = prompts(*padded(coords, labels, TOKENS))
        result: tuple[Tensor, Tensor] = self.mask_decoder(
            embedding, prompts.dense_positions(), sparse
        )
        return result

    def forward(self, image: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised image (1, 3, S, S) and prompts to logits and predicted IoU."""
        return self.decode(self.image_encoder(image), coords, labels)


def narrow_efficient_sam(seed: int = 0) -> EfficientSam:
    """A small EfficientSAM with random weights, for tests in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EfficientSam(NARROW, hidden=64)
        nn.init.normal_(network.image_encoder.pos_embed, std=0.5)
    return network.eval()
