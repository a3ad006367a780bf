"""EdgeSAM: encoder, prompt encoder and mask decoder under the published keys."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.networks.edgesam.repvit import RepVit, RepVitWidths, Upsampling
from models.networks.sam import Sam

SIDE = 1024
NARROW = RepVitWidths(stages=(8, 8, 16, 16), blocks=(2, 1, 3, 2), output=64)


class EdgeSam(Sam):
    """EdgeSAM; `EdgeSam().load_state_dict(torch.load("edge_sam.pth"))` is strict.

    Args:
        widths: sizes of the encoder; `NARROW` makes a network for tests in milliseconds.
        upsampling: how the neck doubles its coarse branch: "bicubic" as trained, "bilinear" as
            in exported files.
        hidden: width of the MLPs in the decoder's transformer.
        side: side of the square network input in pixels, a multiple of 32.
    """

    image_encoder: RepVit
    usual_masks = 4

    def __init__(
        self,
        widths: RepVitWidths | None = None,
        upsampling: Upsampling = "bicubic",
        hidden: int = 2048,
        side: int = SIDE,
    ) -> None:
        sizes = widths or RepVitWidths()
        super().__init__(RepVit(sizes, upsampling), sizes.output, side, hidden)

    @property
    def upsampling(self) -> Upsampling:
        """How the neck doubles its coarse branch."""
        return self.image_encoder.fuse_stage3.mode

    @upsampling.setter
    def upsampling(self, mode: Upsampling) -> None:
        self.image_encoder.fuse_stage3.mode = mode


def full_size_logits(
    logits: Tensor, resized: tuple[int, int], size: tuple[int, int], side: int = SIDE
) -> Tensor:
    """Logits at the size of the image, the way the original defines it, in two steps.

    Args:
        logits: (B, M, h, w) of the decoder.
        resized: height and width of the image inside the padded frame.
        size: height and width of the image.
        side: side of the padded frame.
    """
    large = functional.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
    large = large[..., : resized[0], : resized[1]]
    return functional.interpolate(large, size, mode="bilinear", align_corners=False)


def narrow_edge_sam(seed: int = 0) -> EdgeSam:
    """A small EdgeSAM with random weights that still depends on image and prompts, for tests."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EdgeSam(NARROW, hidden=64)
    return network.eval()
