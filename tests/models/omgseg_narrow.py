"""A narrow OMG-Seg or RAP-SAM behind the program's interfaces, with names from a toy text model."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.labelling import LabellerSpec
from models.naming.templates import TEMPLATES
from models.omgseg.network_files import OpenedNetwork
from models.omgseg.words import TextWords

if TYPE_CHECKING:
    from models.networks.omgseg import OmgSeg
    from models.networks.rapsam import RapSam
    from models.omgseg.labelling import Kind, OpenLabeller

LONGEST = 128
LENGTH = 24
"""Of the vectors of both narrow networks."""


_EMPTY = {word for sentence in TEMPLATES for word in sentence.strip(".").split()}


def text_vectors(sentences: Sequence[str]) -> np.ndarray:
    """A unit vector for every sentence, by the words that are no template's: the toy's language."""
    rows = []
    for sentence in sentences:
        words = [word for word in sentence.strip(".").split() if word not in _EMPTY]
        seed = zlib.crc32(" ".join(words).encode())
        rows.append(np.random.default_rng(seed).standard_normal(LENGTH))
    found = np.asarray(rows, np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def words(folder: Path) -> TextWords:
    return TextWords(lambda: text_vectors, folder, "toy")


def opened(network: OmgSeg | RapSam, network_id: str = "omgseg") -> OpenedNetwork:
    import torch

    return OpenedNetwork(network_id, network, torch.device("cpu"), "the processor", "narrow")


def labeller(
    network: OmgSeg | RapSam,
    folder: Path,
    kind: Kind = "panoptic",
    trained: Sequence[str] = (),
    longest: int = LONGEST,
) -> OpenLabeller:
    from models.omgseg.labelling import OpenLabeller

    spec = LabellerSpec(
        f"narrow-{kind}", "Narrow", "1", "Tests.", "Apache-2.0",
        load=lambda: made, takes_names=True, effort="Seconds for each image",
    )  # fmt: skip
    made = OpenLabeller(spec, opened(network), words(folder), kind, trained, longest)
    return made
