"""SAM's mask decoder (spec/edgesam.md, 1.3): embedding and prompt tokens to mask logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.sam.layers import LayerNorm2d, Mlp
from models.networks.sam.transformer import TwoWayTransformer


def select_tokens(count: int) -> slice:
    """Which of the four mask tokens answer when 1, 3 or 4 masks are wanted.

    Raises:
        ValueError: any other number.
    """
    slices = {1: slice(0, 1), 3: slice(1, 4), 4: slice(0, 4)}
    if count not in slices:
        raise ValueError(f"num_multimask_outputs must be 1, 3 or 4, not {count}")
    return slices[count]


def stability_score(logits: Tensor, offset: float = 1.0, threshold: float = 0.0) -> Tensor:
    """Area above the high threshold by area above the low one; NaN for an empty mask.

    Args:
        logits: (..., H, W).
        offset: how far the two thresholds lie from `threshold`.
        threshold: where a mask begins.
    """
    high = (logits > threshold + offset).sum((-1, -2), dtype=torch.int32)
    low = (logits > threshold - offset).sum((-1, -2), dtype=torch.int32)
    return high / low


class MaskDecoder(nn.Module):
    """Four mask tokens and one for the quality; hyper-networks turn tokens into masks.

    Args:
        channels: width of embedding and tokens, a multiple of 8 * heads.
        heads: attention heads.
        hidden: width of the transformer's MLPs.
        masks: number of mask tokens.
        quality_hidden: width of the quality head.
        quality_depth: layers of the quality head.
    """

    def __init__(
        self,
        channels: int = 256,
        heads: int = 8,
        hidden: int = 2048,
        masks: int = 4,
        quality_hidden: int = 256,
        quality_depth: int = 3,
    ) -> None:
        super().__init__()
        self.masks = masks
        self.transformer = TwoWayTransformer(channels, heads, hidden)
        self.iou_token = nn.Embedding(1, channels)
        self.mask_tokens = nn.Embedding(masks, channels)
        self.output_upscaling = upscaling(channels)
        self.output_hypernetworks_mlps = nn.ModuleList(
            Mlp(channels, channels, channels // 8) for _ in range(masks)
        )
        self.iou_prediction_head = Mlp(channels, quality_hidden, masks, quality_depth)

    def forward(
        self,
        image: Tensor,
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
        num_multimask_outputs: int = 4,
    ) -> tuple[Tensor, Tensor]:
        """Decode prompts on one image.

        Args:
            image: (1, C, H, W) embedding, or one for each prompt (B, C, H, W).
            image_pe: (1, C, H, W) positions of its cells.
            sparse: (B, N, C) prompt tokens.
            dense: (B or 1, C, H, W) embedding of an earlier mask, or "no mask".
            num_multimask_outputs: 1 (token 0), 3 (tokens 1 to 3) or 4 (all).

        Returns:
            Logits (B, M, 4 H, 4 W) and predicted quality (B, M).

        Raises:
            ValueError: `num_multimask_outputs` is not 1, 3 or 4.
        """
        chosen = select_tokens(num_multimask_outputs)
        logits, quality = self.decode_all(image, image_pe, sparse, dense)
        return logits[:, chosen], quality[:, chosen]

    def decode_all(
        self, image: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All masks (B, masks, 4 H, 4 W) and their predicted quality (B, masks)."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        found, cells = attend(self.transformer, own, image, image_pe, sparse, dense)
        logits = masks_of(
            found[:, 1 : 1 + self.masks],
            self.output_hypernetworks_mlps,
            self.output_upscaling(cells),
        )
        return logits, self.iou_prediction_head(found[:, 0])


def upscaling(channels: int) -> nn.Sequential:
    """Four pixels a side for each cell: (B, C, H, W) to (B, C / 8, 4 H, 4 W)."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels, channels // 4, 2, 2),
        LayerNorm2d(channels // 4),
        nn.GELU(),
        nn.ConvTranspose2d(channels // 4, channels // 8, 2, 2),
        nn.GELU(),
    )


def attend(
    transformer: TwoWayTransformer,
    own: Tensor,
    image: Tensor,
    image_pe: Tensor,
    sparse: Tensor,
    dense: Tensor,
) -> tuple[Tensor, Tensor]:
    """The decoder's own tokens (T, C) and those of B prompts look at an image.

    For the others see `MaskDecoder.forward`.

    Returns:
        All tokens (B, T + N, C), the decoder's own first, and cells (B, C, H, W).
    """
    batch = sparse.shape[0]
    tokens = torch.cat([own.expand(batch, -1, -1), sparse], dim=1)
    start = (image + dense).expand(batch, -1, -1, -1)
    found, keys = transformer(start, image_pe, tokens)
    return found, keys.transpose(1, 2).reshape(batch, -1, image.shape[2], image.shape[3])


def masks_of(tokens: Tensor, mlps: nn.ModuleList, features: Tensor) -> Tensor:
    """Logits (B, M, H, W) of mask tokens (B, M, C) on features (B, C / 8, H, W)."""
    weights = torch.stack([mlp(tokens[:, i]) for i, mlp in enumerate(mlps)], dim=1)
    height, width = features.shape[2:]
    # Not `len(tokens)`: the tracer of graphs would make a constant of it.
    shape = tokens.shape[0], len(mlps), height, width
    return (weights @ features.flatten(2)).reshape(shape)
