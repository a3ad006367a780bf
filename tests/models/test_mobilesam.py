"""MobileSAM: layout, arithmetic of TinyViT, its segmenter."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import Box, ModelError, Point, Prompt
from models.networks.edgesam import merge_branches
from models.networks.mobilesam import NARROW, mobile_sam, narrow_mobile_sam
from models.networks.mobilesam.tiny_vit import TinyVitBlock, WindowAttention
from models.networks.sam import Sam
from models.networks.sam_vit import NARROW as NARROW_VIT
from models.networks.sam_vit import encode_at, sam_vit
from models.registry import segmenter_spec
from models.sam_family.torch_runtime import loaded
from tests.models.family_truth import fill, layout, numbers, summary

SPEC = segmenter_spec("mobilesam")
IMAGE = numbers("image", (1, 3, 128, 128))


def parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_layout_and_parameters_are_the_published_ones():
    with torch.device("meta"):
        net = mobile_sam()
    state = net.state_dict()
    assert len(state) == 439
    assert layout(state) == 1932490593  # of MobileSAM's own network
    assert parameters(net.image_encoder) == 6_065_532
    assert parameters(net) == 10_130_092
    assert state["image_encoder.layers.2.blocks.5.attn.attention_biases"].shape == (5, 14 * 14)


@pytest.fixture(scope="module")
def truth() -> Sam:
    return fill(narrow_mobile_sam())


def test_encoder_agrees_with_the_original(truth):
    expected = [0.012498, 1.115244, 1.461486, -1.619458, -2.962064]
    assert summary(truth.image_encoder(IMAGE)) == pytest.approx(expected, abs=1e-4)


def naive_attention(layer: WindowAttention, x: torch.Tensor) -> torch.Tensor:
    """The definition, one pair of places at a time; x is one window (n, C)."""
    channels, side = x.shape[1], layer.window
    size = channels // layer.heads
    qkv = layer.qkv(layer.norm(x)).view(-1, layer.heads, 3 * size)
    q, k, v = qkv[..., :size], qkv[..., size : 2 * size], qkv[..., 2 * size :]
    places = list(itertools.product(range(side), repeat=2))
    result = torch.zeros(len(places), layer.heads, size)
    for head, (query, (y, z)) in itertools.product(range(layer.heads), enumerate(places)):
        scores = [
            q[query, head] @ k[key, head] / math.sqrt(size)
            + layer.attention_biases[head, abs(y - b) * side + abs(z - a)]
            for key, (b, a) in enumerate(places)
        ]
        result[query, head] = torch.stack(scores).softmax(0) @ v[:, head]
    return layer.proj(result.flatten(1))


def test_attention_is_its_definition():
    layer = fill(WindowAttention(8, 2, 3))
    x = numbers("window", (2, 9, 8))
    expected = torch.stack([naive_attention(layer, window) for window in x])
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-5)


def test_block_is_its_definition():
    block = fill(TinyVitBlock(8, 2, 3, 4))
    x = numbers("map", (1, 8, 4, 5))
    padded = torch.nn.functional.pad(x, (0, 1, 0, 2))
    mixed = torch.zeros_like(padded)
    for y, z in itertools.product((0, 3), repeat=2):
        window = padded[0, :, y : y + 3, z : z + 3].flatten(1).T
        mixed[0, :, y : y + 3, z : z + 3] = naive_attention(block.attn, window).T.view(8, 3, 3)
    local = block.local_conv(x + mixed[:, :, :4, :5])
    expected = local + block.mlp(local.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-5)


def test_merging_batch_norms_keeps_the_embedding(truth):
    expected = truth.image_encoder(IMAGE)
    net = fill(narrow_mobile_sam())
    found = merge_branches(net.image_encoder)(IMAGE)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.image_encoder.modules())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_other_sizes_need_no_adaptation(truth):
    larger = torch.nn.functional.interpolate(IMAGE, (192, 192), mode="bilinear")
    assert encode_at(truth.image_encoder, larger).shape == (1, 64, 12, 12)


def test_a_missing_file_is_named():
    assert SPEC.available() is not None
    assert "mobile_sam.pt" in SPEC.available()
    with pytest.raises(ModelError, match="annotator models get mobilesam"):
        SPEC.load()


def test_the_checkpoint_of_another_model_is_refused(tmp_path):
    file = tmp_path / "mobile_sam.pt"
    torch.save(sam_vit(NARROW_VIT, hidden=64).state_dict(), file)
    with pytest.raises(ModelError, match=r"mobile_sam\.pt.*does not fit MobileSAM.*unknown"):
        loaded(lambda: mobile_sam(NARROW, hidden=64), file, "MobileSAM")


def test_the_spec_loads_its_file(tmp_path, truth, monkeypatch):
    file = tmp_path / "mobile_sam.pt"
    torch.save(truth.state_dict(), file)
    monkeypatch.setattr("models.sam_family.runtime.present", lambda _: (file, "abc"))
    monkeypatch.setattr("models.sam_family.runtime.accelerated", lambda: True)
    monkeypatch.setattr("models.sam_family.networks.TINY_5M", NARROW)
    monkeypatch.setattr(
        "models.sam_family.networks.mobile_sam", lambda sizes: mobile_sam(sizes, hidden=64)
    )
    segmenter = SPEC.load()
    picture = np.random.default_rng(3).integers(0, 256, (60, 128, 3), np.uint8)
    embedding = segmenter.encode_at(picture, 128)
    assert embedding.arrays["image"].shape == (64, 8, 8)
    candidates = segmenter.decode(embedding, Prompt((Point(64, 30),)))
    assert len(candidates) == 3
    assert len(segmenter.decode(embedding, Prompt(box=Box(5, 5, 99, 40)))) == 1
    assert segmenter.render(embedding, candidates[0]).shape == (60, 128)
