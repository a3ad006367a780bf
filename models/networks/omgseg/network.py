"""OMG-Seg as a whole, under the keys of its published files.

Source: Li et al., "OMG-Seg: Is One Model Good Enough For All Segmentation?" (CVPR 2024), as
spec/ovsam_omgseg.md, section B, describes the released code.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.omgseg.backbone import (
    CONVNEXT_LARGE,
    ConvNextSizes,
    clip_head,
    convnext_levels,
    convnext_tower,
)
from models.networks.omgseg.found import ClipFeatures, Found, pooled, run_through
from models.networks.omgseg.head import PanopticHead


@dataclass(frozen=True, slots=True)
class OmgSegSizes:
    """Sizes of the network; for those of the head see `PanopticHead`."""

    tower: ConvNextSizes = CONVNEXT_LARGE
    width: int = 256
    queries: int = 300
    depth: tuple[int, int] = (6, 9)
    heads: int = 8
    hidden: tuple[int, int] = (1024, 2048)


PUBLISHED = OmgSegSizes()
NARROW = OmgSegSizes(
    ConvNextSizes("test_convnext", (24, 32, 48, 64), 24, 64), 64, 20, (2, 3), 4, (64, 64)
)
"""For tests in milliseconds; the same code."""


class OmgSeg(nn.Module):
    """Labelled segments of images and clips, and masks for clicks and boxes.

    Images are RGB, normalised as for SAM, resized with their ratio kept and padded with zeros at
    the right and at the bottom to multiples of 32: (T, 3, H, W), T = 1 for an image.
    Keys: `visual` (open_clip), `panoptic_head` (the published file).
    """

    def __init__(self, sizes: OmgSegSizes = PUBLISHED) -> None:
        super().__init__()
        self.sizes = sizes
        self.visual = convnext_tower(sizes.tower)
        self.panoptic_head = PanopticHead(
            sizes.tower.channels,
            sizes.tower.vectors,
            sizes.width,
            sizes.queries,
            sizes.depth,
            sizes.heads,
            sizes.hidden,
        )

    @property
    def step_count(self) -> int:
        """Steps of `encoding`: the backbone's stages and the pixel decoder's layers."""
        return 4 + self.sizes.depth[0]

    def encode(self, pixels: Tensor) -> ClipFeatures:
        """Frames (T, 3, H, W) of one clip, or one image, to their features."""
        return run_through(self.encoding(pixels))

    def encoding(self, pixels: Tensor) -> Generator[str, None, ClipFeatures]:
        """`encode` in `step_count` steps; each yields the part of the network it has just run.

        Frames pass the frozen backbone one by one: together they would only take memory.
        """
        clip: list[Tensor] = []
        with torch.no_grad():
            towers = zip(*(convnext_levels(self.visual, one[None]) for one in pixels), strict=True)
            for frames in towers:
                clip.append(torch.cat(frames))
                yield "backbone"
        steps = self.panoptic_head.features(clip)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                features: ClipFeatures = end.value
                return features
            yield "pixel decoder"

    def decode(self, features: ClipFeatures) -> Found:
        """Everything in a clip, as `sizes.queries` queries found it."""
        *_, queries = self.panoptic_head.states(features)
        return self.panoptic_head.read(queries, features)

    def locate(self, features: ClipFeatures, boxes: Tensor) -> Found:
        """What is meant by boxes, each for itself.

        Args:
            features: of one image.
            boxes: (n, 4), x0, y0, x1, y1 as parts of the resized image, see `Framing.fractions`;
                a click is a small box (`click_boxes`).
        """
        *_, queries = self.panoptic_head.states(features, boxes)
        return self.panoptic_head.read(queries, features)

    def kernels(self, found: Found) -> Tensor:
        """Vectors (N, C) whose products with `ClipFeatures.pixels` are the masks."""
        return self.panoptic_head.kernels(found.queries)

    def clip_sums(self, features: ClipFeatures, masks: Tensor) -> tuple[Tensor, Tensor]:
        """CLIP's last level summed inside masks (N, T, h, w): (N, D), and the cells counted (N).

        Sums and counts of the clips of a sequence can be added.
        """
        size = (features.last.shape[2], features.last.shape[3])
        small = functional.interpolate(masks, size, mode="bilinear", align_corners=False)
        return pooled(features.last, small)

    def clip_vectors(self, sums: Tensor, counts: Tensor) -> Tensor:
        """Vectors (N, d) that frozen CLIP itself gives masks, from `clip_sums`."""
        return clip_head(self.visual, sums / (counts[:, None] + 1e-8))


def narrow_omgseg(seed: int = 0) -> OmgSeg:
    """A small network with random weights, for tests in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = OmgSeg(NARROW)
    return network.eval()
