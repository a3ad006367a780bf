"""Training scenes: crops of labelled images, varied in scale, place, colour and content."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.data import Image, LabelledImage, Masks

MIN_AREA = 40
"""Pixels of a scene an object has to cover to be asked for."""
MAX_SHARE = 0.8
EDGE_FILL = (114, 114, 114)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One training image.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        masks: (n, S, S) uint8, 1 inside; n may be 0.
    """

    image: Image
    masks: Masks


def make_scene(
    rng: np.random.Generator,
    item: LabelledImage,
    size: int,
    count: int,
    pasted: LabelledImage | None = None,
) -> Scene:
    """A varied crop with at most `count` objects, one of them from `pasted` if given."""
    pixels = item.pixels()
    target = int(rng.integers(len(item.masks)))
    matrix = _view(rng, pixels.shape[:2], item.boxes[target], size)
    image = _warp(pixels, matrix, size, EDGE_FILL)
    order = [target, *(i for i in rng.permutation(len(item.masks)) if i != target)]
    shown = [i for i in order if _is_seen(item.boxes[i], matrix, size)][: count + 4]
    masks = [_warp_mask(item.mask(i), matrix, size) for i in shown]
    if pasted is not None:
        image, masks = _paste(rng, image, masks, pasted, size)
    masks = [mask for mask in masks if MIN_AREA <= int(mask.sum()) <= MAX_SHARE * size * size]
    chosen = np.stack(masks[:count]) if masks else np.zeros((0, size, size), np.uint8)
    return Scene(_recolour(rng, image), chosen)


def plain_scene(item: LabelledImage, size: int, count: int) -> Scene:
    """The whole image, unvaried, in the upper left of a square."""
    pixels = item.pixels()
    scale = size / max(pixels.shape[:2])
    matrix = np.array([[scale, 0, 0], [0, scale, 0]], np.float64)
    masks = [_warp_mask(item.mask(i), matrix, size) for i in range(min(len(item.masks), count))]
    masks = [mask for mask in masks if int(mask.sum()) >= MIN_AREA]
    chosen = np.stack(masks) if masks else np.zeros((0, size, size), np.uint8)
    return Scene(_warp(pixels, matrix, size, EDGE_FILL), chosen)


def _view(
    rng: np.random.Generator, shape: tuple[int, ...], box: NDArray[np.float32], size: int
) -> NDArray[np.float64]:
    """Affine map (2, 3) from the image to a scene that shows most of the box."""
    height, width = shape[:2]
    long = max(height, width)
    side = long * np.exp(rng.uniform(np.log(0.45), np.log(1.2)))
    object_side = float(max(box[2] - box[0], box[3] - box[1]))
    if rng.random() < 0.35:  # a closer look
        side = object_side * np.exp(rng.uniform(np.log(1.3), np.log(6.0)))
    side = float(np.clip(side, max(96.0, 0.9 * object_side), 1.25 * long))
    center = (box[:2] + box[2:]) / 2 + rng.uniform(-0.4, 0.4, 2) * max(side - object_side, 0)
    if side >= long:  # everything fits; keep the image in view
        center = np.array([width, height]) / 2 + rng.uniform(-0.5, 0.5, 2) * (side - long)
    scale = size / side * np.exp(rng.uniform(-0.08, 0.08, 2))
    if rng.random() < 0.5:
        scale[0] = -scale[0]
    angle = np.deg2rad(rng.uniform(-20, 20)) if rng.random() < 0.25 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = np.diag(scale) @ turn
    return np.column_stack([linear, size / 2 - linear @ center])


def _warp(
    pixels: Image, matrix: NDArray[np.float64], size: int, fill: tuple[int, int, int]
) -> Image:
    return np.asarray(
        cv2.warpAffine(pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=fill),
        np.uint8,
    )


def _warp_mask(mask: Masks, matrix: NDArray[np.float64], size: int) -> Masks:
    # Linear on 0 … 255 and cut at one half keeps the outline smooth when it is enlarged.
    soft = cv2.warpAffine(mask * 255, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=0)
    return np.asarray(soft > 127, np.uint8)


def _is_seen(box: NDArray[np.float32], matrix: NDArray[np.float64], size: int) -> bool:
    corners = box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2) @ matrix[:, :2].T + matrix[:, 2]
    low, high = np.maximum(corners.min(0), 0), np.minimum(corners.max(0), size)
    return bool((high - low > 4).all())


def _paste(
    rng: np.random.Generator,
    image: Image,
    masks: list[Masks],
    other: LabelledImage,
    size: int,
) -> tuple[Image, list[Masks]]:
    """Put one object of another image in front."""
    index = int(rng.integers(len(other.masks)))
    box = other.boxes[index]
    object_side = float(max(box[2] - box[0], box[3] - box[1]))
    if object_side < 24:
        return image, masks
    scale = size * np.exp(rng.uniform(np.log(0.12), np.log(0.6))) / object_side
    scale = min(scale, 2.5)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = np.diag([scale * flip, scale])
    center = (box[:2] + box[2:]) / 2
    place = rng.uniform(0.1, 0.9, 2) * size
    matrix = np.column_stack([linear, place - linear @ center])
    front = _warp(other.pixels(), matrix, size, EDGE_FILL)
    mask = _warp_mask(other.mask(index), matrix, size)
    soft = cv2.GaussianBlur(mask * 255, (0, 0), rng.uniform(0.5, 1.2))[..., None] / 255.0
    mixed = np.asarray(front * soft + image * (1 - soft), np.uint8)
    return mixed, [mask, *(one * (1 - mask) for one in masks)]


def _recolour(rng: np.random.Generator, image: Image) -> Image:
    """Light, contrast, colour, and now and then blur, noise or JPEG."""
    changed = image.astype(np.float32) / 255.0
    if rng.random() < 0.8:
        changed **= np.exp(rng.uniform(-0.35, 0.35))
        mean = changed.mean()
        changed = (changed - mean) * rng.uniform(0.7, 1.3) + mean + rng.uniform(-0.1, 0.1)
        gray = changed.mean(-1, keepdims=True)
        colour = rng.uniform(0.4, 1.5) if rng.random() > 0.08 else 0.0
        changed = (changed - gray) * colour + gray
        changed *= rng.uniform(0.9, 1.1, 3)
    kind = rng.random()
    if kind < 0.1:
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.5, 1.6)))
    elif kind < 0.2:
        changed += rng.normal(0, rng.uniform(0.01, 0.05), changed.shape)
    pixels: Image = np.clip(changed * 255.0 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
        pixels = np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], -1), np.uint8)
    return pixels
