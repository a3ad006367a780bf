"""Answers of models as masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from annotator.core import raster
from models.api import Embedding, MaskCandidate, PieceSegmenter, Segmenter

if TYPE_CHECKING:
    from annotator.core.mask import Mask


def mask_of(segmenter: Segmenter, embedding: Embedding, candidate: MaskCandidate) -> Mask:
    """The candidate at the size of the image."""
    if not isinstance(segmenter, PieceSegmenter):
        return raster.from_array(segmenter.render(embedding, candidate))
    x, y, pixels = segmenter.render_piece(embedding, candidate)
    return raster.from_crop(raster.Crop(x, y, pixels), embedding.width, embedding.height)
