"""EfficientSAM, run by torch; importing this module imports torch."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253
from torch.nn import functional  # noqa: TID253

from models.api import ModelError
from models.checkpoints import read_checkpoint
from models.folded_parts import not_finite
from models.networks.sam_vit import encode_at
from models.sam_family.torch_runtime import device_text
from models.transforms import MEAN, STD

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.folded_parts import Floats
    from models.networks.efficientsam import EfficientSam

LARGEST_MEMBER = 2**30
"""Bytes that an archive may unpack to."""


class TorchEfficient:
    """Runs an EfficientSAM; see `efficient.EfficientRuntime`."""

    def __init__(self, network: EfficientSam, device: torch.device) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self.device = device_text(device)
        """See `efficient.EfficientRuntime.device`."""

    def encode(self, image: NDArray[np.uint8], side: int) -> Floats:
        """Stretch, normalise and embed."""
        with torch.inference_mode():
            pixels = stretched(torch.from_numpy(image).to(self._device), side)
            found = encode_at(self._network.image_encoder, pixels)
        result: Floats = found[0].float().cpu().numpy()
        return result

    def decode(self, image: Floats, coords: Floats, labels: Floats) -> tuple[Floats, Floats]:
        """Answer one prompt."""
        values = [torch.from_numpy(array)[None].to(self._device) for array in (image, coords)]
        with torch.inference_mode():
            kinds = torch.from_numpy(labels)[None].to(self._device)
            logits, quality = self._network.decode(values[0], values[1], kinds)
        if not torch.isfinite(logits).all():
            raise not_finite()
        return logits[0].float().cpu().numpy(), quality[0].float().cpu().numpy()


def stretched(image: Tensor, side: int) -> Tensor:
    """(H, W, 3) uint8 RGB to (1, 3, side, side): bilinear without antialiasing, normalised."""
    pixels = image.permute(2, 0, 1)[None].float()
    if pixels.shape[2:] != (side, side):
        pixels = functional.interpolate(pixels, (side, side), mode="bilinear", align_corners=False)
    mean, std = (torch.tensor(values, device=pixels.device) for values in (MEAN, STD))
    return (pixels - mean[:, None, None]) / std[:, None, None]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, which may lie in a zip archive of its own.

    Raises:
        ModelError: missing, damaged, or without weights.
    """
    if not path.name.endswith(".zip"):
        return read_checkpoint(path)
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            return read_checkpoint(Path(archive.extract(_member(archive, path), folder)))
    except FileNotFoundError as error:
        raise ModelError(f"The weights “{path}” do not exist.") from error
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ModelError(
            f"“{path.name}” is not a readable archive; it may be cut off. "
            "Download or copy it again."
        ) from error


def _member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """The only checkpoint in an archive; what macOS adds to archives does not count."""
    found = [
        member
        for member in archive.infolist()
        if member.filename.endswith((".pt", ".pth")) and "__MACOSX" not in member.filename
    ]
    if len(found) != 1 or found[0].file_size > LARGEST_MEMBER:
        raise ModelError(f"“{path.name}” is not an archive of one checkpoint.")
    return found[0]
