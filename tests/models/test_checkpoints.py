"""Checkpoints load key for key or not at all, and never run code."""

from __future__ import annotations

import argparse
import collections
import copy
import os
from pathlib import Path

import pytest
import torch  # noqa: TID253

from models.api import ModelError
from models.checkpoints import load_exactly, read_checkpoint


@pytest.fixture
def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))


@pytest.fixture
def state(network) -> dict[str, torch.Tensor]:
    return {name: torch.randn_like(value) for name, value in network.state_dict().items()}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def wrapped_in_module(state):
    return {f"module.{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        dict,
        collections.OrderedDict,
        lambda s: {"model": s, "epoch": 3},
        lambda s: {"state_dict": wrapped_in_module(s), "optimizer": {"state": {}}},
        lambda s: {f"module._orig_mod.{key}": value for key, value in s.items()},
        lambda s: {"model": {"state_dict": s}},
    ],
)
def test_wrappers_are_taken_off(tmp_path, network, state, wrap):
    path = saved(tmp_path / "a.pth", wrap(state))
    load_exactly(network, read_checkpoint(path), "Toy", path.name)
    assert same(dict(network.state_dict()), state)


class TestForeignObjects:
    """Training checkpoints carry configuration objects, which are never built."""

    def test_weights_beside_an_unknown_class(self, tmp_path, state):
        config = argparse.Namespace(lr=0.1, nested=argparse.Namespace(path=Path("x")))
        path = saved(tmp_path / "a.pth", {"model": state, "config": config})
        assert same(read_checkpoint(path), state)

    def test_nothing_in_the_file_is_run(self, tmp_path, state):
        path = saved(tmp_path / "a.pth", {"model": state, "config": Harmful(tmp_path / "harm")})
        assert same(read_checkpoint(path), state)
        assert not (tmp_path / "harm").exists()


class Harmful:
    """Makes a folder when it is unpickled the ordinary way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_an_empty_network_takes_the_tensors_themselves(network, state):
    load_exactly(network, state, "Toy", "file.pth")
    expected = network(torch.ones(2, 3))
    empty = copy.deepcopy(network).to("meta")
    half = {key: value.half() if key == "1.bias" else value for key, value in state.items()}
    load_exactly(empty, half, "Toy", "file.pth")
    assert empty[0].weight.data_ptr() == state["0.weight"].data_ptr()
    assert empty[1].bias.dtype == torch.float32
    torch.testing.assert_close(empty(torch.ones(2, 3)), expected, rtol=0, atol=1e-3)


def refusal(network, state) -> str:
    with pytest.raises(ModelError) as caught:
        load_exactly(network, state, "Toy", "file.pth")
    return str(caught.value)


def test_half_a_checkpoint_is_refused(network, state):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    del state["1.bias"]
    text = refusal(network, state)
    assert "3 of its 4 entries fit" in text
    assert "1 missing, for example “1.bias”" in text
    assert same(dict(network.state_dict()), before)


def test_another_shape_is_refused(network, state):
    state["0.weight"] = torch.zeros(5, 5)
    assert "1 of another shape, for example “0.weight”" in refusal(network, state)


def test_unknown_keys_are_refused(network, state):
    state["neck.weight"] = torch.zeros(1)
    assert "1 unknown, for example “neck.weight”" in refusal(network, state)


def test_another_network_is_called_that(network):
    text = refusal(network, {"conv.weight": torch.zeros(1)})
    assert "weights of another network, not of Toy" in text


def test_files_that_are_no_checkpoints(tmp_path, state):
    with pytest.raises(ModelError, match="do not exist"):
        read_checkpoint(tmp_path / "none.pth")
    text = tmp_path / "text.pth"
    text.write_text("<html>404</html>")
    with pytest.raises(ModelError, match="not a readable torch checkpoint"):
        read_checkpoint(text)
    cut = saved(tmp_path / "cut.pth", state)
    cut.write_bytes(cut.read_bytes()[:-200])
    with pytest.raises(ModelError, match="not a readable torch checkpoint"):
        read_checkpoint(cut)
    with pytest.raises(ModelError, match="holds no network weights"):
        read_checkpoint(saved(tmp_path / "empty.pth", {"epoch": 3}))
