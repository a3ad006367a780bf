"""Photographs as OMG-Seg and RAP-SAM take them; importing this module imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch  # noqa: TID253

from models.encoding import passed
from models.transforms import MEAN, STD

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.networks.omgseg import ClipFeatures, FindsEverything, Framing

LONGEST = 1024
"""Pixels of the longer side inside the network, as in the published demonstration."""
VIDEO = (1280, 736)
"""The most of the longer and of the shorter side for sequences, as published."""


def framed(images: Sequence[NDArray[np.uint8]], framing: Framing) -> Tensor:
    """Images (H, W, 3) uint8 RGB of one size to (T, 3, padded height, padded width) float32.

    Resized linearly as in training; what is reduced to less than half is averaged, which training
    images never were.
    """
    height, width = framing.resized
    found = np.zeros((len(images), 3, *framing.padded), np.float32)
    mean, deviation = np.array(MEAN, np.float32), np.array(STD, np.float32)
    for place, image in enumerate(images):
        much = 2 * max(height, width) < max(image.shape[:2])
        way = cv2.INTER_AREA if much else cv2.INTER_LINEAR
        small = cv2.resize(image, (width, height), interpolation=way)
        normal = (small.astype(np.float32) - mean) / deviation
        found[place, :, :height, :width] = normal.transpose(2, 0, 1)
    return torch.from_numpy(found)


def encoded(network: FindsEverything, pixels: Tensor, share: float) -> ClipFeatures:
    """The features of frames, telling after every step how far it is.

    Args:
        network: on the device of the frames.
        pixels: see `framed`.
        share: of all work that this is, 0 to 1.

    Raises:
        EncodingStoppedError: nobody wants them any more.
    """
    done = 0
    # Closed here when somebody stops it: left to itself it would set torch's gradients to what
    # they were in here, whenever it is collected.
    with closing(network.encoding(pixels)) as steps:
        while True:
            try:
                part = next(steps)
            except StopIteration as end:
                features: ClipFeatures = end.value
                return features
            done += 1
            passed(part, share * done / network.step_count)
