"""CLIP2SAM: a feature pyramid over CLIP's levels, from which objects get their vectors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


def named_conv(inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Sequential:
    """A convolution that keeps the size, under the key `conv`."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    return nn.Sequential(OrderedDict(conv=conv))


class FeaturePyramid(nn.Module):
    """Lateral convolutions, a way down with nearest up-sampling, output convolutions.

    Neither norms nor activations. Keys: `lateral_convs.{i}.conv`, `fpn_convs.{i}.conv`.
    """

    def __init__(self, channels: Sequence[int], output: int = 256) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(named_conv(count, output, 1) for count in channels)
        self.fpn_convs = nn.ModuleList(named_conv(output, output, 3) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Four levels (B, C, h, w) to P2 ... P5 (B, output, h, w), the finest first."""
        found = [conv(x) for conv, x in zip(self.lateral_convs, features, strict=True)]
        for level in range(len(found) - 1, 0, -1):
            size = found[level - 1].shape[2:]
            found[level - 1] = found[level - 1] + functional.interpolate(found[level], size)
        return [conv(x) for conv, x in zip(self.fpn_convs, found, strict=True)]
