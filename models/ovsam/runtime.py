"""Open-Vocabulary SAM, run by torch; importing this module imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253

from models.encoding import passed
from models.folded_parts import not_finite
from models.networks.ovsam import ImageFeatures, OpenVocabularySam
from models.ovsam.files import LAST_LEVEL, PYRAMID
from models.sam_family.torch_runtime import BATCH, device_text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.folded_parts import Floats

    Arrays = Mapping[str, NDArray[np.generic]]


class TorchOvsam:
    """Runs the network on one device.

    Args:
        network: with its weights.
        device: where.
        pooled: see `models.ovsam.files.Variant`.
    """

    def __init__(self, network: OpenVocabularySam, device: torch.device, pooled: int = 7) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self._pooled = pooled
        self.device = device_text(device)
        """Where it runs, and why; sentences for people."""

    def encode(self, pixels: Floats) -> dict[str, NDArray[np.generic]]:
        """Normalised, padded pixels (1, 3, S, S) to everything that is kept of an image.

        Says how far it is, see `models.encoding`.

        Returns:
            `image` (C, S / 16, S / 16) float32; in 16 bits, because names need no more and they
            are large: `p2` to `p5` (C, S / stride, S / stride), and `clip` (D, S / 32, S / 32).

        Raises:
            EncodingStoppedError: nobody wants it any more.
        """
        with torch.inference_mode():
            features = self._features(torch.from_numpy(pixels).to(self._device))
            found: dict[str, NDArray[np.generic]] = {
                "image": features.image[0].float().cpu().numpy()
            }
            halves = zip((*PYRAMID, LAST_LEVEL), (*features.pyramid, features.clip), strict=True)
            found.update((name, value[0].half().cpu().numpy()) for name, value in halves)
        return found

    def _features(self, pixels: Tensor) -> ImageFeatures:
        steps, done, total = self._network.encoding(pixels), 0, self._network.step_count
        while True:
            try:
                part = next(steps)
            except StopIteration as end:
                features: ImageFeatures = end.value
                return features
            done += 1
            passed(part, done / total)

    def decode(self, arrays: Arrays, coords: Floats, labels: Floats) -> Floats:
        """Answer B prompts of K tokens, (B, K, 2) and (B, K), padding or corners included.

        Returns:
            Logits (B, S / 4, S / 4).

        Raises:
            ModelError: the embedding is not finite.
        """
        network, parts = self._network, []
        image = self._map(arrays["image"]).float()
        prompts = network.prompt_encoder
        with torch.inference_mode():
            dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
            positions = prompts.dense_positions()
            for first in range(0, len(coords), BATCH):
                part = slice(first, first + BATCH)
                sparse = prompts.embed_tokens(
                    torch.from_numpy(coords[part]).to(self._device),
                    torch.from_numpy(labels[part]).to(self._device),
                )
                logits, _ = network.mask_decoder(image, positions, sparse, dense)
                parts.append(logits.float().cpu().numpy())
        found: Floats = np.concatenate(parts)
        if not np.isfinite(found).all():
            raise not_finite()
        return found

    def vectors(self, arrays: Arrays, boxes: Floats) -> Floats:
        """Vectors (n, d), not normalised, of boxes (n, 4) in the frame."""
        with torch.inference_mode():
            pyramid = [self._map(arrays[name]) for name in PYRAMID]
            places = torch.from_numpy(boxes).to(self._device)
            found = self._network.vectors(pyramid, places, self._pooled)
        return np.asarray(found.float().cpu().numpy(), np.float32)

    def clip_vectors(self, arrays: Arrays, boxes: Floats) -> Floats:
        """What frozen CLIP itself says of boxes (n, 4) in the frame: (n, d), not normalised."""
        with torch.inference_mode():
            features = self._map(arrays[LAST_LEVEL]).float()
            found = self._network.clip_vectors(features, torch.from_numpy(boxes).to(self._device))
        return np.asarray(found.float().cpu().numpy(), np.float32)

    def _map(self, array: NDArray[np.generic]) -> Tensor:
        values = array if array.flags.writeable else array.copy()  # torch takes no others
        return torch.from_numpy(values).to(self._device)[None]
