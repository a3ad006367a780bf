"""EfficientSAM's image encoder: a plain vision transformer, every block over the whole image.

Source: Xiong et al., "EfficientSAM: Leveraged Masked Image Pretraining for Efficient Segment
Anything" (2023). Keys are those of the published `efficient_sam_vit{t,s}.pt`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.sam.layers import LayerNorm2d
from models.networks.sam_vit.encoder import PatchEmbedding, resized_positions
from models.networks.sam_vit.high_resolution import log_scale

EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class EfficientSizes:
    """Sizes of an encoder.

    Attributes:
        width: channels of a token.
        heads: attention heads.
        depth: number of blocks.
        side: side of the square image the network was trained with, pixels.
        patch: side of the square of pixels that makes a token.
        table: side of the table of positions in tokens; it is from the pre-training at 224 pixels
            and always interpolated.
        output: channels of the embedding.
        expansion: widening inside an MLP.
    """

    width: int
    heads: int
    depth: int = 12
    side: int = 1024
    patch: int = 16
    table: int = 14
    output: int = 256
    expansion: int = 4

    @property
    def grid(self) -> int:
        """Side of the embedding in tokens, at the size of training."""
        return self.side // self.patch


VIT_T = EfficientSizes(192, 3)
VIT_S = EfficientSizes(384, 6)


class EfficientVit(nn.Module):
    """Normalised images (B, 3, H, W) to embeddings (B, output, H / 16, W / 16)."""

    def __init__(self, sizes: EfficientSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.patch, self.trained_side = sizes.patch, sizes.side
        self.patch_embed = PatchEmbedding(sizes.width, sizes.patch)
        # The first entry belongs to a class token, which the network no longer has.
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + sizes.table**2, sizes.width))
        self.blocks = nn.ModuleList(EfficientBlock(sizes) for _ in range(sizes.depth))
        self.neck = nn.Sequential(
            nn.Conv2d(sizes.width, sizes.output, 1, bias=False),
            LayerNorm2d(sizes.output),
            nn.Conv2d(sizes.output, sizes.output, 3, padding=1, bias=False),
            LayerNorm2d(sizes.output),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 3, H, W), H and W multiples of 16."""
        x = self.patch_embed(x)
        _, height, width, _ = x.shape
        shape = (1, self.sizes.table, self.sizes.table, self.sizes.width)
        table = self.pos_embed[:, 1:].reshape(shape)
        x = (x + resized_positions(table, height, width)).flatten(1, 2)
        sharpness = log_scale(height * width, self.sizes.grid**2)
        for block in self.blocks:
            x = block(x, sharpness)
        maps = x.transpose(1, 2).reshape(len(x), -1, height, width)
        result: Tensor = self.neck(maps)
        return result


class EfficientBlock(nn.Module):
    """Attention and an MLP, norms before, residuals around. Keys: as timm's ViT."""

    def __init__(self, sizes: EfficientSizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.width, EPSILON)
        self.attn = EfficientAttention(sizes.width, sizes.heads)
        self.norm2 = nn.LayerNorm(sizes.width, EPSILON)
        self.mlp = EfficientMlp(sizes.width, sizes.expansion * sizes.width)

    def forward(self, x: Tensor, sharpness: float = 1.0) -> Tensor:
        """(B, N, C) to the same."""
        x = x + self.attn(self.norm1(x), sharpness)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class EfficientAttention(nn.Module):
    """Self-attention without positions. Keys: `qkv`, `proj`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, sharpness: float = 1.0) -> Tensor:
        """(B, N, C) to the same; `sharpness` multiplies the scores."""
        batch, count, width = x.shape
        size = width // self.heads
        split = self.qkv(x).reshape(batch, count, 3, self.heads, size)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        scale = sharpness / math.sqrt(size)
        mixed = functional.scaled_dot_product_attention(q, k, v, scale=scale)
        result: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return result


class EfficientMlp(nn.Module):
    """Two linear layers with GELU. Keys: `fc1`, `fc2`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        result: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return result
