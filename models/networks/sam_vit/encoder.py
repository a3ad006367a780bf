"""SAM's image encoder: a plain vision transformer with windows, as ViTDet has it.

Sources: Kirillov et al., "Segment Anything" (2023); Li et al., "Exploring Plain Vision
Transformer Backbones for Object Detection" (2022); the decomposed relative positions are those of
Li et al., "MViTv2" (2022). Keys are those of the published `sam_vit_*.pth`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.sam.layers import LayerNorm2d
from models.networks.sam_vit.high_resolution import log_scale

# Scores held at once, as numbers: the queries of a global block are answered a few rows of the
# image at a time, because all scores of ViT-H at 1024 pixels would take a gigabyte.
MAX_SCORES = 2**25
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class VitSizes:
    """Sizes of an encoder.

    Attributes:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads.
        global_blocks: the blocks whose attention spans the image; the others see windows.
        window: side of a window in tokens.
        side: side of the square image the network was trained with, pixels.
        patch: side of the square of pixels that makes a token.
        output: channels of the embedding.
        expansion: widening inside an MLP.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int = 14
    side: int = 1024
    patch: int = 16
    output: int = 256
    expansion: int = 4

    @property
    def grid(self) -> int:
        """Side of the embedding in tokens, at the size of training."""
        return self.side // self.patch


VIT_B = VitSizes(768, 12, 12, (2, 5, 8, 11))
VIT_L = VitSizes(1024, 24, 16, (5, 11, 17, 23))
VIT_H = VitSizes(1280, 32, 16, (7, 15, 23, 31))


class SamVit(nn.Module):
    """Normalised images (B, 3, H, W) to embeddings (B, output, H / 16, W / 16).

    At the size it was trained with this is the published encoder. At any other size the position
    tables are interpolated and the global blocks sharpened or softened; see `high_resolution`.
    """

    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.patch, self.trained_side = sizes.patch, sizes.side
        self.patch_embed = PatchEmbedding(sizes.width, sizes.patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, sizes.grid, sizes.grid, sizes.width))
        self.blocks = nn.ModuleList(
            VitBlock(sizes, spans_image=index in sizes.global_blocks)
            for index in range(sizes.depth)
        )
        self.neck = output_layers(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 3, H, W), H and W multiples of 16."""
        x = self.patch_embed(x)
        x = x + resized_positions(self.pos_embed, int(x.shape[1]), int(x.shape[2]))
        sharpness = log_scale(int(x.shape[1]) * int(x.shape[2]), self.sizes.grid**2)
        for block in self.blocks:
            x = block(x, sharpness)
        result: Tensor = self.neck(x.permute(0, 3, 1, 2))
        return result


def output_layers(sizes: VitSizes) -> nn.Sequential:
    """Maps of tokens (B, width, H, W) to embeddings (B, output, H, W)."""
    return nn.Sequential(
        nn.Conv2d(sizes.width, sizes.output, 1, bias=False),
        LayerNorm2d(sizes.output),
        nn.Conv2d(sizes.output, sizes.output, 3, padding=1, bias=False),
        LayerNorm2d(sizes.output),
    )


class PatchEmbedding(nn.Module):
    """Squares of pixels to tokens, channels last. Key: `proj`."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, H / patch, W / patch, C)."""
        tokens: Tensor = self.proj(x)
        return tokens.permute(0, 2, 3, 1)


class VitBlock(nn.Module):
    """Attention in windows or over the image, then an MLP; norms before, residuals around."""

    def __init__(self, sizes: VitSizes, spans_image: bool) -> None:
        super().__init__()
        self.window = 0 if spans_image else sizes.window
        self.norm1 = nn.LayerNorm(sizes.width, EPSILON)
        self.attn = VitAttention(sizes.width, sizes.heads, self.window or sizes.grid)
        self.norm2 = nn.LayerNorm(sizes.width, EPSILON)
        self.mlp = VitMlp(sizes.width, sizes.expansion * sizes.width)

    def forward(self, x: Tensor, sharpness: float = 1.0) -> Tensor:
        """(B, H, W, C) to the same; `sharpness` multiplies the scores of a global block."""
        normal = self.norm1(x)
        if self.window:
            # The border of padding is zero after the norm, and it is attended to.
            windows = split_windows(normal, self.window)
            mixed = join_windows(self.attn(windows), self.window, x.shape[1], x.shape[2])
        else:
            mixed = self.attn(normal, sharpness)
        x = x + mixed
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class VitMlp(nn.Module):
    """Two linear layers with GELU. Keys: `lin1`, `lin2`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        result: Tensor = self.lin2(functional.gelu(self.lin1(x)))
        return result


class VitAttention(nn.Module):
    """Self-attention on maps with decomposed relative positions.

    The score of query (y, x) and key (v, u) is q k / sqrt(d) + q R_h[y - v] + q R_w[x - u].
    Keys: `qkv`, `proj`, `rel_pos_h` and `rel_pos_w` (2 * reach - 1, d).
    """

    def __init__(self, width: int, heads: int, reach: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * reach - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * reach - 1, width // heads))

    def forward(self, x: Tensor, sharpness: float = 1.0) -> Tensor:
        """(B, H, W, C) to the same."""
        batch, height, width, channels = map(int, x.shape)
        split = (batch, height * width, 3, self.heads, channels // self.heads)
        q, k, v = self.qkv(x).reshape(split).permute(2, 0, 3, 1, 4)
        maps = q.unflatten(2, (height, width))
        across = torch.einsum("bhyxd,xud->bhyxu", maps, relative(self.rel_pos_w, width))
        down = torch.einsum("bhyxd,yvd->bhyxv", maps, relative(self.rel_pos_h, height))
        scale = sharpness / math.sqrt(channels // self.heads)
        row = batch * self.heads * height * width * width
        step = max(1, MAX_SCORES // row)
        parts = [
            _attend(maps[:, :, rows] * scale, k, v, down[:, :, rows], across[:, :, rows])
            for rows in (slice(first, first + step) for first in range(0, height, step))
        ]
        mixed = torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
        result: Tensor = self.proj(mixed.permute(0, 2, 3, 1, 4).flatten(3))
        return result


def _attend(q: Tensor, k: Tensor, v: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Answer some rows of queries.

    Args:
        q: (B, h, R, W, d), scaled.
        k: (B, h, H * W, d).
        v: (B, h, H * W, d).
        down: (B, h, R, W, H), what each row of keys adds to the scores.
        across: (B, h, R, W, W), what each column of keys adds.
    """
    scores = q.flatten(2, 3) @ k.transpose(2, 3)
    # Not in place: the tracer of graphs loses what happens to a view.
    grid = scores.view(*down.shape, across.shape[-1]) + down[..., None] + across[..., None, :]
    return (grid.view(scores.shape).softmax(-1) @ v).view(q.shape)


def relative(table: Tensor, size: int) -> Tensor:
    """Entries of a table (2 * reach - 1, d) for all pairs: (size, size, d), query then key.

    A table for another size is interpolated linearly.
    """
    if table.shape[0] != 2 * size - 1:
        table = functional.interpolate(table.T[None], 2 * size - 1, mode="linear")[0].T
    steps = torch.arange(size, device=table.device)
    return table[steps[:, None] - steps[None, :] + size - 1]


def resized_positions(table: Tensor, height: int, width: int) -> Tensor:
    """Absolute positions (1, G, G, C) for a grid of another size, bicubic."""
    if table.shape[1:3] == (height, width):
        return table
    maps = table.permute(0, 3, 1, 2)
    large = functional.interpolate(maps, (height, width), mode="bicubic", align_corners=False)
    return large.permute(0, 2, 3, 1)


def split_windows(x: Tensor, window: int) -> Tensor:
    """Cut maps (B, H, W, C) into (B * n, window, window, C), zeros below and right."""
    batch, height, width, channels = map(int, x.shape)  # plain numbers when a graph is traced
    down, across = -height % window, -width % window
    if down or across:
        x = functional.pad(x, (0, 0, 0, across, 0, down))
    rows, columns = (height + down) // window, (width + across) // window
    x = x.reshape(batch, rows, window, columns, window, channels)
    return x.transpose(2, 3).reshape(-1, window, window, channels)


def join_windows(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """The inverse of `split_windows`: maps (B, height, width, C)."""
    height, width = int(height), int(width)
    rows, columns = -(-height // window), -(-width // window)
    channels = windows.shape[-1]
    x = windows.reshape(-1, rows, columns, window, window, channels).transpose(2, 3)
    return x.reshape(-1, rows * window, columns * window, channels)[:, :height, :width]
