"""RAP-SAM's neck: deformable convolutions on the way down, one map at stride 4 (YOSO, 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS = 9


class DeformedConv(nn.Module):
    """The weight of a modulated deformable 3x3 convolution. Key: `weight`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Tensor, offsets: Tensor, shares: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h, w).

        Args:
            x: a map.
            offsets: (B, 18, h, w), y and x for each tap.
            shares: (B, 9, h, w), 0 to 1.
        """
        from torchvision.ops import deform_conv2d

        found: Tensor = deform_conv2d(x, offsets, self.weight, padding=1, mask=shares)
        return found


class DeformedStep(nn.Module):
    """A deformable convolution and a transposed one to twice the size.

    Keys: `dcn_offset`, `dcn`, `dcn_bn`, `up_sample`, `up_bn`.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dcn_offset = nn.Conv2d(inputs, 3 * TAPS, 3, padding=1)
        self.dcn = DeformedConv(inputs, outputs)
        self.dcn_bn = nn.BatchNorm2d(outputs)
        self.up_sample = nn.ConvTranspose2d(outputs, outputs, 4, 2, 1, bias=False)
        self.up_bn = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.dcn_offset.weight)
        assert self.dcn_offset.bias is not None
        nn.init.zeros_(self.dcn_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, 2 h, 2 w)."""
        offsets, shares = self.dcn_offset(x).split([2 * TAPS, TAPS], 1)
        x = functional.relu(self.dcn_bn(self.dcn(x, offsets, shares.sigmoid())))
        return functional.relu(self.up_bn(self.up_sample(x)))


class WayDown(nn.Module):
    """Four levels joined at stride 4. Keys: `lateral_conv{0-3}`, `deform_conv{1-3}`,
    `conv_a{5-2}`, `bias`, `output_conv`; numbered from the coarsest level.
    """  # noqa: D205

    def __init__(self, channels: Sequence[int], joined: int) -> None:
        super().__init__()
        widths = [*(count // 2 for count in channels[:0:-1]), joined]
        for number, (count, width) in enumerate(zip(channels[::-1], widths, strict=True)):
            self.add_module(f"lateral_conv{number}", nn.Conv2d(count, width, 1))
            self.add_module(f"conv_a{5 - number}", nn.Conv2d(width, joined, 1, bias=False))
            if number:
                step = DeformedStep(widths[number - 1], width)
                self.add_module(f"deform_conv{number}", step)
        self.bias = nn.Parameter(torch.zeros(1, joined, 1, 1))
        self.output_conv = nn.Conv2d(joined, joined, 3, padding=1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels (B, C, h, w) at strides 4 to 32 to (B, joined, H / 4, W / 4)."""
        size = (levels[0].shape[2], levels[0].shape[3])
        found, total = None, self.bias
        for number, level in enumerate(levels[::-1]):
            side = self.get_submodule(f"lateral_conv{number}")(level)
            if found is not None:
                side = side + self.get_submodule(f"deform_conv{number}")(found)
            found = side
            part = self.get_submodule(f"conv_a{5 - number}")(found)
            if part.shape[2:] != levels[0].shape[2:]:
                part = functional.interpolate(part, size, mode="bilinear", align_corners=False)
            total = total + part
        result: Tensor = self.output_conv(total)
        return result


class Neck(nn.Module):
    """The way down, and where every cell is. Keys: `deconv`, `loc_conv`.

    Args:
        channels: of the backbone's levels at strides 4, 8, 16 and 32.
        joined: channels the levels are joined with.
        width: channels of the result.
    """

    def __init__(self, channels: Sequence[int], joined: int = 128, width: int = 256) -> None:
        super().__init__()
        self.deconv = WayDown(channels, joined)
        self.loc_conv = nn.Conv2d(joined + 2, width, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels (B, C, h, w) at strides 4 to 32 to (B, width, H / 4, W / 4)."""
        joined = self.deconv(levels)
        batch, _, height, width = joined.shape
        x = torch.linspace(-1, 1, width, device=joined.device).expand(batch, 1, height, -1)
        y = torch.linspace(-1, 1, height, device=joined.device)[:, None].expand(batch, 1, -1, width)
        found: Tensor = self.loc_conv(torch.cat([joined, x, y], 1))
        return found
