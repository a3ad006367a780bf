"""OMG-Seg's head: pixel decoder, nine layers of masked attention, and what is read off queries."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.omgseg.found import ClipFeatures, Found, pooled
from models.networks.omgseg.layers import Attention, FeedForward, perceptron
from models.networks.omgseg.pixel_decoder import LEVELS, PixelDecoder
from models.networks.omgseg.positions import box_positions, clip_positions


class QueryLayer(nn.Module):
    """Queries look at the clip, then at each other, then think; a norm after each."""

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = Attention(channels, heads)
        self.cross_attn = Attention(channels, heads)
        self.ffn = FeedForward(channels, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))

    def forward(
        self,
        queries: Tensor,
        positions: Tensor,
        keys: tuple[Tensor, Tensor],
        hidden: Tensor,
        alone: Tensor | None,
    ) -> Tensor:
        """One layer: queries (N, C) to (N, C).

        Args:
            queries: what is known so far.
            positions: (N, C) of the queries.
            keys: cells of one level of all frames (K, C), and their positions (K, C).
            hidden: (N, K), true for cells that a query does not see.
            alone: (N, N), true for queries that do not see each other; none: all do.
        """
        cells, places = keys
        queries = self.norms[0](self.cross_attn(queries, cells, positions, places, hidden))
        queries = self.norms[1](self.self_attn(queries, queries, positions, positions, alone))
        found: Tensor = self.norms[2](self.ffn(queries))
        return found


class QueryDecoder(nn.Module):
    """The layers and the norm before everything that is read. Keys: `layers`, `post_norm`."""

    def __init__(self, channels: int, depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(QueryLayer(channels, heads, hidden) for _ in range(depth))
        self.post_norm = nn.LayerNorm(channels)


class LocationQueries(nn.Module):
    """Clicks and boxes as queries, for OMG-Seg and RAP-SAM alike."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.mask_tokens = nn.Embedding(1, width)
        self.pb_embedding = nn.Embedding(2, width)
        self.pos_linear = nn.Linear(2 * width, width)

    def located(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Content and positions, (n, width) each, of boxes (n, 4), parts of the resized image.

        The published code gives every prompt the first of the two embeddings.
        """
        content = (self.pb_embedding.weight[:1] + self.mask_tokens.weight).expand(len(boxes), -1)
        return content, self.pos_linear(box_positions(boxes, self.width))


class PanopticHead(LocationQueries):
    """Everything of OMG-Seg that was trained.

    Args:
        channels: of the backbone's levels at strides 4, 8, 16 and 32.
        vectors: dimensions of CLIP's space.
        width: channels of queries and maps.
        queries: learned queries.
        depth: layers of the pixel decoder and of the query decoder.
        heads: of all attention.
        hidden: width of the perceptrons in the pixel decoder and in the query decoder.
    """

    def __init__(
        self,
        channels: Sequence[int],
        vectors: int,
        width: int = 256,
        queries: int = 300,
        depth: tuple[int, int] = (6, 9),
        heads: int = 8,
        hidden: tuple[int, int] = (1024, 2048),
    ) -> None:
        super().__init__(width)
        self.pixel_decoder = PixelDecoder(channels, width, depth[0], heads, hidden[0])
        self.transformer_decoder = QueryDecoder(width, depth[1], heads, hidden[1])
        self.query_embed = nn.Embedding(queries, width)
        self.query_feat = nn.Embedding(queries, width)
        self.level_embed = nn.Embedding(LEVELS, width)
        self.mask_embed = perceptron(width, width, width, width)
        self.iou_embed = perceptron(width, width, width, 1)
        self.cls_proj = perceptron(width, width, width, vectors)
        self.mask_pooling_proj = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def features(self, levels: Sequence[Tensor]) -> Generator[None, None, ClipFeatures]:
        """The backbone's four levels of T frames to everything queries need; pauses often."""
        pixels, memory = yield from self.pixel_decoder.steps(levels)
        return ClipFeatures(pixels, tuple(memory), levels[-1])

    def states(self, features: ClipFeatures, boxes: Tensor | None = None) -> Iterator[Tensor]:
        """The queries (N, C) before the first layer and after every layer.

        Args:
            features: of one clip.
            boxes: (n, 4), parts of the resized image, each asked for itself; none: the learned
                queries look for everything.
        """
        if boxes is None:
            queries, positions, alone = self.query_feat.weight, self.query_embed.weight, None
        else:
            queries, positions = self.located(boxes)
            alone = ~torch.eye(len(boxes), dtype=torch.bool, device=queries.device)
        keys = [self._keys(level, memory) for level, memory in enumerate(features.memory)]
        yield queries
        for number, layer in enumerate(self.transformer_decoder.layers):
            level = number % LEVELS
            hidden = self._hidden(queries, features, features.memory[level].shape[2:])
            queries = layer(queries, positions, keys[level], hidden, alone)
            yield queries

    def read(self, queries: Tensor, features: ClipFeatures) -> Found:
        """What queries (N, C) say after any layer."""
        normal = self.transformer_decoder.post_norm(queries)
        masks = self._masks(normal, features.pixels)
        sums, counts = pooled(features.pixels, masks.detach())
        inside = self.mask_pooling_proj(sums / (counts[:, None] + 1e-8))
        vectors = self.cls_proj(inside + normal)
        return Found(queries, vectors, self.iou_embed(normal)[:, 0], masks)

    def kernels(self, queries: Tensor) -> Tensor:
        """What queries (N, C) are multiplied with features for masks by: (N, C)."""
        found: Tensor = self.mask_embed(self.transformer_decoder.post_norm(queries))
        return found

    def _masks(self, normal: Tensor, pixels: Tensor) -> Tensor:
        return torch.einsum("nc,tchw->nthw", self.mask_embed(normal), pixels)

    def _keys(self, level: int, memory: Tensor) -> tuple[Tensor, Tensor]:
        frames, channels, height, width = memory.shape
        cells = memory.permute(0, 2, 3, 1).reshape(-1, channels) + self.level_embed.weight[level]
        return cells, clip_positions(frames, height, width, channels, memory)

    def _hidden(self, queries: Tensor, features: ClipFeatures, size: Sequence[int]) -> Tensor:
        """Cells outside of a query's own mask; where nothing is inside, nothing is hidden."""
        normal = self.transformer_decoder.post_norm(queries.detach())
        masks = self._masks(normal, features.pixels)
        small = functional.interpolate(masks, tuple(size), mode="bilinear", align_corners=False)
        hidden = small.detach().flatten(1).sigmoid() < 0.5
        return hidden & ~hidden.all(1, keepdim=True)
