"""EdgeSAM's image encoder: RepViT "M1" and a neck that fuses strides 16 and 32.

Facts: spec/edgesam.md, section 1.1. Keys are those of the published `edge_sam.pth`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.sam.layers import LayerNorm2d

Upsampling = Literal["bicubic", "bilinear"]


@dataclass(frozen=True, slots=True)
class RepVitWidths:
    """Sizes of the encoder; the defaults are the released network.

    Attributes:
        stages: channels of the four stages; the stem has those of the first.
        blocks: stride-1 blocks in each stage.
        expansion: widening inside a channel mixer.
        output: channels of the image embedding.
    """

    stages: tuple[int, int, int, int] = (48, 96, 192, 384)
    blocks: tuple[int, int, int, int] = (3, 3, 15, 2)
    expansion: int = 2
    output: int = 256


class ConvNorm(nn.Sequential):
    """Convolution without bias and batch norm. Keys: `c`, `bn`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = kernel // 2
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.add_module("c", conv)
        self.add_module("bn", nn.BatchNorm2d(outputs))


class DepthwiseBranches(nn.Module):
    """3x3 and 1x1 depth-wise convolutions and the identity, added. Keys: `conv`, `conv1`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels, 3, groups=channels)
        self.conv1 = ConvNorm(channels, channels, 1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        result: Tensor = self.conv(x) + self.conv1(x) + x
        return result


class SqueezeExcite(nn.Module):
    """Channel gates from the global mean. Keys: `fc1`, `fc2`."""

    def __init__(self, channels: int, ratio: float = 0.25) -> None:
        super().__init__()
        hidden = squeezed(channels * ratio)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        mean = x.mean((2, 3), keepdim=True)
        gate: Tensor = self.fc2(functional.relu(self.fc1(mean))).sigmoid()
        return x * gate


def squeezed(width: float, multiple: int = 8) -> int:
    """Round to a multiple of 8, never losing more than a tenth: 12 becomes 16."""
    rounded = max(multiple, int(width + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < 0.9 * width else rounded


class ChannelMixer(nn.Module):
    """Residual 1x1 bottleneck turned inside out. Keys: `m.0`, `m.2`."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.m = nn.Sequential(
            ConvNorm(channels, channels * expansion),
            nn.GELU(),
            ConvNorm(channels * expansion, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        mixed: Tensor = self.m(x)
        return x + mixed


class RepVitBlock(nn.Module):
    """Token mixer (depth-wise) and channel mixer (1x1). Keys: `token_mixer`, `channel_mixer`."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, excite: bool, expansion: int
    ) -> None:
        super().__init__()
        gate: nn.Module = SqueezeExcite(inputs) if excite else nn.Identity()
        if stride == 1:
            mixer = [DepthwiseBranches(inputs), gate]
        else:
            spatial = ConvNorm(inputs, inputs, 3, stride, groups=inputs)
            mixer = [spatial, gate, ConvNorm(inputs, outputs)]
        self.token_mixer = nn.Sequential(*mixer)
        self.channel_mixer = ChannelMixer(outputs, expansion)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        result: Tensor = self.channel_mixer(self.token_mixer(x))
        return result


class Upsampled(nn.Module):
    """1x1 convolution and doubling of the resolution. Key: `op_list.0`.

    Bicubic is what the released network was trained with; exported files use bilinear, which
    gives other embeddings from the same weights (spec/edgesam.md, 0.1).
    """

    def __init__(self, inputs: int, outputs: int, mode: Upsampling) -> None:
        super().__init__()
        self.op_list = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False))
        self.mode: Upsampling = mode

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', 2 H, 2 W)."""
        x = self.op_list(x)
        return functional.interpolate(x, scale_factor=2.0, mode=self.mode, align_corners=False)


class RepVit(nn.Module):
    """Normalised images (B, 3, H, W) to embeddings (B, output, H / 16, W / 16).

    Args:
        widths: sizes of the network.
        upsampling: how the coarse branch is enlarged; `fuse_stage3.mode` can be set later.
    """

    def __init__(
        self, widths: RepVitWidths | None = None, upsampling: Upsampling = "bicubic"
    ) -> None:
        super().__init__()
        sizes = widths or RepVitWidths()
        first, output = sizes.stages[0], sizes.output
        stem = nn.Sequential(
            ConvNorm(3, first // 2, 3, 2), nn.GELU(), ConvNorm(first // 2, first, 3, 2)
        )
        self.features = nn.ModuleList([stem])
        self.stage_ends: list[int] = []
        inputs = first
        for number, (channels, count) in enumerate(zip(sizes.stages, sizes.blocks, strict=True)):
            if number:
                block = RepVitBlock(inputs, channels, 2, excite=False, expansion=sizes.expansion)
                self.features.append(block)
            for index in range(count):
                # Every second block has a gate, the last of a stage never.
                excite = index % 2 == 0 and index < count - 1
                self.features.append(RepVitBlock(channels, channels, 1, excite, sizes.expansion))
            self.stage_ends.append(len(self.features) - 1)
            inputs = channels
        self.fuse_stage2 = nn.Conv2d(sizes.stages[2], output, 1, bias=False)
        self.fuse_stage3 = Upsampled(sizes.stages[3], output, upsampling)
        self.neck = nn.Sequential(
            nn.Conv2d(output, output, 1, bias=False),
            LayerNorm2d(output),
            nn.Conv2d(output, output, 3, padding=1, bias=False),
            LayerNorm2d(output),
        )

    def stages(self, x: Tensor) -> list[Tensor]:
        """The outputs of stem and stages 0 to 3, strides 4, 4, 8, 16, 32."""
        outputs = []
        for index, block in enumerate(self.features):
            x = block(x)
            if index == 0 or index in self.stage_ends:
                outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, 3, H, W), H and W multiples of 32."""
        *_, fine, coarse = self.stages(x)
        embedding: Tensor = self.neck(self.fuse_stage2(fine) + self.fuse_stage3(coarse))
        return embedding


def merge_branches(network: nn.Module) -> nn.Module:
    """Replace parallel branches and batch norms by single convolutions, exactly, in place.

    For inference only: the keys are no longer those of the checkpoint.
    """
    network.eval()
    with torch.no_grad():
        _merge_children(network)
    return network


def _merge_children(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, DepthwiseBranches):
            setattr(module, name, _merged_depthwise(child))
        elif isinstance(child, ConvNorm):
            setattr(module, name, _merged_norm(child))
        else:
            _merge_children(child)


def _folded(pair: ConvNorm) -> tuple[nn.Conv2d, Tensor, Tensor]:
    conv, norm = pair[0], pair[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In float64, so that merging costs no accuracy.
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = conv.weight.double() * scale[:, None, None, None]
    return conv, weight, norm.bias.double() - norm.running_mean.double() * scale


def _merged_norm(pair: ConvNorm) -> nn.Conv2d:
    conv, weight, bias = _folded(pair)
    return _convolution(conv, weight, bias)


def _merged_depthwise(branches: DepthwiseBranches) -> nn.Conv2d:
    conv, weight, bias = _folded(branches.conv)
    _, small, small_bias = _folded(branches.conv1)
    centre = torch.zeros_like(weight)
    centre[:, :, 1, 1] = small[:, :, 0, 0] + 1.0
    return _convolution(conv, weight + centre, bias + small_bias)


def _convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    merged = nn.Conv2d(
        like.in_channels,
        like.out_channels,
        (like.kernel_size[0], like.kernel_size[1]),
        (like.stride[0], like.stride[1]),
        (like.kernel_size[0] // 2, like.kernel_size[1] // 2),
        groups=like.groups,
    )
    assert merged.bias is not None
    merged.weight.copy_(weight)
    merged.bias.copy_(bias)
    return merged.to(like.weight.device).eval()
