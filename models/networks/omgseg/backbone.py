"""CLIP's ConvNeXt as a frozen backbone: open_clip's own module, read level by level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ConvNextSizes:
    """Which ConvNeXt, and what CLIP adds to it.

    Attributes:
        name: timm's name of the trunk.
        channels: of the levels at strides 4, 8, 16 and 32.
        vectors: dimensions of CLIP's space.
        side: side in pixels of the images CLIP itself saw.
    """

    name: str
    channels: tuple[int, int, int, int]
    vectors: int
    side: int


CONVNEXT_LARGE = ConvNextSizes("convnext_large", (192, 384, 768, 1536), 768, 320)
"""The image tower of open_clip's `convnext_large_d_320`."""


def convnext_tower(sizes: ConvNextSizes) -> nn.Module:
    """CLIP's image tower; its keys are those of `visual.*` in open_clip's checkpoints."""
    # Inside the function: open_clip brings timm and torchvision, which takes seconds.
    from open_clip.timm_model import TimmModel

    tower: nn.Module = TimmModel(
        sizes.name, sizes.vectors, image_size=sizes.side, pool="", proj="mlp"
    )
    return tower


def convnext_levels(tower: nn.Module, pixels: Tensor) -> Iterator[Tensor]:
    """The features at strides 4, 8, 16 and 32, each computed when it is asked for.

    Args:
        tower: see `convnext_tower`.
        pixels: (B, 3, H, W), sides multiples of 32, normalised as for SAM, not as for CLIP.
    """
    trunk = tower.trunk
    found = trunk.stem(pixels)  # type: ignore[operator, union-attr]
    for stage in trunk.stages:  # type: ignore[union-attr]
        found = stage(found)
        yield found


def clip_head(tower: nn.Module, features: Tensor) -> Tensor:
    """What CLIP makes of pooled features of its last level: (n, C) to (n, vectors)."""
    pooled = tower.trunk.head(features[:, :, None, None])  # type: ignore[operator, union-attr]
    found: Tensor = tower.head(pooled)  # type: ignore[operator]
    return found
