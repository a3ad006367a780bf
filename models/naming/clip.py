"""CLIP's two towers through open_clip: object crops and names to vectors of one space.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision (ICML 2021).
Takes torch along: import it inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import open_clip  # noqa: TID253
import torch  # noqa: TID253
from torch import Tensor, nn  # noqa: TID253

from models.api import ModelError
from models.checkpoints import load_exactly, read_checkpoint
from models.naming.towers import Tower
from models.pickled import read_scripted_network
from models.weights import verified_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training images, channels 0 to 1."""

_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Sizes that OpenAI's files hold beside the weights."""


class Clip:
    """Both towers of one model on the CPU or a graphics processor.

    Args:
        architecture: open_clip's name.
        state: all weights, by open_clip's keys.
        source: what is named when they do not fit.
        device: where to compute.

    Raises:
        ModelError: no such architecture, or the weights are of another one.
    """

    def __init__(
        self,
        architecture: str,
        state: Mapping[str, Tensor],
        source: str = "These weights",
        device: str = "cpu",
    ) -> None:
        config = open_clip.get_model_config(architecture)
        if config is None:
            raise ModelError(f"open_clip knows no model “{architecture}”.")
        with torch.device("meta"):
            network = open_clip.create_model(architecture, pretrained=None, device="meta")
        load_exactly(network, state, architecture, source)
        length = len(network.positional_embedding)
        # The only buffer that no file holds: a word sees those before it.
        network.attn_mask = torch.full((length, length), -torch.inf).triu(1)
        self._network: nn.Module = network.float().eval().requires_grad_(False).to(device)
        self._tokenize = open_clip.get_tokenizer(architecture)
        self._device = device
        self._mean = torch.tensor(MEAN, device=device)[:, None, None]
        self._deviation = torch.tensor(DEVIATION, device=device)[:, None, None]

    @classmethod
    def open(cls, tower: Tower, device: str = "cpu") -> Clip:
        """The towers from the user's folder of models.

        Raises:
            ModelError: the file is missing, damaged or another one.
        """
        path = verified_path(tower.file)
        return cls(tower.architecture, read_towers(path), f"“{path.name}”", device)

    @torch.inference_mode()
    def texts(self, prompts: Sequence[str]) -> Floats:
        """Vectors (n, d) of sentences, not normalised; what does not fit into 77 tokens is cut."""
        tokens = self._tokenize(list(prompts)).to(self._device)
        # Words see only those before them and the last one speaks for all: what follows it in the
        # table of 77 changes nothing, and costs seven times the rest.
        last = tokens.argmax(1)
        length = int(last.max()) + 1
        net: Any = self._network
        words = net.token_embedding(tokens[:, :length]) + net.positional_embedding[:length]
        seen = net.transformer(words, attn_mask=net.attn_mask[:length, :length])
        ends = net.ln_final(seen)[torch.arange(len(tokens), device=self._device), last]
        return np.asarray((ends @ net.text_projection).float().cpu().numpy(), np.float32)

    @torch.inference_mode()
    def images(self, pixels: Sequence[NDArray[np.uint8]]) -> Floats:
        """Vectors (n, d), not normalised, of squares (side, side, 3) uint8 RGB."""
        stacked = torch.from_numpy(np.stack(pixels)).to(self._device)
        scaled = (stacked.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._deviation
        found: Tensor = self._network.encode_image(scaled)  # type: ignore[operator]
        return np.asarray(found.float().cpu().numpy(), np.float32)


def read_towers(path: Path) -> dict[str, Tensor]:
    """The weights in OpenAI's compiled program, or in a checkpoint with open_clip's keys.

    Raises:
        ModelError: it is neither.
    """
    try:
        state = {
            name: torch.from_numpy(values) for name, values in read_scripted_network(path).items()
        }
    except ModelError:
        state = read_checkpoint(path)
    return {name: values for name, values in state.items() if name not in _NO_WEIGHTS}
