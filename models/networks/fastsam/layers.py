"""The blocks a YOLOv8 network is made of, under ultralytics' keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
"""Of all batch norms; torch's default is 1e-5."""


class Conv(nn.Module):
    """Convolution without bias, batch norm, SiLU. Keys: `conv`, `bn`."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        return functional.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, with a residual where asked. Keys: `cv1`, `cv2`."""

    def __init__(self, channels: int, residual: bool) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels, 3)
        self.cv2 = Conv(channels, channels, 3)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        mixed: Tensor = self.cv2(self.cv1(x))
        return x + mixed if self.residual else mixed


class SplitBlock(nn.Module):
    """Half of the channels pass `depth` bottlenecks, and all steps are kept ("C2f").

    Keys: `cv1`, `cv2`, `m.{i}`.
    """

    def __init__(self, inputs: int, outputs: int, depth: int, residual: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.cv1 = Conv(inputs, 2 * half)
        self.cv2 = Conv((2 + depth) * half, outputs)
        self.m = nn.ModuleList(Bottleneck(half, residual) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W)."""
        steps = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            steps.append(block(steps[-1]))
        result: Tensor = self.cv2(torch.cat(steps, dim=1))
        return result


class Pyramid(nn.Module):
    """Maxima over growing neighbourhoods ("SPPF"). Keys: `cv1`, `cv2`."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(channels // 2 * 4, channels)
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        steps = [self.cv1(x)]
        for _ in range(3):
            steps.append(functional.max_pool2d(steps[-1], self.kernel, 1, self.kernel // 2))
        result: Tensor = self.cv2(torch.cat(steps, dim=1))
        return result


class Expectation(nn.Module):
    """Mean distance of a distribution over bins ("DFL"). Key: `conv.weight`, the bin numbers."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.conv = nn.Conv2d(bins, 1, 1, bias=False)
        self.conv.weight.data = torch.arange(float(bins)).reshape(1, bins, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, 4 * bins, N) to distances (B, 4, N)."""
        batch, _, count = x.shape
        shares = x.reshape(batch, 4, self.bins, count).transpose(1, 2).softmax(1)
        result: Tensor = self.conv(shares)
        return result.reshape(batch, 4, count)


class Prototypes(nn.Module):
    """The maps that masks are mixed from. Keys: `cv1`, `upsample`, `cv2`, `cv3`."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.cv1 = Conv(inputs, hidden, 3)
        self.upsample = nn.ConvTranspose2d(hidden, hidden, 2, 2)
        self.cv2 = Conv(hidden, hidden, 3)
        self.cv3 = Conv(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, outputs, 2 H, 2 W)."""
        result: Tensor = self.cv3(self.cv2(self.upsample(self.cv1(x))))
        return result
