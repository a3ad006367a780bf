"""An EdgeSAM with random weights whose masks are drawn: a disc around every click.

The weights decide nothing about time but how many cells have to be exact, and random masks are
noise all over. So everything is computed as usual, and the samples that decide about cells, and
the finished logits, are replaced by those of a disc of 15 % of the frame.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.api import Segmenter
    from models.onnx_decoder import Cells, Floats, FoldedDecoder, Trunk

SHARE = 0.15
SIDE = 256
BOX = 2
"""Label of the corner a box begins with."""
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

    known = registry.segmenters()
    spec = replace(known[MODEL], load=lambda: load(folder), available=lambda: None)
    registry.segmenters = lambda: {**known, MODEL: spec}


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
    from models.folded_parts import Parts, Trunk
    from models.onnx_decoder import FoldedDecoder

    large = disc(SHARE / 4, 2 * SIDE, 2.0)

    def around(place: Floats) -> Floats:
        x, y = (int(SIDE - min(max(value, 0), SIDE)) for value in place / 4)
        return large[y : y + SIDE, x : x + SIDE]

    @dataclass(frozen=True, eq=False)
    class DrawnTrunk(Trunk):
        places: Floats

        def logits(self, prompt: int, exact: Cells) -> Floats:
            full = super().logits(prompt, exact)
            full[:] = around(self.places[prompt])
            return full

    class Drawing:
        """Computes everything and returns discs."""

        def __init__(self, parts: Parts) -> None:
            self._parts = parts

        def trunks(
            self, arrays: object, coords: Floats, labels: Floats, chosen: Sequence[int]
        ) -> Iterator[Trunk]:
            # Of a box the middle.
            places = coords.mean(axis=1) if labels[0, 0] == BOX else coords[:, 0]
            for found in self._parts.trunks(arrays, coords, labels, chosen):
                here, places = places[: len(found.coarse)], places[len(found.coarse) :]
                drawn = np.stack([around(place)[2::4, 2::4] for place in here])
                drawn = np.repeat(drawn[:, None], found.coarse.shape[1], axis=1)
                yield DrawnTrunk(found.quality, drawn, found.compute, here)

    class Drawn(FoldedDecoder):
        """The decoder made of such parts."""

        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self._parts: Parts = Drawing(self._parts)

        def _crew(self, count: int) -> Parts:
            return Drawing(super()._crew(count))

    return Drawn(folder)


__all__: Sequence[str] = ("MODEL", "disc", "export", "install", "load")
