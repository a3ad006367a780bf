"""What every network of the SAM family shares: prompt encoder, mask decoder, how they join."""

from models.networks.sam.layers import LayerNorm2d, Mlp
from models.networks.sam.mask_decoder import (
    MaskDecoder,
    attend,
    masks_of,
    select_tokens,
    stability_score,
    upscaling,
)
from models.networks.sam.network import Sam
from models.networks.sam.prompt_encoder import PromptEncoder, prompts_at
from models.networks.sam.transformer import TwoWayTransformer

__all__ = [
    "LayerNorm2d",
    "MaskDecoder",
    "Mlp",
    "PromptEncoder",
    "Sam",
    "TwoWayTransformer",
    "attend",
    "masks_of",
    "prompts_at",
    "select_tokens",
    "stability_score",
    "upscaling",
]
