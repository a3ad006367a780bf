"""What networks that find everything work with, and what they answer: values of tensors."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

STRIDE = 4
"""Pixels of the padded frame for each logit of a mask."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How an image lies in what the network sees: resized, at the top left of a padded frame.

    Attributes:
        original: height and width of the image, pixels.
        resized: height and width inside the frame.
        padded: height and width of the frame, multiples of 32.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def fitting(cls, height: int, width: int, longest: int, shortest: int | None = None) -> Framing:
        """The frame of an image that is made as large as fits.

        Args:
            height: of the image.
            width: of the image.
            longest: pixels the longer side may have.
            shortest: pixels the shorter side may have; none: as `longest`.
        """
        scale = min(longest / max(height, width), (shortest or longest) / min(height, width))
        resized = (max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5)))
        return cls((height, width), resized, (-(-resized[0] // 32) * 32, -(-resized[1] // 32) * 32))

    def fractions(self, boxes: Tensor) -> Tensor:
        """Boxes (n, 4), x0, y0, x1, y1 in pixels of the resized image, as parts of it."""
        height, width = self.resized
        return boxes / boxes.new_tensor([width, height, width, height])

    def full_size(self, logits: Tensor) -> Tensor:
        """Logits (n, padded / 4) at the size of the image, (n, height, width).

        Bilinear twice, as published: to the padded frame, and without its padding to the image.
        """
        large = _resized(logits, self.padded)[:, : self.resized[0], : self.resized[1]]
        return _resized(large, self.original)


@dataclass(frozen=True, slots=True, eq=False)
class ClipFeatures:
    """What is computed once for an image or a clip of T frames, whatever is asked afterwards.

    Attributes:
        pixels: (T, C, h, w) at stride 4: a mask is a vector times this.
        memory: maps (T, C, h, w) that queries look at; empty where they look at `pixels`.
        last: (T, D, h, w), the backbone's last level, for CLIP's own opinion.
    """

    pixels: Tensor
    memory: tuple[Tensor, ...]
    last: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What N queries found in a clip of T frames.

    Attributes:
        queries: (N, C), by which the next clip of a sequence recognises them.
        vectors: (N, d), not normalised: compared with vectors of names.
        quality: (N) logits of how well a mask fits its object.
        masks: (N, T, h, w) logits at stride 4 of the padded frame.
    """

    queries: Tensor
    vectors: Tensor
    quality: Tensor
    masks: Tensor

    def chosen(self, order: Sequence[int] | Tensor) -> Found:
        """These queries, in this order."""
        index = torch.as_tensor(order, device=self.queries.device, dtype=torch.long)
        return Found(
            self.queries[index], self.vectors[index], self.quality[index], self.masks[index]
        )


class FindsEverything(Protocol):
    """What OMG-Seg and RAP-SAM have in common."""

    @property
    def step_count(self) -> int:
        """Steps of `encoding`."""

    def encode(self, pixels: Tensor) -> ClipFeatures:
        """Frames (T, 3, H, W) of a clip, T = 1 for an image, to their features.

        Normalised as for SAM, resized with their ratio kept, padded to multiples of 32.
        """

    def encoding(self, pixels: Tensor) -> Generator[str, None, ClipFeatures]:
        """`encode` in `step_count` steps, each named after the part that was run."""

    def decode(self, features: ClipFeatures) -> Found:
        """Everything in a clip."""

    def locate(self, features: ClipFeatures, boxes: Tensor) -> Found:
        """What boxes (n, 4), parts of the resized image, mean; each for itself."""

    def kernels(self, found: Found) -> Tensor:
        """Vectors (N, C) whose products with `ClipFeatures.pixels` are the masks."""


def run_through(steps: Generator[str, None, ClipFeatures]) -> ClipFeatures:
    """The result of `encoding` when nobody wants to know how far it is."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            features: ClipFeatures = end.value
            return features


def click_boxes(points: Tensor, reach: float = 3.0) -> Tensor:
    """Clicks (n, 2), x and y in pixels of the resized image, as the boxes (n, 4) they stand for."""
    return torch.cat([points - reach, points + reach], 1)


def pooled(features: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of features where masks are above 0, and how many cells that were.

    Args:
        features: (T, C, h, w).
        masks: (N, T, h, w) logits.

    Returns:
        (N, C) and (N).
    """
    inside = (masks > 0).to(features.dtype)
    sums = torch.einsum("tchw,nthw->nc", features, inside)
    return sums, inside.sum((1, 2, 3))


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]
