"""A trained Loupe as the two ONNX graphs that ship."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.api import ModelError
from models.loupe import windows as geometry
from models.networks.folded import export_module
from models.networks.loupe import Loupe, Questions
from models.segmenters.loupe import GRAPHS
from models.training.checkpoints import fill, read_checkpoint, write_checkpoint
from models.training.loop import FORMAT, as_config
from models.weight_files import put_in_place

WEIGHTS_FORMAT = "annotator-loupe-weights-1"
HALVED = 512
"""Weights with at least this many numbers are stored with 16 bits."""


class _Encoder(nn.Module):
    def __init__(self, network: Loupe) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = self.network.encoder(image.permute(0, 3, 1, 2).float() / 255.0)
        return maps


class _Decoder(nn.Module):
    def __init__(self, network: Loupe) -> None:
        super().__init__()
        self.network = network

    def forward(self, coarse: Tensor, fine: Tensor, *questions: Tensor) -> tuple[Tensor, Tensor]:
        logits, scores = self.network.decode(coarse, fine, Questions(*questions))
        return logits, torch.sigmoid(scores)


def export(network: Loupe, folder: Path) -> None:
    """Write `encoder.onnx` and `decoder.onnx`, weights with 16 bits, arithmetic with 32.

    At any time the folder holds both graphs from before, or not both, or both new ones. Other
    files in it stay.

    Raises:
        ModelError: the disk is full, or the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside the folder, so that what a crash leaves behind is never taken for a model.
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as made:
            _write(network, Path(made))
            folder.mkdir(exist_ok=True)
            (folder / GRAPHS[-1]).unlink(missing_ok=True)
            for name in GRAPHS:
                put_in_place(Path(made) / name, folder / name)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError.
        reason = error.strerror if isinstance(error, OSError) else "is the disk full?"
        raise ModelError(
            f"The model cannot be written to “{folder}” ({reason}). Free some space or choose "
            "another folder, and export again."
        ) from error


def save_weights(network: Loupe, path: Path) -> None:
    """Write a network that can be trained further, numbers with 16 bits.

    Raises:
        ModelError: the disk is full.
    """
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    write_checkpoint(
        path, {"format": WEIGHTS_FORMAT, "config": asdict(network.config), "network": state}
    )


def load_weights(path: Path, *, newest: bool = False) -> Loupe:
    """A network from a file of `save_weights`, or the averaged one of a training checkpoint.

    Args:
        path: the file.
        newest: of a training checkpoint the newest weights. They are the better ones once the
            rate has fallen to nothing: the average still remembers the steps before.

    Raises:
        ModelError: the file is missing, damaged, or of another version.
    """
    state = read_checkpoint(path, WEIGHTS_FORMAT, FORMAT)
    try:
        network = Loupe(as_config(state["config"]))
        averaged = state["format"] == FORMAT and not newest
        fill(network, state["averaged" if averaged else "network"], path)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"The checkpoint “{path}” is damaged. Use an earlier one.") from error
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise ModelError(f"“{path}” is damaged: “{name}” holds values that are not numbers.")
    return network.eval()


def _write(network: Loupe, folder: Path) -> None:
    network.eval()
    image = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    names = [f"{kind}{level}" for kind in ("coarse", "fine") for level in range(4)]
    encoder, decoder = folder / "encoder.onnx", folder / "decoder.onnx"
    axes = {name: {2: f"{name}_rows", 3: f"{name}_columns"} for name in names}
    export_module(
        _Encoder(network),
        (image,),
        encoder,
        ("image",),
        names,
        {"image": {1: "height", 2: "width"}, **axes},
    )
    coarse, fine = network.encode(torch.zeros(1, 3, 64, 96))
    per_prompt = {1: "prompts"}
    export_module(
        _Decoder(network),
        (coarse, fine, *_example(64, 96)),
        decoder,
        ("coarse", "fine", *Questions._fields),
        ("logits", "scores"),
        {
            **{name: {2: f"{name}_rows", 3: f"{name}_columns"} for name in ("coarse", "fine")},
            **{name: per_prompt for name in Questions._fields if name != "sizes"},
            "points": {1: "prompts", 2: "clicks"},
            "logits": per_prompt,
            "scores": per_prompt,
        },
    )
    for path in (encoder, decoder):
        halve(path)


def _example(height: int, width: int) -> Questions:
    boxes = np.array([[8, 8, 40, 40], [4, 4, 60, 50]], np.float32)
    windows = geometry.around_boxes(boxes)
    return Questions(
        windows=torch.from_numpy(windows)[None],
        places=torch.from_numpy(geometry.places(windows, height, width))[None],
        points=torch.zeros(1, 2, 3, 3),
        boxes=torch.cat([torch.from_numpy(boxes), torch.ones(2, 1)], 1)[None],
        previous=torch.zeros(1, 2, geometry.GRID, geometry.GRID),
        has_previous=torch.zeros(1, 2),
        sizes=torch.tensor([[float(width), float(height)]]),
    )


def halve(path: Path) -> None:
    """Store large weights of a graph with 16 bits; a cast gives them back when it is loaded."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    casts = []
    for weight in list(graph.initializer):
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < HALVED:
            continue
        small = numpy_helper.to_array(weight).astype(np.float16)
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(small, f"{name}_16"))
        casts.append(helper.make_node("Cast", [f"{name}_16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))
