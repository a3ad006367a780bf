"""The describer without weights: similar objects get similar vectors."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.api import Box, Describer
from models.describe import BasicDescriber

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def described(image: Image, mask: Mask) -> NDArray[np.float32]:
    height, width = mask.shape
    return BasicDescriber().describe(image, mask, Box(0, 0, width, height))


def shape(kind: str, size: int = 80) -> Mask:
    canvas = np.zeros((size, size), np.uint8)
    if kind == "disk":
        cv2.circle(canvas, (size // 2, size // 2), size // 2 - 2, 1, -1)
    elif kind == "bar":
        canvas[size * 2 // 5 : size * 3 // 5] = 1
    else:
        canvas[:, size * 2 // 5 : size * 3 // 5] = 1
    return canvas.astype(bool)


def coloured(mask: Mask, colour: tuple[int, int, int], seed: int = 0) -> Image:
    image = np.full((*mask.shape, 3), 90, np.uint8)
    image[mask] = colour
    noise = np.random.default_rng(seed).normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def test_it_is_a_describer() -> None:
    describer = BasicDescriber()
    assert isinstance(describer, Describer)
    assert describer.id == "basic-descriptor-1"


def test_vectors_are_unit_and_repeatable() -> None:
    mask = shape("disk")
    image = coloured(mask, (200, 40, 40))
    one, two = described(image, mask), described(image, mask)
    assert one.dtype == np.float32
    assert one.ndim == 1
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(one, two)


def test_colour_decides_between_equal_shapes() -> None:
    mask = shape("disk")
    red, red_again = (described(coloured(mask, (200, 40, 40), s), mask) for s in (0, 1))
    blue = described(coloured(mask, (40, 40, 200), 2), mask)
    assert red @ red_again > red @ blue + 0.05


def test_shape_decides_between_equal_colours() -> None:
    masks = [shape("bar"), shape("bar"), shape("post")]
    bar, bar_again, post = (
        described(coloured(mask, (60, 160, 60), s), mask) for s, mask in enumerate(masks)
    )
    assert bar @ bar_again > bar @ post + 0.05


def test_size_of_the_picture_hardly_matters() -> None:
    small, large = shape("disk", 90), shape("disk", 360)
    one = described(coloured(small, (200, 160, 40)), small)
    two = described(coloured(large, (200, 160, 40)), large)
    other = described(coloured(shape("post", 90), (40, 90, 200)), shape("post", 90))
    assert one @ two > one @ other + 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (900, 1200)])
@pytest.mark.parametrize("full", [True, False])
def test_any_crop_has_a_vector(size: tuple[int, int], full: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    vector = described(image, np.full(size, full))
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert len(vector) == len(described(image[:1, :1], np.ones((1, 1), bool)))


def test_it_is_fast() -> None:
    mask = shape("disk", 600)
    image = coloured(mask, (200, 40, 40))
    described(image, mask)
    times = []
    for _ in range(9):
        began = time.perf_counter()
        described(image, mask)
        times.append(time.perf_counter() - began)
    assert np.median(times) < 0.05
