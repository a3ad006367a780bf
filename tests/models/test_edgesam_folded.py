"""The folded decoder equals the plain one: in torch, in onnxruntime, lazily and in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch  # noqa: TID253

from models.networks.edgesam import EdgeSam, narrow_edge_sam
from models.networks.folded import export_folded, export_plain, fold
from models.onnx_decoder import FoldedDecoder, PlainDecoder, undecided
from models.onnx_session import open_session

pytest.importorskip("onnx", reason="exporting needs the package onnx")

GRID = 64
TOKENS = {"click": 2, "box": 2, "five clicks": 6}


def sharpened(seed: int = 1) -> EdgeSam:
    """A narrow EdgeSAM with larger weights, so that attention is not uniform."""
    network = narrow_edge_sam(seed)
    with torch.no_grad():
        for parameter in network.mask_decoder.parameters():
            parameter.mul_(2.0)
    return network.requires_grad_(False)


def prompt(kind: str, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates (B, K, 2) and labels (B, K) with padding or corners."""
    random = torch.Generator().manual_seed(seed)
    tokens = TOKENS[kind]
    coords = torch.rand(count, tokens, 2, generator=random) * 1000
    labels = torch.ones(count, tokens)
    labels[:, -1] = -1
    if kind == "box":
        labels[:] = torch.tensor([2.0, 3.0])
    if tokens > 2:
        labels[:, 1] = 0
    return coords, labels


@pytest.fixture(scope="module")
def network() -> EdgeSam:
    return sharpened()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(64, GRID, GRID, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, network):
    path = tmp_path_factory.mktemp("graphs")
    export_folded(network.prompt_encoder, network.mask_decoder, path)
    export_plain(network.prompt_encoder, network.mask_decoder, path / "plain.onnx")
    return path


def plain(network: EdgeSam, image, coords, labels) -> tuple[torch.Tensor, torch.Tensor]:
    prompts = network.prompt_encoder
    sparse = prompts.embed_tokens(coords, labels)
    dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, GRID, GRID)
    with torch.no_grad():
        return network.mask_decoder.decode_all(
            image[None], prompts.dense_positions(), sparse, dense
        )


def folded(network: EdgeSam, image, coords, labels) -> tuple[torch.Tensor, ...]:
    side, start, trunk, cells = fold(network.prompt_encoder, network.mask_decoder)
    with torch.no_grad():
        *projected, residual = side(image)
        begun = start(*projected, coords, labels)
        tokens, weights, quality, coarse = trunk(residual, *begun, torch.arange(4))
        every = torch.arange(GRID * GRID)
        logits = [
            cells(tokens, weights, torch.tensor([number]), every)
            .reshape(GRID, GRID, 4, 4, 4)
            .permute(2, 0, 3, 1, 4)
            .reshape(4, 4 * GRID, 4 * GRID)
            for number in range(len(coords))
        ]
    return torch.stack(logits), quality, coarse


@pytest.mark.parametrize("kind", TOKENS)
def test_folding_is_exact(network, image, kind):
    coords, labels = prompt(kind, 2)
    expected, expected_quality = plain(network, image, coords, labels)
    logits, quality, coarse = folded(network, image, coords, labels)
    size = expected.abs().max()
    assert (logits - expected).abs().max() <= 1e-5 * max(1, size)
    assert (quality - expected_quality).abs().max() <= 1e-5
    different = (logits > 0) != (expected > 0)
    assert expected[different].abs().sum() <= 1e-5 * size
    torch.testing.assert_close(
        coarse.reshape(2, 4, GRID, GRID), logits[..., 2::4, 2::4], rtol=0, atol=1e-5 * float(size)
    )


def test_folding_is_exact_in_double_precision(image):
    network = sharpened().double()
    coords, labels = (x.double() for x in prompt("five clicks", 1))
    expected, _ = plain(network, image.double(), coords, labels)
    logits, _, _ = folded(network, image.double(), coords, labels)
    assert (logits - expected).abs().max() <= 1e-11
    assert torch.equal(logits > 0, expected > 0)


@pytest.mark.parametrize("kind", TOKENS)
def test_onnx_agrees_with_torch(network, image, folder, kind):
    coords, labels = prompt(kind, 5)
    expected, expected_quality = plain(network, image, coords, labels)
    decoder = FoldedDecoder(folder)
    arrays = {"image": image.numpy(), **decoder.prepare(image.numpy())}
    everywhere = np.ones((5, GRID, GRID), bool)
    answers = decoder.decode(arrays, coords.numpy(), labels.numpy(), (0, 1, 2, 3), everywhere)
    for (logits, quality), truth, truth_quality in zip(
        answers, expected, expected_quality, strict=True
    ):
        np.testing.assert_allclose(logits, truth, rtol=0, atol=5e-4)
        np.testing.assert_allclose(quality, truth_quality, rtol=0, atol=5e-4)
    one, _ = decoder.decode(arrays, coords[3:4].numpy(), labels[3:4].numpy(), (2,), everywhere[:1])[
        0
    ]
    np.testing.assert_allclose(one[0], expected[3, 2], rtol=0, atol=5e-4)


def test_plain_graph_agrees_with_torch(network, image, folder):
    coords, labels = prompt("five clicks", 2)
    expected, _ = plain(network, image, coords, labels)
    decoder = PlainDecoder(open_session(folder / "plain.onnx"))
    focus = np.zeros((2, GRID, GRID), bool)
    answers = decoder.decode(
        {"image": image.numpy()}, coords.numpy(), labels.numpy(), (0, 3), focus
    )
    for (logits, _), truth in zip(answers, expected, strict=True):
        np.testing.assert_allclose(logits, truth[[0, 3]], rtol=0, atol=5e-4)


def test_other_cells_are_samples(network, image, folder):
    decoder = FoldedDecoder(folder)
    arrays = decoder.prepare(image.numpy())
    coords, labels = (x.numpy() for x in prompt("click", 1))
    (trunk,) = decoder.trunks(arrays, coords, labels, (0, 1))
    nowhere = np.zeros((GRID, GRID), bool)
    one = nowhere.copy()
    one[7, 9] = True
    coarse, mixed = (trunk.logits(0, exact) for exact in (nowhere, one))
    np.testing.assert_array_equal(coarse[:, 2::4, 2::4], trunk.coarse[0])
    assert np.ptp(coarse[:, 28:32, 36:40], axis=(1, 2)).max() == 0
    changed = coarse != mixed
    assert changed[:, 28:32, 36:40].any()
    changed[:, 28:32, 36:40] = False
    assert not changed.any()


def test_undecided_cells_surround_every_edge():
    coarse = np.full((2, 8, 8), -9.0, np.float32)
    assert not undecided(coarse).any()
    coarse[0, 4, 4] = 9
    expected = np.zeros((8, 8), bool)
    expected[3:6, 3:6] = True
    np.testing.assert_array_equal(undecided(coarse), expected)
    assert not undecided(np.full((2, 8, 8), 9.0, np.float32)).any()
    assert undecided(np.full((1, 8, 8), 1.0, np.float32)).all()
