"""An image encoder with SAM's prompt encoder and mask decoder, under the published keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.sam import MaskDecoder, PromptEncoder
from models.networks.sam_vit.encoder import SamVit, VitSizes
from models.networks.sam_vit.high_resolution import prompts_at

NARROW = VitSizes(32, 3, 2, (1,), window=3, side=128, output=64)


class Sam(nn.Module):
    """Any image encoder whose embedding SAM's decoder understands.

    `sam_vit(VIT_B).load_state_dict(torch.load("sam_vit_b_01ec64.pth"))` is strict.

    Args:
        image_encoder: (B, 3, S, S) to (B, C, S / 16, S / 16).
        channels: C.
        side: S at the size of training.
        hidden: width of the MLPs in the decoder's transformer.
    """

    def __init__(
        self, image_encoder: nn.Module, channels: int = 256, side: int = 1024, hidden: int = 2048
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(channels, side // 16, side)
        self.mask_decoder = MaskDecoder(channels, hidden=hidden, quality_hidden=channels)

    def decode(
        self,
        embedding: Tensor,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        num_multimask_outputs: int = 3,
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts on one embedding; coordinates in the frame of the network.

        Args:
            embedding: (1, C, G, G), of any size `high_resolution.encode_at` allows.
            points: coordinates (B, N, 2) and labels (B, N).
            boxes: (B, 4).
            masks: (B, 1, 4 G, 4 G) logits of an earlier answer.
            num_multimask_outputs: 1 (token 0) for unambiguous prompts, 3 (tokens 1 to 3) for
                ambiguous ones, or 4.

        Returns:
            Logits (B, M, 4 G, 4 G) and predicted IoU (B, M).
        """
        prompts = prompts_at(self.prompt_encoder, embedding.shape[-1])
        sparse, dense = prompts(points, boxes, masks)
        result: tuple[Tensor, Tensor] = self.mask_decoder(
            embedding, prompts.dense_positions(), sparse, dense, num_multimask_outputs
        )
        return result

    def forward(
        self,
        image: Tensor,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        num_multimask_outputs: int = 3,
    ) -> tuple[Tensor, Tensor]:
        """Normalised, padded image (1, 3, S, S) and prompts to logits and predicted IoU."""
        return self.decode(self.image_encoder(image), points, boxes, None, num_multimask_outputs)


def sam_vit(sizes: VitSizes, hidden: int = 2048) -> Sam:
    """SAM with one of its own encoders."""
    return Sam(SamVit(sizes), sizes.output, sizes.side, hidden)


def narrow_sam(seed: int = 0) -> Sam:
    """A small SAM with random weights, position tables included, for tests in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = sam_vit(NARROW, hidden=64)
        for name, value in network.named_parameters():
            if "pos" in name:
                nn.init.normal_(value, std=0.5)
    return network.eval()
