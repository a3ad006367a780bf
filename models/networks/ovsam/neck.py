"""SAM2CLIP: features of CLIP become the embedding SAM's decoder understands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from models.networks.sam_vit import VitSizes
from models.networks.sam_vit.encoder import VitBlock, output_layers

NECK = VitSizes(1280, 5, 16, (4,))
"""Five blocks of SAM ViT-H; the last one spans the image."""


class Projection(nn.Module):
    """One level of CLIP at the neck's stride of 16, channels last. Key: `projection`.

    Args:
        channels: of the level.
        stride: of the level: 4, 8, 16 or 32 pixels.
        width: channels of the result.
    """

    def __init__(self, channels: int, stride: int, width: int) -> None:
        super().__init__()
        step = max(16 // stride, stride // 16)
        kind = nn.ConvTranspose2d if stride > 16 else nn.Conv2d
        self.projection = kind(channels, width, step, step)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, H * stride / 16, W * stride / 16, width)."""
        found: Tensor = self.projection(x)
        return found.permute(0, 2, 3, 1)


class Sam2ClipNeck(nn.Module):
    """The sum of the four projected levels through blocks of SAM's vision transformer.

    Args:
        channels: of the four levels.
        sizes: of the transformer.
    """

    pos_embed: Tensor

    def __init__(self, channels: Sequence[int], sizes: VitSizes = NECK) -> None:
        super().__init__()
        self.patch_embeds = nn.ModuleList(
            Projection(count, 4 * 2**level, sizes.width) for level, count in enumerate(channels)
        )
        self.level_encoding = nn.Embedding(len(channels), sizes.width)
        # A buffer: it comes from SAM ViT-H and is not trained.
        self.register_buffer("pos_embed", torch.zeros(1, sizes.grid, sizes.grid, sizes.width))
        self.blocks = nn.ModuleList(
            VitBlock(sizes, spans_image=index in sizes.global_blocks)
            for index in range(sizes.depth)
        )
        self.neck = output_layers(sizes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Four levels (B, C, S / stride, S / stride) to (B, output, S / 16, S / 16)."""
        *_, embedding = self.steps(features)
        return embedding

    def steps(self, features: Sequence[Tensor]) -> Iterator[Tensor]:
        """The state after the projections, after every block, and last the embedding."""
        x = self.pos_embed
        for level, (project, found) in enumerate(zip(self.patch_embeds, features, strict=True)):
            x = x + project(found) + self.level_encoding.weight[level]
        yield x
        for block in self.blocks:
            x = block(x)
            yield x
        yield self.neck(x.permute(0, 3, 1, 2))
