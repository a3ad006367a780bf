"""Networks in SAM's layout, run by torch; importing this module imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch  # noqa: TID253
from torch import nn  # noqa: TID253

from models.api import ModelError
from models.checkpoints import load_exactly, read_checkpoint
from models.folded_parts import not_finite
from models.networks.folded import MaskSide
from models.networks.sam import Sam, prompts_at
from models.networks.sam_vit import encode_at
from models.runtimes import described, first_line, preferred

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.folded_parts import Cells, Floats

Network = TypeVar("Network", bound=nn.Module)

BATCH = 8
"""Prompts decoded at once: more would only take memory."""


def best_device() -> torch.device:
    """The graphics processor when there is one that starts and may be used, else the processor."""
    return _found()[0]


def device_text(device: torch.device) -> str:
    """Where torch runs, and why not on a graphics processor; sentences for people."""
    if device.type == "cuda":
        return described(f"{torch.cuda.get_device_name(device)} (torch, CUDA)", ())
    if device.type == "mps":
        return described("Apple graphics processor (torch)", ())
    best, reason = _found()
    notes = (reason,) if best == device and reason else ()
    return described("Processor, 32 bit (torch)", notes)


def _found() -> tuple[torch.device, str]:
    """The best device, and why there is no better one."""
    processor = torch.device("cpu")
    if preferred() != "auto":
        return processor, "chosen in the settings"
    if torch.cuda.is_available():
        device = torch.device("cuda")
    elif torch.backends.mps.is_available():
        device = torch.device("mps")
    else:
        return processor, "no graphics processor: torch finds none"
    try:
        # Many that are found cannot compute: too old for this torch, or no memory left.
        torch.ones(8, device=device).sum().item()
    except RuntimeError as error:
        return processor, f"the graphics processor failed: {first_line(error)}"
    return device, ""


class TorchEncoder:
    """Runs the image encoder of a network."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self.device = device_text(device)
        """See `segmenter.Encoder.device`."""
        self.precision = ""
        """See `segmenter.Encoder.precision`."""

    def encode(self, pixels: Floats) -> Floats:
        """See `segmenter.Encoder.encode`."""
        with torch.inference_mode():
            found = encode_at(self._network, torch.from_numpy(pixels).to(self._device))
        result: Floats = found[0].float().cpu().numpy()
        return result


class TorchDecoder:
    """Runs prompt encoder and mask decoder of a network; see `models.onnx_decoder.Decoder`."""

    def __init__(self, network: Sam, device: torch.device) -> None:
        self._prompts = network.prompt_encoder.to(device).eval()
        self._decoder = network.mask_decoder.to(device).eval()
        self._device = device

    def prepare(self, image: Floats) -> dict[str, Floats]:
        """Nothing is worth computing in advance."""
        return {}

    def decode(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        coords: Floats,
        labels: Floats,
        chosen: Sequence[int],
        focus: Cells,
    ) -> list[tuple[Floats, Floats]]:
        """Answer B prompts, all cells exactly.

        Raises:
            ModelError: the embedding is not finite.
        """
        image = torch.from_numpy(np.asarray(arrays["image"], np.float32)).to(self._device)[None]
        answers = []
        for first in range(0, len(coords), BATCH):
            part = slice(first, first + BATCH)
            logits, quality = self._answer(image, coords[part], labels[part])
            logits, quality = logits[:, list(chosen)], quality[:, list(chosen)]
            if not torch.isfinite(logits).all():
                raise not_finite()
            answers += list(zip(logits.cpu().numpy(), quality.cpu().numpy(), strict=True))
        return answers

    def masked(self, logits: Floats) -> Floats:
        """See `segmenter.MaskedDecoder.masked`."""
        with torch.inference_mode():
            masks = torch.from_numpy(np.ascontiguousarray(logits, np.float32)).to(self._device)
            added: Floats = MaskSide(self._prompts)(masks).float().cpu().numpy()
        return added

    def _answer(self, image: Tensor, coords: Floats, labels: Floats) -> tuple[Tensor, Tensor]:
        prompts = prompts_at(self._prompts, image.shape[-1])
        with torch.inference_mode():
            sparse = prompts.embed_tokens(
                torch.from_numpy(coords).to(self._device),
                torch.from_numpy(labels).to(self._device),
            )
            dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
            logits, quality = self._decoder.decode_all(
                image, prompts.dense_positions(), sparse, dense
            )
        return logits.float(), quality.float()


@dataclass(frozen=True, slots=True)
class TorchRuntime:
    """Both halves of a network; see `graphs.Runtime`."""

    encoder: TorchEncoder
    decoder: TorchDecoder

    @classmethod
    def of(cls, model_id: str, title: str, checkpoint: Path) -> TorchRuntime:
        """Load a network onto the best device.

        Raises:
            ModelError: the checkpoint does not fit.
        """
        from models.sam_family.networks import load_sam

        network, device = load_sam(model_id, title, checkpoint), best_device()
        return cls(TorchEncoder(network.image_encoder, device), TorchDecoder(network, device))


def loaded(build: Callable[[], Network], checkpoint: Path, title: str) -> Network:
    """A network with the weights of a checkpoint.

    Raises:
        ModelError: the file does not fit key for key, or holds values that are not numbers.
    """
    return filled(build, read_checkpoint(checkpoint), checkpoint, title)


def filled(
    build: Callable[[], Network], state: Mapping[str, Tensor], checkpoint: Path, title: str
) -> Network:
    """A network with the tensors of a state dict that was read from `checkpoint`.

    Raises:
        ModelError: see `loaded`.
    """
    check_numbers(state, checkpoint)
    # On the meta device nothing is initialised: random numbers for ViT-H would take many seconds.
    with torch.device("meta"):
        network = build()
    load_exactly(network, state, title, checkpoint.name)
    return network.eval().requires_grad_(False)


def check_numbers(state: Mapping[str, Tensor], checkpoint: Path) -> None:
    """Refuse tensors of a checkpoint with values that are not numbers.

    Raises:
        ModelError: there are some.
    """
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise ModelError(f"“{checkpoint.name}” is damaged: “{name}” holds no numbers.")
