"""What CLIP2SAM looks at: varied views of labelled images, objects with boxes and points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.evaluation.dataset import Picture, Truth
from models.training.evaluation.masks import tight_box
from models.training.rounds import Floats
from models.transforms import padded_input

LEAST_AREA = 16
"""Pixels of the frame of which an object has to show this many."""
TRIES = 10
"""Views that may show no object before the whole image is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One image as the network sees it; coordinates in its frame.

    Attributes:
        pixels: (1, 3, S, S) normalised and padded.
        masks: (n, S, S) uint8, 1 inside.
        classes: (n) row in the table of names.
        boxes: (n, 4) tight boxes.
        coords: (n, 2, 2) of the prompts: a point and padding, or the corners of the box.
        labels: (n, 2) of the prompts.
    """

    pixels: Floats
    masks: NDArray[np.uint8]
    classes: NDArray[np.int64]
    boxes: Floats
    coords: Floats
    labels: Floats


def make_view(
    rng: np.random.Generator,
    picture: Picture,
    rows: dict[int, int],
    side: int,
    zoom: tuple[float, float],
    most: int,
) -> View:
    """A flipped, resized and cut view with at most `most` objects; half have boxes as prompts.

    Args:
        rng: draws everything.
        picture: has at least one object of a known class.
        rows: row in the table of names by number of the class; objects of others are left out.
        side: S.
        zoom: smallest and largest enlargement of an image that just fits the frame.
        most: objects.

    Raises:
        ModelError: the image cannot be read.
    """
    image = picture.pixels()
    known = [truth for truth in picture.objects if truth.category_id in rows]
    order = [known[place] for place in rng.permutation(len(known))]
    for attempt in range(TRIES + 1):
        last = attempt == TRIES
        cut = _Cut.drawn(rng, image.shape[:2], side, (1.0, 1.0) if last else zoom)
        shown = _shown(order, cut, most)
        if shown or last:
            break
    masks = np.stack([mask for _, mask in shown]) if shown else np.zeros((0, side, side), np.uint8)
    boxes = np.zeros((len(shown), 4), np.float32)
    for place, mask in enumerate(masks):
        box = tight_box(mask.astype(np.bool_))
        boxes[place] = box.x0, box.y0, box.x1, box.y1
    coords, labels = _prompts(rng, masks, boxes)
    classes = np.array([rows[truth.category_id] for truth, _ in shown], np.int64)
    pixels = padded_input(cut.of(image, cv2.INTER_LINEAR), side)
    return View(pixels, masks, classes, boxes, coords, labels)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A resized, perhaps mirrored image, and the part of it that is kept.

    Attributes:
        size: width and height after resizing.
        left: of the kept part.
        top: of the kept part.
        side: largest width and height of the kept part.
        mirrored: left and right are exchanged.
    """

    size: tuple[int, int]
    left: int
    top: int
    side: int
    mirrored: bool

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        side: int,
        zoom: tuple[float, float],
    ) -> _Cut:
        scale = rng.uniform(*zoom) * side / max(shape)
        height, width = (max(1, int(length * scale + 0.5)) for length in shape)
        left = int(rng.integers(max(width - side, 0) + 1))
        top = int(rng.integers(max(height - side, 0) + 1))
        return cls((width, height), left, top, side, bool(rng.random() < 0.5))

    def of(self, image: NDArray[np.uint8], way: int) -> NDArray[np.uint8]:
        """The kept part (h, w, …) of an image or mask."""
        found = np.asarray(cv2.resize(image, self.size, interpolation=way), np.uint8)
        if self.mirrored:
            found = found[:, ::-1]
        return found[self.top :, self.left :][: self.side, : self.side]


def _shown(order: list[Truth], cut: _Cut, most: int) -> list[tuple[Truth, NDArray[np.uint8]]]:
    """Objects that a view shows enough of, with their masks (S, S)."""
    found: list[tuple[Truth, NDArray[np.uint8]]] = []
    for truth in order:
        if len(found) == most:
            break
        part = cut.of(truth.mask().astype(np.uint8), cv2.INTER_NEAREST_EXACT)
        if int(part.sum()) >= LEAST_AREA:
            mask = np.zeros((cut.side, cut.side), np.uint8)
            mask[: part.shape[0], : part.shape[1]] = part
            found.append((truth, mask))
    return found


def _prompts(
    rng: np.random.Generator, masks: NDArray[np.uint8], boxes: Floats
) -> tuple[Floats, Floats]:
    """Tokens (n, 2, 2) and labels (n, 2): boxes for one half, points inside for the other."""
    coords = boxes.reshape(-1, 2, 2).copy()
    labels = np.tile(np.array([2, 3], np.float32), (len(boxes), 1))
    for place in rng.permutation(len(boxes))[: (len(boxes) + 1) // 2]:
        ys, xs = np.nonzero(masks[place])
        chosen = int(rng.integers(len(ys)))
        coords[place] = [[xs[chosen], ys[chosen]], [0, 0]]
        labels[place] = 1, -1
    return coords, labels
