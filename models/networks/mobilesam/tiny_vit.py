"""MobileSAM's image encoder: TinyViT-5M whose last stage keeps stride 16, and SAM's neck.

Sources: Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (2022);
Zhang et al., "Faster Segment Anything" (2023). Keys are those of the published `mobile_sam.pt`,
the unused classifier included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.edgesam.repvit import ConvNorm
from models.networks.sam.layers import LayerNorm2d
from models.networks.sam_vit.encoder import join_windows, split_windows


@dataclass(frozen=True, slots=True)
class TinyVitSizes:
    """Sizes of the encoder.

    Attributes:
        stages: channels of the four stages; the first is convolutional.
        depths: blocks in each stage.
        heads: attention heads in each stage (the first has none).
        windows: side of a window in each stage (the first has none).
        side: side of the square image the network was trained with, pixels.
        output: channels of the embedding.
        expansion: widening inside MLPs and convolutional blocks.
        classes: outputs of the classifier that is in the file and never used.
    """

    stages: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    windows: tuple[int, int, int, int]
    side: int = 1024
    output: int = 256
    expansion: int = 4
    classes: int = 1000


TINY_5M = TinyVitSizes((64, 128, 160, 320), (2, 2, 6, 2), (2, 4, 5, 10), (7, 7, 14, 7))
NARROW = TinyVitSizes(
    (8, 16, 16, 32), (1, 1, 2, 1), (1, 2, 2, 4), (3, 3, 5, 3), side=128, output=64, classes=5
)


class TinyVit(nn.Module):
    """Normalised images (B, 3, H, W) to embeddings (B, output, H / 16, W / 16).

    All attention happens in windows, so another image size needs no adaptation.
    """

    patch = 16

    def __init__(self, sizes: TinyVitSizes) -> None:
        super().__init__()
        self.trained_side = sizes.side
        self.patch_embed = Stem(sizes.stages[0])
        self.layers = nn.ModuleList(_stage(sizes, index) for index in range(4))
        last = sizes.stages[3]
        self.norm_head = nn.LayerNorm(last)
        self.head = nn.Linear(last, sizes.classes)
        self.neck = nn.Sequential(
            nn.Conv2d(last, sizes.output, 1, bias=False),
            LayerNorm2d(sizes.output),
            nn.Conv2d(sizes.output, sizes.output, 3, padding=1, bias=False),
            LayerNorm2d(sizes.output),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 3, H, W), H and W multiples of 16."""
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        result: Tensor = self.neck(x)
        return result


class Stem(nn.Module):
    """Two convolutions of stride 2, GELU between them. Key: `seq`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvNorm(3, channels // 2, 3, 2),
            nn.GELU(),
            ConvNorm(channels // 2, channels, 3, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H / 4, W / 4)."""
        result: Tensor = self.seq(x)
        return result


def _stage(sizes: TinyVitSizes, index: int) -> Stage:
    channels, depth = sizes.stages[index], sizes.depths[index]
    blocks: list[nn.Module]
    if index == 0:
        blocks = [InvertedBottleneck(channels, sizes.expansion) for _ in range(depth)]
    else:
        heads, window = sizes.heads[index], sizes.windows[index]
        blocks = [TinyVitBlock(channels, heads, window, sizes.expansion) for _ in range(depth)]
    # Between the last two stages MobileSAM keeps the resolution.
    stride = 1 if index == 2 else 2
    merging = Merging(channels, sizes.stages[index + 1], stride) if index < 3 else None
    return Stage(blocks, merging)


class Stage(nn.Module):
    """Blocks, then the step to the next stage. Keys: `blocks.{i}`, `downsample`."""

    def __init__(self, blocks: list[nn.Module], merging: Merging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = merging

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class InvertedBottleneck(nn.Module):
    """1x1, depth-wise 3x3 and 1x1 convolutions with a residual. Keys: `conv1` to `conv3`."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * channels
        self.conv1 = ConvNorm(channels, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same; the activation follows the residual."""
        hidden = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        return functional.gelu(x + self.conv3(hidden))


class Merging(nn.Module):
    """The step to the next stage. Keys: `conv1` to `conv3`."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        hidden = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        result: Tensor = self.conv3(hidden)
        return result


class TinyVitBlock(nn.Module):
    """Attention in windows, a depth-wise convolution, an MLP.

    Keys: `attn`, `local_conv`, `mlp`.
    """

    def __init__(self, channels: int, heads: int, window: int, expansion: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(channels, heads, window)
        self.mlp = NormedMlp(channels, expansion * channels)
        self.local_conv = ConvNorm(channels, channels, 3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        height, width = x.shape[2:]
        # The border of padding is zero before the norm, and it is attended to.
        windows = split_windows(x.permute(0, 2, 3, 1), self.window)
        mixed = self.attn(windows.flatten(1, 2)).view(windows.shape)
        joined = join_windows(mixed, self.window, height, width)
        x = self.local_conv(x + joined.permute(0, 3, 1, 2))
        result: Tensor = x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return result


class NormedMlp(nn.Module):
    """Layer norm and two linear layers with GELU. Keys: `norm`, `fc1`, `fc2`."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        result: Tensor = self.fc2(functional.gelu(self.fc1(self.norm(x))))
        return result


class WindowAttention(nn.Module):
    """Layer norm and self-attention with a learned bias for every distance |dy|, |dx|.

    Keys: `norm`, `qkv` (q, k and v of one head lie together), `proj`, `attention_biases`
    (heads, window * window), row-major over distances.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))

    def forward(self, x: Tensor) -> Tensor:
        """(B, window * window, C) to the same."""
        batch, count, channels = x.shape
        size = channels // self.heads
        split = self.qkv(self.norm(x)).view(batch, count, self.heads, 3, size)
        q, k, v = split.permute(3, 0, 2, 1, 4)
        scores = q @ k.transpose(2, 3) / math.sqrt(size) + self.biases()
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, count, channels)
        result: Tensor = self.proj(mixed)
        return result

    def biases(self) -> Tensor:
        """What every pair of places in a window adds to its score, (heads, n, n)."""
        steps = torch.arange(self.window, device=self.attention_biases.device)
        apart = (steps[:, None] - steps[None, :]).abs()
        # (y, x, v, u): query row and column, key row and column.
        index = apart[:, None, :, None] * self.window + apart[None, :, None, :]
        return self.attention_biases[:, index.reshape(self.window**2, -1)]
