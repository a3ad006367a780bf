"""A narrow Loupe that knows nothing, offered as an adapted model, and a project to adapt it to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
import torch  # noqa: TID253

from annotator.services.document import Document
from models.adapted import WEIGHTS, AdaptedModel, AdaptedStore
from models.loupe.segmenter import LoupeSegmenter
from models.networks.loupe import Loupe, LoupeConfig
from models.segmenters.loupe import SPEC
from models.training.export import export, save_weights
from tests.training.cards import card
from tests.training.shapes import write_shapes

NARROW = LoupeConfig(
    stages=(8, 8, 16, 16, 16), blocks=(0, 0, 1, 1, 1), coarse=16, fine=8, decoder=(16, 16, 24)
)
BASE = "adapted-base"
QUICK = ("--parts=decoder+last", "--steps=10", "--rate=0.01")
"""Enough for a network that knows nothing to learn bright shapes."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine take many times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def graphs() -> tuple[Mapping[str, bytes], str]:
    """Files of a random network, and the fingerprint of its graphs."""
    torch.manual_seed(0)
    network = Loupe(NARROW).eval()
    with torch.no_grad():  # it says that nothing belongs to any object
        network.decoder.mask.bias.fill_(-1.0)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "model"
        export(network, folder)
        save_weights(network, folder / WEIGHTS)
        fingerprint = LoupeSegmenter(SPEC, folder).fingerprint
        return {path.name: path.read_bytes() for path in folder.iterdir()}, fingerprint


def offer_base(project: str = "base") -> AdaptedModel:
    """It is called `BASE` from now on."""
    store = AdaptedStore()
    files, fingerprint = graphs()
    with store.work() as work:
        made = work / "model"
        made.mkdir()
        for name, content in files.items():
            (made / name).write_bytes(content)
        return store.put(made, card(project, fingerprint))


def write_project(folder: Path, count: int = 12) -> Path:
    """A project with three accepted shapes in each of its images; no window has it open."""
    write_shapes(folder, count)
    (folder / "instances.json").rename(folder / "annotations.json")
    Document.open(folder).close()
    return folder
