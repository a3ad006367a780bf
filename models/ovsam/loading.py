"""Open-Vocabulary SAM's published files, key for key; importing this module imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch  # noqa: TID253

from models.api import ModelError
from models.checkpoints import load_exactly, read_checkpoint, read_tensor
from models.naming.classifier import Names
from models.naming.clip import read_towers
from models.networks.ovsam import PUBLISHED, OpenVocabularySam, OvsamSizes
from models.sam_family.torch_runtime import check_numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from models.ovsam.files import OvsamFiles

TITLES: Mapping[str, str] = {
    "visual": "CLIP RN50x16",
    "neck_student": "Open-Vocabulary SAM's neck",
    "prompt_encoder": "SAM's prompt encoder",
    "mask_decoder": "Open-Vocabulary SAM's mask decoder",
    "fpn_neck": "Open-Vocabulary SAM's feature pyramid",
}
HEADS = ("mask_decoder", "fpn_neck", "roi_conv")


def load_ovsam(files: OvsamFiles, sizes: OvsamSizes = PUBLISHED) -> OpenVocabularySam:
    """A network ready for inference.

    Entries of other parts that a file may hold (whole training checkpoints do) are not used.

    Raises:
        ModelError: a file is missing or damaged, or does not fit key for key.
    """
    # On the meta device nothing is initialised, and the network takes the tensors over.
    with torch.device("meta"):
        network = OpenVocabularySam(sizes)
    load_part(network, "visual", files.tower)
    load_part(network, "neck_student", files.neck)
    load_part(network, "prompt_encoder", files.prompts)
    heads = read_heads(files.heads)
    source = Path(" and ".join(path.name for path in files.heads))
    for part in ("mask_decoder", "fpn_neck"):
        fill_part(network, part, heads, TITLES[part], source.name)
    return network.eval().requires_grad_(False)


def load_part(network: OpenVocabularySam, part: str, path: Path) -> None:
    """Fill one part of a network from a file that has it: see `TITLES`.

    Raises:
        ModelError: the file is missing or damaged, or does not fit key for key.
    """
    state = read_towers(path) if part == "visual" else read_checkpoint(path)
    fill_part(network, part, parts_of(state, path, part), TITLES[part], path.name)


def read_heads(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Mask decoder and pyramid, from one file or several: `mask_decoder.*` and `fpn_neck.*`.

    A `roi_conv.*` beside the pyramid was trained with it and replaces the decoder's.

    Raises:
        ModelError: a file is missing or damaged, or has nothing of them.
    """
    state: dict[str, Tensor] = {}
    for path in paths:
        state |= parts_of(read_checkpoint(path), path, *HEADS)
    late = {name: value for name, value in state.items() if name.startswith("roi_conv.")}
    kept = {name: value for name, value in state.items() if name not in late}
    return kept | {f"mask_decoder.{name}": value for name, value in late.items()}


def read_classifier(path: Path) -> NDArray[np.float32]:
    """The vectors of names of a data set, as published: (classes, names, dimensions).

    Raises:
        ModelError: missing, damaged, or a tensor of another shape.
    """
    table: NDArray[np.float32] = read_tensor(path).float().numpy()
    try:
        Names.of(table)
    except ModelError as error:
        raise ModelError(f"“{path.name}”: {error}") from error
    return table


def parts_of(state: Mapping[str, Tensor], path: Path, *parts: str) -> dict[str, Tensor]:
    """The entries of some parts.

    Raises:
        ModelError: there are none, or they hold values that are not numbers.
    """
    found = {name: value for name, value in state.items() if name.split(".")[0] in parts}
    if not found:
        raise ModelError(
            f"“{path.name}” holds the weights of another network: nothing in it is called "
            f"{' or '.join(f'“{part}.…”' for part in parts)}. Nothing was loaded."
        )
    check_numbers(found, path)
    return found


def fill_part(
    network: nn.Module, part: str, state: Mapping[str, Tensor], title: str, source: str
) -> None:
    """Fill one part of a network from entries that begin with its name.

    Raises:
        ModelError: they do not fit key for key; `title` and `source` say what does not fit what.
    """
    own = {
        name.removeprefix(f"{part}."): value
        for name, value in state.items()
        if name.startswith(f"{part}.")
    }
    load_exactly(network.get_submodule(part), own, title, source)
