"""SAM's two-way transformer: tokens look at the image, the image looks back at the tokens."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than the outer one.

    Keys: `q_proj`, `k_proj`, `v_proj` (channels to channels / reduction), `out_proj` (back).
    """

    def __init__(self, channels: int, heads: int, reduction: int = 1) -> None:
        super().__init__()
        inner = channels // reduction
        self.heads = heads
        self.q_proj = nn.Linear(channels, inner)
        self.k_proj = nn.Linear(channels, inner)
        self.v_proj = nn.Linear(channels, inner)
        self.out_proj = nn.Linear(inner, channels)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from (B, N, C) to keys and values (B, M, C); the result is (B, N, C)."""
        heads = [self._split(x) for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v))]
        scores = heads[0] @ heads[1].transpose(2, 3) / math.sqrt(heads[0].shape[-1])
        mixed = scores.softmax(-1) @ heads[2]
        result: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return result

    def _split(self, x: Tensor) -> Tensor:
        batch, count, inner = x.shape
        return x.reshape(batch, count, self.heads, inner // self.heads).transpose(1, 2)


class TransformerMlp(nn.Module):
    """Two linear layers with ReLU. Keys: `lin1`, `lin2`."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(channels, hidden)
        self.lin2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        result: Tensor = self.lin2(functional.relu(self.lin1(x)))
        return result


class TwoWayLayer(nn.Module):
    """Self-attention of tokens, tokens to image, MLP, image to tokens; norm after each."""

    def __init__(self, channels: int, heads: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(channels, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.cross_attn_token_to_image = Attention(channels, heads, 2)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = TransformerMlp(channels, hidden)
        self.norm3 = nn.LayerNorm(channels)
        self.norm4 = nn.LayerNorm(channels)
        self.cross_attn_image_to_token = Attention(channels, heads, 2)

    def forward(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update tokens (B, T, C) and image (B, N, C)."""
        tokens = self.norm1(self.attend_self(tokens, token_pe))
        keys = image + image_pe
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_pe, keys, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(keys, tokens + token_pe, tokens)
        return tokens, self.norm4(image)

    def attend_self(self, tokens: Tensor, token_pe: Tensor) -> Tensor:
        """Self-attention; the first layer has neither positions nor a residual connection."""
        if self.first:
            result: Tensor = self.self_attn(tokens, tokens, tokens)
            return result
        queries = tokens + token_pe
        found: Tensor = self.self_attn(queries, queries, tokens)
        return tokens + found


class TwoWayTransformer(nn.Module):
    """`depth` two-way layers and a last look of the tokens at the image."""

    def __init__(
        self, channels: int = 256, heads: int = 8, hidden: int = 2048, depth: int = 2
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayLayer(channels, heads, hidden, first=index == 0) for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(channels, heads, 2)
        self.norm_final_attn = nn.LayerNorm(channels)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Run on maps (B, C, H, W) and tokens (B, T, C).

        Returns:
            Tokens (B, T, C) and image positions (B, H * W, C).
        """
        keys = image.flatten(2).transpose(1, 2)
        positions = image_pe.flatten(2).transpose(1, 2)
        queries = tokens
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, positions)
        found = self.final_attn_token_to_image(queries + tokens, keys + positions, keys)
        return self.norm_final_attn(queries + found), keys
