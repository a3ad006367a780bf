"""Image, coordinates and masks between pixels and the frame of the network."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch  # noqa: TID253

from annotator.core import raster
from models.networks.edgesam import full_size_logits
from models.transforms import MEAN, STD, Frame, full_mask, mask_piece, network_input, resize
from tests.models import edgesam_fixture as fixture
from tests.models.edgesam_fixture import needs_fixture

SIZES = [(640, 480), (480, 640), (1024, 1024), (1800, 1200), (333, 2000), (17, 9), (1, 700)]


@needs_fixture
def test_resize_is_the_original_bit_for_bit():
    frame = Frame(640, 480)
    small = resize(fixture.image(), frame)
    assert small.shape[:2] == tuple(fixture.cases()["input_size_hw"])
    assert zlib.crc32(small.tobytes()) == fixture.cases()["resized_crc32"]


def test_sides_are_rounded_as_in_the_original():
    assert Frame(1800, 1200).resized == (683, 1024)
    assert Frame(4000, 3000).resized == (768, 1024)
    assert Frame(5000, 1).resized == (1, 1024)


def test_input_is_normalised_before_it_is_padded():
    image = np.full((512, 1024, 3), 200, np.uint8)
    found = network_input(image, Frame(1024, 512))
    assert found.shape == (1, 3, 1024, 1024)
    assert not found[..., 512:, :].any()
    expected = (200 - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(found[0, :, 511, 1023], expected, rtol=1e-6)


def test_coordinates_have_two_ratios():
    found = Frame(1800, 1200).to_frame(np.array([[1800.0, 1200.0], [900.0, 600.0]]))
    np.testing.assert_array_equal(found, [[1024, 683], [512, 341.5]])
    assert found.dtype == np.float32


def test_extent_is_the_padded_square():
    extent = Frame(1800, 1200).extent
    assert (extent.x0, extent.y0, extent.x1) == (0, 0, 1800)
    assert extent.y1 == pytest.approx(1024 * 1200 / 683)


def smooth_logits(seed: int) -> np.ndarray:
    """Blobs with clear edges, like trained masks."""
    noise = np.random.default_rng(seed).normal(size=(1, 1, 16, 16)).astype(np.float32)
    large = torch.nn.functional.interpolate(torch.from_numpy(noise), (256, 256), mode="bicubic")
    return 8 * large[0, 0].numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["smooth", "noise"])
def test_masks_are_those_of_the_definition(size, kind):
    width, height = size
    noise = np.random.default_rng(5).normal(size=(256, 256)).astype(np.float32)
    logits = smooth_logits(3) if kind == "smooth" else noise
    frame = Frame(width, height)
    expected = full_size_logits(
        torch.from_numpy(logits)[None, None], frame.resized, (height, width)
    )[0, 0].numpy()
    mask = full_mask(logits, frame)
    assert mask.shape == (height, width)
    different = mask != (expected > 0)
    # Only where rounding decides: a value that is 0 to seven digits.
    assert not np.abs(expected[different]).max(initial=0) > 1e-5
    assert different.mean() <= 1e-4


def test_masks_are_column_major_for_run_lengths():
    mask = full_mask(smooth_logits(1), Frame(640, 480))
    assert mask.flags.f_contiguous
    assert raster.from_array(mask) == raster.from_array(np.ascontiguousarray(mask))


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_uniform_masks(value):
    mask = full_mask(np.full((256, 256), value, np.float32), Frame(300, 200))
    assert mask.all() == (value > 0)
    assert mask.any() == (value > 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["spot", "corner", "noise", "nothing", "all"])
def test_pieces_are_the_part_that_is_not_empty(size, kind):
    width, height = size
    logits = np.full((256, 256), 1.0 if kind == "all" else -1.0, np.float32)
    if kind == "spot":
        logits[100:103, 40:70] = 2
    if kind == "corner":
        logits[:9, :9] = 2
    if kind == "noise":
        logits = np.random.default_rng(5).normal(size=(256, 256)).astype(np.float32)
    frame = Frame(width, height)
    whole = full_mask(logits, frame)
    x, y, pixels = mask_piece(logits, frame)
    down, across = pixels.shape
    np.testing.assert_array_equal(whole[y : y + down, x : x + across], pixels)
    assert whole.sum() == pixels.sum()
    if kind == "spot":
        assert pixels.size < whole.size / 10
    piece = raster.from_crop(raster.Crop(x, y, pixels), width, height)
    assert piece == raster.from_array(whole)
