"""EfficientSAM: layout, arithmetic, its segmenter, its archive."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import Box, Embedding, ModelError, Point, Prompt
from models.networks.efficientsam import (
    NARROW,
    VIT_S,
    VIT_T,
    EfficientSam,
    narrow_efficient_sam,
)
from models.networks.efficientsam.decoder import padded
from models.networks.efficientsam.encoder import EfficientAttention
from models.networks.sam_vit import encode_at
from models.registry import segmenter_spec
from models.sam_family.efficient import EfficientSegmenter, shortened
from models.sam_family.torch_efficient import TorchEfficient, read_weights, stretched
from models.sam_family.torch_runtime import filled
from tests.models.family_truth import fill, layout, numbers, summary

CPU = torch.device("cpu")
SPEC = segmenter_spec("efficientsam-ti")
IMAGE = numbers("image", (1, 3, 128, 128))


def parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(
    ("sizes", "check_sum", "encoder", "total"),
    [
        (VIT_T, 4165734066, 6_163_840, 10_223_204),
        (VIT_S, 951871643, 22_353_664, 26_413_028),
    ],
    ids=["Ti", "S"],
)
def test_layout_and_parameters_are_the_published_ones(sizes, check_sum, encoder, total):
    with torch.device("meta"):
        net = EfficientSam(sizes)
    assert len(net.state_dict()) == 278
    assert layout(net.state_dict()) == check_sum  # of EfficientSAM's own network
    assert parameters(net.image_encoder) == encoder
    assert parameters(net) == total


@pytest.fixture(scope="module")
def truth() -> EfficientSam:
    return fill(narrow_efficient_sam())


def test_encoder_agrees_with_the_original(truth):
    expected = [-0.014503, 1.189673, 0.521117, -1.243782, -0.166498]
    assert summary(truth.image_encoder(IMAGE)) == pytest.approx(expected, abs=1e-4)


CORNERS = [[10.0, 20.0], [100.0, 90.5]]


@pytest.mark.parametrize(
    ("coords", "labels", "logits", "quality"),
    [
        (
            [[40.0, 50.0], [90.5, 20.25]],
            [1, 0],
            [0.105691, 0.067688, -0.238935, -0.524051, -0.463791],
            [-1.184323, -0.17806, -0.447513],
        ),
        (
            CORNERS,
            [2, 3],
            [0.114369, 0.068974, -0.239085, -0.511795, -0.532119],
            [-1.32827, -0.40677, -0.573478],
        ),
        (
            [*CORNERS, [1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]],
            [2, 3, 1, 1, 1, 0],
            [0.088285, 0.060722, -0.283882, -0.4585, -0.460225],
            [-1.372933, -0.449335, -0.628825],
        ),
    ],
    ids=["points", "box", "all six"],
)
def test_decoder_agrees_with_the_original(truth, coords, labels, logits, quality):
    found, scores = truth(IMAGE, torch.tensor([coords]), torch.tensor([labels]))
    assert summary(found) == pytest.approx(logits, abs=1e-4)
    assert scores[0].tolist() == pytest.approx(quality, abs=1e-4)


def test_attention_is_its_definition():
    layer = fill(EfficientAttention(8, 2))
    x = numbers("tokens", (1, 5, 8))
    q, k, v = layer.qkv(x[0]).reshape(5, 3, 2, 4).unbind(1)
    mixed = [(1.5 * q[:, h] @ k[:, h].T / 2).softmax(1) @ v[:, h] for h in range(2)]
    expected = layer.proj(torch.cat(mixed, dim=1))
    torch.testing.assert_close(layer(x, 1.5)[0], expected, rtol=0, atol=1e-5)


def test_unused_tokens_lie_at_minus_one():
    coords, labels = padded(torch.ones(1, 2, 2), torch.ones(1, 2), 6)
    assert coords[0, 2:].tolist() == [[-1, -1]] * 4
    assert labels[0].tolist() == [1, 1, -1, -1, -1, -1]


def test_other_sizes_give_finer_embeddings(truth):
    larger = torch.nn.functional.interpolate(IMAGE, (192, 192), mode="bilinear")
    embedding = encode_at(truth.image_encoder, larger)
    assert embedding.shape == (1, 64, 12, 12)
    logits, _ = truth.decode(embedding, torch.tensor([CORNERS]), torch.tensor([[2, 3]]))
    assert logits.shape == (1, 3, 48, 48)
    assert truth.prompt_encoder.grid == 8


# --- The segmenter ---

PICTURE = np.random.default_rng(5).integers(0, 256, (60, 150, 3), np.uint8)


@pytest.fixture(scope="module")
def segmenter(truth) -> EfficientSegmenter:
    return EfficientSegmenter(SPEC, TorchEfficient(truth, CPU), "narrow", 128)


@pytest.fixture(scope="module")
def embedding(segmenter) -> Embedding:
    return segmenter.encode(PICTURE)


def test_images_are_stretched_to_a_square(segmenter, truth, embedding):
    pixels = torch.from_numpy(PICTURE).permute(2, 0, 1)[None].float() / 255
    square = torch.nn.functional.interpolate(pixels, (128, 128), mode="bilinear")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (square - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(
        stretched(torch.from_numpy(PICTURE), 128), expected, rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(
        embedding.arrays["image"], truth.image_encoder(expected)[0], atol=1e-3
    )


def test_prompts_are_stretched_too(segmenter, truth, embedding):
    image = torch.from_numpy(embedding.arrays["image"])[None]
    place = torch.tensor([[[75 * 128 / 150, 30 * 128 / 60]]])
    logits, quality = truth.decode(image, place, torch.ones(1, 1))
    found = segmenter.decode(embedding, Prompt((Point(75, 30),)))
    assert len(found) == 3
    np.testing.assert_allclose(found[0].logits, logits[0, quality[0].argmax()], atol=1e-4)
    for mask in logits[0].numpy():
        assert min(np.abs(mask - one.logits).max() for one in found) < 1e-4
    assert found[0].extent == Box(0, 0, 150, 60)


def test_a_larger_square(segmenter, embedding):
    large = segmenter.at(replace(SPEC, id="large", input_size=192))
    fine = large.encode(PICTURE)
    assert (fine.model, fine.arrays["image"].shape) == ("large", (64, 12, 12))
    assert large.fingerprint != segmenter.fingerprint
    assert large.decode(fine, Prompt((Point(75, 30),)))[0].logits.shape == (48, 48)


def test_boxes_and_odd_prompts_mean_something(segmenter, embedding):
    plain = segmenter.decode(embedding, Prompt(box=Box(0, 10, 150, 40)))
    odd = segmenter.decode(embedding, Prompt(box=Box(999, 40, -5, 10)))
    np.testing.assert_array_equal(plain[0].logits, odd[0].logits)
    assert segmenter.decode(embedding, Prompt((Point(1, 1, positive=False),))) == ()
    assert len(segmenter.decode(embedding, Prompt(box=Box(9, 9, 9, 9)))) == 3


def test_masks_that_hold_a_negative_click_come_last(segmenter, embedding):
    click = Point(75, 30)
    order = segmenter.decode(embedding, Prompt((click,)))
    inside = order[0].logits > 0
    row, column = np.argwhere(inside)[len(np.argwhere(inside)) // 2]
    size = inside.shape[0]
    wrong = Point((column + 0.5) * 150 / size, (row + 0.5) * 60 / size, positive=False)
    found = segmenter.decode(embedding, Prompt((click, wrong)))
    held = [bool(one.logits[row, column] > 0) for one in found]
    assert held == sorted(held)


def test_long_prompts_keep_the_first_and_the_latest_clicks():
    points = tuple(Point(x, 0, positive=x != 0) for x in range(9))
    kept = shortened(Prompt(points)).points
    assert [point.x for point in kept] == [1, 4, 5, 6, 7, 8]
    framed = shortened(Prompt(points, Box(0, 0, 1, 1)))
    assert [point.x for point in framed.points] == [1, 6, 7, 8]
    assert shortened(Prompt(points[:6])).points == points[:6]


def test_rendering_is_one_bicubic_step(segmenter, embedding):
    candidate = segmenter.decode(embedding, Prompt((Point(75, 30),)))[0]
    logits = torch.from_numpy(candidate.logits)[None, None]
    expected = torch.nn.functional.interpolate(logits, (60, 150), mode="bicubic")[0, 0] > 0
    mask = segmenter.render(embedding, candidate)
    assert (mask.shape, mask.dtype) == ((60, 150), np.bool_)
    assert 0.05 < mask.mean() < 0.95
    assert (mask != expected.numpy()).mean() < 1e-3


def test_damaged_embeddings_are_named(segmenter, embedding):
    broken = np.full_like(embedding.arrays["image"], np.nan)
    with pytest.raises(ModelError, match="not numbers"):
        segmenter.decode(Embedding(SPEC.id, 150, 60, {"image": broken}), Prompt((Point(1, 1),)))


# --- Files ---


def narrow():
    return EfficientSam(NARROW, hidden=64)


def test_the_published_archive_is_read(tmp_path, truth):
    inner, outer = tmp_path / "efficient_sam_vits.pt", tmp_path / "efficient_sam_vits.pt.zip"
    torch.save({"model": truth.state_dict()}, inner)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.write(inner, "efficient_sam_vits.pt")
        archive.writestr("__MACOSX/._efficient_sam_vits.pt", b"finder")
    for file in (inner, outer):
        net = filled(narrow, read_weights(file), file, "EfficientSAM-S")
        torch.testing.assert_close(net.image_encoder(IMAGE), truth.image_encoder(IMAGE))


def test_damaged_archives_are_refused_by_name(tmp_path):
    file = tmp_path / "efficient_sam_vits.pt.zip"
    with pytest.raises(ModelError, match="do not exist"):
        read_weights(file)
    file.write_bytes(b"PK no archive")
    with pytest.raises(ModelError, match=r"vits\.pt\.zip.*cut off"):
        read_weights(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(ModelError, match=r"vits\.pt\.zip.*one checkpoint"):
        read_weights(file)


def test_the_other_size_is_refused(tmp_path, truth):
    file = tmp_path / "efficient_sam_vitt.pt"
    torch.save({"model": truth.state_dict()}, file)
    with pytest.raises(ModelError, match=r"vitt\.pt.*EfficientSAM-Ti"):
        filled(lambda: EfficientSam(VIT_T), read_weights(file), file, "EfficientSAM-Ti")


@pytest.mark.parametrize("kind", ["ti", "s"])
def test_a_missing_file_is_named(kind):
    spec = segmenter_spec(f"efficientsam-{kind}")
    assert "efficient_sam_vit" in (spec.available() or "")
    with pytest.raises(ModelError, match=f"annotator models get efficientsam-{kind}"):
        spec.load()


def test_an_unpacked_archive_is_found(tmp_path, truth, monkeypatch):
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    torch.save({"model": truth.state_dict()}, tmp_path / "efficient_sam_vits.pt")
    monkeypatch.setattr("models.networks.efficientsam.VIT_S", NARROW)
    monkeypatch.setattr(
        "models.networks.efficientsam.EfficientSam", lambda sizes: EfficientSam(sizes, hidden=64)
    )
    spec = segmenter_spec("efficientsam-s")
    assert spec.available() is None
    segmenter = spec.load()
    embedding = segmenter.encode(PICTURE)
    candidates = segmenter.decode(embedding, Prompt(box=Box(9, 9, 90, 40)))
    assert len(candidates) == 3
    assert len(segmenter.fingerprint) == 16
