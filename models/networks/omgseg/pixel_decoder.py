"""The pixel decoder of Mask2Former: deformable attention over three levels, details on a fourth."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.omgseg.deformable import Sizes, sample_levels
from models.networks.omgseg.layers import FeedForward, normed_conv
from models.networks.omgseg.positions import cell_positions

LEVELS, POINTS = 3, 4


class DeformableAttention(nn.Module):
    """Every cell looks at a few computed places of every level; added to what comes in.

    Keys: `sampling_offsets`, `attention_weights`, `value_proj`, `output_proj`.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        count = heads * LEVELS * POINTS
        self.sampling_offsets = nn.Linear(channels, 2 * count)
        self.attention_weights = nn.Linear(channels, count)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)

    def forward(self, cells: Tensor, positions: Tensor, centres: Tensor, sizes: Sizes) -> Tensor:
        """Cells (B, S, C) of all levels to the same shape.

        Args:
            cells: of stride 32 first, each level row by row.
            positions: (S, C), added to what asks; values go without.
            centres: (S, 2), x and y of each cell, 0 to 1.
            sizes: height and width of the levels.
        """
        asking = cells + positions
        shape = (self.heads, LEVELS, POINTS)
        offsets = self.sampling_offsets(asking).unflatten(2, (*shape, 2))
        weights = self.attention_weights(asking).unflatten(2, (self.heads, -1)).softmax(-1)
        # Offsets count cells of the level that is sampled.
        scale = offsets.new_tensor([(width, height) for height, width in sizes])
        places = centres[:, None, None, None] + offsets / scale[:, None]
        values = self.value_proj(cells).unflatten(2, (self.heads, -1))
        found = sample_levels(values, sizes, places, weights.unflatten(3, (LEVELS, POINTS)))
        result: Tensor = cells + self.output_proj(found)
        return result


class PixelLayer(nn.Module):
    """Deformable attention and a perceptron, each followed by a norm."""

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(channels, heads)
        self.ffn = FeedForward(channels, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))

    def forward(self, cells: Tensor, positions: Tensor, centres: Tensor, sizes: Sizes) -> Tensor:
        """See `DeformableAttention.forward`."""
        cells = self.norms[0](self.self_attn(cells, positions, centres, sizes))
        found: Tensor = self.norms[1](self.ffn(cells))
        return found


class PixelDecoder(nn.Module):
    """From the four levels of a backbone to features for masks and three levels of memory.

    Args:
        channels: of the levels at strides 4, 8, 16 and 32.
        width: channels of everything that comes out.
        depth: layers of deformable attention.
        heads: of that attention.
        hidden: width of its perceptrons.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int = 256,
        depth: int = 6,
        heads: int = 8,
        hidden: int = 1024,
    ) -> None:
        super().__init__()
        coarse = channels[:0:-1]
        self.input_convs = nn.ModuleList(normed_conv(count, width, 1, True) for count in coarse)
        layers = nn.ModuleList(PixelLayer(width, heads, hidden) for _ in range(depth))
        self.encoder = nn.ModuleDict({"layers": layers})
        self.level_encoding = nn.Embedding(LEVELS, width)
        self.lateral_convs = nn.ModuleList([normed_conv(channels[0], width, 1, False)])
        self.output_convs = nn.ModuleList([normed_conv(width, width, 3, False)])
        self.mask_feature = nn.Conv2d(width, width, 1)

    def steps(self, levels: Sequence[Tensor]) -> Generator[None, None, tuple[Tensor, list[Tensor]]]:
        """Decode, pausing after every layer.

        Args:
            levels: (B, C, H / stride, W / stride) at strides 4, 8, 16 and 32.

        Returns:
            Features for masks (B, width, H / 4, W / 4), and memory at strides 32, 16 and 8.
        """
        finest, *others = levels
        maps = [conv(x) for conv, x in zip(self.input_convs, others[::-1], strict=True)]
        sizes = [(found.shape[2], found.shape[3]) for found in maps]
        positions = torch.cat(
            [
                cell_positions(*size, found.shape[1], found) + level
                for size, found, level in zip(sizes, maps, self.level_encoding.weight, strict=True)
            ]
        )
        centres = torch.cat([_centres(size, finest) for size in sizes])
        cells = torch.cat([found.flatten(2).transpose(1, 2) for found in maps], 1)
        for layer in self.encoder.get_submodule("layers").children():
            cells = layer(cells, positions, centres, sizes)
            yield
        parts = torch.split(cells, [height * width for height, width in sizes], 1)
        memory = [
            part.transpose(1, 2).reshape(len(part), -1, *size)
            for part, size in zip(parts, sizes, strict=True)
        ]
        return self._details(finest, memory[-1]), memory

    def _details(self, finest: Tensor, coarse: Tensor) -> Tensor:
        size = (finest.shape[2], finest.shape[3])
        larger = functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        joined = self.output_convs[0](self.lateral_convs[0](finest) + larger)
        found: Tensor = self.mask_feature(functional.relu(joined))
        return found


def _centres(size: tuple[int, int], like: Tensor) -> Tensor:
    """The middles of cells, x and y from 0 to 1: (height * width, 2)."""
    height, width = size
    y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows], -1).flatten(0, 1)
