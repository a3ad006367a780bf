"""The numerical truth of spec/ovsam_omgseg.md, section A: generated weights, original outputs."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from models.transforms import Frame
from tests.conftest import SHARED
from tests.models.edgesam_fixture import generator

if TYPE_CHECKING:
    import torch

    from models.networks.ovsam import OpenVocabularySam

FOLDER = SHARED / "fixtures" / "ovsam"
needs_fixture = pytest.mark.skipif(
    not (FOLDER / "cases.npz").exists(), reason="needs ../shared/fixtures/ovsam"
)
SETS = ("point", "box", "twopoints", "point_and_box", "batch_of_2_points")
FRAME = Frame(640, 418, rounding=0)
LATE_CONV = "roi_conv.0.conv.weight"
"""The weight of the pyramid's file that replaces the decoder's."""


def arrays(prefix: str) -> dict[str, np.ndarray]:
    """The generated tensors whose names begin so."""
    return generator().state_dict(FOLDER / "keys.json", FOLDER / "overlay.npz", prefix)


def tensors(prefix: str) -> dict[str, torch.Tensor]:
    """The same, in torch, without the prefix."""
    import torch

    return {name[len(prefix) :]: torch.from_numpy(x) for name, x in arrays(prefix).items()}


def fill(network: OpenVocabularySam, *parts: str) -> None:
    """Load some parts of the network (all of them by default) strictly."""
    for part in parts or [name for name, _ in network.named_children()]:
        state = tensors(f"{part}.")
        if part == "mask_decoder":
            state[LATE_CONV] = tensors("roi_conv.")[LATE_CONV.removeprefix("roi_conv.")]
        network.get_submodule(part).load_state_dict(state, strict=True)
    network.eval().requires_grad_(False)


@functools.cache
def cases() -> Mapping[str, np.ndarray]:
    """Inputs and expected outputs."""
    with np.load(FOLDER / "cases.npz") as file:
        return dict(file)


@functools.cache
def image() -> np.ndarray:
    """The 640 x 418 photograph, checked."""
    pixels = np.asarray(Image.open(FOLDER / "image.png").convert("RGB"))
    assert zlib.crc32(pixels.tobytes()) == cases()["image_crc32"]
    return pixels


def prompts(case: str) -> dict[str, torch.Tensor]:
    """The arguments of `OpenVocabularySam.decode` for a case."""
    import torch

    arguments = {}
    if f"{case}/points_1024" in cases():
        points = torch.from_numpy(cases()[f"{case}/points_1024"])
        arguments["points"] = (points, torch.ones(points.shape[:2]))
    if f"{case}/boxes_1024" in cases():
        arguments["boxes"] = torch.from_numpy(cases()[f"{case}/boxes_1024"])
    return arguments


def unpacked(case: str) -> np.ndarray:
    """The stored full-size masks of a case, (n, H, W) bool."""
    bits = np.unpackbits(cases()[f"{case}/mask_original_packed"][:, 0], axis=-1)
    return bits[..., :640].astype(bool)


def save_published(folder: Path) -> dict[str, Path]:
    """Write all generated tensors as the published files they belong to: file name to path."""
    import torch

    keys = json.loads((FOLDER / "keys.json").read_text())
    prefixes: dict[str, dict[str, None]] = {}
    for name, entry in keys.items():
        prefixes.setdefault(entry["file"], {})[f"{name.split('.')[0]}."] = None
    paths = {name: folder / name for name in prefixes}
    for name, found in prefixes.items():  # one after the other: together they take 1.2 GB
        state = {key: torch.from_numpy(x) for one in found for key, x in arrays(one).items()}
        torch.save({"state_dict": state, "meta": {"epoch": 12}}, paths[name])
    return paths
