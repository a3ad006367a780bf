"""An EdgeSAM with random weights whose masks are drawn: a disc around every click.

The weights decide nothing about time but how many cells have to be exact, and random masks are
noise all over. So everything is computed as usual, and the samples that decide about cells, and
the finished logits, are replaced by those of a disc of 15 % of the frame.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.api import Segmenter
    from models.onnx_decoder import Cells, Floats, FoldedDecoder, Trunk

SHARE = 0.15
SIDE = 256
MODEL = "edgesam"


def disc(share: float, count: int, soft: float) -> Floats:
    """Logits (count, count) of a disc that covers this share of the frame."""
    radius = count * np.sqrt(share / np.pi)
    y, x = np.mgrid[:count, :count] + 0.5
    return ((radius - np.hypot(x - count / 2, y - count / 2)) / soft).astype(np.float32)


def export(folder: Path) -> None:
    """Write all graphs of an EdgeSAM with random weights, and `plain.onnx`; in another process."""
    code = f"import drawn_edgesam; drawn_edgesam.write({str(folder)!r})"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    program = f"import sys; sys.path[:0] = {paths!r}; {code}"
    subprocess.run([sys.executable, "-c", program], check=True)


def write(folder: str) -> None:
    """What `export` does; imports torch."""
    import torch

    from models.networks.edgesam import EdgeSam
    from models.networks.edgesam.export import export_all
    from models.networks.folded import export_plain

    torch.manual_seed(0)
    network = EdgeSam().eval()
    export_all(network, Path(folder))
    export_plain(network.prompt_encoder, network.mask_decoder, Path(folder) / "plain.onnx")


def install(folder: Path) -> None:
    """Let the program's `MODEL` be the network of this folder."""
    from models import registry

    specs = registry.segmenters()
    specs[MODEL] = replace(
        specs[MODEL],
        load=lambda: load(folder),
        available=lambda: None,
    )


def load(folder: Path) -> Segmenter:
    """The segmenter."""
    from models.edgesam.graphs import Graphs
    from models.edgesam.segmenter import EdgeSamSegmenter
    from models.registry import segmenters

    class DrawnGraphs(Graphs):
        def open_decoder(self) -> FoldedDecoder:
            return _drawn(self.decoder)

    graphs = DrawnGraphs(folder / "encoder.onnx", folder, "random")
    return EdgeSamSegmenter(segmenters()[MODEL], graphs)


def _drawn(folder: Path) -> FoldedDecoder:
    from models.onnx_decoder import FoldedDecoder

    class Drawn(FoldedDecoder):
        """Computes everything and returns discs."""

        large = disc(SHARE / 4, 2 * SIDE, 2.0)
        centre = (0.0, 0.0)

        def trunk(self, arrays: object, coords: Floats, *rest: object, **options: object) -> Trunk:
            found = super().trunk(arrays, coords, *rest, **options)
            self.centre = tuple(coords[0, 0] / 4)
            drawn = np.repeat(self._disc()[None, None, 2::4, 2::4], found.coarse.shape[1], axis=1)
            return replace(found, coarse=np.ascontiguousarray(drawn))

        def logits(self, trunk: Trunk, prompt: int, exact: Cells) -> Floats:
            full = super().logits(trunk, prompt, exact)
            full[:] = self._disc()
            return full

        def _disc(self) -> Floats:
            x, y = (int(SIDE - min(max(value, 0), SIDE)) for value in self.centre)
            return self.large[y : y + SIDE, x : x + SIDE]

    return Drawn(folder)


__all__: Sequence[str] = ("MODEL", "disc", "export", "install", "load")
