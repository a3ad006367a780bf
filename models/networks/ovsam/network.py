"""Open-Vocabulary SAM as a whole, under the keys of its published files.

Source: Yuan et al., "Open-Vocabulary SAM: Segment and Recognize Twenty-thousand Classes
Interactively" (2024), as spec/ovsam_omgseg.md, section A, describes the released code.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.networks.ovsam.backbone import RN50X16, ClipSizes, clip_tower, levels
from models.networks.ovsam.decoder import LabelDecoder
from models.networks.ovsam.neck import NECK, Sam2ClipNeck
from models.networks.ovsam.pyramid import FeaturePyramid
from models.networks.ovsam.regions import POOLED, read_pyramid, read_regions
from models.networks.sam import PromptEncoder
from models.networks.sam_vit import VitSizes


@dataclass(frozen=True, slots=True)
class OvsamSizes:
    """Sizes of the network.

    Attributes:
        clip: the backbone.
        neck: the transformer that makes the embedding; its `output` is the width of all that
            follows, its `side` the side of the square frame.
        hidden: width of the MLPs in the decoder's transformer.
    """

    clip: ClipSizes = RN50X16
    neck: VitSizes = NECK
    hidden: int = 2048


PUBLISHED = OvsamSizes()
NARROW = OvsamSizes(
    ClipSizes((1, 1, 1, 1), 8, 64, 24),
    VitSizes(32, 2, 2, (1,), window=3, side=128, output=64),
    hidden=64,
)
"""As small as `models.networks.sam_vit.NARROW`, which can teach it."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """What is computed once for each image.

    Attributes:
        image: (B, C, S / 16, S / 16), the embedding for the mask decoder.
        pyramid: P2 to P5, each (B, C, S / stride, S / stride), for vectors of objects.
        clip: (B, 32 w, S / 32, S / 32), CLIP's last level, for the ensemble.
    """

    image: Tensor
    pyramid: tuple[Tensor, ...]
    clip: Tensor


class OpenVocabularySam(nn.Module):
    """CLIP's image tower, a neck to SAM's embedding, SAM's prompts and a decoder with labels.

    Keys: `visual` (open_clip), `neck_student`, `prompt_encoder` (SAM), `mask_decoder`, `fpn_neck`.
    """

    def __init__(self, sizes: OvsamSizes = PUBLISHED) -> None:
        super().__init__()
        self.sizes = sizes
        channels, width = sizes.clip.channels, sizes.neck.output
        self.visual = clip_tower(sizes.clip)
        self.neck_student = Sam2ClipNeck(channels, sizes.neck)
        self.prompt_encoder = PromptEncoder(width, sizes.neck.grid, sizes.neck.side)
        self.mask_decoder = LabelDecoder(width, sizes.clip.vectors, sizes.hidden)
        self.fpn_neck = FeaturePyramid(channels, width)

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Normalised, padded images (B, 3, S, S) to their features."""
        steps = self.encoding(pixels)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                features: ImageFeatures = end.value
                return features

    def encoding(self, pixels: Tensor) -> Generator[str, None, ImageFeatures]:
        """`encode` in `step_count` steps; each yields the part of the network it has just run."""
        found: list[Tensor] = []
        for features in levels(self.visual, pixels):
            found.append(features)
            yield "backbone"
        states = []
        for state in self.neck_student.steps(found):
            states = [state]
            yield "neck"
        pyramid = tuple(self.fpn_neck(found))
        yield "pyramid"
        return ImageFeatures(states[0], pyramid, found[-1])

    @property
    def step_count(self) -> int:
        """Steps of `encoding`: CLIP's stages, the neck's blocks and both its ends, the pyramid."""
        return len(self.sizes.clip.layers) + self.sizes.neck.depth + 3

    def decode(
        self,
        image: Tensor,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts on one embedding; coordinates in the frame of the network.

        Args:
            image: (1, C, S / 16, S / 16).
            points: coordinates (B, N, 2) and labels (B, N). The network was trained with positive
                points; the embedding of negative ones is SAM's.
            boxes: (B, 4).

        Returns:
            Logits (B, S / 4, S / 4) and tokens (B, 2 + N', C), see `LabelDecoder.forward`.
        """
        sparse, dense = self.prompt_encoder(points, boxes)
        positions = self.prompt_encoder.dense_positions()
        result: tuple[Tensor, Tensor] = self.mask_decoder(image, positions, sparse, dense)
        return result

    def vectors(self, pyramid: Sequence[Tensor], boxes: Tensor, side: int = POOLED) -> Tensor:
        """Vectors (n, d) of whatever lies in boxes (n, 4) of the frame, not normalised.

        Args:
            pyramid: of one image, see `ImageFeatures`.
            boxes: in pixels of the frame; boxes without area give zeros.
            side: see `regions.POOLED`.
        """
        return self.mask_decoder.vectors(read_pyramid(pyramid, boxes, side))

    def clip_vectors(self, clip: Tensor, boxes: Tensor) -> Tensor:
        """Vectors (n, d) that frozen CLIP itself gives boxes, for the ensemble."""
        regions = read_regions(clip, boxes, 32, self.sizes.clip.pool_side)
        found: Tensor = self.visual.attnpool(regions)  # type: ignore[operator]
        return found


def narrow_ovsam(seed: int = 0) -> OpenVocabularySam:
    """A small network with random weights, for tests in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = OpenVocabularySam(NARROW)
        for name, value in (*network.named_parameters(), *network.named_buffers()):
            if "pos" in name or name.endswith("bn3.weight"):
                nn.init.normal_(value, std=0.5)
    return network.eval()
