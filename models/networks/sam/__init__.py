"""The parts every network of the SAM family shares: prompt encoder and mask decoder."""

from models.networks.sam.layers import LayerNorm2d, Mlp
from models.networks.sam.mask_decoder import MaskDecoder, select_tokens, stability_score
from models.networks.sam.prompt_encoder import PromptEncoder
from models.networks.sam.transformer import TwoWayTransformer

__all__ = [
    "LayerNorm2d",
    "MaskDecoder",
    "Mlp",
    "PromptEncoder",
    "TwoWayTransformer",
    "select_tokens",
    "stability_score",
]
