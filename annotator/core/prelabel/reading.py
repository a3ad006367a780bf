"""How a run reads images: only as much of them as is needed. The same wherever it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core import images
from models.api import ReducingSegmenter, Segmenter

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.core.prelabel.pipeline import Read
    from annotator.core.prelabel.proposing import ProposalSource


def reader(folder: Path, segmenter: Segmenter, source: ProposalSource) -> Read:
    """Reads images of a folder for `propose`; for any number of threads.

    A smaller picture of a large JPEG takes a third of the time of the whole. It must do for the
    network, and nobody may want to look at the objects, so that the same image is always read in
    the same way, whatever else is done with it.

    Args:
        folder: of the images.
        segmenter: what they are read for.
        source: decides whether objects are looked at.

    Returns:
        From a key to the image, complete or a preview; raises UserError.
    """
    side = segmenter.seen_side if isinstance(segmenter, ReducingSegmenter) else None

    def read(key: str) -> LoadedImage:
        path = folder / key
        if side is not None and source.names_all(key):
            image = images.load_preview(key, path, side)
        else:
            image = images.load(key, path)
        # Nobody looks at the samples of more than 8 bits, which take twice as much as the pixels.
        return replace(image, samples=None)

    return read
