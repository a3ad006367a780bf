"""SAM with its own encoders: layout, arithmetic, rules for prompts, other resolutions."""

from __future__ import annotations

import itertools
import math
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch  # noqa: TID253

from models import registry
from models.api import (
    Box,
    Embedding,
    MaskPrompt,
    MaskPromptable,
    ModelError,
    Point,
    Prompt,
)
from models.edgesam.graphs import Graphs
from models.embedding_cache import EmbeddingKey
from models.exporting import FORMAT
from models.mask_prompts import sampled
from models.networks.edgesam import narrow_edge_sam
from models.networks.sam import Sam, prompts_at
from models.networks.sam_vit import (
    NARROW,
    VIT_B,
    VIT_H,
    VIT_L,
    encode_at,
    log_scale,
    narrow_sam,
    sam_vit,
)
from models.networks.sam_vit import encoder as vit
from models.questions import ask
from models.registry import segmenter_spec
from models.sam_family.export import export_all
from models.sam_family.graphs import GraphDecoder, GraphEncoder, exported
from models.sam_family.segmenter import SamSegmenter, ranked
from models.sam_family.torch_runtime import TorchDecoder, TorchEncoder, TorchRuntime, loaded
from models.transforms import Frame
from tests.models.family_truth import fill, layout, numbers, summary

CPU = torch.device("cpu")
SPEC = segmenter_spec("sam-vit-b")


def parameters(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(
    ("sizes", "entries", "check_sum", "encoder", "total"),
    [
        (VIT_B, 314, 944866093, 89_670_912, 93_735_472),
        (VIT_L, 482, 586945684, 308_278_272, 312_342_832),
        (VIT_H, 594, 2690119324, 637_026_048, 641_090_608),
    ],
    ids=["ViT-B", "ViT-L", "ViT-H"],
)
def test_layout_and_parameters_are_the_published_ones(sizes, entries, check_sum, encoder, total):
    with torch.device("meta"):
        net = sam_vit(sizes)
    state = net.state_dict()
    assert len(state) == entries
    assert layout(state) == check_sum  # of segment-anything's own network
    assert parameters(net.image_encoder) == encoder
    assert parameters(net) == total


def test_decoder_has_the_layout_of_segment_anything():
    with torch.device("meta"):
        state = sam_vit(VIT_B).state_dict()
    assert state["mask_decoder.mask_tokens.weight"].shape == (4, 256)
    assert state["mask_decoder.iou_token.weight"].shape == (1, 256)
    assert state["mask_decoder.iou_prediction_head.layers.2.weight"].shape == (4, 256)
    assert state["mask_decoder.output_hypernetworks_mlps.3.layers.2.weight"].shape == (32, 256)
    assert state["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].shape == (2, 128)
    assert state["image_encoder.pos_embed"].shape == (1, 64, 64, 768)
    assert state["image_encoder.blocks.2.attn.rel_pos_h"].shape == (127, 64)
    assert state["image_encoder.blocks.0.attn.rel_pos_h"].shape == (27, 64)


# --- Numbers of the original, see family_truth ---

IMAGE = numbers("image", (1, 3, 128, 128))
POINTS = (torch.tensor([[[40.0, 50.0], [90.5, 20.25]]]), torch.tensor([[1, 0]]))
BOX = torch.tensor([[10.0, 20.0, 100.0, 90.5]])


@pytest.fixture(scope="module")
def truth() -> Sam:
    return fill(narrow_sam())


def test_encoder_agrees_with_the_original(truth):
    expected = [-0.040144, 1.09116, 1.171285, 1.378755, -0.967954]
    assert summary(truth.image_encoder(IMAGE)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("prompt", "count", "logits", "quality"),
    [
        (
            {"points": POINTS},
            3,
            [0.209765, 0.309074, 0.014446, 0.025738, -0.494915],
            [0.318978, -0.092967, -0.091571],
        ),
        (
            {"boxes": BOX},
            1,
            [0.071129, 0.175505, 0.046557, -0.513456, -0.570132],
            [-0.102802],
        ),
        (
            {"points": POINTS, "boxes": BOX},
            1,
            [0.175712, 0.279962, -0.096117, -0.720688, -0.687871],
            [-0.106623],
        ),
    ],
    ids=["points", "box", "box and points"],
)
def test_decoder_agrees_with_the_original(truth, prompt, count, logits, quality):
    found, scores = truth(IMAGE, **prompt, num_multimask_outputs=count)
    assert summary(found) == pytest.approx(logits, abs=1e-4)
    assert scores[0].tolist() == pytest.approx(quality, abs=1e-4)


# --- Arithmetic against its definition ---


def naive_attention(layer, x, sharpness=1.0):
    """The definition, one pair of tokens at a time; x is (H, W, C)."""
    height, width, channels = x.shape
    heads, size = layer.heads, channels // layer.heads
    q, k, v = layer.qkv(x).reshape(height, width, 3, heads, size).unbind(2)
    down = vit.relative(layer.rel_pos_h, height)
    across = vit.relative(layer.rel_pos_w, width)
    places = list(itertools.product(range(height), range(width)))
    result = torch.zeros(height, width, heads, size)
    for head, (y, x0) in itertools.product(range(heads), places):
        query = q[y, x0, head]
        scores = torch.stack(
            [
                sharpness * (query @ k[b, a, head]) / math.sqrt(size)
                + query @ down[y, b]
                + query @ across[x0, a]
                for b, a in places
            ]
        ).softmax(0)
        result[y, x0, head] = sum(
            weight * v[b, a, head] for weight, (b, a) in zip(scores, places, strict=True)
        )
    return layer.proj(result.flatten(2))


@pytest.fixture(scope="module")
def layer() -> vit.VitAttention:
    return fill(vit.VitAttention(8, 2, 4))


def test_attention_is_its_definition(layer):
    x = numbers("tokens", (2, 4, 3, 8))
    expected = torch.stack([naive_attention(layer, one, 1.25) for one in x])
    torch.testing.assert_close(layer(x, 1.25), expected, rtol=0, atol=1e-5)


def test_attention_in_parts_is_the_same(layer, monkeypatch):
    x = numbers("tokens", (1, 4, 4, 8))
    whole = layer(x)
    monkeypatch.setattr(vit, "MAX_SCORES", 1)
    torch.testing.assert_close(layer(x), whole, rtol=0, atol=1e-6)


def test_relative_positions_are_query_minus_key():
    table = torch.arange(7.0)[:, None]
    found = vit.relative(table, 4)[..., 0]
    for query, key in itertools.product(range(4), repeat=2):
        assert found[query, key] == query - key + 3


def test_relative_positions_of_another_size_are_interpolated():
    found = vit.relative(torch.linspace(-3, 3, 7)[:, None], 8)[..., 0]
    assert found.shape == (8, 8)
    torch.testing.assert_close(found[3, 3], torch.tensor(0.0), rtol=0, atol=1e-6)
    assert (found.diff(dim=0) >= 0).all()
    assert found[7, 0] == 3


def test_windows_come_back_as_they_were():
    x = numbers("map", (2, 5, 7, 3))
    windows = vit.split_windows(x, 3)
    assert windows.shape == (2 * 2 * 3, 3, 3, 3)
    torch.testing.assert_close(vit.join_windows(windows, 3, 5, 7), x)
    torch.testing.assert_close(windows[1], x[0, :3, 3:6])
    assert not windows[2, :, 1:].any()  # padding


def test_windowed_block_attends_to_padding_but_not_to_other_windows():
    block = fill(vit.VitBlock(NARROW, spans_image=False))
    x = numbers("map", (1, 5, 5, NARROW.width))
    normal = torch.nn.functional.pad(block.norm1(x), (0, 0, 0, 1, 0, 1))
    mixed = torch.zeros(1, 6, 6, NARROW.width)
    for y, z in itertools.product((0, 3), repeat=2):
        mixed[0, y : y + 3, z : z + 3] = naive_attention(
            block.attn, normal[0, y : y + 3, z : z + 3]
        )
    expected = x + mixed[:, :5, :5]
    expected = expected + block.mlp(block.norm2(expected))
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-5)


# --- BA-SAM ---


def test_scale_is_that_of_the_paper():
    trained = 64 * 64
    sides = {512: 0.8333, 1024: 1.0, 1536: 1.0975, 2048: 1.1667}
    for side, expected in sides.items():
        assert log_scale((side // 16) ** 2, trained) == pytest.approx(expected, abs=5e-5)


def test_high_resolution_is_the_identity_at_the_size_of_training(truth):
    torch.testing.assert_close(
        encode_at(truth.image_encoder, IMAGE), truth.image_encoder(IMAGE), rtol=0, atol=0
    )
    table = truth.image_encoder.pos_embed
    assert vit.resized_positions(table, 8, 8) is table
    assert prompts_at(truth.prompt_encoder, 8) is truth.prompt_encoder


@pytest.mark.parametrize("side", [96, 192, 256])
def test_other_sizes_give_finer_embeddings_and_masks(truth, side):
    image = torch.nn.functional.interpolate(IMAGE, (side, side), mode="bilinear")
    embedding = encode_at(truth.image_encoder, image)
    assert embedding.shape == (1, 64, side // 16, side // 16)
    scale = side / 128
    logits, _ = truth.decode(embedding, boxes=BOX * scale)
    assert logits.shape == (1, 3, side // 4, side // 4)
    assert truth.prompt_encoder.grid == 8


def test_prompts_are_normalised_by_the_new_size(truth):
    larger = prompts_at(truth.prompt_encoder, 16)
    assert (larger.grid, larger.side) == (16, 256)
    # The same relative place: the half pixel of the centre counts half as much.
    small = truth.prompt_encoder.embed_tokens(torch.tensor([[[40.0, 50.0]]]), torch.ones(1, 1))
    large = larger.embed_tokens(torch.tensor([[[80.5, 100.5]]]), torch.ones(1, 1))
    torch.testing.assert_close(large, small, rtol=0, atol=1e-5)


def test_only_global_blocks_are_sharpened():
    x = numbers("map", (1, 6, 6, NARROW.width))
    for spans_image in (False, True):
        block = fill(vit.VitBlock(NARROW, spans_image))
        assert torch.equal(block(x, 2.0), block(x)) is not spans_image


def test_convolutional_encoders_and_odd_sizes_are_refused(truth):
    with pytest.raises(ModelError, match=r"convolutional.*Zoom in"):
        encode_at(narrow_edge_sam().image_encoder, torch.zeros(1, 3, 2048, 2048))
    with pytest.raises(ModelError, match=r"multiples of 16 .* not at 100"):
        encode_at(truth.image_encoder, torch.zeros(1, 3, 100, 100))


# --- The segmenter ---

RANDOM = np.random.default_rng(5)
PICTURE = RANDOM.integers(0, 256, (90, 120, 3), np.uint8)


@pytest.fixture(scope="module")
def segmenter(truth) -> SamSegmenter:
    encoder = TorchEncoder(truth.image_encoder, CPU)
    return SamSegmenter(SPEC, encoder, TorchDecoder(truth, CPU), "narrow", 128)


@pytest.fixture(scope="module")
def embedding(segmenter) -> Embedding:
    return segmenter.encode(PICTURE)


CLICK = Prompt((Point(60, 45),))
FRAMED = Prompt(box=Box(20, 10, 100, 80))


def test_embedding_says_whose_and_of_what_it_is(embedding):
    assert (embedding.model, embedding.width, embedding.height) == ("sam-vit-b", 120, 90)
    assert embedding.arrays["image"].shape == (64, 8, 8)


def test_one_click_has_three_candidates_and_less_ambiguous_prompts_one(segmenter, embedding):
    two = Prompt((Point(60, 45), Point(10, 10, positive=False)))
    both = Prompt((Point(60, 45),), FRAMED.box)
    counts = [len(segmenter.decode(embedding, prompt)) for prompt in (CLICK, two, FRAMED, both)]
    assert counts == [3, 1, 1, 1]
    assert segmenter.decode(embedding, Prompt((Point(1, 1, positive=False),))) == ()


def test_candidates_are_the_networks_answers(segmenter, embedding, truth):
    image = torch.from_numpy(embedding.arrays["image"])[None]
    scale = 128 / 120
    place = torch.tensor([[[60.0, 45.0]]]) * scale
    logits, _ = truth.decode(image, points=(place, torch.ones(1, 1)))
    found = segmenter.decode(embedding, CLICK)
    for mask in logits[0].numpy():
        assert min(np.abs(mask - candidate.logits).max() for candidate in found) < 1e-4


def test_batches_answer_as_single_prompts(segmenter, embedding):
    prompts = [CLICK, FRAMED, Prompt((Point(3, 4),)), *[FRAMED] * 9]
    for one, many in zip(
        [segmenter.decode(embedding, prompt) for prompt in prompts],
        segmenter.decode_many(embedding, prompts),
        strict=True,
    ):
        for a, b in zip(one, many, strict=True):
            np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)


def test_the_best_comes_first_then_small_to_large_and_empty_last():
    masks = np.full((4, 4, 4), -1.0, np.float32)
    masks[1, :1] = masks[2, :3] = masks[3, :2] = 1.0
    quality = np.array([2.0, 0.5, 1.1, 1.3], np.float32)
    found = ranked(masks, quality, Box(0, 0, 4, 4))
    assert [int((one.logits > 0).sum()) for one in found] == [8, 4, 12, 0]
    assert [one.score for one in found] == [1.0, 0.5, 1.0, 0.0]
    unknown = ranked(masks, np.full(4, np.nan, np.float32), Box(0, 0, 4, 4))
    assert [one.score for one in unknown] == [0.0] * 4


def test_prompts_out_of_the_ordinary_mean_something(segmenter, embedding):
    inside = segmenter.decode(embedding, Prompt(box=Box(0, 0, 60, 90)))
    outside = segmenter.decode(embedding, Prompt(box=Box(-50, -9, 60, 300)))
    swapped = segmenter.decode(embedding, Prompt(box=Box(60, 90, 0, 0)))
    for found in (outside, swapped):
        np.testing.assert_array_equal(found[0].logits, inside[0].logits)
    assert len(segmenter.decode(embedding, Prompt(box=Box(7, 7, 7, 50)))) == 3
    assert len(segmenter.decode(embedding, Prompt((Point(-9, 1e6),)))) == 3


def test_masks_have_the_size_of_the_image(segmenter, embedding):
    candidate = segmenter.decode(embedding, FRAMED)[0]
    assert candidate.extent == Box(0, 0, 120, 120)
    mask = segmenter.render(embedding, candidate)
    assert (mask.shape, mask.dtype) == ((90, 120), np.bool_)
    assert mask.any()


def test_high_resolution_embeddings_are_decoded_at_their_size(segmenter):
    fine = segmenter.encode_at(PICTURE, 256)
    assert fine.arrays["image"].shape == (64, 16, 16)
    candidate = segmenter.decode(fine, FRAMED)[0]
    assert candidate.logits.shape == (64, 64)
    assert candidate.extent == Box(0, 0, 120, 120)
    assert segmenter.render(fine, candidate).shape == (90, 120)


def test_a_larger_square_is_a_model_of_its_own(segmenter, embedding, monkeypatch):
    known = {"sam-vit-b": replace(SPEC, load=lambda: segmenter)}
    monkeypatch.setattr(registry, "segmenters", lambda: known)
    spec = segmenter_spec("sam-vit-b@1280")
    assert (spec.id, spec.input_size) == ("sam-vit-b@1280", 1280)
    large = spec.load()
    assert large.fingerprint != segmenter.fingerprint
    fine = large.encode(PICTURE)
    assert fine.model == "sam-vit-b@1280"
    assert fine.arrays["image"].shape == (64, 80, 80)
    assert large.decode(fine, FRAMED)[0].logits.shape == (320, 320)
    keys = [EmbeddingKey.of(one, "content").name for one in (large, segmenter)]
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    ("model_id", "words"),
    [
        ("edgesam@1536", r"EdgeSAM cannot encode images at another size\..*Zoom in instead"),
        ("sam-vit-b@1000", "can encode images at 1024, 1280, 1536, 2048 pixels, not at 1000"),
        ("sam-vit-b@large", "not at large"),
        ("sam-vit-c@1536", "no model “sam-vit-c”"),
    ],
)
def test_squares_nobody_can_encode_are_refused(model_id, words):
    with pytest.raises(ModelError, match=words):
        segmenter_spec(model_id)


def test_the_square_of_training_is_the_model_itself():
    assert segmenter_spec("sam-vit-b@1024") is segmenter_spec("sam-vit-b")


def test_damaged_embeddings_are_named(segmenter, embedding):
    broken = np.full_like(embedding.arrays["image"], np.nan)
    with pytest.raises(ModelError, match="not numbers"):
        segmenter.decode(Embedding("sam-vit-b", 120, 90, {"image": broken}), CLICK)


def test_damaged_weights_are_named(truth):
    net = narrow_sam()
    net.image_encoder.neck[0].weight.data[0] = torch.inf
    broken = SamSegmenter(SPEC, TorchEncoder(net.image_encoder, CPU), None, "", 128)
    with pytest.raises(ModelError, match="weights are damaged"):
        broken.encode(PICTURE)


# --- Files ---


def narrow():
    return sam_vit(NARROW, hidden=64)


def test_checkpoint_is_loaded_key_for_key(tmp_path, truth):
    file = tmp_path / "sam.pth"
    torch.save({"model": truth.state_dict()}, file)
    net = loaded(narrow, file, "SAM")
    assert not net.training
    torch.testing.assert_close(net.image_encoder(IMAGE), truth.image_encoder(IMAGE))


def test_files_that_do_not_fit_are_refused_by_name(tmp_path, truth):
    file = tmp_path / "sam.pth"
    state = truth.state_dict()
    half = {key: value for key, value in state.items() if key.startswith("image_encoder")}
    torch.save(half, file)
    with pytest.raises(ModelError, match=r"sam\.pth.*does not fit SAM ViT-B.*missing"):
        loaded(narrow, file, "SAM ViT-B")
    torch.save(narrow_edge_sam().state_dict(), file)
    with pytest.raises(ModelError, match=r"sam\.pth.*image_encoder"):
        loaded(narrow, file, "SAM ViT-B")
    torch.save(
        {**state, "image_encoder.pos_embed": state["image_encoder.pos_embed"] * torch.nan}, file
    )
    with pytest.raises(ModelError, match=r"sam\.pth.*damaged.*pos_embed"):
        loaded(narrow, file, "SAM ViT-B")
    torch.save(state, file)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"sam\.pth.*cut off"):
        loaded(narrow, file, "SAM ViT-B")


@pytest.mark.parametrize("kind", ["b", "l", "h"])
def test_a_missing_file_is_named(kind):
    spec = segmenter_spec(f"sam-vit-{kind}")
    assert spec.available() is not None
    assert f"sam_vit_{kind}_" in spec.available()
    with pytest.raises(ModelError, match=f"annotator models get sam-vit-{kind}"):
        spec.load()


def test_a_spec_loads_its_file(tmp_path, truth, monkeypatch):
    file = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(truth.state_dict(), file)
    monkeypatch.setattr("models.sam_family.runtime.present", lambda _: (file, "abc"))
    monkeypatch.setattr("models.sam_family.runtime.accelerated", lambda: True)
    monkeypatch.setattr("models.sam_family.torch_runtime.best_device", lambda: CPU)
    monkeypatch.setattr("models.sam_family.networks.load_sam", lambda *_: truth)
    segmenter = SPEC.load()
    assert segmenter.spec is SPEC
    assert segmenter.fingerprint == "abc-torch"
    assert len(segmenter.decode(segmenter.encode_at(PICTURE, 128), CLICK)) == 3


# --- In onnxruntime ---

WIDE = replace(NARROW, side=1024)


@pytest.fixture(scope="module")
def wide() -> Sam:
    return fill(sam_vit(WIDE, hidden=64))


@pytest.fixture(scope="module")
def graphs(wide, tmp_path_factory) -> Graphs:
    folder = tmp_path_factory.mktemp("graphs")
    export_all(wide, folder)
    return Graphs(folder / "encoder.onnx", folder, "onnx")


def in_torch(net: Sam) -> TorchRuntime:
    return TorchRuntime(TorchEncoder(net.image_encoder, CPU), TorchDecoder(net, CPU))


@pytest.fixture(scope="module")
def pair(graphs, wide) -> tuple[SamSegmenter, SamSegmenter]:
    """The same network in onnxruntime and in torch."""
    runtime = in_torch(wide)
    exported = SamSegmenter(
        SPEC,
        GraphEncoder(graphs, lambda: runtime),
        GraphDecoder(graphs, 64, lambda: runtime),
        "",
    )
    return exported, SamSegmenter(SPEC, runtime.encoder, runtime.decoder, "")


def test_graphs_agree_with_torch(pair):
    exported, eager = pair
    found, expected = exported.encode(PICTURE), eager.encode(PICTURE)
    np.testing.assert_allclose(found.arrays["image"], expected.arrays["image"], atol=5e-4)
    for prompt in (CLICK, FRAMED):
        for one, other in zip(
            exported.decode(found, prompt), eager.decode(expected, prompt), strict=True
        ):
            assert one.score == pytest.approx(other.score, abs=5e-4)
            mask, known = exported.render(found, one), eager.render(expected, other)
            assert (mask != known).mean() < 1e-3


STARTED = np.hypot(*(np.mgrid[:40, :60] - np.array([20, 30])[:, None, None])) < 19


def test_a_mask_that_is_given_is_the_mask_input_of_the_network(pair, wide):
    exported, eager = pair
    start, prompt = MaskPrompt(31, 22, STARTED), Prompt((Point(60, 42),), Box(31, 22, 91, 62))
    assert isinstance(exported, MaskPromptable)
    embedding = eager.encode(PICTURE)
    (answer,) = eager.decode_from(embedding, start, prompt)
    question = ask(prompt, Frame(120, 90))
    assert question is not None
    logits = (sampled(start, answer.extent, 256) - 0.5) * 16
    with torch.no_grad():
        dense = wide.prompt_encoder.mask_downscaling(torch.from_numpy(logits)[None, None])
        expected, _ = wide.mask_decoder.decode_all(
            torch.from_numpy(np.asarray(embedding.arrays["image"]))[None],
            wide.prompt_encoder.dense_positions(),
            wide.prompt_encoder.embed_tokens(
                torch.from_numpy(question.coords)[None], torch.from_numpy(question.labels)[None]
            ),
            dense,
        )
    np.testing.assert_allclose(answer.logits, expected[0, 0].numpy(), atol=1e-4)
    (plain,) = eager.decode(embedding, prompt)
    assert np.abs(plain.logits - answer.logits).max() > 1e-3
    (folded,) = exported.decode_from(exported.encode(PICTURE), start, prompt)
    mask, known = exported.render(embedding, folded), eager.render(embedding, answer)
    assert (mask != known).mean() < 1e-3


def test_graphs_of_earlier_versions_ask_torch_about_masks(graphs, wide, tmp_path):
    runtime = in_torch(wide)
    folder = tmp_path / "earlier"
    shutil.copytree(graphs.decoder, folder)
    (folder / "mask.onnx").unlink()
    earlier = GraphDecoder(Graphs(folder / "encoder.onnx", folder, ""), 64, lambda: runtime)
    now = GraphDecoder(graphs, 64, lambda: runtime)
    logits = numbers("mask", (256, 256)).numpy()
    np.testing.assert_allclose(earlier.masked(logits), now.masked(logits), atol=1e-4)


def test_a_mask_lies_where_it_was_given():
    start = MaskPrompt(31, 22, STARTED)
    share = sampled(start, Box(0, 0, 120, 120), 120)
    expected = np.zeros((120, 120), np.float32)
    expected[22:62, 31:91] = STARTED
    np.testing.assert_allclose(share, expected, atol=1e-5)
    coarse = sampled(start, Box(0, 0, 120, 120), 24)
    shares = expected.reshape(24, 5, 24, 5).mean(axis=(1, 3))
    assert np.abs(coarse - shares).mean() < 0.02


def test_embeddings_from_a_disk_are_completed(pair):
    exported, _ = pair
    whole = exported.encode(PICTURE)
    bare = Embedding(SPEC.id, 120, 90, {"image": whole.arrays["image"]})
    assert set(exported.complete(bare).arrays) == set(whole.arrays) > {"image"}
    for one, other in zip(exported.decode(bare, CLICK), exported.decode(whole, CLICK), strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)


def test_high_resolution_goes_through_torch(pair):
    exported, eager = pair
    fine, known = exported.encode_at(PICTURE, 512), eager.encode_at(PICTURE, 512)
    np.testing.assert_array_equal(fine.arrays["image"], known.arrays["image"])
    found, expected = exported.decode(fine, FRAMED), eager.decode(known, FRAMED)
    np.testing.assert_array_equal(found[0].logits, expected[0].logits)


def test_a_file_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, truth):
    file = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(truth.state_dict(), file)
    with pytest.raises(ModelError, match=r"sam_vit_b_01ec64\.pth.*does not fit SAM ViT-B"):
        exported("sam-vit-b", "SAM ViT-B", file, "abc", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_exported_graphs_are_used_again(tmp_path, graphs):
    folder = tmp_path / f"sam-vit-b-abc-{FORMAT}"
    shutil.copytree(graphs.decoder, folder)
    found = exported("sam-vit-b", "SAM ViT-B", tmp_path / "no such file", "abc", tmp_path)
    assert found.encoder == folder / "encoder.onnx"
    assert found.fingerprint.startswith("abc-onnx")


def test_knowing_the_models_imports_neither_torch_nor_numpy():
    code = (
        "import sys; from models.registry import segmenters; found = segmenters();"
        "assert 'sam-vit-h' in found; found['sam-vit-h'].available();"
        "assert not {'torch', 'numpy', 'onnxruntime'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
