"""SAM's mask decoder rewritten so that the image tokens are never projected for a click.

With T tokens (about 7) and N image positions (4,096) it is cheaper to move every projection to
the side of the tokens (spec/performance.md, section 2):

* tokens to image: (q Wk) K' instead of q (K' Wk), and (a K) Wv instead of a (K Wv);
* image to tokens: K (Wq' k) instead of (K Wq) k, and a (v Wo) instead of (a v) Wo;
* biases of the keys add the same to every score of a query and cancel in the softmax;
* both transposed convolutions have kernel 2 and stride 2, so every cell of the embedding makes
  its own 4 x 4 logits by matrix products, lazily and only where they are wanted.

All of it is exact up to rounding. The work is split into what depends on the image alone
(`ImageSide`, once per image), on the prompt (`Trunk`, which also samples every mask once per
cell) and on the place (`Cells`).

Notation: B prompts, T tokens, N = G * G cells, C channels, h heads, d channels per head in the
cross-attentions, M chosen masks.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.sam import MaskDecoder, PromptEncoder
from models.networks.sam.layers import Mlp
from models.networks.sam.transformer import Attention, TwoWayLayer

# Centred scores above this are cut: the sum of their exponentials must stay finite. A head would
# have to prefer one token by e**80 before that changes anything.
LARGEST = 80.0


def _constant(module: nn.Module, name: str, value: Tensor) -> None:
    module.register_buffer(name, value.detach().clone().contiguous())


def _heads(attention: Attention) -> tuple[int, int]:
    heads = attention.heads
    return heads, attention.q_proj.out_features // heads


class ImageSide(nn.Module):
    """What the first layer needs of the image, projected once.

    Output: `queries` (h, d, N) image to tokens, scaled; `keys` (h, d, N) and `values` (h, N, d)
    tokens to image; `residual` (N, C), the image tokens plus the bias of the first answer.
    """

    positions: Tensor
    no_mask: Tensor

    def __init__(self, prompts: PromptEncoder, decoder: MaskDecoder) -> None:
        super().__init__()
        first = cast(TwoWayLayer, decoder.transformer.layers[0])
        self.to_image = first.cross_attn_token_to_image
        self.to_tokens = first.cross_attn_image_to_token
        self.heads, self.width = _heads(self.to_image)
        _constant(self, "positions", prompts.dense_positions()[0].flatten(1).T)
        _constant(self, "no_mask", prompts.no_mask_embed.weight)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Project an embedding (C, G, G)."""
        tokens = image.flatten(1).T + self.no_mask
        placed = tokens + self.positions
        queries = self.to_tokens.q_proj(placed) / math.sqrt(self.width)
        keys = functional.linear(placed, self.to_image.k_proj.weight)
        values = self.to_image.v_proj(tokens)
        split = (-1, self.heads, self.width)
        return (
            queries.reshape(split).permute(1, 2, 0),
            keys.reshape(split).permute(1, 2, 0),
            values.reshape(split).permute(1, 0, 2),
            tokens + self.to_tokens.out_proj.bias,
        )


class MaskSide(nn.Module):
    """What a mask adds to the embedding, for parts that were folded without one."""

    def __init__(self, prompts: PromptEncoder) -> None:
        super().__init__()
        self.prompts = prompts

    def forward(self, logits: Tensor) -> Tensor:
        """Logits (4 G, 4 G) to (C, G, G): the mask's embedding less that of no mask."""
        dense = self.prompts.mask_downscaling(logits[None, None])[0]
        added: Tensor = dense - self.prompts.no_mask_embed.weight.reshape(-1, 1, 1)
        return added


class FoldedToImage(nn.Module):
    """Tokens look at unprojected image tokens."""

    folded_keys: Tensor
    folded_values: Tensor
    value_bias: Tensor

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.q_proj, self.out_proj = attention.q_proj, attention.out_proj
        self.heads, self.width = _heads(attention)
        channels = attention.k_proj.in_features
        split = (self.heads, self.width, channels)
        _constant(
            self, "folded_keys", attention.k_proj.weight.reshape(split) / math.sqrt(self.width)
        )
        values = attention.v_proj.weight.reshape(split).transpose(1, 2)
        _constant(self, "folded_values", values)
        _constant(self, "value_bias", attention.v_proj.bias)

    def forward(self, queries: Tensor, placed: Tensor, image: Tensor) -> Tensor:
        """(B, T, C) queries, (B, N, C) image with and without positions, to (B, T, C)."""
        batch, count, channels = queries.shape
        split = self.q_proj(queries).reshape(batch, count, self.heads, self.width)
        folded = (split.transpose(1, 2) @ self.folded_keys).reshape(batch, -1, channels)
        # The image on the left: only the few tokens have to be packed for the product.
        scores = (placed @ folded.transpose(1, 2)).transpose(1, 2)
        mixed = (scores.softmax(-1) @ image).reshape(batch, self.heads, count, channels)
        found = (mixed @ self.folded_values).transpose(1, 2).reshape(batch, count, -1)
        result: Tensor = self.out_proj(found + self.value_bias)
        return result


class FoldedToTokens(nn.Module):
    """Unprojected image tokens look at the tokens."""

    queries: Tensor
    query_bias: Tensor
    out: Tensor
    out_bias: Tensor
    same_head: Tensor

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads, self.width = _heads(attention)
        self.k_proj, self.v_proj = attention.k_proj, attention.v_proj
        channels = attention.q_proj.in_features
        scale = 1 / math.sqrt(self.width)
        split = (self.heads, self.width, channels)
        _constant(self, "queries", attention.q_proj.weight.reshape(split) * scale)
        bias = attention.q_proj.bias.reshape(self.heads, self.width, 1) * scale
        _constant(self, "query_bias", bias)
        out = attention.out_proj.weight.reshape(channels, self.heads, self.width)
        _constant(self, "out", out.permute(1, 2, 0))
        # Every head's weights sum to 1, so its share of the bias can travel with the values.
        _constant(self, "out_bias", attention.out_proj.bias / self.heads)
        _constant(self, "same_head", torch.eye(self.heads).to(attention.q_proj.weight))

    def keys(self, tokens: Tensor) -> Tensor:
        """Keys of the tokens (B, T, C) as (B, h, T, d)."""
        batch, count, _ = tokens.shape
        split: Tensor = self.k_proj(tokens).reshape(batch, count, self.heads, self.width)
        return split.transpose(1, 2)

    def values(self, tokens: Tensor) -> Tensor:
        """What each token adds to an image token, (B, T * h, C), without the bias."""
        batch, count, channels = tokens.shape
        split = self.v_proj(tokens).reshape(batch, count, self.heads, self.width)
        folded: Tensor = (split.transpose(1, 2) @ self.out).transpose(1, 2)
        return folded.reshape(batch, -1, channels)

    def forward(self, placed: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, N, C) image with positions and (B, T, C) tokens, to (B, N, C)."""
        heads = centred(self.keys(keys))
        folded = (heads @ self.queries).transpose(1, 2).flatten(1, 2)
        bias = (heads @ self.query_bias).transpose(1, 2).reshape(keys.shape[0], 1, -1)
        scores = placed @ folded.transpose(1, 2) + bias
        powers = scores.clamp(max=LARGEST).exp()
        # Sums over the tokens of each head as one product, which also spreads them again.
        count = keys.shape[1]
        same_head = self.same_head.repeat(count, count)
        shares = powers / (powers @ same_head)
        added: Tensor = shares @ (self.values(values) + self.out_bias)
        return added


def centred(keys: Tensor) -> Tensor:
    """Keys (B, h, T, d) less their mean over the tokens.

    A softmax over the tokens stays the same, and its scores are then so near 0 that the usual
    subtraction of the largest, two passes over all positions, is not needed.
    """
    return keys - keys.mean(2, keepdim=True)


class FirstLayer(nn.Module):
    """Layer 0 on the projections of `ImageSide`."""

    def __init__(self, layer: TwoWayLayer) -> None:
        super().__init__()
        self.layer = layer
        self.to_tokens = FoldedToTokens(layer.cross_attn_image_to_token)

    def forward(
        self, tokens: Tensor, token_pe: Tensor, side: tuple[Tensor, Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, C) and image tokens (B, N, C) after the layer."""
        queries, keys, values, residual = side
        layer = self.layer
        tokens = layer.norm1(layer.attend_self(tokens, token_pe))
        look = layer.cross_attn_token_to_image
        width = self.to_tokens.width
        asked = self._split(look.q_proj(tokens + token_pe) / math.sqrt(width))
        mixed = (asked @ keys).softmax(-1) @ values
        tokens = layer.norm2(tokens + look.out_proj(mixed.transpose(1, 2).flatten(2)))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        scores = centred(self.to_tokens.keys(tokens + token_pe)) @ queries
        powers = scores.clamp(max=LARGEST).exp()
        shares = powers / powers.sum(2, keepdim=True)
        shares = shares.transpose(1, 2).flatten(1, 2).transpose(1, 2)
        image = residual + shares @ self.to_tokens.values(tokens)
        return tokens, layer.norm4(image)

    def _split(self, x: Tensor) -> Tensor:
        batch, count, _ = x.shape
        shape = (batch, count, self.to_tokens.heads, self.to_tokens.width)
        return x.reshape(shape).transpose(1, 2)


class LaterLayer(nn.Module):
    """Every layer but the first, on unprojected image tokens."""

    def __init__(self, layer: TwoWayLayer) -> None:
        super().__init__()
        self.layer = layer
        self.to_image = FoldedToImage(layer.cross_attn_token_to_image)
        self.to_tokens = FoldedToTokens(layer.cross_attn_image_to_token)

    def forward(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, C) and image tokens (B, N, C) after the layer."""
        layer = self.layer
        placed = image + positions
        tokens = layer.norm1(layer.attend_self(tokens, token_pe))
        tokens = layer.norm2(tokens + self.to_image(tokens + token_pe, placed, image))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        image = image + self.to_tokens(placed, tokens + token_pe, tokens)
        return tokens, layer.norm4(image)


class MaskWeights(nn.Module):
    """The hyper-networks of the chosen mask tokens, as one stack of matrices."""

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        networks = [cast(Mlp, mlp).layers for mlp in decoder.output_hypernetworks_mlps]
        self.depth = len(networks[0])
        for index in range(self.depth):
            layers = [cast(nn.Linear, layers[index]) for layers in networks]
            _constant(self, f"weight{index}", torch.stack([layer.weight.T for layer in layers]))
            _constant(self, f"bias{index}", torch.stack([layer.bias[None] for layer in layers]))

    def forward(self, tokens: Tensor, chosen: Tensor) -> Tensor:
        """Tokens (B, M, C) of the masks `chosen` (M) to weights (B, M, C / 8)."""
        x = tokens.transpose(0, 1)
        for index in range(self.depth):
            weight = self.get_buffer(f"weight{index}").index_select(0, chosen)
            x = x @ weight + self.get_buffer(f"bias{index}").index_select(0, chosen)
            x = x if index == self.depth - 1 else functional.relu(x)
        return x.transpose(0, 1)


class Upscaling(nn.Module):
    """The two transposed convolutions as matrix products on single cells.

    The four children of a cell are numbered row by row, so are their four children.
    """

    enlarge: Tensor
    enlarge_bias: Tensor
    norm_weight: Tensor
    norm_bias: Tensor
    refine: Tensor
    refine_bias: Tensor

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        first, norm, _, second, _ = decoder.output_upscaling
        assert isinstance(first, nn.ConvTranspose2d)
        assert isinstance(second, nn.ConvTranspose2d)
        assert first.bias is not None
        assert second.bias is not None
        middle, outputs = second.in_channels, second.out_channels
        self.middle, self.outputs = middle, outputs
        self.eps = float(norm.eps)  # type: ignore[arg-type]
        _constant(self, "enlarge", first.weight.permute(0, 2, 3, 1).reshape(-1, 4, middle))
        _constant(self, "enlarge_bias", first.bias)
        _constant(self, "norm_weight", norm.weight)  # type: ignore[arg-type]
        _constant(self, "norm_bias", norm.bias)  # type: ignore[arg-type]
        _constant(self, "refine", second.weight.permute(0, 2, 3, 1).reshape(-1, 4, outputs))
        _constant(self, "refine_bias", second.bias)

    def pixels(self, cells: Tensor) -> Tensor:
        """All features (..., 4, 4, C / 8) of cells (..., C)."""
        large = cells @ self.enlarge.flatten(1)
        large = self._normal(large.reshape(*cells.shape[:-1], 4, self.middle))
        features = (large @ self.refine.flatten(1)).reshape(*large.shape[:-1], 4, self.outputs)
        return functional.gelu(features + self.refine_bias)

    def sample(self, cells: Tensor) -> Tensor:
        """Features (..., C / 8) of pixel (2, 2) of the 4 x 4 pixels of cells (..., C)."""
        large = self._normal(cells @ self.enlarge[:, 3])
        return functional.gelu(large @ self.refine[:, 0] + self.refine_bias)

    def _normal(self, x: Tensor) -> Tensor:
        normal = functional.layer_norm(
            x + self.enlarge_bias, (self.middle,), self.norm_weight, self.norm_bias, self.eps
        )
        return functional.gelu(normal)


class Trunk(nn.Module):
    """Everything of the decoder but the full-resolution masks.

    Input: the outputs of `ImageSide`; `coords` (B, K, 2) and `labels` (B, K) float, in the frame
    of the network, with the padding token or corners included; `chosen` (M) int64, the mask
    tokens wanted. Output: `cells` (B, N, C) final image tokens; `weights` (B, M, C / 8);
    `quality` (B, masks), the predicted IoU of all masks; `coarse` (B, M, N), logits at pixel
    (2, 2) of every cell's 4 x 4.
    """

    own: Tensor
    positions: Tensor

    def __init__(self, prompts: PromptEncoder, decoder: MaskDecoder) -> None:
        super().__init__()
        transformer = decoder.transformer
        layers = [cast(TwoWayLayer, layer) for layer in transformer.layers]
        self.prompts = prompts
        self.first = FirstLayer(layers[0])
        self.later = nn.ModuleList(LaterLayer(layer) for layer in layers[1:])
        self.last = FoldedToImage(transformer.final_attn_token_to_image)
        self.last_norm = transformer.norm_final_attn
        self.mask_weights = MaskWeights(decoder)
        self.quality = decoder.iou_prediction_head
        self.upscaling = Upscaling(decoder)
        _constant(self, "own", torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]))
        _constant(self, "positions", prompts.dense_positions()[0].flatten(1).T)

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        residual: Tensor,
        coords: Tensor,
        labels: Tensor,
        chosen: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode B prompts on one image."""
        sparse = self.prompts.embed_tokens(coords, labels)
        own = self.own.expand(sparse.shape[0], -1, -1)
        token_pe = torch.cat([own, sparse], dim=1)
        side = (queries, keys, values, residual)
        tokens, image = self.first(token_pe, token_pe, side)
        for layer in self.later:
            tokens, image = layer(tokens, image, token_pe, self.positions)
        # Only the quality token and the chosen mask tokens are read from here on.
        read = torch.cat([torch.zeros_like(chosen[:1]), chosen + 1])
        tokens = tokens.index_select(1, read)
        asked = tokens + token_pe.index_select(1, read)
        found = self.last_norm(tokens + self.last(asked, image + self.positions, image))
        weights = self.mask_weights(found[:, 1:], chosen)
        coarse = weights @ self.upscaling.sample(image).transpose(1, 2)
        return image, weights, self.quality(found[:, 0]), coarse


class Cells(nn.Module):
    """Exact logits of chosen cells: (K, M, 4, 4), rows and columns of pixels inside the cell.

    Input: `cells` and `weights` of `Trunk`; `prompt` (1) int64, which of the B prompts; `where`
    (K) int64, row-major cell numbers.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        super().__init__()
        self.upscaling = Upscaling(decoder)

    def forward(self, cells: Tensor, weights: Tensor, prompt: Tensor, where: Tensor) -> Tensor:
        """Compute the logits."""
        rows = prompt * cells.shape[1] + where
        picked = cells.flatten(0, 1).index_select(0, rows)
        features = self.upscaling.pixels(picked)
        own = weights.index_select(0, prompt)[0]
        # (K, child row, child column, row, column) after the features are weighed.
        logits = (features.flatten(0, 2) @ own.T).reshape(-1, 2, 2, 2, 2, own.shape[0])
        return logits.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def fold(prompts: PromptEncoder, decoder: MaskDecoder) -> tuple[ImageSide, Trunk, Cells]:
    """The three parts of the folded decoder, sharing what weights they can with the given one."""
    return ImageSide(prompts, decoder), Trunk(prompts, decoder), Cells(decoder)
