"""SAM's mask decoder rewritten so that the image tokens are never projected for a click.

With T tokens (about 7) and N image positions (4,096) it is cheaper to move every projection to
the side of the tokens (spec/performance.md, section 2):

* tokens to image: (q Wk) K' instead of q (K' Wk), and (a K) Wv instead of a (K Wv);
* image to tokens: K (Wq' k) instead of (K Wq) k, and a (v Wo) instead of (a v) Wo;
* biases of the keys add the same to every score of a query and cancel in the softmax;
* both transposed convolutions have kernel 2 and stride 2, so every cell of the embedding makes
  its own 4 x 4 logits by matrix products, lazily and only where they are wanted.

* the weights of a softmax over the tokens stay the same when the first token's key is taken from
  every key: its power is then 1 and needs no column, nor does its value, which every place gets.

All of it is exact up to rounding. The work is split into what depends on the image alone
(`ImageSide`, once per image), on prompts and on the image only through its projections
(`TokenSide`, cheaper for many prompts than for one), on one prompt (`Trunk`, which also samples
every mask once per cell) and on the place (`Cells`).

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

# Scores above this are cut: the sum of their exponentials must stay finite. A head would have to
# prefer two tokens to the first one by e**80 before that changes anything.
LARGEST = 80.0


def _constant(module: nn.Module, name: str, value: Tensor) -> None:
    module.register_buffer(name, value.detach().clone().contiguous())


def _heads(attention: Attention) -> tuple[int, int]:
    heads = attention.heads
    return heads, attention.q_proj.out_features // heads


class ImageSide(nn.Module):
    """What the first layer needs of the image, projected once.

    Output: `queries` (h, d, N) image to tokens, scaled; `keys` (h, d, N) and `values` (h, N, d)
    tokens to image; `residual` (N, C), the image tokens.
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
            tokens,
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
        _constant(self, "out_bias", attention.out_proj.bias)
        _constant(self, "same_head", torch.eye(self.heads).to(attention.q_proj.weight))

    def keys(self, tokens: Tensor) -> Tensor:
        """Keys (B, T - 1, C') of the tokens (B, T, C), less that of the first."""
        return less_first(self.k_proj(tokens))

    def values(self, tokens: Tensor) -> Tensor:
        """What tokens (B, T, C) add to an image token.

        Returns:
            (B, h * (T - 1) + 1, C), head by head what each token adds more than the first; at last
            what every image token gets.
        """
        batch, count, channels = tokens.shape
        split = self.v_proj(tokens).reshape(batch, count, self.heads, self.width)
        folded = split.transpose(1, 2) @ self.out
        more = (folded[:, :, 1:] - folded[:, :, :1]).reshape(batch, -1, channels)
        always = folded[:, :, 0].sum(1, keepdim=True) + self.out_bias
        return torch.cat([more, always], dim=1)

    def forward(self, placed: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, N, C) image with positions and (B, T, C) tokens, to (B, N, C)."""
        batch, count = keys.shape[0], keys.shape[1] - 1
        heads = self.keys(keys).reshape(batch, count, self.heads, self.width).transpose(1, 2)
        folded = (heads @ self.queries).flatten(1, 2)
        bias = (heads @ self.query_bias).flatten(1)[:, None]
        powers = (placed @ folded.transpose(1, 2) + bias).clamp(max=LARGEST).exp()
        # Sums over the tokens of each head as one product, which also spreads them again.
        same_head = self.same_head[:, None, :, None].expand(-1, count, -1, count)
        size = self.heads * count
        shares = powers / (powers @ same_head.reshape(size, size) + 1)
        shares = functional.pad(shares, (0, 1), value=1.0)
        added: Tensor = shares @ self.values(values)
        return added


def less_first(keys: Tensor) -> Tensor:
    """Keys (B, T - 1, C') of all tokens but the first, less the first one's."""
    return keys[:, 1:] - keys[:, :1]


class TokenSide(nn.Module):
    """The first layer as far as it needs nothing of the image but `ImageSide`.

    Input: `queries`, `keys` and `values` of `ImageSide`; `coords` (B, K, 2) and `labels` (B, K)
    float, in the frame of the network, with the padding token or corners included. Output:
    `prompts` (B, T, C), the tokens before the first layer, which every attention adds again;
    `tokens` (B, T, C) after it; `shares` (B, h * (T - 1) + 1, N), how much of each row of
    `FoldedToTokens.values` every image token gets.
    """

    own: Tensor

    def __init__(self, prompts: PromptEncoder, decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompts = prompts
        self.layer = cast(TwoWayLayer, decoder.transformer.layers[0])
        self.heads, self.width = _heads(self.layer.cross_attn_image_to_token)
        _constant(self, "own", torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]))

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, coords: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embed B prompts."""
        sparse = self.prompts.embed_tokens(coords, labels)
        placed = torch.cat([self.own.expand(sparse.shape[0], -1, -1), sparse], dim=1)
        layer = self.layer
        look, answer = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        tokens = layer.norm1(layer.attend_self(placed, placed))
        asked = self._split(look.q_proj(tokens + placed) / math.sqrt(self.width))
        mixed = ((asked @ keys).softmax(-1) @ values).transpose(0, 1)
        mixed = mixed.reshape(*tokens.shape[:2], -1)
        tokens = layer.norm2(tokens + look.out_proj(mixed))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        scores = self._split(less_first(answer.k_proj(tokens + placed))) @ queries
        powers = scores.clamp(max=LARGEST).exp()
        powers = powers.reshape(self.heads, tokens.shape[0], -1, powers.shape[2])
        shares = powers / (powers.sum(2, keepdim=True) + 1)
        shares = shares.transpose(0, 1).flatten(1, 2)
        return placed, tokens, functional.pad(shares, (0, 0, 0, 1), value=1.0)

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, C') to (h, B * T, d): the tokens of all prompts in one product for each head."""
        return x.reshape(-1, self.heads, self.width).transpose(0, 1)


class LaterLayer(nn.Module):
    """Every layer but the first, on unprojected image tokens."""

    def __init__(self, layer: TwoWayLayer) -> None:
        super().__init__()
        self.layer = layer
        self.to_image = FoldedToImage(layer.cross_attn_token_to_image)
        self.to_tokens = FoldedToTokens(layer.cross_attn_image_to_token)

    def forward(
        self, tokens: Tensor, image: Tensor, prompts: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, C) and image tokens (B, N, C) after the layer."""
        layer = self.layer
        placed = image + positions
        tokens = layer.norm1(layer.attend_self(tokens, prompts))
        tokens = layer.norm2(tokens + self.to_image(tokens + prompts, placed, image))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        image = image + self.to_tokens(placed, tokens + prompts, tokens)
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

    The four children of a cell are numbered row by row, so are their four children. Rows are
    flat so that onnxruntime adds biases within the products.
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
        # (4 middle, C) and (4 outputs, middle), child by child.
        _constant(self, "enlarge", first.weight.permute(2, 3, 1, 0).reshape(4 * middle, -1))
        _constant(self, "enlarge_bias", first.bias.repeat(4))
        _constant(self, "norm_weight", norm.weight)  # type: ignore[arg-type]
        _constant(self, "norm_bias", norm.bias)  # type: ignore[arg-type]
        _constant(self, "refine", second.weight.permute(2, 3, 1, 0).reshape(4 * outputs, middle))
        _constant(self, "refine_bias", second.bias.repeat(4))

    def pixels(self, cells: Tensor) -> Tensor:
        """All features (K * 16, C / 8) of cells (K, C): children, and theirs, row by row."""
        large = functional.linear(cells, self.enlarge, self.enlarge_bias)
        large = self._normal(large.reshape(-1, self.middle))
        features = functional.linear(large, self.refine, self.refine_bias)
        return functional.gelu(features).reshape(-1, self.outputs)

    def sample(self, cells: Tensor) -> Tensor:
        """Features (B, N, C / 8) of pixel (2, 2) of the 4 x 4 pixels of cells (B, N, C)."""
        child, first = slice(3 * self.middle, None), slice(self.outputs)
        rows = cells.flatten(0, 1)
        large = functional.linear(rows, self.enlarge[child], self.enlarge_bias[child])
        large = self._normal(large)
        features = functional.linear(large, self.refine[first], self.refine_bias[first])
        return functional.gelu(features).reshape(*cells.shape[:2], self.outputs)

    def _normal(self, x: Tensor) -> Tensor:
        normal = functional.layer_norm(
            x, (self.middle,), self.norm_weight, self.norm_bias, self.eps
        )
        return functional.gelu(normal)


class Trunk(nn.Module):
    """Everything after `TokenSide` but the full-resolution masks.

    Input: `residual` of `ImageSide`; `prompts`, `tokens` and `shares` of `TokenSide`; `chosen` (M)
    int64, the mask tokens wanted. Output: `cells` (B, N, C) final image tokens; `weights`
    (B, M, C / 8); `quality` (B, masks), the predicted IoU of all masks; `coarse` (B, M, N), logits
    at pixel (2, 2) of every cell's 4 x 4.
    """

    positions: Tensor

    def __init__(self, prompts: PromptEncoder, decoder: MaskDecoder) -> None:
        super().__init__()
        transformer = decoder.transformer
        first, *later = [cast(TwoWayLayer, layer) for layer in transformer.layers]
        self.first = FoldedToTokens(first.cross_attn_image_to_token)
        self.first_norm = first.norm4
        self.later = nn.ModuleList(LaterLayer(layer) for layer in later)
        self.last = FoldedToImage(transformer.final_attn_token_to_image)
        self.last_norm = transformer.norm_final_attn
        self.mask_weights = MaskWeights(decoder)
        self.quality = decoder.iou_prediction_head
        self.upscaling = Upscaling(decoder)
        _constant(self, "positions", prompts.dense_positions()[0].flatten(1).T)

    def forward(
        self, residual: Tensor, prompts: Tensor, tokens: Tensor, shares: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode B prompts on one image."""
        image = residual + shares.transpose(1, 2) @ self.first.values(tokens)
        image = self.first_norm(image)
        for layer in self.later:
            tokens, image = layer(tokens, image, prompts, self.positions)
        # Only the quality token and the chosen mask tokens are read from here on.
        read = torch.cat([torch.zeros_like(chosen[:1]), chosen + 1])
        tokens = tokens.index_select(1, read)
        asked = tokens + prompts.index_select(1, read)
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
        logits = (features @ own.T).reshape(-1, 2, 2, 2, 2, own.shape[0])
        return logits.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def fold(prompts: PromptEncoder, decoder: MaskDecoder) -> tuple[ImageSide, TokenSide, Trunk, Cells]:
    """The parts of the folded decoder, sharing what weights they can with the given one."""
    return (
        ImageSide(prompts, decoder),
        TokenSide(prompts, decoder),
        Trunk(prompts, decoder),
        Cells(decoder),
    )
