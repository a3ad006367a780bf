"""EdgeSAM: encoder, prompt encoder and mask decoder under the published keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.edgesam.repvit import RepVit, RepVitWidths, Upsampling
from models.networks.sam import MaskDecoder, PromptEncoder

SIDE = 1024
NARROW = RepVitWidths(stages=(8, 8, 16, 16), blocks=(2, 1, 3, 2), output=64)


class EdgeSam(nn.Module):
    """EdgeSAM; `EdgeSam().load_state_dict(torch.load("edge_sam.pth"))` is strict.

    Args:
        widths: sizes of the encoder; `NARROW` makes a network for tests in milliseconds.
        upsampling: how the neck doubles its coarse branch: "bicubic" as trained, "bilinear" as
            in exported files.
        hidden: width of the MLPs in the decoder's transformer.
        side: side of the square network input in pixels, a multiple of 32.
    """

    def __init__(
        self,
        widths: RepVitWidths | None = None,
        upsampling: Upsampling = "bicubic",
        hidden: int = 2048,
        side: int = SIDE,
    ) -> None:
        super().__init__()
        sizes = widths or RepVitWidths()
        self.image_encoder = RepVit(sizes, upsampling)
        self.prompt_encoder = PromptEncoder(sizes.output, side // 16, side)
        self.mask_decoder = MaskDecoder(sizes.output, hidden=hidden, quality_hidden=sizes.output)

    @property
    def upsampling(self) -> Upsampling:
        """How the neck doubles its coarse branch."""
        return self.image_encoder.fuse_stage3.mode

    @upsampling.setter
    def upsampling(self, mode: Upsampling) -> None:
        self.image_encoder.fuse_stage3.mode = mode

    def decode(
        self,
        embedding: Tensor,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        num_multimask_outputs: int = 4,
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts on one embedding (1, C, G, G); coordinates in the network frame.

        Args:
            embedding: what `image_encoder` returned for one image.
            points: coordinates (B, N, 2) and labels (B, N).
            boxes: (B, 4).
            masks: (B, 1, 4 G, 4 G) logits of an earlier answer; EdgeSAM was never trained with
                them.
            num_multimask_outputs: 1, 3 or 4.

        Returns:
            Logits (B, M, 4 G, 4 G) and the (untrained) quality head's output (B, M).
        """
        sparse, dense = self.prompt_encoder(points, boxes, masks)
        result: tuple[Tensor, Tensor] = self.mask_decoder(
            embedding, self.prompt_encoder.dense_positions(), sparse, dense, num_multimask_outputs
        )
        return result

    def forward(
        self,
        image: Tensor,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        num_multimask_outputs: int = 4,
    ) -> tuple[Tensor, Tensor]:
        """Normalised, padded image (1, 3, S, S) and prompts to logits and quality."""
        return self.decode(self.image_encoder(image), points, boxes, None, num_multimask_outputs)


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
