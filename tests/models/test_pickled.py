"""Compiled programs (TorchScript) are read for their numbers alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import ModelError
from models.pickled import read_scripted_network


class _Towers(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        self.scale = torch.nn.Parameter(torch.ones(5).half())
        self.register_buffer("length", torch.tensor(77))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.visual(x) * self.scale[0]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("traced", [False, True])
def test_all_numbers_of_a_compiled_program_are_found(tmp_path: Path, traced: bool) -> None:
    network = _Towers().eval()
    make = torch.jit.trace(network, torch.zeros(2, 3)) if traced else torch.jit.script(network)
    torch.jit.save(make, tmp_path / "towers.pt")
    found = read_scripted_network(tmp_path / "towers.pt")
    expected = network.state_dict()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values.numpy())


def test_a_program_without_numbers_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="holds no network weights"):
        read_scripted_network(tmp_path / "list.pt")
