"""ONNX graphs for EdgeSAM: exported once from a checkpoint, or official files as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.api import ModelError
from models.exporting import FORMAT, export_once
from models.onnx_decoder import Decoder, FoldedDecoder, PlainDecoder
from models.onnx_session import Session, open_session
from models.runtimes import Network
from models.weight_files import file_hash

EXPORTER = "models.networks.edgesam.export"


@dataclass(frozen=True, slots=True)
class Graphs:
    """Where a runnable EdgeSAM lies.

    Attributes:
        encoder: the encoder's graph.
        decoder: an official decoder's graph, or the folder of a folded one.
        fingerprint: changes with weights, graphs and up-sampling: part of the key of caches.
    """

    encoder: Path
    decoder: Path
    fingerprint: str

    def open_decoder(self) -> Decoder:
        """Load the decoder.

        Raises:
            ModelError: the file is damaged or another model.
        """
        if self.decoder.is_dir():
            return FoldedDecoder(self.decoder)
        session = open_session(self.decoder, arena=True)
        check_decoder(session, self.decoder.name)
        return PlainDecoder(session)

    def encoder_network(self) -> Network:
        """The encoder, which is opened by its first use and refused then if it is another model."""
        official = not self.decoder.is_dir()

        def check(session: Session) -> None:
            check_encoder(session, self.encoder.name)

        return Network(self.encoder, lossy=True, check=check if official else None)


def from_checkpoint(checkpoint: Path, cache: Path | None = None) -> Graphs:
    """Graphs of an `edge_sam.pth`; the first time they are exported, which takes seconds.

    The export runs in a process of its own, so that torch never enters this one.

    Args:
        checkpoint: the file.
        cache: folder for exported graphs; by default the user's cache folder.

    Raises:
        ModelError: the file does not fit EdgeSAM, or the graphs cannot be written.
    """
    digest = file_hash(checkpoint)[:16]
    folder = export_once(
        f"edgesam-{digest}",
        cache,
        EXPORTER,
        [str(checkpoint)],
        f"EdgeSAM from “{checkpoint.name}”",
    )
    return Graphs(folder / "encoder.onnx", folder, f"{digest}-bicubic-{FORMAT}")


def from_official(encoder: Path, decoder: Path) -> Graphs:
    """The two official ONNX files, which up-sample bilinearly inside the encoder.

    Raises:
        ModelError: a file cannot be read.
    """
    digests = file_hash(encoder)[:16], file_hash(decoder)[:8]
    return Graphs(encoder, decoder, f"{digests[0]}-{digests[1]}-bilinear")


def check_encoder(session: Session, name: str) -> None:
    """Refuse a graph whose signature is not that of the official EdgeSAM encoder.

    Raises:
        ModelError: saying what it is instead, where that is known.
    """
    if _inputs(session) == {"image": [1, 3, 1024, 1024]} and [
        value.shape for value in session.get_outputs()
    ] == [[1, 256, 64, 64]]:
        return
    shapes = [value.shape for value in session.get_inputs()]
    if len(shapes) == 1 and not all(isinstance(size, int) for size in shapes[0]):
        raise ModelError(
            f"“{name}” takes images of any size: it is an encoder as X-AnyLabeling exports it. "
            "What it does with raw pixels inside is published nowhere, so its answers cannot be "
            "vouched for. Get the official files in Settings, Model, or with: annotator models "
            "get edgesam-3x"
        )
    raise ModelError(f"“{name}” is not an EdgeSAM encoder. {_described(session)}")


def check_decoder(session: Session, name: str) -> None:
    """Refuse a graph whose signature is not that of the official EdgeSAM decoder.

    Raises:
        ModelError: saying what it is instead, where that is known.
    """
    inputs = _inputs(session)
    names = {"image_embeddings", "point_coords", "point_labels"}
    if set(inputs) == names and inputs["image_embeddings"] == [1, 256, 64, 64]:
        if {value.name for value in session.get_outputs()} == {"scores", "masks"}:
            return
    elif names < set(inputs) and "has_mask_input" in inputs:
        raise ModelError(
            f"“{name}” is a Segment Anything decoder with mask input, not the one of EdgeSAM."
        )
    raise ModelError(f"“{name}” is not an EdgeSAM decoder. {_described(session)}")


def _inputs(session: Session) -> dict[str, list[object]]:
    return {value.name: list(value.shape) for value in session.get_inputs()}


def _described(session: Session) -> str:
    inputs = ", ".join(f"{name} {shape}" for name, shape in _inputs(session).items())
    outputs = ", ".join(f"{value.name} {value.shape}" for value in session.get_outputs())
    return f"It takes {inputs} and returns {outputs}."
