"""OMG-Seg and RAP-SAM behind `models.api`: clicks and boxes; importing this module imports torch.

A click is answered by the network's own query for that place, and by whatever it found there
unasked: part, object and whole, the smallest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253
from torch import Tensor  # noqa: TID253

from models.api import Box, Embedding, MaskCandidate, ModelError, Prompt
from models.candidates import rendered
from models.encoding import passed
from models.everything import stability
from models.networks.omgseg import ClipFeatures, Framing, click_boxes
from models.networks.omgseg.found import STRIDE
from models.networks.omgseg.fusion import covering
from models.omgseg.network_files import spared
from models.omgseg.pictures import LONGEST, encoded, framed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import SegmenterSpec
    from models.omgseg.network_files import OpenedNetwork

    Floats = NDArray[np.float32]

OFFERED = 3
"""Masks beside the first one: part, object, whole."""
SAME = 0.85
"""Masks with a higher IoU are one."""
BATCH = 16
"""Prompts answered at once: more would only take memory."""
_MEMORY = "memory {}"


class PromptedSegmenter:
    """Candidates for clicks and boxes.

    The score of a mask is its stability: what the network says of the quality of a mask counts
    for those that nobody asked for only.

    Args:
        spec: the description this instance is made for.
        opened: the network.
        longest: pixels of the longer side in the network.
    """

    def __init__(self, spec: SegmenterSpec, opened: OpenedNetwork, longest: int = LONGEST) -> None:
        self._spec = spec
        self._opened = opened
        self._longest = longest

    @property
    def spec(self) -> SegmenterSpec:
        """The description this instance was made from."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """Changes with the weights: part of the key of cached embeddings."""
        return f"{self._opened.fingerprint}-{self._longest}"

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""
        return self._opened.where

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Embed (H, W, 3) uint8 RGB: features, and what was found unasked.

        Says how far it is, see `models.encoding`.

        Returns:
            `pixels` (C, h, w) at stride 4, `memory 0` and so on (C, h, w), and of N queries
            `kernels` (N, C) and `quality` (N,).

        Raises:
            ModelError: no numbers come out, or the memory is not enough.
            EncodingStoppedError: nobody wants it any more.
        """
        height, width = image.shape[:2]
        network = self._opened.network
        with spared(self._spec.title), torch.inference_mode():
            pixels = framed((image,), self._framing(width, height)).to(self._opened.device)
            features = encoded(network, pixels, 0.9)
            found = network.decode(features)
            passed("query decoder", 1.0)
            arrays = {"pixels": features.pixels[0], "quality": found.quality}
            arrays["kernels"] = network.kernels(found)
            arrays |= {_MEMORY.format(i): one[0] for i, one in enumerate(features.memory)}
            if not all(torch.isfinite(array).all() for array in arrays.values()):
                raise ModelError(
                    f"{self._spec.title} returned values that are not numbers: its weights may be "
                    "damaged. Check them in Settings, Model."
                )
            kept = {name: array.float().cpu().numpy() for name, array in arrays.items()}
        return Embedding(self._spec.id, width, height, kept)

    def complete(self, embedding: Embedding) -> Embedding:
        """An embedding from a disk: everything is kept there, with 16 bits and only to be read."""
        arrays = {name: np.array(one, np.float32) for name, one in embedding.arrays.items()}
        return Embedding(embedding.model, embedding.width, embedding.height, arrays)

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """The mask that is meant, then part, object and whole; see `Segmenter.decode`.

        A single click is ambiguous and gets them all. Several clicks and boxes get what their
        rectangle means; clicks that do not belong only choose among the candidates, for the
        network was never taught them.
        """
        return self.decode_many(embedding, (prompt,))[0]

    def decode_many(
        self, embedding: Embedding, prompts: Sequence[Prompt]
    ) -> list[tuple[MaskCandidate, ...]]:
        """`decode` for many prompts on one image."""
        framing = self._framing(embedding.width, embedding.height)
        asked = [place for place, prompt in enumerate(prompts) if prompt]
        results: list[tuple[MaskCandidate, ...]] = [()] * len(prompts)
        if not asked:
            return results
        with spared(self._spec.title), torch.inference_mode():
            features = self._restored(embedding.arrays)
            for first in range(0, len(asked), BATCH):
                some = asked[first : first + BATCH]
                boxes = torch.cat([_box(prompts[place], framing) for place in some])
                located = self._opened.network.locate(
                    features, framing.fractions(boxes).to(self._opened.device)
                )
                for place, own in zip(some, located.masks[:, 0], strict=True):
                    others = self._there(embedding.arrays, features, framing, prompts[place])
                    results[place] = _candidates(own, others, framing, prompts[place])
        return results

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """See `models.api.Segmenter`."""
        return rendered(candidate, embedding.width, embedding.height)

    def _framing(self, width: int, height: int) -> Framing:
        return Framing.fitting(height, width, self._longest)

    def _restored(self, arrays: Mapping[str, NDArray[np.generic]]) -> ClipFeatures:
        count = sum(name.startswith(_MEMORY.format("")) for name in arrays)
        memory = tuple(self._tensor(arrays[_MEMORY.format(i)])[None] for i in range(count))
        pixels = self._tensor(arrays["pixels"])[None]
        return ClipFeatures(pixels, memory, pixels[:, :, :0])

    def _there(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        features: ClipFeatures,
        framing: Framing,
        prompt: Prompt,
    ) -> list[Tensor]:
        """Masks (h, w) found unasked at a single click, distinct ones, the smallest first."""
        clicks = [point for point in prompt.points if point.positive]
        if prompt.box is not None or len(clicks) != 1:
            return []
        (click,) = clicks
        kernels, quality = self._tensor(arrays["kernels"]), self._tensor(arrays["quality"])
        row, column = _cell(click.x, click.y, framing)
        at = torch.nonzero(kernels @ features.pixels[0, :, row, column] > 0)[:, 0]
        masks = torch.einsum("nc,chw->nhw", kernels[at], features.pixels[0])
        order = covering(masks, framing, click.x, click.y)
        best = sorted(order, key=lambda one: -float(quality[at[one]]))
        kept: list[int] = []
        for one in best:
            if len(kept) == OFFERED:
                break
            if all(_overlap(masks[one], masks[other]) <= SAME for other in kept):
                kept.append(one)
        return [masks[one] for one in order if one in kept]

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        values = np.asarray(array, np.float32)
        writeable = values if values.flags.writeable else values.copy()  # torch takes no others
        return torch.from_numpy(writeable).to(self._opened.device)


def _candidates(
    own: Tensor, others: Sequence[Tensor], framing: Framing, prompt: Prompt
) -> tuple[MaskCandidate, ...]:
    """The mask of the prompt and those found there, empty and equal ones left out."""
    distinct = [one for one in others if _overlap(one, own) <= SAME]
    masks = [one for one in (own, *distinct) if bool((_shown(one, framing) > 0).any())]
    if not masks:
        return (_candidate(own, framing),)
    masks.sort(key=lambda one: _contradictions(one, framing, prompt) > 0)  # stable
    first, *rest = masks
    rest.sort(key=lambda one: int((_shown(one, framing) > 0).sum()))
    return tuple(_candidate(one, framing) for one in (first, *rest))


def _candidate(mask: Tensor, framing: Framing) -> MaskCandidate:
    logits = np.ascontiguousarray(_shown(mask, framing).float().cpu().numpy())
    rows, columns = logits.shape
    zoom_x = STRIDE * framing.original[1] / framing.resized[1]
    zoom_y = STRIDE * framing.original[0] / framing.resized[0]
    return MaskCandidate(logits, Box(0, 0, columns * zoom_x, rows * zoom_y), stability(logits))


def _shown(mask: Tensor, framing: Framing) -> Tensor:
    """The cells of a mask (h, w) that show the image."""
    height, width = (-(-side // STRIDE) for side in framing.resized)
    return mask[:height, :width]


def _contradictions(mask: Tensor, framing: Framing, prompt: Prompt) -> int:
    """Clicks a mask does not agree with."""
    return sum(
        bool(mask[_cell(point.x, point.y, framing)] > 0) is not point.positive
        for point in prompt.points
    )


def _overlap(one: Tensor, other: Tensor) -> float:
    """IoU of the masks of logits."""
    mine, theirs = one > 0, other > 0
    union = int((mine | theirs).sum())
    return int((mine & theirs).sum()) / union if union else 1.0


def _cell(x: float, y: float, framing: Framing) -> tuple[int, int]:
    """Where a place of the image (pixels) lies in masks: row and column."""
    height, width = framing.resized
    row = min(max(int(y * height / framing.original[0]), 0), height - 1)
    column = min(max(int(x * width / framing.original[1]), 0), width - 1)
    return row // STRIDE, column // STRIDE


def _box(prompt: Prompt, framing: Framing) -> Tensor:
    """The box (1, 4) a prompt means, pixels of the resized image."""
    scale_x = framing.resized[1] / framing.original[1]
    scale_y = framing.resized[0] / framing.original[0]
    if prompt.box is not None:
        box = prompt.box.clipped(framing.original[1], framing.original[0])
        corners = (box.x0 * scale_x, box.y0 * scale_y, box.x1 * scale_x, box.y1 * scale_y)
        return torch.tensor([corners], dtype=torch.float32)
    clicks = [(p.x * scale_x, p.y * scale_y) for p in prompt.points if p.positive]
    reach = click_boxes(torch.tensor(clicks, dtype=torch.float32))
    return torch.cat([reach[:, :2].amin(0), reach[:, 2:].amax(0)])[None]
