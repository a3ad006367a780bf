"""FastSAM's network from any of the forms its weights come in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.api import ModelError
from models.sam_family.fast import SIDE, STRIDE, FastRuntime, usual_frame

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from models.folded_parts import Floats
    from models.networks.fastsam import FastSam
    from models.onnx_session import Session


def open_runtime(path: Path, title: str) -> FastRuntime:
    """The network of a pickle of ultralytics, a state dict, or an ONNX export.

    Args:
        path: the suffix says which form it is: .onnx, .safetensors, or torch.
        title: what the network is called, for messages.

    Raises:
        ModelError: missing, damaged, or another network.
    """
    if path.suffix == ".onnx":
        return OnnxFastSam(path)
    return TorchFastSam(load_network(path, title))


def load_network(path: Path, title: str) -> FastSam:
    """The network in torch; its sizes are read off the weights.

    Raises:
        ModelError: missing, damaged, or another network.
    """
    from models.networks.fastsam import FastSam, sizes_of
    from models.sam_family.torch_runtime import filled

    state = {name: value.float() for name, value in _read(path).items()}
    if state and all(name.split(".")[0].isdigit() for name in state):
        state = {f"model.{name}": value for name, value in state.items()}
    sizes = sizes_of(state)
    if sizes is None or sizes.classes != 1:
        raise ModelError(
            f"“{path.name}” holds the weights of another network, not of {title}."
            if sizes is None
            else f"“{path.name}” tells {sizes.classes} classes apart; FastSAM knows one, “object”."
        )
    return filled(lambda: FastSam(sizes), state, path, title)


def _read(path: Path) -> dict[str, Tensor]:
    import torch

    from models.checkpoints import read_checkpoint
    from models.pickled import read_pickled_network

    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".pth":
        return read_checkpoint(path)
    return {name: torch.from_numpy(value) for name, value in read_pickled_network(path).items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except FileNotFoundError as error:
        raise ModelError(f"The weights “{path}” do not exist.") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"“{path.name}” is not a readable safetensors file; it may be cut off."
        ) from error


class TorchFastSam:
    """Runs the network in torch; see `fast.FastRuntime`."""

    def __init__(self, network: FastSam, device: torch.device | None = None) -> None:
        from models.sam_family.torch_runtime import best_device, device_text

        self._device = device or best_device()
        self.device = device_text(self._device)
        """See `fast.FastRuntime.device`."""
        self._network = network.to(self._device).eval()

    def frame(self, width: int, height: int) -> tuple[int, int]:
        """The smallest that holds the image."""
        return usual_frame(width, height)

    def run(self, pixels: Floats) -> tuple[Floats, Floats]:
        """Find everything."""
        import torch

        with torch.inference_mode():
            places, prototypes = self._network(torch.from_numpy(pixels).to(self._device))
        return places[0].float().cpu().numpy(), prototypes[0].float().cpu().numpy()


class OnnxFastSam:
    """Runs an export of ultralytics in onnxruntime, recognised by its signature.

    Raises:
        ModelError: damaged, or another network.
    """

    def __init__(self, path: Path) -> None:
        from models.runtimes import Network

        # Not lossy: with 8 bits of precision a box would be wrong by pixels.
        self._network = Network(path, check=lambda session: check_signature(session, path.name))
        shape = self._network.input_shape
        height, width = shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int)
        self._frame = (int(height), int(width)) if fixed else None

    @property
    def device(self) -> str:
        """See `fast.FastRuntime.device`."""
        return self._network.device

    def frame(self, width: int, height: int) -> tuple[int, int]:
        """The one the graph was made for, or the smallest that holds the image."""
        return self._frame or usual_frame(width, height)

    def run(self, pixels: Floats) -> tuple[Floats, Floats]:
        """Find everything."""
        found = self._network.run({self._network.input_name: pixels})
        # The places have three axes, the prototypes four, in whatever order.
        places, prototypes = sorted(found, key=np.ndim)
        return np.asarray(places[0], np.float32), np.asarray(prototypes[0], np.float32)


def check_signature(session: Session, name: str) -> None:
    """Refuse a graph that is not a YOLOv8-seg of one class.

    Raises:
        ModelError: saying what it takes and returns.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    images = [one.shape for one in inputs]
    results = sorted((one.shape for one in outputs), key=len)
    fits = (
        len(images) == 1
        and len(images[0]) == 4
        and images[0][1] == 3
        and inputs[0].type == "tensor(float)"
        and [len(shape) for shape in results] == [3, 4]
    )
    if fits:
        places, prototypes = results[0][1], results[1][1]
        # Exports with sizes left open leave these open too; the weights then say it at first use.
        known = isinstance(places, int) and isinstance(prototypes, int)
        fits = not known or places == 5 + prototypes
        fits = fits and all(
            not isinstance(size, int) or size % STRIDE == 0 for size in images[0][2:]
        )
    if not fits:
        shapes = ", ".join(f"{one.name} {one.shape}" for one in (*inputs, *outputs))
        raise ModelError(
            f"“{name}” is not an ONNX export of FastSAM (one image of {SIDE} pixels in, boxes "
            f"with one class and prototypes out). It has: {shapes}."
        )
