"""CLIP's ResNet as a frozen backbone: open_clip's own module, read level by level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ClipSizes:
    """Sizes of a CLIP ResNet.

    Attributes:
        layers: bottlenecks of the four stages.
        width: channels of the stem; the stages have 4, 8, 16 and 32 times as many.
        side: side in pixels of the images CLIP itself saw.
        vectors: dimensions of CLIP's space.
    """

    layers: tuple[int, int, int, int]
    width: int
    side: int
    vectors: int

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels of the four levels."""
        return (4 * self.width, 8 * self.width, 16 * self.width, 32 * self.width)

    @property
    def pool_side(self) -> int:
        """Side in cells of what the attention pool reads."""
        return self.side // 32


RN50X16 = ClipSizes((6, 8, 18, 8), 96, 384, 768)


def clip_tower(sizes: ClipSizes) -> nn.Module:
    """CLIP's image tower; its keys are those of `visual.*` in open_clip's checkpoints."""
    # Inside the function: open_clip brings timm and torchvision, which takes seconds.
    from open_clip.modified_resnet import ModifiedResNet

    tower: nn.Module = ModifiedResNet(
        list(sizes.layers),
        sizes.vectors,
        heads=sizes.width // 2,  # of 64 channels each
        image_size=sizes.side,
        width=sizes.width,
    )
    return tower


def levels(tower: nn.Module, pixels: Tensor) -> Iterator[Tensor]:
    """The features at strides 4, 8, 16 and 32, each computed when it is asked for.

    Args:
        tower: see `clip_tower`.
        pixels: (B, 3, S, S), normalised as for SAM, not as for CLIP.
    """
    found = tower.stem(pixels)  # type: ignore[operator]
    for stage in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
        found = stage(found)  # type: ignore[operator]
        yield found
