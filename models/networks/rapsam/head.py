"""RAP-SAM's head: kernels that are renewed by what lies under their masks (K-Net, 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.omgseg.found import ClipFeatures, Found, pooled
from models.networks.omgseg.head import LocationQueries
from models.networks.omgseg.layers import Attention, FeedForward, perceptron

STAGES = 3


class KernelUpdate(nn.Module):
    """New kernels from old ones and from features, each with a gate of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dynamic_layer = nn.Linear(width, 2 * width)
        self.input_layer = nn.Linear(width, 2 * width)
        self.input_gate = nn.Linear(width, width)
        self.update_gate = nn.Linear(width, width)
        self.norm_in = nn.LayerNorm(width)
        self.norm_out = nn.LayerNorm(width)
        self.input_norm_in = nn.LayerNorm(width)
        self.input_norm_out = nn.LayerNorm(width)
        self.fc_layer = nn.Linear(width, width)
        self.fc_norm = nn.LayerNorm(width)

    def forward(self, seen: Tensor, kernels: Tensor) -> Tensor:
        """Sums of features under masks (N, C) and kernels (N, C) to kernels (N, C)."""
        seen_in, seen_out = self.dynamic_layer(seen).chunk(2, -1)
        own_in, own_out = self.input_layer(kernels).chunk(2, -1)
        both = own_in * seen_in
        keep = self.input_norm_in(self.input_gate(both)).sigmoid()
        renew = self.norm_in(self.update_gate(both)).sigmoid()
        mixed = renew * self.norm_out(seen_out) + keep * self.input_norm_out(own_out)
        return functional.relu(self.fc_norm(self.fc_layer(mixed)))


class Stage(nn.Module):
    """Kernels see their masks and each other; everything is read off them anew."""

    def __init__(self, width: int, vectors: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.kernel_update = KernelUpdate(width)
        self.s_atten = nn.MultiheadAttention(width, heads)
        self.s_atten_norm = nn.LayerNorm(width)
        self.ffn = FeedForward(width, hidden)
        self.ffn_norm = nn.LayerNorm(width)
        self.cls_fcs = _thought(width)
        self.cls_proj = perceptron(width, width, width, vectors)
        self.mask_fcs = _thought(width)
        self.fc_mask = nn.Linear(width, width)
        self.iou_embed = perceptron(width, width, width, 1)

    def forward(
        self, kernels: Tensor, masks: Tensor, pixels: Tensor, alone: Tensor | None
    ) -> Found:
        """One stage.

        Args:
            kernels: (N, C).
            masks: (N, T, h, w) logits of the stage before.
            pixels: (T, C, h, w).
            alone: (N, N), true for kernels that do not see each other; none: all do.
        """
        seen, _ = pooled(pixels, masks)
        kernels = self.kernel_update(seen, kernels)
        talk, _ = self.s_atten(kernels, kernels, kernels, need_weights=False, attn_mask=alone)
        kernels = self.ffn_norm(self.ffn(self.s_atten_norm(kernels + talk)))
        inside = self.mask_fcs(kernels)
        masks = masks_of(self.fc_mask(inside), pixels)
        quality = self.iou_embed(inside)[:, 0]
        return Found(kernels, self.cls_proj(self.cls_fcs(kernels)), quality, masks)


class KernelHead(LocationQueries):
    """A hundred kernels, three stages, and a last adapter each for objects and for prompts.

    Args:
        vectors: dimensions of CLIP's space.
        width: channels of kernels and features.
        queries: learned kernels.
        hidden: width of the perceptrons.
        heads: of all attention.
    """

    def __init__(
        self,
        vectors: int = 768,
        width: int = 256,
        queries: int = 100,
        hidden: int = 2048,
        heads: int = 8,
    ) -> None:
        super().__init__(width)
        self.kernels = nn.Embedding(queries, width)
        self.mask_heads = nn.ModuleList(Stage(width, vectors, hidden, heads) for _ in range(STAGES))
        self.panoptic_attn = KernelUpdate(width)
        self.panoptic_cls = nn.Sequential(nn.Linear(width, vectors))
        self.prompt_attn = Attention(width, heads)
        self.prompt_norm = nn.LayerNorm(width)
        self.prompt_iou = nn.Linear(width, 1)

    def everything(self, features: ClipFeatures) -> Found:
        """What the learned kernels find in a clip."""
        found = self._staged(self.kernels.weight, features.pixels, None)
        seen, _ = pooled(features.pixels, found.masks)
        kernels = self.panoptic_attn(seen, found.queries)
        masks = masks_of(kernels, features.pixels)
        return Found(kernels, self.panoptic_cls(kernels), found.quality, masks)

    def located_masks(self, features: ClipFeatures, boxes: Tensor) -> Found:
        """What boxes (n, 4), parts of the resized image, mean; each for itself."""
        content, positions = self.located(boxes)
        alone = ~torch.eye(len(boxes), dtype=torch.bool, device=boxes.device)
        found = self._staged(content + positions, features.pixels, alone)
        cells = features.pixels.permute(0, 2, 3, 1).flatten(0, 2)
        kernels = self.prompt_norm(self.prompt_attn(found.queries, cells))
        masks = masks_of(kernels, features.pixels)
        return Found(kernels, found.vectors, self.prompt_iou(kernels)[:, 0], masks)

    def _staged(self, kernels: Tensor, pixels: Tensor, alone: Tensor | None) -> Found:
        masks = masks_of(kernels, pixels)
        for stage in self.mask_heads:
            found: Found = stage(kernels, masks, pixels, alone)
            kernels, masks = found.queries, found.masks
        return found


def masks_of(kernels: Tensor, pixels: Tensor) -> Tensor:
    """Kernels (N, C) and features (T, C, h, w) to logits (N, T, h, w)."""
    return torch.einsum("nc,tchw->nthw", kernels, pixels)


def _thought(width: int) -> nn.Sequential:
    """Keys: `0` and `1`."""
    linear = nn.Linear(width, width, bias=False)
    return nn.Sequential(linear, nn.LayerNorm(width), nn.ReLU())
