"""Any checkpoint of the family as ONNX graphs, each compared with torch: `annotator models export`.

As a program: `python -m models.sam_family.export_any CHECKPOINT FOLDER`. What the graphs take and
return is described with the functions that write them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch  # noqa: TID253
from torch import Tensor, nn  # noqa: TID253

from models.api import ModelError
from models.checkpoints import read_checkpoint
from models.exporting import REFUSED
from models.networks.edgesam import EdgeSam, merge_branches
from models.networks.edgesam import export as edgesam
from models.networks.efficientsam import VIT_S, VIT_T, EfficientSam
from models.networks.fastsam import FastSam, sizes_of
from models.networks.folded import export_module
from models.networks.mobilesam import mobile_sam
from models.networks.sam import Sam
from models.networks.sam_vit import VIT_B, VIT_H, VIT_L, sam_vit
from models.onnx_decoder import FoldedDecoder
from models.onnx_session import open_session
from models.runtimes import using
from models.sam_family import fast, fast_files
from models.sam_family.efficient import TOKENS
from models.sam_family.export import export_all
from models.sam_family.torch_efficient import read_weights
from models.sam_family.torch_runtime import filled

TOLERANCE = 5e-4
"""How far a result may be from torch's, in units of its size where that is over 1."""

NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "EdgeSAM": EdgeSam,
    "SAM ViT-B": lambda: sam_vit(VIT_B),
    "SAM ViT-L": lambda: sam_vit(VIT_L),
    "SAM ViT-H": lambda: sam_vit(VIT_H),
    "MobileSAM": mobile_sam,
    "EfficientSAM-Ti": lambda: EfficientSam(VIT_T),
    "EfficientSAM-S": lambda: EfficientSam(VIT_S),
}
"""Recognised by their keys and shapes; FastSAM, which comes as a pickle, by its own reader."""

Differences = dict[str, float]
"""By what was exported: the largest difference from torch."""


def load(checkpoint: Path) -> nn.Module:
    """The network of a checkpoint, whichever it is.

    Raises:
        ModelError: damaged, half a network, or none of the family.
    """
    state = _read(checkpoint)
    if state is None or sizes_of(state) is not None:
        return fast_files.load_network(checkpoint, "FastSAM")
    title = recognised(state)
    if title is None:
        raise ModelError(
            f"“{checkpoint.name}” holds the weights of another network. These can be exported: "
            f"{', '.join(NETWORKS)}, FastSAM."
        )
    return filled(NETWORKS[title], state, checkpoint, title)


def recognised(state: Mapping[str, Tensor]) -> str | None:
    """Which of `NETWORKS` has most of these keys and shapes; None if all have none."""
    fits = {title: _fits(build, state) for title, build in NETWORKS.items()}
    title = max(fits, key=lambda name: fits[name])
    return title if fits[title] else None


def _read(checkpoint: Path) -> Mapping[str, Tensor] | None:
    """The tensors; None for a pickled network, which only FastSAM's reader understands."""
    if checkpoint.suffix == ".zip":
        return read_weights(checkpoint)
    try:
        return read_checkpoint(checkpoint)
    except ModelError:
        if checkpoint.suffix in (".pt", ".safetensors") and checkpoint.is_file():
            return None
        raise


def _fits(build: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> float:
    """Which part of a network's entries a state dict has, 0 to 1."""
    with torch.device("meta"):
        wanted = build().state_dict()
    same = [
        key for key, value in wanted.items() if key in state and state[key].shape == value.shape
    ]
    return len(same) / len(wanted)


def export(network: nn.Module, folder: Path) -> Differences:
    """Write the graphs of a network and compare them with it.

    Raises:
        ModelError: a graph computes something else.
    """
    with using("exact"), torch.no_grad():
        if isinstance(network, Sam):
            found = _export_sam(network, folder)
        elif isinstance(network, EfficientSam):
            found = _export_efficient(network, folder)
        else:
            assert isinstance(network, FastSam)
            found = _export_fast(network, folder)
    for name, difference in found.items():
        if not difference <= TOLERANCE:
            raise ModelError(
                f"Nothing was written: {name} would differ from torch by {difference:.1e}, which "
                "is too much. Try another version of torch or onnxruntime."
            )
    return found


def _export_sam(network: Sam, folder: Path) -> Differences:
    """`encoder.onnx` and the folded decoder."""
    side = network.prompt_encoder.side
    pixels = _noise(1, 3, side, side)
    image = network.image_encoder(pixels)
    if isinstance(network, EdgeSam):
        edgesam.export_all(network, folder)
    else:
        merge_branches(network.image_encoder)
        export_all(network, folder)
    (found,) = open_session(folder / "encoder.onnx").run(None, {"image": pixels.numpy()})
    worst = _difference_of_folded(network, folder, image)
    return {"encoder.onnx": _difference(found, image), "the decoder": worst}


def _difference_of_folded(network: Sam, folder: Path, image: Tensor) -> float:
    """How far the folded decoder is from the network's for a click and a box, all masks."""
    side, grid = network.prompt_encoder.side, network.prompt_encoder.grid
    coords = torch.tensor([[[0.3 * side, 0.4 * side], [0.6 * side, 0.9 * side]]])
    embedding = image[0].numpy()
    decoder = FoldedDecoder(folder)
    arrays = {"image": embedding, **decoder.prepare(embedding)}
    every = np.ones((1, grid, grid), np.bool_)
    worst = 0.0
    for labels in ([1.0, -1.0], [2.0, 3.0]):
        kinds = torch.tensor([labels])
        (answers,) = decoder.decode(arrays, coords.numpy(), kinds.numpy(), (0, 1, 2, 3), every)
        prompts = network.prompt_encoder
        truth = network.mask_decoder.decode_all(
            image,
            prompts.dense_positions(),
            prompts.embed_tokens(coords, kinds),
            prompts.no_mask_embed.weight.reshape(1, -1, 1, 1),
        )
        worst = max(worst, *(_difference(a, b[0]) for a, b in zip(answers, truth, strict=True)))
    return worst


class _EfficientPrompts(nn.Module):
    """Embedding and prompts of six tokens to logits and predicted IoU."""

    def __init__(self, network: EfficientSam) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits, quality = self.network.decode(image, coords, labels)
        return quality, logits


def _export_efficient(network: EfficientSam, folder: Path) -> Differences:
    """`encoder.onnx`, and `decoder.onnx` for prompts filled up with (-1, -1), label -1."""
    side = network.prompt_encoder.side
    pixels = _noise(1, 3, side, side)
    image = network.image_encoder(pixels)
    coords = torch.full((1, TOKENS, 2), -1.0)
    coords[0, :2] = torch.tensor([[0.2, 0.3], [0.6, 0.9]]) * side
    labels = torch.tensor([[2.0, 3.0, -1.0, -1.0, -1.0, -1.0]])
    export_module(
        network.image_encoder, (pixels,), folder / "encoder.onnx", ("image",), ("image_embeddings",)
    )
    names = ("image_embeddings", "point_coords", "point_labels")
    prompt = (image, coords, labels)
    decoder = _EfficientPrompts(network)
    export_module(decoder, prompt, folder / "decoder.onnx", names, ("scores", "masks"))
    (found,) = open_session(folder / "encoder.onnx").run(None, {"image": pixels.numpy()})
    feeds = {name: value.numpy() for name, value in zip(names, prompt, strict=True)}
    answers = open_session(folder / "decoder.onnx").run(None, feeds)
    worst = max(map(_difference, answers, decoder(*prompt)))
    return {"encoder.onnx": _difference(found, image), "decoder.onnx": worst}


def _export_fast(network: FastSam, folder: Path) -> Differences:
    """`fastsam.onnx` with the signature of ultralytics' export."""
    pixels = _noise(1, 3, fast.SIDE, fast.SIDE).sigmoid()
    path = folder / "fastsam.onnx"
    export_module(network, (pixels,), path, ("images",), ("output0", "output1"))
    session = open_session(path)
    fast_files.check_signature(session, path.name)
    found = session.run(None, {"images": pixels.numpy()})
    return {path.name: max(map(_difference, found, network(pixels)))}


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _difference(found: object, truth: Tensor) -> float:
    """The largest, in units of the value where that is over 1; NaN if there is one."""
    known = truth.numpy()
    relative = np.abs(np.asarray(found) - known) / np.maximum(1, np.abs(known))
    return float(relative.max())


def main(arguments: list[str]) -> int:
    """Export a checkpoint into a folder and tell the differences; errors go to stderr."""
    checkpoint, folder = map(Path, arguments)
    try:
        for name, difference in export(load(checkpoint), folder).items():
            sys.stdout.write(f"{name} differs from torch by at most {difference:.1e}\n")
    except ModelError as error:
        sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        sys.stderr.write(f"{error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
