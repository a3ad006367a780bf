"""RAP-SAM as a whole, under the keys its published code gives it.

Source: Xu et al., "RAP-SAM: Towards Real-Time All-Purpose Segment Anything" (2024; ICLR 2025 as
RMP-SAM), spec/ovsam_omgseg.md, C.1, and the authors' configuration with ResNet-50. The checkpoint
itself could not be seen: its keys are those of the code.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.networks.omgseg.found import ClipFeatures, Found, run_through
from models.networks.rapsam.head import KernelHead
from models.networks.rapsam.neck import Neck


@dataclass(frozen=True, slots=True)
class RapSamSizes:
    """Sizes of the network.

    Attributes:
        blocks: residual blocks of the four stages.
        bottleneck: whether they are bottlenecks, as in ResNet-50.
        joined: channels the neck joins its levels with.
        vectors: dimensions of CLIP's space.
        width: channels of kernels and features.
        queries: learned kernels.
        hidden: width of the perceptrons.
        heads: of all attention.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    bottleneck: bool = True
    joined: int = 128
    vectors: int = 768
    width: int = 256
    queries: int = 100
    hidden: int = 2048
    heads: int = 8

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels of the four levels."""
        times = 4 if self.bottleneck else 1
        return (64 * times, 128 * times, 256 * times, 512 * times)


PUBLISHED = RapSamSizes()
NARROW = RapSamSizes((1, 1, 1, 1), False, 16, 24, 32, 12, 48, 4)


class RapSam(nn.Module):
    """Labelled segments of images and clips, and masks for prompts, by one ResNet-50.

    Keys: `backbone` (torchvision's ResNet without its classes), `neck`, `panoptic_head`. For the
    methods see `models.networks.omgseg.FindsEverything`.
    """

    def __init__(self, sizes: RapSamSizes = PUBLISHED) -> None:
        super().__init__()
        self.sizes = sizes
        self.backbone = _resnet(sizes)
        self.neck = Neck(sizes.channels, sizes.joined, sizes.width)
        self.panoptic_head = KernelHead(
            sizes.vectors, sizes.width, sizes.queries, sizes.hidden, sizes.heads
        )

    @property
    def step_count(self) -> int:
        """Steps of `encoding`: the backbone's stages and the neck."""
        return 5

    def encode(self, pixels: Tensor) -> ClipFeatures:
        """Frames (T, 3, H, W) to their features; `memory` stays empty."""
        return run_through(self.encoding(pixels))

    def encoding(self, pixels: Tensor) -> Generator[str, None, ClipFeatures]:
        """`encode` in `step_count` steps; each yields the part of the network it has just run."""
        levels = []
        for level in _levels(self.backbone, pixels):
            levels.append(level)
            yield "backbone"
        features = self.neck(levels)
        yield "neck"
        return ClipFeatures(features, (), levels[-1])

    def decode(self, features: ClipFeatures) -> Found:
        """Everything in a clip, as `sizes.queries` kernels found it."""
        return self.panoptic_head.everything(features)

    def locate(self, features: ClipFeatures, boxes: Tensor) -> Found:
        """What boxes (n, 4), parts of the resized image, mean; each for itself."""
        return self.panoptic_head.located_masks(features, boxes)

    def kernels(self, found: Found) -> Tensor:
        """Vectors (N, C) whose products with `ClipFeatures.pixels` are the masks."""
        return found.queries


def narrow_rapsam(seed: int = 0) -> RapSam:
    """A small network with random weights, for tests in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = RapSam(NARROW)
    return network.eval()


def _resnet(sizes: RapSamSizes) -> nn.Module:
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    network: nn.Module = ResNet(Bottleneck if sizes.bottleneck else BasicBlock, list(sizes.blocks))
    del network.fc
    return network


def _levels(net: nn.Module, pixels: Tensor) -> Iterator[Tensor]:
    found = net.maxpool(net.relu(net.bn1(net.conv1(pixels))))  # type: ignore[operator]
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        found = stage(found)  # type: ignore[operator]
        yield found
