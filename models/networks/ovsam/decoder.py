"""OVSAM's decoder: SAM's with one mask token, a label token, and the head that reads objects."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.ovsam.pyramid import named_conv
from models.networks.sam import Mlp, TwoWayTransformer, attend, masks_of, upscaling


class OneMaskDecoder(nn.Module):
    """SAM's mask decoder reduced to one mask token; its quality token and head are gone."""

    def __init__(self, channels: int = 256, hidden: int = 2048) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(channels, hidden=hidden)
        self.mask_tokens = nn.Embedding(1, channels)
        self.output_upscaling = upscaling(channels)
        self.output_hypernetworks_mlps = nn.ModuleList([Mlp(channels, channels, channels // 8)])


class LabelDecoder(nn.Module):
    """Masks, and vectors of objects.

    The label token stands where SAM has its quality token: it takes part in the attention and so
    in the mask. The published code multiplies what `label_mlp` makes of it by zero, so that part
    is kept for its weights and never run; names come from `vectors` alone.

    Args:
        channels: width of embedding, tokens and pyramid.
        vectors: dimensions of CLIP's space.
        hidden: width of the transformer's MLPs.
    """

    def __init__(self, channels: int = 256, vectors: int = 768, hidden: int = 2048) -> None:
        super().__init__()
        self.mask_decoder = OneMaskDecoder(channels, hidden)
        self.label_token = nn.Embedding(1, channels)
        self.label_mlp = Mlp(channels, channels, vectors)
        # mmcv's module activates by default; the configuration does not say so.
        self.roi_conv = nn.Sequential(named_conv(channels, vectors, 1, bias=False), nn.ReLU())

    def forward(
        self, image: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One mask for each prompt; for the arguments see `models.networks.sam.MaskDecoder`.

        Returns:
            Logits (B, 4 H, 4 W), and all tokens (B, 2 + N, C): label, mask, prompt.
        """
        inner = self.mask_decoder
        own = torch.cat([self.label_token.weight, inner.mask_tokens.weight])
        tokens, cells = attend(inner.transformer, own, image, image_pe, sparse, dense)
        features = inner.output_upscaling(cells)
        logits = masks_of(tokens[:, 1:2], inner.output_hypernetworks_mlps, features)
        return logits[:, 0], tokens

    def vectors(self, regions: Tensor) -> Tensor:
        """Regions (n, C, s, s) of a pyramid to vectors (n, d), not normalised."""
        found: Tensor = self.roi_conv(regions)
        return found.mean((2, 3))
