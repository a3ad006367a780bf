"""EfficientSAM's prompt encoder and mask decoder.

Both descend from SAM's (`models.networks.sam`), with differences that matter: GELU for ReLU;
the first layer's self-attention has a residual; later layers keep the positions in the residual
and in the values; the norm between the up-scaling convolutions spans the whole map, so that single
cells cannot be computed (the folded decoder does not fit); prompts have six tokens, unused ones
lie at (-1, -1); a negative click has no embedding of its own; there is no mask prompt.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.sam.prompt_encoder import FourierPositions
from models.networks.sam.transformer import Attention

UNUSED, NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3


class EfficientPrompts(nn.Module):
    """Prompts in the frame of the network to tokens.

    Args:
        channels: width of tokens and image embedding.
        grid: side of the image embedding in cells.
        side: side of the network input in pixels.
    """

    def __init__(self, channels: int, grid: int, side: int) -> None:
        super().__init__()
        self.grid, self.side = grid, side
        self.pe_layer = FourierPositions(channels)
        self.invalid_points = nn.Embedding(1, channels)
        self.point_embeddings = nn.Embedding(1, channels)
        self.bbox_top_left_embeddings = nn.Embedding(1, channels)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, channels)

    def dense_positions(self) -> Tensor:
        """Encoding of the cell centres of the image embedding, (1, C, grid, grid)."""
        matrix = self.pe_layer.positional_encoding_gaussian_matrix
        steps = torch.arange(self.grid, device=matrix.device, dtype=matrix.dtype)
        centres = (steps + 0.5) / self.grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        encoded: Tensor = self.pe_layer(torch.stack([x, y], dim=-1))
        return encoded.permute(2, 0, 1)[None]

    def forward(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Tokens (B, N, C) of coordinates (B, N, 2) and labels (B, N)."""
        tokens: Tensor = self.pe_layer((coords + 0.5) / self.side)
        kinds = {
            UNUSED: self.invalid_points,
            POSITIVE: self.point_embeddings,
            TOP_LEFT: self.bbox_top_left_embeddings,
            BOTTOM_RIGHT: self.bbox_bottom_right_embeddings,
        }
        for label, embedding in kinds.items():
            tokens = tokens + embedding.weight * (labels == label)[..., None].to(tokens.dtype)
        return tokens


class GeluMlp(nn.Module):
    """`depth` linear layers each followed by GELU, and a last one.

    Keys: `layers.{i}.0.weight`, `layers.{i}.0.bias`, `fc.weight`, `fc.bias`.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, depth: int) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * depth]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.GELU()) for a, b in itertools.pairwise(widths)
        )
        self.fc = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        for layer in self.layers:
            x = layer(x)
        result: Tensor = self.fc(x)
        return result


class EfficientLayer(nn.Module):
    """Self-attention of tokens, tokens to image, MLP, image to tokens; norm after each."""

    def __init__(self, channels: int, heads: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(channels, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.cross_attn_token_to_image = Attention(channels, heads, 2)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = GeluMlp(channels, hidden, channels, 1)
        self.norm3 = nn.LayerNorm(channels)
        self.norm4 = nn.LayerNorm(channels)
        self.cross_attn_image_to_token = Attention(channels, heads, 2)

    def forward(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update tokens (B, T, C) and image (B, N, C)."""
        if not self.first:
            tokens = tokens + token_pe
        tokens = self.norm1(tokens + self.self_attn(tokens, tokens, tokens))
        keys = image + image_pe
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_pe, keys, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(keys, tokens + token_pe, tokens)
        return tokens, self.norm4(image)


class EfficientTransformer(nn.Module):
    """Two layers and a last look of the tokens at the image."""

    def __init__(self, channels: int, heads: int, hidden: int, depth: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EfficientLayer(channels, heads, hidden, first=index == 0) for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(channels, heads, 2)
        self.norm_final_attn = nn.LayerNorm(channels)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Run on maps (B, C, H, W) and tokens (B, T, C); image positions come back (B, N, C)."""
        keys = image.flatten(2).transpose(1, 2)
        positions = image_pe.flatten(2).transpose(1, 2)
        queries = tokens
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, positions)
        found = self.final_attn_token_to_image(queries + tokens, keys + positions, keys)
        return self.norm_final_attn(queries + found), keys


class EfficientDecoder(nn.Module):
    """Four mask tokens and one for the quality; only masks 1 to 3 are used.

    Args:
        channels: width of embedding and tokens.
        hidden: width of the transformer's MLPs.
        heads: attention heads.
        masks: number of mask tokens.
    """

    def __init__(self, channels: int, hidden: int, heads: int = 8, masks: int = 4) -> None:
        super().__init__()
        middle, fine = channels // 4, channels // 8
        self.transformer = EfficientTransformer(channels, heads, hidden)
        self.iou_token = nn.Embedding(1, channels)
        self.mask_tokens = nn.Embedding(masks, channels)
        self.final_output_upscaling_layers = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(channels, middle, 2, 2), nn.GroupNorm(1, middle), nn.GELU()
                ),
                nn.Sequential(nn.ConvTranspose2d(middle, fine, 2, 2), nn.Identity(), nn.GELU()),
            ]
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            GeluMlp(channels, channels, fine, 2) for _ in range(masks)
        )
        self.iou_prediction_head = GeluMlp(channels, channels, masks, 2)

    def forward(self, image: Tensor, image_pe: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Decode prompts on one image.

        Args:
            image: (1, C, G, G) embedding.
            image_pe: (1, C, G, G) positions of its cells.
            sparse: (B, N, C) prompt tokens.

        Returns:
            Logits (B, 3, 4 G, 4 G) and predicted IoU (B, 3).
        """
        batch, grid = sparse.shape[0], image.shape[-1]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(batch, -1, -1), sparse], dim=1)
        found, keys = self.transformer(image.expand(batch, -1, -1, -1), image_pe, tokens)
        features = keys.transpose(1, 2).unflatten(2, (grid, grid))
        for layer in self.final_output_upscaling_layers:
            features = layer(features)
        networks = list(self.output_hypernetworks_mlps)[1:]
        weights = torch.stack([mlp(found[:, 2 + i]) for i, mlp in enumerate(networks)], dim=1)
        logits = torch.einsum("bmc,bchw->bmhw", weights, features)
        return logits, self.iou_prediction_head(found[:, 0])[:, 1:]


def padded(coords: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Fill prompts (B, N, 2), (B, N) up with unused tokens, as in training; N <= count."""
    free = count - coords.shape[1]
    return (
        functional.pad(coords, (0, 0, 0, free), value=-1.0),
        functional.pad(labels, (0, free), value=float(UNUSED)),
    )
