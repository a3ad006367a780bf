"""SAM and MobileSAM in onnxruntime: half torch's time, and torch never enters the program.

The graphs are exported from the checkpoint the first time, by a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.edgesam.graphs import Graphs
from models.exporting import FORMAT, export_once
from models.onnx_session import Session, open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.folded_parts import Cells, Floats
    from models.sam_family.segmenter import Encoder, MaskedDecoder

PROGRAM = "models.sam_family.export"
MASK = "mask.onnx"
"""What a mask that is given adds to the embedding."""


def exported(
    model_id: str, title: str, checkpoint: Path, fingerprint: str, cache: Path | None = None
) -> Graphs:
    """Graphs of a checkpoint, made if need be, which takes up to a minute.

    Args:
        model_id: which network.
        title: what it is called, for messages.
        checkpoint: its weights.
        fingerprint: names their content.
        cache: folder for graphs; by default the user's cache folder.

    Raises:
        ModelError: the file does not fit the network, or the graphs cannot be written.
    """
    folder = export_once(
        f"{model_id}-{fingerprint}", cache, PROGRAM, [model_id, title, str(checkpoint)], title
    )
    return Graphs(folder / "encoder.onnx", folder, f"{fingerprint}-onnx-{FORMAT}")


class Runtime(Protocol):
    """Encoder and decoder that take any size."""

    @property
    def encoder(self) -> Encoder:
        """Any size of image."""

    @property
    def decoder(self) -> MaskedDecoder:
        """Any size of embedding."""


class GraphEncoder:
    """The exported encoder at the size of its graph, another runtime at other sizes."""

    def __init__(self, graphs: Graphs, others: Callable[[], Runtime]) -> None:
        self._network = graphs.encoder_network()
        self._others = others

    @property
    def precision(self) -> str:
        """See `segmenter.Encoder.precision`."""
        return self._network.precision

    @property
    def device(self) -> str:
        """See `segmenter.Encoder.device`."""
        return self._network.device

    def encode(self, pixels: Floats) -> Floats:
        """See `segmenter.Encoder.encode`."""
        if list(pixels.shape) != self._network.input_shape:
            return self._others().encoder.encode(pixels)
        (found,) = self._network.run({"image": pixels})
        result: Floats = np.asarray(found, np.float32)[0]
        return result


class GraphDecoder:
    """The folded decoder for embeddings of its size, another runtime for others.

    Args:
        graphs: the exported network.
        grid: side of the embeddings the graphs take, in cells.
        others: answers for embeddings of other sizes.
    """

    def __init__(self, graphs: Graphs, grid: int, others: Callable[[], Runtime]) -> None:
        self._folded = graphs.open_decoder()
        self._mask_file = graphs.decoder / MASK
        self._mask: Session | None = None
        self._grid = grid
        self._others = others

    def masked(self, logits: Floats) -> Floats:
        """See `segmenter.MaskedDecoder.masked`; graphs of earlier versions have no such part."""
        usual = logits.shape[-1] == 4 * self._grid
        if not usual or not self._mask_file.is_file():
            return self._others().decoder.masked(logits)
        if self._mask is None:
            self._mask = open_session(self._mask_file)
        (added,) = self._mask.run(None, {"logits": np.ascontiguousarray(logits, np.float32)})
        return np.asarray(added, np.float32)

    def prepare(self, image: Floats) -> dict[str, Floats]:
        """See `models.onnx_decoder.Decoder.prepare`."""
        return self._folded.prepare(image) if image.shape[-1] == self._grid else {}

    def decode(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
        focus: Cells,
    ) -> list[tuple[Floats, Floats]]:
        """See `models.onnx_decoder.Decoder.decode`."""
        usual = arrays["image"].shape[-1] == self._grid
        decoder = self._folded if usual else self._others().decoder
        return decoder.decode(arrays, coords, labels, chosen, focus)
