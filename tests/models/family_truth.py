"""Reproducible weights and inputs for narrow networks, and what the originals made of them.

The expected numbers in the tests of the SAM family were computed once with the original
implementations (segment-anything, MobileSAM, EfficientSAM, ultralytics) at the narrow sizes,
filled with these same numbers; the original code is not part of this repository.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def numbers(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal numbers that depend on nothing but name and shape."""
    import torch

    values = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    return torch.from_numpy(np.asarray(values, np.float32))


def fill(network: torch.nn.Module) -> torch.nn.Module:
    """Give every entry of the state dict generated values of a sensible scale."""
    import torch

    state = {}
    for name, value in network.state_dict().items():
        made = numbers(name, tuple(value.shape))
        if name.endswith("running_var"):
            made = 0.5 + made.abs()
        elif value.ndim >= 2 and "pos" not in name and "bias" not in name:
            made = made / max(1.0, value[0].numel() ** 0.5)
        elif name.endswith("weight"):
            made = 1 + 0.2 * made
        else:
            made = 0.2 * made
        state[name] = made if value.is_floating_point() else torch.zeros_like(value)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def layout(state: Mapping[str, torch.Tensor]) -> int:
    """A check sum of all keys and shapes, whatever their order."""
    lines = sorted(f"{name} {tuple(value.shape)}" for name, value in state.items())
    return zlib.crc32("\n".join(lines).encode())


def summary(x: torch.Tensor) -> list[float]:
    """Mean, mean square and three projections of a tensor: enough to tell any two apart."""
    flat = x.detach().double().flatten().numpy()
    rows = [np.random.Generator(np.random.PCG64(s)).standard_normal(flat.size) for s in range(3)]
    scale = flat.size**0.5
    return [float(flat.mean()), float((flat**2).mean()), *(float(flat @ r) / scale for r in rows)]
