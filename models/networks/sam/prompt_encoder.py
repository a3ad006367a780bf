"""SAM's prompt encoder: clicks, boxes and earlier masks become tokens (spec/edgesam.md, 1.2)."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from models.networks.sam.layers import LayerNorm2d

PADDING = -1
IGNORED = -2
CORNERS = (2, 3)


class FourierPositions(nn.Module):
    """Random Fourier features of positions; the matrix is a frozen buffer (2, C / 2)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, channels // 2))

    def forward(self, positions: Tensor) -> Tensor:
        """Encode (..., 2) positions x, y in 0 to 1 as (..., C)."""
        angles = 2 * math.pi * ((2 * positions - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Prompts in the frame of the padded network input, x to the right, pixels from corners.

    Labels: 1 positive, 0 negative, 2 and 3 the top left and bottom right corner of a box,
    -1 padding, -2 an all-zero token (EdgeSAM's "skip this click", used only in training).

    Args:
        channels: width of tokens and image embedding.
        grid: side of the image embedding in cells.
        side: side of the network input in pixels.
        mask_channels: width inside the mask branch.
    """

    def __init__(
        self, channels: int = 256, grid: int = 64, side: int = 1024, mask_channels: int = 16
    ) -> None:
        super().__init__()
        self.channels, self.grid, self.side = channels, grid, side
        self.pe_layer = FourierPositions(channels)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, channels) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, channels)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, 2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, 2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, channels, 1),
        )
        self.no_mask_embed = nn.Embedding(1, channels)

    def dense_positions(self) -> Tensor:
        """Encoding of the cell centres of the image embedding, (1, C, grid, grid)."""
        matrix = self.pe_layer.positional_encoding_gaussian_matrix
        steps = torch.arange(self.grid, device=matrix.device, dtype=matrix.dtype)
        centres = (steps + 0.5) / self.grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        encoded: Tensor = self.pe_layer(torch.stack([x, y], dim=-1))
        return encoded.permute(2, 0, 1)[None]

    def embed_tokens(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Tokens (B, N, C) of coordinates (B, N, 2) and labels (B, N), nothing appended.

        Written with arithmetic instead of indexing, so that it exports to ONNX as it is.
        """
        encoded: Tensor = self.pe_layer((coords + 0.5) / self.side)
        kind = labels[..., None]
        tokens = torch.where(kind < 0, torch.zeros_like(encoded), encoded)
        tokens = tokens + self.not_a_point_embed.weight * (kind == PADDING).to(encoded.dtype)
        for label, embedding in enumerate(self.point_embeddings):
            tokens = tokens + embedding.weight * (kind == label).to(encoded.dtype)  # type: ignore[operator]
        return tokens

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Embed prompts; without a box one padding token follows the points.

        Args:
            points: coordinates (B, N, 2) and labels (B, N).
            boxes: (B, 4), x0, y0, x1, y1.
            masks: logits of an earlier answer, (B, 1, 4 * grid, 4 * grid).

        Returns:
            Tokens (B, N', C) and the dense embedding (B or 1, C, grid, grid).
        """
        tokens = self._sparse(points, boxes)
        if masks is not None:
            return tokens, self.mask_downscaling(masks)
        dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return tokens, dense.expand(1, -1, self.grid, self.grid)

    def _sparse(self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None) -> Tensor:
        weight = self.no_mask_embed.weight
        coords, labels = [], []
        if points is not None:
            coords.append(points[0].to(weight.dtype))
            labels.append(points[1].to(weight.dtype))
        if boxes is not None:
            coords.append(boxes.reshape(-1, 2, 2).to(weight.dtype))
            labels.append(weight.new_tensor(CORNERS).expand(len(boxes), 2))
        elif points is not None:
            count = len(points[0])
            coords.append(weight.new_zeros(count, 1, 2))
            labels.append(weight.new_full((count, 1), PADDING))
        if not coords:
            return weight.new_empty(1, 0, self.channels)
        return self.embed_tokens(torch.cat(coords, dim=1), torch.cat(labels, dim=1))


def prompts_at(prompts: PromptEncoder, grid: int) -> PromptEncoder:
    """The same prompt encoder, with the same weights, for an embedding of another size."""
    if grid == prompts.grid:
        return prompts
    # A module's shallow copy shares parameters, buffers and children.
    other = copy.copy(prompts)
    other.grid, other.side = grid, grid * (prompts.side // prompts.grid)
    return other
