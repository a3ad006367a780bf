"""The numerical truth of spec/edgesam.md: generated weights and the original's outputs."""

from __future__ import annotations

import functools
import importlib.util
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import SHARED

if TYPE_CHECKING:
    from models.networks.edgesam import EdgeSam

FOLDER = SHARED / "fixtures" / "edgesam"
needs_fixture = pytest.mark.skipif(
    not (FOLDER / "cases.npz").exists(), reason="needs ../shared/fixtures/edgesam"
)
POINTS = ("point1", "posneg", "points3")
BOXES = ("box", "box_point")
SETS = (*POINTS, *BOXES, "mask_input", "box_mask")


@functools.cache
def generator() -> Any:
    """The fixture's weight generator, a module outside this repository."""
    path = SHARED / "fixtures" / "fixture_weights.py"
    spec = importlib.util.spec_from_file_location("fixture_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    """The 821 generated tensors under their published names."""
    return generator().state_dict(FOLDER / "keys.json", FOLDER / "overlay.npz")


@functools.cache
def cases() -> Mapping[str, np.ndarray]:
    """Inputs and expected outputs."""
    with np.load(FOLDER / "cases.npz") as file:
        return dict(file)


@functools.cache
def image() -> np.ndarray:
    """The 640 x 480 photograph, checked."""
    pixels = np.asarray(Image.open(FOLDER / "image.png").convert("RGB"))
    assert zlib.crc32(pixels.tobytes()) == cases()["image_crc32"]
    return pixels


@functools.cache
def network() -> EdgeSam:
    """The full network with the generated weights, loaded strictly."""
    import torch

    from models.networks.edgesam import EdgeSam

    net = EdgeSam().eval()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in arrays().items()})
    return net.requires_grad_(False)


def unpacked(case: str) -> np.ndarray:
    """The stored full-size masks of a case, (4, H, W) bool."""
    shape = cases()[f"{case}/masks_shape"]
    bits = np.unpackbits(cases()[f"{case}/masks_packed"], axis=-1)
    return bits[..., : shape[2]].astype(bool)
