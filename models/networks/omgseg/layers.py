"""Layers of mmdet's transformers, under their keys."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from models.networks.ovsam.pyramid import named_conv

GROUPS = 32


def normed_conv(inputs: int, outputs: int, kernel: int, bias: bool) -> nn.Sequential:
    """A convolution that keeps the size and a group norm. Keys: `conv`, `gn`."""
    block = named_conv(inputs, outputs, kernel, bias)
    block.add_module("gn", nn.GroupNorm(GROUPS, outputs))
    return block


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them. Keys: `0`, `2`, `4`, ..."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class FeedForward(nn.Module):
    """Two linear layers with ReLU, added to what comes in. Keys: `layers.0.0`, `layers.1`."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU())
        self.layers = nn.Sequential(first, nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels) to the same shape."""
        found: Tensor = self.layers(x)
        return x + found


class Attention(nn.Module):
    """Attention with positions, added to the queries. Key: `attn`."""

    def __init__(self, channels: int, heads: int = 8) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        query_positions: Tensor | None = None,
        key_positions: Tensor | None = None,
        blocked: Tensor | None = None,
    ) -> Tensor:
        """Queries (Q, C) look at keys (K, C): (Q, C).

        Args:
            queries: what looks.
            keys: what is looked at; values are the keys without positions.
            query_positions: (Q, C), added to the queries.
            key_positions: (K, C), added to the keys.
            blocked: (Q, K), true where a query must not look.
        """
        asking = queries if query_positions is None else queries + query_positions
        places = keys if key_positions is None else keys + key_positions
        # On a processor holding the weights costs nothing and sums in the published order; the
        # fused way may turn single cells of masks. On a graphics processor it saves the memory.
        held = not queries.is_cuda
        found, _ = self.attn(
            asking[None],
            places[None],
            keys[None],
            need_weights=held,
            attn_mask=blocked,
            average_attn_weights=False,
        )
        result: Tensor = queries + found[0]
        return result
