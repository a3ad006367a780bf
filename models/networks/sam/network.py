"""The whole of a network in SAM's layout: image encoder, prompt encoder, mask decoder."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from models.networks.sam.mask_decoder import MaskDecoder
from models.networks.sam.prompt_encoder import PromptEncoder, prompts_at


class Sam(nn.Module):
    """Any image encoder whose embedding SAM's decoder understands.

    Keys: `image_encoder`, `prompt_encoder`, `mask_decoder`, as published.

    Args:
        image_encoder: (B, 3, S, S) to (B, C, S / 16, S / 16).
        channels: C.
        side: S at the size of training.
        hidden: width of the MLPs in the decoder's transformer.
    """

    usual_masks: Literal[1, 3, 4] = 3
    """How many masks answer when nothing is said: what the network was trained to give."""

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
        num_multimask_outputs: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts on one embedding; coordinates in the frame of the network.

        Args:
            embedding: (1, C, G, G), of any size the image encoder allows.
            points: coordinates (B, N, 2) and labels (B, N).
            boxes: (B, 4).
            masks: (B, 1, 4 G, 4 G) logits of an earlier answer; EdgeSAM was never trained with
                them.
            num_multimask_outputs: 1 (token 0) for unambiguous prompts, 3 (tokens 1 to 3) for
                ambiguous ones, or 4; `usual_masks` when None.

        Returns:
            Logits (B, M, 4 G, 4 G) and predicted IoU (B, M).
        """
        prompts = prompts_at(self.prompt_encoder, embedding.shape[-1])
        sparse, dense = prompts(points, boxes, masks)
        result: tuple[Tensor, Tensor] = self.mask_decoder(
            embedding,
            prompts.dense_positions(),
            sparse,
            dense,
            num_multimask_outputs or self.usual_masks,
        )
        return result

    def forward(
        self,
        image: Tensor,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        num_multimask_outputs: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Normalised, padded image (1, 3, S, S) and prompts to logits and predicted IoU."""
        return self.decode(self.image_encoder(image), points, boxes, None, num_multimask_outputs)
