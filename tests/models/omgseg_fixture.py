"""The numerical truth of spec/ovsam_omgseg.md, section B: generated weights, original outputs."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from models.networks.omgseg import Framing
from models.transforms import MEAN, STD
from tests.conftest import SHARED
from tests.models.edgesam_fixture import generator

if TYPE_CHECKING:
    import torch

FOLDER = SHARED / "fixtures" / "omgseg"
needs_fixture = pytest.mark.skipif(
    not (FOLDER / "cases.npz").exists(), reason="needs ../shared/fixtures/omgseg"
)
THINGS = 15
IMAGE = Framing((427, 640), (342, 512), (352, 512))
VIDEO = Framing((180, 320), (144, 256), (160, 256))


def tensors(prefix: str) -> dict[str, torch.Tensor]:
    """The generated tensors whose names begin so."""
    import torch

    state = generator().state_dict(FOLDER / "keys.json", FOLDER / "overlay.npz", prefix)
    return {name: torch.from_numpy(values) for name, values in state.items()}


@functools.cache
def cases() -> Mapping[str, np.ndarray]:
    """Inputs and expected outputs."""
    with np.load(FOLDER / "cases.npz") as file:
        return dict(file)


def picture(name: str) -> np.ndarray:
    """One of the stored photographs."""
    return np.asarray(Image.open(FOLDER / name).convert("RGB"))


def crc(pixels: np.ndarray) -> int:
    return zlib.crc32(pixels.tobytes())


def pixels(resized: np.ndarray, framing: Framing) -> torch.Tensor:
    """Resized images (T, h, w, 3) uint8 as the network takes them."""
    import torch

    found = np.zeros((len(resized), 3, *framing.padded), np.float32)
    normal = (resized - np.float32(MEAN)) / np.float32(STD)
    found[:, :, : resized.shape[1], : resized.shape[2]] = normal.transpose(0, 3, 1, 2)
    return torch.from_numpy(found)


def save_published(folder: Path) -> tuple[Path, Path]:
    """Write the generated tensors as people get them: open_clip's file, OMG-Seg's head."""
    import torch

    tower, head = folder / "convnext_large_d_320.bin", folder / "omg_seg_convl.pth"
    torch.save(tensors("visual."), tower)
    torch.save({"state_dict": tensors("panoptic_head."), "meta": {"epoch": 12}}, head)
    return tower, head
